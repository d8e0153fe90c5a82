"""Use cases of restores: start, read, cancel; a restore as an operation."""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.kit import ids
from shared.kit.errors import Conflict
from shared.kit.operations import Operation, OperationError, OperationStatus, Step, StepState
from shared.restore import presence, repository
from shared.restore.choosing import Wanted, choose
from shared.restore.model import Entry, EntryState, Restore, RestoreState
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps

# The keys of one request fit into one body; more is a folder or the whole object.
MAX_ITEMS = 1000


class RestoreEnded(Conflict):
    """Nothing left to cancel."""

    code, title = "RESTORE_ENDED", "The restore has ended"


async def start_restore(
    deps: "Deps", scope: Scope, wanted: Wanted, *, requested_by: str
) -> Restore:
    """Check everything, then write the ledger and the restore; nothing is written otherwise."""
    choice = await choose(deps, scope, wanted)
    await presence.check_known(deps, scope, choice)
    found, entries = choice.opened.found, list[Entry]()
    if wanted.items is not None:
        entries = [entry_of(choice.opened.key(row), row, path) async for row, path in choice.rows()]
    now = deps.clock.now()
    restore_id = ids.newest_first(found.customer_id, ids.RESTORE, now)
    await repository.add_entries(deps.tables, restore_id, entries)
    return await repository.add(
        deps.tables,
        scope,
        Restore(
            restore_id=restore_id,
            partner_id=scope.partner_id,
            customer_id=found.customer_id,
            object_id=found.object_id,
            workload=found.workload,
            source_id=found.source_id,
            snapshot=wanted.snapshot,
            whole=wanted.items is None,
            folder_key=wanted.folder,
            target=choice.target,
            collision=wanted.collision,
            with_permissions=wanted.with_permissions,
            requested_by=requested_by,
            planned=wanted.items is not None,
            created_at=now,
            updated_at=now,
            total=len(entries),
            entries={EntryState.PENDING.value: len(entries)},
        ),
    )


async def get_restore(deps: "Deps", scope: Scope, restore_id: str) -> Restore:
    """The restore; NotFound when unknown or outside the scope."""
    return await repository.get(deps.tables, scope, restore_id)


async def list_restores(
    deps: "Deps",
    scope: Scope,
    customer_id: str,
    *,
    states: frozenset[RestoreState],
    after: str,
    limit: int,
) -> tuple[list[Restore], str | None]:
    """A page of a customer's restores, newest first, and the id the next page starts after."""
    await customers.get(deps.tables, scope, customer_id)
    found = await repository.list_restores(
        deps.tables,
        scope,
        customer_id,
        after=after,
        limit=limit + 1,
        chosen=lambda one: not states or one.state in states,
    )
    page = found[:limit]
    return page, page[-1].restore_id if len(found) > limit else None


async def list_entries(
    deps: "Deps", scope: Scope, restore_id: str, *, after: str, limit: int
) -> tuple[list[Entry], str | None]:
    """A page of the ledger, and the item key the next page starts after."""
    await repository.get(deps.tables, scope, restore_id)
    found = await repository.list_entries(deps.tables, restore_id, after=after, limit=limit + 1)
    page = found[:limit]
    return page, page[-1].item_key if len(found) > limit else None


async def all_entries(deps: "Deps", scope: Scope, restore_id: str) -> list[Entry]:
    """The whole ledger."""
    await repository.get(deps.tables, scope, restore_id)
    return await repository.list_entries(deps.tables, restore_id)


async def cancel_restore(deps: "Deps", scope: Scope, restore_id: str) -> Restore:
    """Ask a running restore to stop between two items. Asking twice is fine."""
    now = deps.clock.now()

    def cancel(restore: Restore) -> Restore | None:
        if restore.is_over:
            raise RestoreEnded(f"The restore ended as {restore.state.value}.")
        if restore.cancel_requested:
            return None
        state = RestoreState.CANCELLING
        update = {"cancel_requested": True, "state": state, "updated_at": now}
        return restore.model_copy(update=update)

    return await repository.change(deps.tables, scope, restore_id, cancel)


async def fail_unstarted(deps: "Deps", scope: Scope, restore_id: str) -> Restore:
    """End a restore whose process was refused: who asked is told so, and asks for a new one.

    A process that was started after all has begun and goes on, or finds the end, writing nothing.
    """
    now = deps.clock.now()

    def failed(restore: Restore) -> Restore | None:
        if restore.state is not RestoreState.QUEUED:
            return None
        update = {
            "state": RestoreState.FAILED,
            "refused": "RESTORE_NOT_STARTED",
            "error": "Its process could not be started: nothing was written. Start a new one.",
            "ended_at": now,
            "updated_at": now,
        }
        return restore.model_copy(update=update)

    return await repository.change(deps.tables, scope, restore_id, failed)


_STATUS = {
    RestoreState.QUEUED: OperationStatus.NOT_STARTED,
    RestoreState.RUNNING: OperationStatus.RUNNING,
    RestoreState.CANCELLING: OperationStatus.RUNNING,
    RestoreState.COMPLETED: OperationStatus.SUCCEEDED,
    RestoreState.COMPLETED_WITH_ERRORS: OperationStatus.SUCCEEDED,
    RestoreState.FAILED: OperationStatus.FAILED,
    RestoreState.CANCELED: OperationStatus.CANCELED,
}


async def restore_operation(deps: "Deps", scope: Scope, operation_id: str) -> Operation:
    """A restore as an operation; NotFound when unknown or outside the scope."""
    restore = await repository.get(deps.tables, scope, operation_id)
    status, done = _STATUS[restore.state], done_items(restore)
    over = restore.is_over
    planned = restore.planned or over
    error = None
    if restore.state is RestoreState.FAILED:
        detail = restore.error or "No item could be restored."
        error = OperationError(code=restore.refused or "RESTORE_FAILED", detail=detail)
    return Operation(
        id=restore.restore_id,
        kind="restore",
        status=status,
        created_at=restore.created_at,
        updated_at=restore.updated_at,
        percent_complete=percent(restore),
        steps=[
            Step(
                name="List items",
                state=StepState.SUCCEEDED if planned else StepState.RUNNING,
                message=f"{restore.total} items" if planned else "",
            ),
            Step(
                name="Restore items",
                state=_restoring(restore),
                message=f"{done} of {restore.total} items" if planned else "",
            ),
        ],
        error=error,
        result={"restoreId": restore.restore_id, "state": restore.state.value} if over else None,
    )


def done_items(restore: Restore) -> int:
    """Items that have ended, however."""
    waiting = (EntryState.PENDING.value, EntryState.STARTED.value)
    return sum(number for state, number in restore.entries.items() if state not in waiting)


def percent(restore: Restore) -> int:
    """Percent of the items that have ended."""
    if restore.is_over:
        return 100
    return done_items(restore) * 100 // restore.total if restore.total else 0


def _restoring(restore: Restore) -> StepState:
    if restore.state is RestoreState.FAILED:
        return StepState.FAILED
    if restore.is_over:
        return StepState.SUCCEEDED
    started = restore.planned and restore.state is not RestoreState.QUEUED
    return StepState.RUNNING if started else StepState.WAITING


def entry_of(key: str, row: Row, folder: list[str]) -> Entry:
    """The ledger line of a row."""
    return Entry(
        item_key=key,
        source_id=row.source_id,
        kind=row.kind,
        name=row.name[:1000],
        size=row.size,
        folder=folder,
    )
