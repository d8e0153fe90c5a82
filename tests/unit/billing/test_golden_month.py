"""The golden month: the same numbers give the same bytes, in every version of the product."""

import ast
import os
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from shared.billing.model import Invoice
from shared.billing.rules.adjusting import adjustments
from shared.billing.rules.rating import rate
from shared.licensing.explaining import _WORDS
from shared.licensing.ledger import check_chain
from shared.usage import rules
from tests.fixtures import golden_month as golden

RULES = Path(__file__).parents[3] / "shared" / "licensing" / "rules"


def test_it_has_a_hundred_customers_and_every_kind_of_event() -> None:
    events = golden.events()
    assert {event.kind for event in events} == set(_WORDS)
    assert check_chain(events) is None
    billed = rate(golden.given())
    assert {line.customer_id for line in billed.lines} == set(golden.CUSTOMERS)
    assert {line.item for line in billed.lines} == golden.BOOK.prices.keys()


def test_no_rule_records_a_kind_that_is_not_in_it() -> None:
    """Kinds stand in the rules as text: as what is recorded, or as the kind that is handed on."""
    found = set()
    texts = set()
    for path in RULES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.func.attr == "record" and node.args else None
                kinds = [each.value for each in node.keywords if each.arg == "kind"]
                ends = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                found |= {each.value for each in (*ends, *kinds) if isinstance(each, ast.Constant)}
    told = {event.kind for event in golden.events()}
    assert found - told == set()
    assert len(found) > 20
    assert told - texts == set()  # and none that nobody records any more


def test_usg_07_usg_12_usg_17_the_reports_of_the_month_and_the_next() -> None:
    march, april = golden.reports()
    assert [line.customer_id for line in march.saas if line.is_deleted] == sorted(golden.GONE)
    assert march.lines
    assert len(march.saas) > 95
    passed = [line for line in rate(golden.of_partner(golden.MARCH, golden.CLOSED)).lines
              if not line.customer_id]  # fmt: skip
    assert [(line.pool_id, line.billed) for line in passed] == [("tier2", 9)]
    sums = rules.totals(march)
    points = [line.points for line in (*march.lines, *march.saas)]
    assert sums.reported == sum(points) == sums.subtotal
    assert (sums.enforcement, sums.overage) == (0, sums.reported - 200)
    before = {line.product: line.current for line in march.lines}
    assert {line.product: line.previous for line in april.lines} == before
    assert sorted((each.customer_id, each.units) for each in april.corrections) == [
        (golden.CUSTOMERS[3], 4), (golden.CUSTOMERS[50], 7), (golden.CUSTOMERS[99], 1),
    ]  # fmt: skip
    late = golden.billed_later()
    assert (late.adjusted, late.total) == (Decimal("13.40"), late.subtotal + Decimal("13.40"))


def test_the_bytes_are_those_that_were_committed() -> None:
    for name, content in golden.documents().items():
        assert content == golden.committed(name), name


def test_another_process_with_another_hash_seed_gives_the_same_bytes() -> None:
    program = (
        "from tests.fixtures import golden_month as g\n"
        "from shared.billing.rules.rating import rate\n"
        "print(rate(g.given()).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == rate(golden.given()).digest


def test_rating_again_after_late_events_is_the_original_and_adjustments() -> None:
    content = golden.committed("invoice.json").strip()
    billed = Invoice.model_validate_json(content)
    assert billed.content == content
    right = rate(golden.rated_later())
    found = adjustments(billed, right)
    assert {each.customer_id for each in found} <= {
        golden.CUSTOMERS[3], golden.CUSTOMERS[50], golden.CUSTOMERS[99],
    }  # fmt: skip
    assert len(found) == 3
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in billed.lines:
        sums[line.line_id] += line.amount
    for each in found:
        sums[each.line_id] += each.amount
    assert sums == {line.line_id: line.amount for line in right.lines}
    assert adjustments(billed, right, found) == ()
    # What was known when the month closed still gives the bytes of the close.
    assert rate(golden.given()).content == content
