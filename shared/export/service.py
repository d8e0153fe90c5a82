"""Use cases of exports: start, read, cancel, hand out a link, let expire."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.export import process, repository
from shared.export.model import READY, Export, ExportState, Layout
from shared.export.pieces import CONTAINER, Pieces
from shared.kit import ids
from shared.kit.errors import Conflict, Gone, NotFound, Unprocessable
from shared.kit.links import read_link
from shared.kit.operations import Operation, OperationError, OperationStatus, Step, StepState
from shared.restore.choosing import Wanted, choose

if TYPE_CHECKING:
    from shared.bootstrap import Deps

KEEP = timedelta(days=7)
"""How long after its start an export is deleted, whatever became of it."""
LINK_LIFE = timedelta(hours=1)


class ExportEnded(Conflict):
    """Nothing left to cancel."""

    code, title = "EXPORT_ENDED", "The export has ended"


class ExportNotReady(Conflict):
    """There is no file yet."""

    code, title = "EXPORT_NOT_READY", "The export is not ready"


class ExportExpired(Gone):
    """The file has been deleted."""

    code, title = "EXPORT_EXPIRED", "The export has expired"


class LayoutUnfit(Unprocessable):
    """Only mail fits into an mbox."""

    code, title = "LAYOUT_UNFIT", "This layout does not fit the object"


@dataclass(frozen=True, slots=True)
class Link:
    """An address that needs no sign-in, and its end."""

    url: str
    expires_at: datetime


async def start_export(
    deps: "Deps",
    scope: Scope,
    *,
    object_id: str,
    snapshot: int,
    items: list[str] | None,
    folder: str | None,
    layout: Layout,
    requested_by: str,
) -> Export:
    """Check everything, then write plan and export; nothing is written otherwise."""
    choice = await choose(deps, scope, Wanted(object_id, snapshot, items=items, folder=folder))
    found = choice.opened.found
    if layout == "mbox" and found.workload != "mailbox":
        raise LayoutUnfit("Only a mailbox can be exported as mbox.", pointer="/layout")
    now = deps.clock.now()
    customer = await customers.get(deps.tables, scope, found.customer_id)
    export = Export(
        export_id=ids.newest_first(found.customer_id, ids.EXPORT, now),
        partner_id=scope.partner_id,
        customer_id=found.customer_id,
        object_id=found.object_id,
        workload=found.workload,
        snapshot=snapshot,
        region=customer.region or "",
        layout=layout,
        whole=items is None,
        folder_key=folder,
        requested_by=requested_by,
        created_at=now,
        updated_at=now,
        expires_at=now + KEEP,
    )
    if items is not None:
        pieces = await process.pieces_of(deps, export)
        total, told = await process.plan(
            pieces, choice.opened, items, None, by_folder=layout == "mbox"
        )
        export = export.model_copy(update={"planned": True, "total": total, "told": told})
    return await repository.add(deps.tables, scope, export)


async def get_export(deps: "Deps", scope: Scope, export_id: str) -> Export:
    """The export; NotFound when unknown or outside the scope."""
    return await repository.get(deps.tables, scope, export_id)


async def list_exports(
    deps: "Deps", scope: Scope, customer_id: str, *, after: str, limit: int
) -> tuple[list[Export], str | None]:
    """A page of a customer's exports, newest first, and the id the next page starts after."""
    await customers.get(deps.tables, scope, customer_id)
    found = await repository.list_exports(
        deps.tables, scope, customer_id, after=after, limit=limit + 1
    )
    page = found[:limit]
    return page, page[-1].export_id if len(found) > limit else None


async def cancel_export(deps: "Deps", scope: Scope, export_id: str) -> Export:
    """Ask a running export to stop; asking twice is fine."""
    now = deps.clock.now()

    def cancel(export: Export) -> Export | None:
        if export.is_over:
            raise ExportEnded(f"The export ended as {export.state.value}.")
        if export.cancel_requested:
            return None
        state = ExportState.CANCELLING
        update = {"cancel_requested": True, "state": state, "updated_at": now}
        return export.model_copy(update=update)

    return await repository.change(deps.tables, scope, export_id, cancel)


