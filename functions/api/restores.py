"""Restores: bring items of a restore point back into Microsoft 365."""

from typing import Annotated

from fastapi import Depends, Query, Response

from functions.api import csv_files
from functions.api.paging import Pages, address
from functions.api.protection_models import RETRY_SECONDS, PageOf, PageSize, SkipToken
from functions.api.restore_models import (
    EntryOut,
    PreviewOut,
    RestoreInStart,
    RestoreOut,
    StatisticsOut,
)
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.session_logs import Month
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.restore import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.operations import Operation
from shared.restore import preview as previews
from shared.restore import service, statistics
from shared.restore.fidelity import Fidelity, fidelity
from shared.restore.model import RestoreState

router = Router(tags=["restores"])
Reader = Annotated[Caller, Depends(requires("restores.read", own="self.restore"))]
Starter = Annotated[Caller, Depends(requires("restores.start", own="self.restore"))]


async def _run(caller: Caller, restore_id: str) -> None:
    """Start the restore's process unless it is there: harmless when repeated."""
    task = {"partner_id": caller.scope.partner_id, "restore_id": restore_id}
    await start(current_client(), "restore_items", instance_of(restore_id), task)


@router.post(
    "/restores",
    operation_id="restores_start",
    summary="Start a restore",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start_restore(body: RestoreInStart, response: Response, caller: Starter) -> Operation:
    """Everything is checked first; nothing is written when something does not fit."""
    given = deps()
    caller = _allowed(caller, body)
    restore = await service.start_restore(
        given, caller.scope, body.wanted(), requested_by=caller.principal.subject
    )
    try:
        await _run(caller, restore.restore_id)
    except Exception:
        await service.fail_unstarted(
            given, caller.scope, restore.restore_id
        )  # else Queued for ever
        raise
    response.headers["Operation-Location"] = address(f"/operations/{restore.restore_id}")
    response.headers["Location"] = address(f"/restores/{restore.restore_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await service.restore_operation(given, caller.scope, restore.restore_id)


@router.post(
    "/restores:preview",
    operation_id="restores_preview",
    summary="Preview a restore",
)
async def preview(body: RestoreInStart, caller: Starter) -> PreviewOut:
    """Count, size, predicted losses, earliest end, collisions, refusals; changes nothing.

    Refuses what a start would refuse.
    """
    allowed = _allowed(caller, body)
    return PreviewOut.of(await previews.preview(deps(), allowed.scope, body.wanted()))


def _allowed(caller: Caller, body: RestoreInStart) -> Caller:
    """The caller; with the right to carry data to another customer where that is asked for."""
    return caller.allow("restores.cross") if body.leaves_customer else caller


@router.get("/restores/{restore_id}", operation_id="restores_get", summary="Read a restore")
async def get(restore_id: str, caller: Reader) -> RestoreOut:
    """State, progress, items by result."""
    return RestoreOut.of(await service.get_restore(deps(), caller.scope, restore_id))


@router.post(
    "/restores/{restore_id}/cancel",
    operation_id="restores_cancel",
    summary="Cancel a restore",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def cancel(restore_id: str, response: Response, caller: Starter) -> Operation:
    """Ends as Canceled; what was restored stays. 409 RESTORE_ENDED when it has ended."""
    given = deps()
    await service.cancel_restore(given, caller.scope, restore_id)
    await _run(caller, restore_id)  # a lost process would never end it
    response.headers["Operation-Location"] = address(f"/operations/{restore_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await service.restore_operation(given, caller.scope, restore_id)


@router.get(
    "/restores/{restore_id}/items",
    operation_id="restores_items",
    summary="List the items of a restore",
)
async def list_items(
    restore_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[EntryOut]:
    """The result of every item, with its id at the target."""
    pages = Pages(caller, "restores_items", f"/restores/{restore_id}/items", {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await service.list_entries(
        deps(), caller.scope, restore_id, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[EntryOut.of(entry) for entry in found], next_link=link)


@router.get(
    "/restores/{restore_id}/items.csv",
    operation_id="restores_items_csv",
    summary="Download the items of a restore",
    response_class=Response,
    responses=csv_files.RESPONSES,
)
async def download_items(restore_id: str, caller: Reader) -> Response:
    """The result of every item as CSV; no cell is a formula to a spreadsheet."""
    found = await service.all_entries(deps(), caller.scope, restore_id)
    header = ("itemKey", "kind", "name", "folder", "sizeBytes", "state", "targetItemId", "notes",
              "error")  # fmt: skip
    rows: list[list[csv_files.Cell]] = [
        [one.item_key, one.kind, one.name, "/".join(one.folder), one.size, one.state.value,
         one.target_id, "; ".join(one.notes), one.error]
        for one in found
    ]  # fmt: skip
    attached = f'attachment; filename="restore-{restore_id}.csv"'
    return Response(
        csv_files.document(header, rows),
        media_type=csv_files.MEDIA_TYPE,
        headers={"Content-Disposition": attached},
    )


@router.get(
    "/customers/{customer_id}/restores",
    operation_id="restores_list",
    summary="List the restores of a customer",
)
async def list_of_customer(
    customer_id: str,
    caller: Reader,
    state: Annotated[list[RestoreState], Query(description="Any of these")] = [],  # noqa: B006
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[RestoreOut]:
    """Newest first; an end user sees the own ones."""
    path = f"/customers/{customer_id}/restores"
    pages = Pages(caller, "restores_list", path, {"state": sorted(state) or None})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await service.list_restores(
        deps(), caller.scope, customer_id,
        states=frozenset(state), after=after, limit=maxpagesize,
    )  # fmt: skip
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[RestoreOut.of(one) for one in found], next_link=link)


@router.get(
    "/restore-statistics",
    operation_id="restores_statistics",
    summary="Count restores per customer and month",
)
async def count(
    month: Month,
    caller: Annotated[Caller, Depends(requires("restores.read"))],
    months: Annotated[int, Query(ge=1, le=statistics.MAX_MONTHS, description="History")] = 6,
) -> StatisticsOut:
    """Average, change to the month before, customer with most, history (RST-06)."""
    return StatisticsOut.of(await statistics.count(deps(), caller.scope, month, months))


@router.get("/fidelity", operation_id="fidelity_get", summary="Read the fidelity matrix")
async def matrix(
    _: Annotated[Caller, Depends(requires("restores.read", own="self.restore"))],
) -> Fidelity:
    """Per workload, kind and property: kept, changed or lost by a restore and by an export."""
    return fidelity()
