"""Use cases of restores: start, read, cancel; a restore as an operation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit import ids
from shared.kit.errors import Conflict, Invalid, Unprocessable
from shared.kit.operations import Operation, OperationError, OperationStatus, Step, StepState
from shared.protection import browsing
from shared.protection import repository as protection
from shared.protection.browsing import ItemNotInSnapshot, Opened
from shared.protection.model import ProtectedObject
from shared.restore import repository, rules
from shared.restore.model import Collision, Entry, EntryState, Restore, RestoreState, Target
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps

# The keys of one request fit into one body; more is a folder or the whole object.
MAX_ITEMS = 1000


class TargetUnfit(Unprocessable):
    """The target cannot take these items."""

    code, title = "TARGET_UNFIT", "The target cannot take these items"


class ItemIsFolder(Unprocessable):
    """A folder is restored through `folder`."""

    code, title = "ITEM_IS_FOLDER", "This item is a folder"


class RestoreEnded(Conflict):
    """Nothing left to cancel."""

    code, title = "RESTORE_ENDED", "The restore has ended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks for; names and keys as they came."""

    object_id: str
    snapshot: int
    items: list[str] | None = None
    folder: str | None = None
    place: str = "folder"
    target_folder: str | None = None
    target_object_id: str | None = None
    collision: Collision = "skip"


async def start_restore(
    deps: "Deps", scope: Scope, wanted: Wanted, *, requested_by: str
) -> Restore:
    """Check everything, then write the ledger and the restore; nothing is written otherwise."""
    if wanted.items is not None and wanted.folder is not None:
        raise Invalid("Name items or a folder, not both.", pointer="/items")
    opened = await browsing.open_point(deps, scope, wanted.object_id, wanted.snapshot)
    target = await _target(deps, scope, opened.found, wanted)
    entries: list[Entry] = []
    if wanted.items is not None:
        entries = await _entries(opened, wanted.items)
    elif wanted.folder is not None:
        folder = await browsing.find_row(opened, wanted.folder)
        if folder.kind != "folder":
            raise Invalid("This item is not a folder.", pointer="/folder")
    now = deps.clock.now()
    restore_id = ids.newest_first(opened.found.customer_id, ids.RESTORE, now)
    await repository.add_entries(deps.tables, restore_id, entries)
    return await repository.add(
        deps.tables,
        scope,
        Restore(
            restore_id=restore_id,
            partner_id=scope.partner_id,
            customer_id=opened.found.customer_id,
            object_id=opened.found.object_id,
            workload=opened.found.workload,
            source_id=opened.found.source_id,
            snapshot=wanted.snapshot,
            whole=wanted.items is None,
            folder_key=wanted.folder,
            target=target,
            collision=wanted.collision,
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


async def list_entries(
    deps: "Deps", scope: Scope, restore_id: str, *, after: str, limit: int
) -> tuple[list[Entry], str | None]:
    """A page of the ledger, and the item key the next page starts after."""
    await repository.get(deps.tables, scope, restore_id)
    found = await repository.list_entries(deps.tables, restore_id, after=after, limit=limit + 1)
    page = found[:limit]
    return page, page[-1].item_key if len(found) > limit else None


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
        error = OperationError(code="RESTORE_FAILED", detail=detail)
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


async def _target(deps: "Deps", scope: Scope, source: ProtectedObject, wanted: Wanted) -> Target:
    found = source
    if wanted.target_object_id not in {None, source.object_id}:
        other = str(wanted.target_object_id)
        found = await protection.get_object(deps.tables, scope, other)
        if found.customer_id != source.customer_id or found.workload != source.workload:
            raise TargetUnfit(
                "The target is an object of the same customer and the same kind.",
                pointer="/target/objectId",
            )
    if wanted.place == "original":
        if wanted.target_folder is not None:
            raise Invalid("The original place has no folder.", pointer="/target/folder")
        return Target(place="original", object_id=found.object_id, source_id=found.source_id)
    try:
        given = wanted.target_folder
        now = deps.clock.now()
        folder = rules.default_folder(now) if given is None else rules.folder_names(given)
    except ValueError as wrong:
        raise Invalid(str(wrong), pointer="/target/folder") from wrong
    return Target(
        place="folder", folder=folder, object_id=found.object_id, source_id=found.source_id
    )


async def _entries(opened: Opened, keys: list[str]) -> list[Entry]:
    """A ledger line per key; refuses all when one is unknown or a folder."""
    found: dict[str, Row] = {}
    folders: list[dict[str, object]] = []
    wanted = set(keys)
    async for row in opened.snapshot.rows():
        if row.kind == "folder":
            folders.append(row.item)
        if (key := opened.key(row)) in wanted:
            found[key] = row
    tree = rules.folder_tree(folders)
    for at, key in enumerate(keys):
        if key not in found:
            raise ItemNotInSnapshot(
                f"The restore point does not hold {key[:64]!r}.", pointer=f"/items/{at}"
            )
        if found[key].kind == "folder":
            raise ItemIsFolder("Restore a folder with `folder`.", pointer=f"/items/{at}")
    return [entry_of(key, row, rules.path_of(row.parent, tree)) for key, row in found.items()]


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
