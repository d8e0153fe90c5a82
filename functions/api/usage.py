"""Months of usage: reports in two steps, lines that explain themselves, what-if, late data."""

from typing import Annotated

from fastapi import Depends, Query, Response

from functions.api.access_models import IfMatch
from functions.api.pools import scope_of
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.usage_models import (
    AdjustmentOut,
    AnswerOut,
    ExplanationOut,
    LineId,
    ManualLine,
    Month,
    Question,
    Rejection,
    ReportEdit,
    ReportOut,
    ReportSummaryOut,
)
from functions.api.usage_month_models import MonthOut
from functions.binding import WITH_DURABLE, current_client
from functions.starting import signal, start
from orchestrations.usage import LOOK_AGAIN, instance_of, task_of
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.kit.errors import Forbidden
from shared.usage import closing, reselling, rules, service
from shared.usage.model import MONTH_PATTERN, Report
from shared.usage.refusals import MonthRunning

router = Router(tags=["usage"])
Reader = Annotated[Caller, Depends(requires("usage.read"))]
Submitter = Annotated[Caller, Depends(requires("usage.submit"))]
Operator = Annotated[Caller, Depends(requires("pools.order"))]

PartnerId = Annotated[str, Query(alias="partnerId", min_length=1, max_length=64)]
MaybeMonth = Annotated[str | None, Query(pattern=MONTH_PATTERN)]


class WholePartnerOnly(Forbidden):
    """A caller limited to some customers asks for the business of all."""

    code, title = "WHOLE_PARTNER_ONLY", "This is for callers who see every customer"


@router.get("/usage-months", operation_id="usage_months", summary="List the months")
async def months(caller: Reader) -> PageOf[MonthOut]:
    """Closed ones, and what holds up the others: customers not read, items without a price."""
    rows, scope = await deps().usage(), whole(caller)
    unpriced = await reselling.unpriced(rows, scope)
    found = [
        MonthOut.of(month, noted | {"unknown": await rows.unknown(noted)}, unpriced.get(month, ()))
        for month, noted in await rows.months(scope)
    ]
    return PageOf(value=found)


@router.post(
    "/usage-months/{month}:close",
    operation_id="usage_close",
    summary="Close a month now",
    openapi_extra=WITH_DURABLE,
    status_code=202,
)
async def close(month: Month, caller: Submitter) -> None:
    """Looks again at once instead of tomorrow, after what held it up was read or accepted (USG-01).

    A month that is closed stays as it is.
    """
    scope = whole(caller)
    if deps().clock.now() < closing.month_end(month):
        raise MonthRunning(f"{month} is not over.")
    client, instance = current_client(), instance_of(scope.partner_id, month)
    await start(client, "close_usage_month", instance, task_of(scope.partner_id, month))
    await signal(client, instance, LOOK_AGAIN, {})


@router.post(
    "/usage-months/{month}/customers/{customer_id}:acceptUnknown",
    operation_id="usage_accept_unknown",
    summary="Take older values for what could not be read",
    status_code=204,
)
async def accept_unknown(month: Month, customer_id: str, caller: Submitter) -> None:
    """The newest known values stand for the unknown days; who took them is kept with them."""
    rows = await deps().usage()
    by = caller.principal.subject
    await service.accept_unknown(rows, whole(caller), month, customer_id, by)


@router.get("/usage-reports", operation_id="usage_reports", summary="List the usage reports")
async def reports(
    caller: Reader,
    needs_action: Annotated[bool | None, Query(alias="needsAction")] = None,
) -> PageOf[ReportSummaryOut]:
    """Oldest first; `needsAction=true` gives those not sent yet (USG-08)."""
    rows = await deps().usage()
    found = [ReportSummaryOut.of(each) for each in await rows.reports(whole(caller))]
    wanted = [each for each in found if needs_action in (None, each.needs_action)]
    return PageOf(value=wanted)


@router.get("/usage-reports/{month}", operation_id="usage_report", summary="Read a usage report")
async def report(month: Month, response: Response, caller: Reader) -> ReportOut:
    """Header, lines, SaaS usage and totals, with the ETag that changes need."""
    return _shown(response, *await service.read(await deps().usage(), whole(caller), month))


@router.patch("/usage-reports/{month}", operation_id="usage_edit", summary="Edit a usage report")
async def edit(
    month: Month, body: ReportEdit, response: Response, caller: Submitter, if_match: IfMatch = None
) -> ReportOut:
    """Current usage of licence lines, purchase order and comment (USG-02, USG-03)."""
    usage = {each.line_id: each.current for each in body.lines}
    rows = await deps().usage()
    changed = await service.change(
        rows,
        whole(caller),
        month,
        if_match,
        lambda each: rules.edited(
            each, usage=usage, purchase_order=body.purchase_order, comment=body.comment
        ),
    )
    return _shown(response, *changed)


