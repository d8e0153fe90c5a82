"""Months of usage as files: CSV or a workbook that a spreadsheet shows and never runs."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response

from functions.api import csv_files, xlsx_files
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.usage import whole
from functions.api.usage_models import Month
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.usage import exporting, reselling, service
from shared.usage.exporting import DETAILS_ONLY, Cell, Shown

router = Router(tags=["usage"])
Reader = Annotated[Caller, Depends(requires("usage.read"))]
BillingReader = Annotated[Caller, Depends(requires("billing.read"))]
Format = Annotated[Literal["csv", "xlsx"], Query(alias="format")]
DetailsOnly = Annotated[
    bool, Query(alias="detailsOnly", description="Lines alone, to be imported elsewhere")
]
BOTH: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            **csv_files.RESPONSES[200]["content"],
            **xlsx_files.RESPONSES[200]["content"],
        }
    }
}


@router.get(
    "/usage-reports/{month}/export",
    operation_id="usage_report_export",
    summary="A usage report as a file",
    responses=BOTH,
    response_class=Response,
)
async def report(month: Month, caller: Reader, kind: Format = "csv") -> Response:
    """Header, lines, SaaS use, corrections and totals (RPT-27)."""
    found, _ = await service.read(await deps().usage(), whole(caller), month)
    rows = exporting.report_rows(found)
    return _file(f"usage-{month}", kind, exporting.REPORT_COLUMNS, rows)


@router.get(
    "/usage-reports/{month}/saas-export",
    operation_id="usage_saas_export",
    summary="SaaS usage as a file",
    responses=BOTH,
    response_class=Response,
)
async def saas(
    month: Month,
    caller: Reader,
    kind: Format = "csv",
    details_only: DetailsOnly = False,
    counts: bool = True,
    details: bool = True,
    subtotals: bool = True,
    grand_total: Annotated[bool, Query(alias="grandTotal")] = True,
) -> Response:
    """By month and customer; what is beside the lines can be left out (RPT-26).

    Callers limited to some customers get the lines of these, and sums of nothing else (RPT-28).
    """
    found, _ = await service.read(await deps().usage(), caller.scope, month)
    shown = DETAILS_ONLY if details_only else Shown(counts, details, subtotals, grand_total)
    rows = exporting.saas_rows(found, shown)
    return _file(f"saas-usage-{month}", kind, exporting.SAAS_COLUMNS, rows)


@router.get(
    "/billing-reports/{month}/focus",
    operation_id="billing_focus",
    summary="Charges with FOCUS columns",
    responses=BOTH,
    response_class=Response,
)
async def focus(month: Month, caller: BillingReader, kind: Format = "csv") -> Response:
    """One row per charge, under the names of the FinOps Open Cost and Usage Specification."""
    invoices = await reselling.documents(await deps().usage(), caller.scope, month)
    home = await deps().partners.profile(Scope(caller.scope.partner_id))
    rows = exporting.focus_rows(invoices, home.display_name)
    return _file(f"focus-{month}", kind, exporting.FOCUS_COLUMNS, rows)


def _file(name: str, kind: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    if kind == "xlsx":
        content = xlsx_files.document("Usage", header, rows)
        return Response(content, media_type=xlsx_files.MEDIA_TYPE, headers=disposition)
    content = csv_files.document(header, rows)
    return Response(content, media_type=csv_files.MEDIA_TYPE, headers=disposition)
