"""Reports as tables: the monthly usage, the SaaS details with or without sums, FOCUS columns.

A table is a header and rows of text, whole numbers and Decimals; a door makes a file of it. Columns
of SaaS details are those of features.md 9.1; the FOCUS ones those of the FinOps Open Cost and Usage
Specification 1.0 for which there is something to say, under its names and in its order. What is
ours alone comes last and begins with `x_`, as it demands: the line that explains a charge is no
resource of anybody.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from shared.billing.model import Adjustment, CustomerInvoice, Line, Metric
from shared.usage import rules
from shared.usage.closing import month_end
from shared.usage.model import Report, SaasLine

Cell = str | int | Decimal | None
Row = Sequence[Cell]

SAAS_COLUMNS = (
    "Usage month", "Customer name", "Tenant account CRM ID", "Start date", "Product name", "Unit",
    "Reported units", "Points per unit", "Points",
)  # fmt: skip
REPORT_COLUMNS = ("Part", "Name", "Product", "Licensed", "Previous month", "Auto reported",
                  "Current month", "Points per unit", "Points")  # fmt: skip
FOCUS_COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceIssuerName",
    "ListCost", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName",
    "ServiceCategory", "ServiceName", "SkuId", "SubAccountId", "SubAccountName", "x_LineId",
)  # fmt: skip
_UNITS = {
    Metric.ASSIGNED: "Seats",
    Metric.CONSUMED: "Units",
    Metric.PROTECTED_USERS: "Users",
    Metric.STORED_GB: "GB",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What an export of SaaS details has beside its lines; "details only" has none of it."""

    counts: bool = True
    details: bool = True
    subtotals: bool = True
    grand_total: bool = True


DETAILS_ONLY = Shown(counts=False, details=True, subtotals=False, grand_total=False)


def saas_rows(report: Report, shown: Shown) -> Iterator[Row]:
    """Month, then customer; with sums where they are shown (RPT-26)."""
    lines = sorted(report.saas, key=lambda each: (each.customer_name, each.customer_id))
    if shown.counts:
        yield _sum(f"{report.month} ({len(lines)})", "", None, None)
    for (_, name), group in groupby(lines, key=lambda each: (each.customer_id, each.customer_name)):
        own = list(group)
        if shown.counts:
            yield _sum(report.month, f"{name} ({len(own)})", None, None)
        if shown.details:
            for line in own:
                yield _saas_row(report.month, line)
        if shown.subtotals:
            yield _sum(report.month, f"Subtotal {name}", *_totals(own))
    if shown.grand_total:
        yield _sum("Total", "", *_totals(lines))


def _saas_row(month: str, line: SaasLine) -> Row:
    start = line.start.isoformat() if line.start else ""
    return (
        month, line.customer_name, line.crm_id, start, line.product, line.unit, line.units,
        line.points_per_unit, line.points,
    )  # fmt: skip


def _totals(lines: Sequence[SaasLine]) -> tuple[int, Decimal]:
    points = sum((line.points for line in lines), Decimal(0))
    return sum(line.units for line in lines), points


def _sum(month: str, name: str, units: int | None, points: Decimal | None) -> Row:
    return (month, name, "", "", "", "", units, None, points)


def report_rows(report: Report) -> Iterator[Row]:
    """Header, lines, SaaS use, corrections and totals of a monthly report (RPT-27)."""
    header = {
        "Report number": report.number,
        "Rental agreement": report.agreement,
        "Usage month": report.month,
        "Usage confirmed": "yes" if report.usage_confirmed else "no",
        "Purchase order": report.purchase_order,
        "Comment": report.comment,
        "Administrator": report.administrator,
        "Aggregator": report.aggregator,
        "Status": report.state.value,
        "Rejection reason": report.rejection_reason,
    }
    for name, value in header.items():
        yield ("Header", name, value, None, None, None, None, None, None)
    for line in report.lines:
        yield (
            "Line", "", line.product, line.licensed, line.previous, line.auto, line.current,
            line.points_per_unit, line.points,
        )  # fmt: skip
    for each in report.saas:
        yield (
            "SaaS", each.customer_name, each.product, None, each.previous, each.units, each.units,
            each.points_per_unit, each.points,
        )  # fmt: skip
    for fix in report.corrections:
        yield (
            "Correction", f"{fix.customer_id} {fix.month}", fix.product, None, None, None,
            fix.units, fix.points_per_unit, fix.points,
        )  # fmt: skip
    for name, value in rules.totals(report).model_dump().items():
        yield ("Total", name.replace("_", " "), "", None, None, None, None, None, value)


def focus_rows(invoices: Iterable[CustomerInvoice], partner_name: str) -> Iterator[Row]:
    """One row per charge of each invoice; late data are corrections of their own month."""
    for invoice in invoices:
        for line in invoice.lines:
            yield _focus(invoice, partner_name, _usage(line))
        for each in invoice.adjustments:
            yield _focus(invoice, partner_name, _correction(each))


def _usage(line: Line) -> dict[str, Any]:
    unit = _UNITS[line.metric]
    return {
        "cost": line.amount, "item": line.item, "quantity": line.counted, "unit": unit,
        "priced": line.billed, "month": None, "id": line.line_id, "class": "",
        "text": f"{line.item}: {line.billed} {unit}",
    }  # fmt: skip


def _correction(each: Adjustment) -> dict[str, Any]:
    units = each.right_quantity - each.billed_quantity
    return {
        "cost": each.amount, "item": each.item, "quantity": units, "unit": "", "priced": units,
        "month": each.month, "id": each.line_id, "class": "Correction",
        "text": f"{each.item}: late data of {each.month}", "currency": each.currency,
    }  # fmt: skip


def _focus(invoice: CustomerInvoice, partner_name: str, charge: Mapping[str, Any]) -> Row:
    used_in = charge["month"] or invoice.month
    values: dict[str, Cell] = {
        "BilledCost": charge["cost"],
        "BillingAccountId": invoice.partner_id,
        "BillingAccountName": partner_name,
        "BillingCurrency": charge.get("currency") or invoice.currency,
        "BillingPeriodEnd": _instant(rules.month_after(invoice.month)),
        "BillingPeriodStart": _instant(invoice.month),
        "ChargeCategory": "Usage",
        "ChargeClass": charge["class"],
        "ChargeDescription": charge["text"],
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": month_end(used_in).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ChargePeriodStart": _instant(used_in),
        "ConsumedQuantity": charge["quantity"],
        "ConsumedUnit": charge["unit"],
        "ContractedCost": charge["cost"],
        "EffectiveCost": charge["cost"],
        "InvoiceIssuerName": invoice.issuer or partner_name,
        "ListCost": charge["cost"],
        "PricingQuantity": charge["priced"],
        "PricingUnit": charge["unit"],
        "ProviderName": "Holdfast",
        "PublisherName": "Holdfast",
        "ServiceCategory": "Storage",
        "ServiceName": charge["item"],
        "SkuId": charge["item"],
        "SubAccountId": invoice.customer_id,
        "SubAccountName": invoice.customer_name,
        "x_LineId": charge["id"],
    }
    return [values[name] for name in FOCUS_COLUMNS]


def _instant(month: str) -> str:
    return f"{month}-01T00:00:00Z"