async def fail_unstarted(deps: "Deps", scope: Scope, export_id: str) -> Export:
    """End an export whose process was refused: who asked is told so, and asks for a new one."""
    now = deps.clock.now()
    error = "Its process could not be started. Start a new one."

    def failed(export: Export) -> Export | None:
        if export.state is not ExportState.QUEUED:
            return None
        update = {"state": ExportState.FAILED, "error": error, "ended_at": now, "updated_at": now}
        return export.model_copy(update=update)

    return await repository.change(deps.tables, scope, export_id, failed)


async def make_link(deps: "Deps", scope: Scope, export_id: str) -> Link:
    """A link to the file that ends with the hour, and never outlives the file."""
    now = deps.clock.now()

    def counted(found: Export) -> Export | None:
        if found.state is ExportState.EXPIRED or (found.expires_at and found.expires_at <= now):
            raise ExportExpired("Export again.")
        if found.state not in READY:
            raise ExportNotReady(f"The export is {found.state.value}.")
        return found.model_copy(update={"links": found.links + 1})

    export = await repository.change(deps.tables, scope, export_id, counted)
    assert export.expires_at is not None
    until = min(now + LINK_LIFE, export.expires_at)
    storage = deps.storage.in_region(export.region)
    name = Pieces(await storage.container(CONTAINER), export).file
    link = await read_link(
        storage.client_of(CONTAINER), name, now, until, file_name=f"export-{export_id}.zip"
    )
    return Link(link, until)


async def expire(deps: "Deps") -> AsyncIterator[Export]:
    """Delete the files and pieces of what has reached its end; repeats and crashes are fine."""
    now = deps.clock.now()
    for partner_id, export_id, key in [one async for one in repository.expired(deps.tables, now)]:
        scope = Scope(partner_id)
        try:
            export = await repository.get(deps.tables, scope, export_id)
        except NotFound:  # its row was never written
            await repository.forget_expired(deps.tables, key)
            continue
        await (await process.pieces_of(deps, export)).clear(file=True)
        await repository.drop_slices(deps.tables, export_id)

        def over(found: Export) -> Export | None:
            if found.is_over and found.state not in READY:
                return None
            update = {"state": ExportState.EXPIRED, "updated_at": now, "ended_at": now}
            return found.model_copy(update=update)

        yield await repository.change(deps.tables, scope, export_id, over)
        await repository.forget_expired(deps.tables, key)


_STATUS = {
    ExportState.QUEUED: OperationStatus.NOT_STARTED,
    ExportState.RUNNING: OperationStatus.RUNNING,
    ExportState.CANCELLING: OperationStatus.RUNNING,
    ExportState.FAILED: OperationStatus.FAILED,
    ExportState.CANCELED: OperationStatus.CANCELED,
}


def percent(export: Export) -> int:
    """Percent of the items that are written."""
    if export.is_over:
        return 100
    return export.done * 100 // export.total if export.total else 0


async def export_operation(deps: "Deps", scope: Scope, operation_id: str) -> Operation:
    """An export as an operation; NotFound when unknown or outside the scope."""
    export = await repository.get(deps.tables, scope, operation_id)
    planned, over = export.planned or export.is_over, export.is_over
    writing = StepState.RUNNING if export.planned else StepState.WAITING
    error = None
    if export.state is ExportState.FAILED:
        detail = export.error or "The file could not be written."
        error = OperationError(code="EXPORT_FAILED", detail=detail)
        writing = StepState.FAILED
    elif over:
        writing = StepState.SUCCEEDED
    return Operation(
        id=export.export_id,
        kind="export",
        status=_STATUS.get(export.state, OperationStatus.SUCCEEDED),
        created_at=export.created_at,
        updated_at=export.updated_at,
        percent_complete=percent(export),
        steps=[
            Step(
                name="List items",
                state=StepState.SUCCEEDED if planned else StepState.RUNNING,
                message=f"{export.total} items" if planned else "",
            ),
            Step(
                name="Write the file",
                state=writing,
                message=f"{export.done} of {export.total} items" if planned else "",
            ),
        ],
        error=error,
        result={"exportId": export.export_id, "state": export.state.value} if over else None,
    )
