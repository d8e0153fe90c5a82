"""The monthly usage report as it is made of a rated month (USG-01 to USG-13, USG-17, USG-18)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from shared.billing.model import Adjustment, Invoice, Line, Metric
from shared.usage import rules
from shared.usage.days import FLEX, STORAGE, Day
from shared.usage.model import Agreement, Correction, LicenceLine, Report, SaasLine
from shared.usage.telling import points_of

SAAS = frozenset({Metric.PROTECTED_USERS})
"""What is reported per customer; seats are reported per product."""


@dataclass(frozen=True, slots=True)
class Known:
    """What of a customer stands in its lines."""

    name: str
    crm_id: str
    start: date | None
    is_gone: bool


def report_of(
    invoice: Invoice,
    month: str,
    days: Iterable[Day],
    customers: Mapping[str, Known],
    agreement: Agreement | None,
    previous: Report | None,
    late: Sequence[Adjustment] = (),
) -> Report:
    """The report of a rated month; `late` are adjustments of closed months not billed yet."""
    told = {day.customer_id: day for day in days}
    points = points_of(agreement)
    before = _reported(previous)
    return Report(
        partner_id=invoice.partner_id,
        month=month,
        number=f"MU-{month}-{invoice.partner_id}",
        agreement=agreement.number if agreement else "",
        aggregator=agreement.aggregator if agreement else "",
        minimum_commit=rules.commitment_for(agreement, month) if agreement else Decimal(0),
        lines=_licence_lines(invoice.lines, points, before),
        saas=tuple(
            _saas_line(line, _known(line.customer_id, told, customers), points, before)
            for line in invoice.lines
            if line.metric in SAAS
        ),
        corrections=tuple(
            Correction(
                month=each.month,
                customer_id=each.customer_id,
                product=each.item,
                units=each.right_quantity - each.billed_quantity,
                points_per_unit=points.get(each.item, Decimal(0)),
                is_saas=each.item == FLEX,
                line_id=each.line_id,
            )
            for each in late
        ),
        due_on=rules.due_on(month),
        snapshot=invoice.digest,
    )


def _known(customer_id: str, told: Mapping[str, Day], customers: Mapping[str, Known]) -> Known:
    """The customer as it is, or as its last measured day tells of one that is gone (USG-12)."""
    if customer_id in customers:
        return customers[customer_id]
    day = told.get(customer_id)
    if day is None:
        return Known(customer_id, "", None, is_gone=True)
    return Known(day.customer_name, day.external_id, None, is_gone=True)


def _saas_line(
    line: Line, known: Known, points: Mapping[str, Decimal], before: Mapping[str, int]
) -> SaasLine:
    return SaasLine(
        customer_id=line.customer_id,
        customer_name=known.name,
        crm_id=known.crm_id,
        start=known.start,
        product=line.item,
        unit="User",
        units=int(line.billed),
        previous=before.get(f"{line.customer_id}~{line.item}"),
        points_per_unit=points.get(line.item, Decimal(0)),
        is_deleted=known.is_gone,
        line_id=line.line_id,
    )


def _licence_lines(
    lines: Iterable[Line], points: Mapping[str, Decimal], before: Mapping[str, int]
) -> tuple[LicenceLine, ...]:
    """One line per rented product: pay-as-you-go items over all customers."""
    units: dict[str, Decimal] = {}
    for line in lines:
        if line.metric not in SAAS and line.item != STORAGE:
            units[line.item] = units.get(line.item, Decimal(0)) + line.billed
    return tuple(
        LicenceLine(
            line_id=item,
            product=item,
            licensed=int(count),
            previous=before.get(item),
            auto=int(count),
            current=int(count),
            points_per_unit=points.get(item, Decimal(0)),
        )
        for item, count in sorted(units.items())
    )


def _reported(report: Report | None) -> dict[str, int]:
    """What was reported the month before: by product, and by customer and product (USG-17)."""
    if report is None:
        return {}
    told = {line.product: line.current for line in report.lines}
    return told | {f"{line.customer_id}~{line.product}": line.units for line in report.saas}
