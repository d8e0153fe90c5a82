"""The golden month: the same numbers give the same bytes, in every version of the product."""

import os
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal

from shared.billing.model import Invoice
from shared.billing.rules.adjusting import adjustments
from shared.billing.rules.rating import rate
from shared.licensing.explaining import _WORDS
from shared.licensing.ledger import check_chain
from tests.fixtures import golden_month as golden


def test_it_has_a_hundred_customers_and_every_kind_of_event() -> None:
    events = golden.events()
    assert {event.kind for event in events} == set(_WORDS)
    assert check_chain(events) is None
    billed = rate(golden.given())
    assert {line.customer_id for line in billed.lines} == set(golden.CUSTOMERS)
    assert {line.item for line in billed.lines} == golden.BOOK.prices.keys()


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
