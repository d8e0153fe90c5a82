"""Lines of a usage report in points, and what a product's line adds up, in sentences (USG-03)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from shared.billing.model import Counting, Line, Metric, Step
from shared.billing.rules.explaining import Explanation, plain
from shared.licensing.ledger import Event
from shared.usage.days import FLEX
from shared.usage.model import FLEX_POINTS_PER_USER, Agreement, LicenceLine, Report

POINTS = "points"
ZERO = Decimal(0)


def points_of(agreement: Agreement | None) -> dict[str, Decimal]:
    """Product -> points of one unit; what nobody agreed on weighs nothing but Flex (USG-06)."""
    return {FLEX: FLEX_POINTS_PER_USER, **(agreement.points_per_unit if agreement else {})}


def points_in(report: Report) -> dict[str, Decimal]:
    """The same as the report was made with."""
    of_products = {line.product: line.points_per_unit for line in report.lines}
    return of_products | {line.product: line.points_per_unit for line in report.saas}


def in_points(line: Line, points: Mapping[str, Decimal]) -> Line:
    """A rated line whose arithmetic is that of the report: units times points (USG-05, USG-06)."""
    each = points.get(line.item, ZERO)
    step = Step(quantity=line.billed, unit_price=each, amount=line.billed * each)
    return line.model_copy(update={"steps": (step,), "amount": step.amount})


def parts_of(line: LicenceLine, rated: Sequence[Line]) -> tuple[Line, ...]:
    """The rated lines that a product's line adds up: by customer and pool."""
    if line.is_manual:
        return ()
    return tuple(each for each in rated if each.item == line.product)


def as_line(line: LicenceLine, parts: Sequence[Line]) -> Line:
    """A product's line in the words of rating."""
    units = Decimal(line.current)
    step = Step(quantity=units, unit_price=line.points_per_unit, amount=line.points)
    return Line(
        line_id=line.line_id,
        customer_id="",
        item=line.product,
        metric=parts[0].metric if parts else Metric.ASSIGNED,
        counting=parts[0].counting if parts else Counting.PEAK,
        counted=Decimal(line.auto),
        billed=units,
        steps=(step,),
        amount=line.points,
        runs=(),
        rules=tuple(sorted({"USG-03", "USG-05", *(rule for each in parts for rule in each.rules)})),
    )


def explain_product(
    line: LicenceLine, parts: Sequence[Line], events: Mapping[int, Event]
) -> Explanation:
    """Why a product's line is what it is: its parts, what was changed by hand, the points."""
    sentences = [_part(each) for each in parts]
    if line.is_manual:
        sentences.append(f"{line.current} units were added by hand (USG-04).")
    elif line.current == line.auto:
        sentences.append(f"Together {line.auto}, as measured.")
    else:
        sentences.append(f"Together {line.auto}; set to {line.current} by hand (USG-03).")
    numbers = sorted({seq for each in parts for run in each.runs for seq in run.events})
    own = tuple(events[seq] for seq in numbers if seq in events)
    points = f"{line.current} × {plain(line.points_per_unit)} = {line.points:f} {POINTS}"
    measured = " + ".join(plain(each.billed) for each in parts)
    return Explanation(
        tuple(sentences),
        f"{measured} = {line.auto}; {points}" if len(parts) > 1 else points,
        own,
        as_line(line, parts).rules,
    )


def _part(line: Line) -> str:
    who = f"Customer {line.customer_id}" if line.customer_id else "Passed on to other partners"
    on = f", first reached on {line.counted_on}" if line.counted_on else ""
    return f"{who}, pool {line.pool_id}: {plain(line.billed)}{on} (line {line.line_id})."
