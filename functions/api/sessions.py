"""Sessions: how a run of a policy went, object by object; stopping it."""

from typing import Annotated

from fastapi import Depends, Response

from functions.api.paging import Pages, address
from functions.api.protection_models import (
    RETRY_SECONDS,
    ObjectRunOut,
    PageOf,
    PageSize,
    SessionOut,
    SkipToken,
)
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.backup import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.operations import Operation
from shared.protection import queries, service
from shared.protection.operation import session_operation

router = Router(prefix="/sessions", tags=["sessions"])
Reader = Annotated[Caller, Depends(requires("sessions.read"))]


async def run_session(caller: Caller, session_id: str) -> None:
    """Start the session's process unless it is there: harmless when repeated."""
    task = {"partner_id": caller.scope.partner_id, "session_id": session_id}
    await start(current_client(), "backup_session", instance_of(session_id), task)


@router.get("/{session_id}", operation_id="sessions_get", summary="Read a session")
async def get(session_id: str, caller: Reader) -> SessionOut:
    """State, progress and counts."""
    return SessionOut.of(await queries.get_session(deps(), caller.scope, session_id))


@router.post(
    "/{session_id}/stop",
    operation_id="sessions_stop",
    summary="Stop a session",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def stop(
    session_id: str,
    response: Response,
    caller: Annotated[Caller, Depends(requires("sessions.start"))],
) -> Operation:
    """No further object starts; it ends as Stopped (BKP-09). 409 NOT_RUNNING when it has ended."""
    given = deps()
    await service.stop_session(given, caller.scope, session_id)
    await run_session(caller, session_id)  # a lost process would never end it
    response.headers["Operation-Location"] = address(f"/operations/{session_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await session_operation(given, caller.scope, session_id)


@router.get(
    "/{session_id}/objects",
    operation_id="sessions_objects",
    summary="List the objects of a session",
)
async def list_objects(
    session_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[ObjectRunOut]:
    """Result of every object: its counts, its snapshot, what failed (BKP-30)."""
    pages = Pages(caller, "sessions_objects", f"/sessions/{session_id}/objects", {})
    place = await pages.place(skip_token)
    found, following = await queries.list_runs(
        deps(), caller.scope, session_id, place=place, limit=maxpagesize
    )
    link = await pages.link(following, maxpagesize)
    return PageOf(value=[ObjectRunOut.of(one) for one in found], next_link=link)