@router.post(
    "/usage-reports/{month}/lines",
    operation_id="usage_add_line",
    summary="Add a product",
    status_code=201,
)
async def add_line(
    month: Month, body: ManualLine, response: Response, caller: Submitter, if_match: IfMatch = None
) -> ReportOut:
    """A product that was not measured, with its units and points (USG-04)."""
    line = service.manual_line(body.product, body.units, body.points_per_unit)
    rows = await deps().usage()
    changed = await service.change(
        rows, whole(caller), month, if_match, lambda each: rules.with_line(each, line)
    )
    return _shown(response, *changed)


@router.delete(
    "/usage-reports/{month}/lines/{line_id}",
    operation_id="usage_remove_line",
    summary="Remove an added product",
)
async def remove_line(
    month: Month, line_id: LineId, response: Response, caller: Submitter, if_match: IfMatch = None
) -> ReportOut:
    """Lines that were collected stay."""
    rows = await deps().usage()
    changed = await service.change(
        rows, whole(caller), month, if_match, lambda each: rules.without_line(each, line_id)
    )
    return _shown(response, *changed)


@router.post(
    "/usage-reports/{month}:submit", operation_id="usage_submit", summary="Submit usage (step 1)"
)
async def submit(
    month: Month, response: Response, caller: Submitter, if_match: IfMatch = None
) -> ReportOut:
    """Saves it; `:back` returns to review, `:confirm` sends it (USG-09)."""
    by = caller.principal.name or caller.principal.subject
    rows = await deps().usage()
    changed = await service.change(
        rows, whole(caller), month, if_match, lambda each: rules.saved(each, by)
    )
    return _shown(response, *changed)


@router.post("/usage-reports/{month}:back", operation_id="usage_back", summary="Back to review")
async def back(
    month: Month, response: Response, caller: Submitter, if_match: IfMatch = None
) -> ReportOut:
    """From Saved only: what was sent stays sent (USG-09)."""
    rows = await deps().usage()
    return _shown(
        response, *await service.change(rows, whole(caller), month, if_match, rules.reopened)
    )


@router.post(
    "/usage-reports/{month}:confirm", operation_id="usage_confirm", summary="Confirm (step 2)"
)
async def confirm(
    month: Month, response: Response, caller: Submitter, if_match: IfMatch = None
) -> ReportOut:
    """Sends it to the aggregator; it is invoiced as submitted (USG-09, USG-19, USG-21)."""
    rows = await deps().usage()
    by = caller.principal.subject
    return _shown(
        response, *await service.confirm(deps(), rows, whole(caller), month, if_match, by)
    )


@router.post(
    "/usage-reports/{month}:accept", operation_id="usage_accept", summary="Aggregator accepts"
)
async def accept(month: Month, partner_id: PartnerId, response: Response, _: Operator) -> ReportOut:
    """By the operator, as the aggregator has answered."""
    return await _answered(month, partner_id, response, rules.accepted)


@router.post(
    "/usage-reports/{month}:reject", operation_id="usage_reject", summary="Aggregator rejects"
)
async def reject(
    month: Month, partner_id: PartnerId, body: Rejection, response: Response, _: Operator
) -> ReportOut:
    """It is editable again, with the reason (USG-11)."""
    return await _answered(
        month, partner_id, response, lambda each: rules.rejected(each, body.reason)
    )


@router.get(
    "/usage-reports/{month}/lines/{line_id}/explain",
    operation_id="usage_explain",
    summary="Why is this line what it is?",
)
async def explain(month: Month, line_id: LineId, caller: Reader) -> ExplanationOut:
    """The events, the objects counted and why each counts, the rules and the arithmetic.

    A product's line is about every customer; callers limited to some ask for its parts (RPT-28).
    """
    rows = await deps().usage()
    return ExplanationOut.of(await service.explain(deps(), rows, caller.scope, month, line_id))


@router.get(
    "/usage-adjustments", operation_id="usage_adjustments", summary="Late data of closed months"
)
async def adjustments(caller: Reader, month: MaybeMonth = None) -> PageOf[AdjustmentOut]:
    """A closed month is never edited: what became known later is billed in the next one."""
    rows = await deps().usage()
    found = await service.adjustments(rows, caller.scope, month or "")
    return PageOf(value=[AdjustmentOut.of(each, billed_in) for each, billed_in in found])


@router.post("/usage:simulate", operation_id="usage_simulate", summary="What if?")
async def simulate(body: Question, caller: Reader) -> AnswerOut:
    """Rates a month as it is and as it would be, by the same function; writes nothing."""
    rows = await deps().usage()
    return AnswerOut.of(
        await service.simulate(deps(), rows, whole(caller), body.month, body.changes)
    )


def whole(caller: Caller) -> Scope:
    """A report is about the whole partner, customers with a closed door included."""
    if caller.scope.customers is not None:
        raise WholePartnerOnly("Ask somebody who sees every customer of the partner.")
    return Scope(caller.scope.partner_id)


async def _answered(
    month: str, partner_id: str, response: Response, rule: service.Rule
) -> ReportOut:
    scope = await scope_of(partner_id)
    rows = await deps().usage()
    return _shown(response, *await service.change(rows, scope, month, None, rule, required=False))


def _shown(response: Response, found: Report, tag: str) -> ReportOut:
    response.headers["ETag"] = tag
    return ReportOut.of(found)
