"""What partners have sent to the aggregator: the operator reads it before it accepts or rejects."""

from typing import Annotated

from fastapi import Depends, Query, Response

from functions.api.paging import Pages
from functions.api.pools import scope_of
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.usage import MaybeMonth, PartnerId
from functions.api.usage_models import Month, ReportOut, ReportSummaryOut
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.errors import NotFound
from shared.usage import keeping, service
from shared.usage.model import Report, ReportState
from shared.usage.rules import SENT

router = Router(tags=["usage"])
Operator = Annotated[Caller, Depends(requires("pools.order"))]


class SubmissionOut(ReportSummaryOut):
    """A usage report that a partner has sent."""

    partner_id: str

    @classmethod
    def sent(cls, report: Report) -> "SubmissionOut":
        """The header, and whose it is."""
        return cls(partner_id=report.partner_id, **dict(ReportSummaryOut.of(report)))


@router.get(
    "/usage-submissions", operation_id="usage_submissions", summary="List what partners have sent"
)
async def list_all(
    caller: Operator,
    state: Annotated[ReportState | None, Query(description="Left out: waits for an answer")] = None,
    month: MaybeMonth = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[SubmissionOut]:
    """Of every partner, by partner and month; a page looks at so many partners (USG-09, USG-11).

    What was not sent yet, or sent back, is the partner's own and not here.
    """
    wanted = state or ReportState.SUBMITTED
    filters = {"state": state, "month": month}
    pages = Pages(caller, "usage_submissions", "/usage-submissions", filters)
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await keeping.submissions(deps(), after, maxpagesize)
    shown = [
        SubmissionOut.sent(each)
        for each in found
        if each.state is wanted and each.state in SENT and month in (None, each.month)
    ]
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=shown, next_link=link)


@router.get(
    "/usage-submissions/{month}",
    operation_id="usage_submission",
    summary="Read what a partner has sent",
)
async def read(month: Month, partner_id: PartnerId, response: Response, _: Operator) -> ReportOut:
    """Lines, SaaS usage, corrections and totals as they were confirmed."""
    rows = await deps().usage()
    report, response.headers["ETag"] = await service.read(rows, await scope_of(partner_id), month)
    if report.state not in SENT:
        raise NotFound(f"The partner has not sent its report of {month}.")
    return ReportOut.of(report)
