"""Lists of sessions: of one policy, and of a customer over all its policies."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import Depends, Query

from functions.api.paging import Pages
from functions.api.protection_models import From, PageOf, PageSize, SessionOut, SkipToken, To
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import Instant
from shared.kit.clock import to_text
from shared.protection import queries
from shared.protection.model import Session, SessionState

router = Router(tags=["sessions"])
Reader = Annotated[Caller, Depends(requires("sessions.read"))]


@router.get(
    "/policies/{policy_id}/sessions",
    operation_id="sessions_list",
    summary="List the sessions of a policy",
)
async def list_sessions(
    policy_id: str,
    caller: Reader,
    status: Annotated[list[SessionState], Query(description="Any of these")] = [],  # noqa: B006
    begin: From = None,
    to: To = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[SessionOut]:
    """Newest first (BKP-13); `from` and `to` bound when they started (BKP-14)."""
    path = f"/policies/{policy_id}/sessions"
    some = partial(queries.list_sessions, deps(), caller.scope, policy_id)
    pages = Pages(caller, "sessions_list", path, _session_filters(status, begin, to))
    wanted = queries.WantedSessions(frozenset(status), begin, to)
    return await _page(pages, some, wanted, maxpagesize, skip_token)


@router.get(
    "/customers/{customer_id}/sessions",
    operation_id="sessions_list_of_customer",
    summary="List the sessions of a customer",
)
async def list_sessions_of_customer(
    customer_id: str,
    caller: Reader,
    status: Annotated[list[SessionState], Query(description="Any of these")] = [],  # noqa: B006
    begin: From = None,
    to: To = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[SessionOut]:
    """Of all its policies, also of those that were deleted, newest first (BKP-13, BKP-14)."""
    path = f"/customers/{customer_id}/sessions"
    some = partial(queries.list_customer_sessions, deps(), caller.scope, customer_id)
    pages = Pages(caller, "sessions_list_of_customer", path, _session_filters(status, begin, to))
    wanted = queries.WantedSessions(frozenset(status), begin, to)
    return await _page(pages, some, wanted, maxpagesize, skip_token)


async def _page(
    pages: Pages,
    some: Callable[..., Awaitable[tuple[list[Session], str | None]]],
    wanted: queries.WantedSessions,
    size: int,
    skip_token: str | None,
) -> PageOf[SessionOut]:
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await some(after=after, limit=size, wanted=wanted)
    link = await pages.link({"after": last} if last else None, size)
    return PageOf(value=[SessionOut.of(one) for one in found], next_link=link)


def _session_filters(
    status: list[SessionState], begin: Instant | None, to: Instant | None
) -> dict[str, str | list[SessionState] | None]:
    return {
        "status": sorted(status) or None,
        "from": to_text(begin) if begin else None,
        "to": to_text(to) if to else None,
    }
