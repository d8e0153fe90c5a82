"""What the activities of a restore do: plan, restore a slice of the ledger, seal.

Every function may run twice: the ledger says what is done, and an item that was started is looked
for at the target before it is made again (microsoft365.md M36).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.kit.slicing import SliceAnswer
from shared.microsoft365.errors import ConsentLost, ItemFailed, ItemSkipped, SliceOver
from shared.microsoft365.model import Restored
from shared.microsoft365.transport import GraphTransport
from shared.notifications import service as notifications
from shared.notifications.model import Topic
from shared.protection import browsing
from shared.protection.browsing import Opened
from shared.protection.model import GraphCost
from shared.restore import asking, presence, repository, rules
from shared.restore.choosing import chosen_rows
from shared.restore.hold import Hold, held
from shared.restore.model import Collision, Entry, EntryState, Restore, RestoreState
from shared.restore.service import entry_of
from shared.restore.shared_writers import close_channels
from shared.restore.signing import open_transport
from shared.restore.tasks import RestoreTask
from shared.restore.writers import Writer, open_writer
from shared.vault.errors import VaultDamaged
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

# A crash repeats at most the items in flight; a slice bounds time and memory like a backup's.
SLICE_ITEMS = 200
SLICE_SECONDS = 240
# Exchange serves four requests of one mailbox at once (microsoft365.md section 6).
CONCURRENCY = 4


async def plan_restore(deps: "Deps", task: RestoreTask) -> None:
    """Write the ledger of a whole object or folder; items named one by one have it already."""
    scope = Scope(task.partner_id)
    now = deps.clock.now()
    restore = await repository.change(
        deps.tables, scope, task.restore_id, lambda found: _running(found, now)
    )
    if restore.is_over or restore.planned:
        return
    opened = await browsing.open_point(deps, scope, restore.object_id, restore.snapshot)
    top = None
    if restore.folder_key is not None:
        top = await browsing.find_row(opened, restore.folder_key)
    total, some = 0, list[Entry]()
    async for row, path in chosen_rows(opened, None, top):
        some.append(entry_of(opened.key(row), row, path))
        total += 1
        if len(some) >= SLICE_ITEMS:
            await repository.add_entries(deps.tables, restore.restore_id, some)
            some = []
    await repository.add_entries(deps.tables, restore.restore_id, some)

    def planned(found: Restore) -> Restore | None:
        entries = {EntryState.PENDING.value: total}
        update = {"planned": True, "total": total, "entries": entries, "updated_at": now}
        return None if found.is_over else found.model_copy(update=update)

    await repository.change(deps.tables, scope, task.restore_id, planned)


async def restore_slice(
    deps: "Deps", task: RestoreTask, writer: Writer | None = None
) -> SliceAnswer:
    """Restore the next lines of the ledger; `writer` is opened for the target unless given.

    One execution at a time; `RestoreBusy` when another goes on writing.
    """
    scope = Scope(task.partner_id)
    async with held(deps, scope, task.restore_id) as hold:
        return await _restore_slice(deps, task, scope, writer, hold)


async def _restore_slice(
    deps: "Deps", task: RestoreTask, scope: Scope, writer: Writer | None, hold: Hold
) -> SliceAnswer:
    restore = await repository.get(deps.tables, scope, task.restore_id)
    if restore.is_over or restore.cancel_requested:
        return SliceAnswer(outcome="done")
    entries = await repository.open_entries(deps.tables, restore.restore_id, SLICE_ITEMS)
    if not entries:
        return SliceAnswer(outcome="done")
    opened = await browsing.open_point(deps, scope, restore.object_id, restore.snapshot)
    transport: GraphTransport | None = None
    if writer is None:
        transport = await _transport(deps, scope, restore)
        if restore.slices == 0:
            refusal = await _refusal(deps, scope, transport, restore)
            if refusal is not None:
                return refusal
        writer = open_writer(transport, restore, opened, _opening(deps, scope, restore.restore_id))
    slice_ = _Slice(deps, restore, opened, writer, hold)
    answer = await slice_.run(entries)
    cost = GraphCost()
    if transport is not None:
        use = transport.use
        cost = GraphCost(
            requests=use.requests, ru=use.ru, throttled=use.throttled, waited_s=use.waited_s
        )
    counted = await repository.count_entries(deps.tables, restore.restore_id)
    now = deps.clock.now()

    def noted(found: Restore) -> Restore | None:
        again = found.slices > task.number
        update = {
            "entries": {state.value: number for state, number in counted.items()},
            "slices": max(found.slices, task.number + 1),
            "graph": found.graph if again else found.graph.plus(cost),
            "updated_at": now,
        }
        return None if found.is_over else found.model_copy(update=update)

    await repository.change(deps.tables, scope, task.restore_id, noted)
    return answer


async def _refusal(
    deps: "Deps", scope: Scope, transport: GraphTransport, restore: Restore
) -> SliceAnswer | None:
    """The end of a restore whose target is not there, before its first write."""
    try:
        await asking.ask(transport, restore)
    except presence.TargetGone as gone:
        code, now = gone.code, deps.clock.now()

        def noted(found: Restore) -> Restore | None:
            update = {"refused": code, "updated_at": now}
            return None if found.is_over else found.model_copy(update=update)

        await repository.change(deps.tables, scope, restore.restore_id, noted)
        return SliceAnswer(outcome="failed", error=gone.detail)
    except SliceOver as over:
        return SliceAnswer(outcome="more", not_before=over.not_before)
    except ConsentLost as lost:
        return SliceAnswer(outcome="failed", error=f"consent is {lost.state}")
    return None


async def seal_restore(deps: "Deps", task: RestoreTask) -> RestoreState:
    """End the restore; its state follows from the ledger (RST-09)."""
    scope = Scope(task.partner_id)
    counted = await repository.count_entries(deps.tables, task.restore_id)
    now = deps.clock.now()
    await _close(deps, scope, await repository.get(deps.tables, scope, task.restore_id))

    def ended(found: Restore) -> Restore | None:
        if found.is_over:
            return None
        failed = task.error is not None
        return found.model_copy(
            update={
                "state": rules.decide_state(counted, canceled=found.cancel_requested, error=failed),
                "entries": {state.value: number for state, number in counted.items()},
                "error": task.error,
                "ended_at": now,
                "updated_at": now,
            }
        )

    restore = await repository.change(deps.tables, scope, task.restore_id, ended)
    await notifications.tell(
        deps.tables,
        restore.customer_id,
        Topic.RESTORE_ACTIVITY,
        subject=restore.restore_id,
        outcome=restore.state,
        at=restore.ended_at or now,
    )
    return restore.state


async def _close(deps: "Deps", scope: Scope, restore: Restore) -> None:
    """End what the restore opened (M35); a tenant that lets nobody in keeps it open."""
    if not restore.migrating or restore.is_over:
        return
    try:
        await close_channels(await _transport(deps, scope, restore), restore)
    except ConsentLost:
        log.exception("restore %s leaves channels open", restore.restore_id)


def _opening(deps: "Deps", scope: Scope, restore_id: str) -> Callable[[str], Awaitable[None]]:
    """Writes a channel down before its import starts."""

    async def opening(channel_id: str) -> None:
        def noted(found: Restore) -> Restore | None:
            if channel_id in found.migrating:
                return None
            return found.model_copy(update={"migrating": [*found.migrating, channel_id]})

        await repository.change(deps.tables, scope, restore_id, noted)

    return opening


class _Slice:
    """The hands of one slice: a few items in flight, a ledger line before and after each."""

    def __init__(
        self, deps: "Deps", restore: Restore, opened: Opened, writer: Writer, hold: Hold
    ) -> None:
        self._deps, self._restore, self._opened, self._writer = deps, restore, opened, writer
        self._hold = hold
        self._until = deps.clock.now() + timedelta(seconds=SLICE_SECONDS)
        self._stop: SliceAnswer | None = None
        self._mine: set[str] = set()

    async def run(self, entries: list[Entry]) -> SliceAnswer:
        """Folders first and in order, then items, `CONCURRENCY` at a time."""
        restore_id = self._restore.restore_id
        self._mine = await repository.made_ids(self._deps.tables, restore_id)
        for entry in sorted(entries, key=lambda one: len(one.folder)):
            if entry.kind in rules.FOLDER_KINDS:
                await self._guarded(entry, self._folder)
        waiting = [entry for entry in entries if entry.kind not in rules.FOLDER_KINDS]
        waiting.sort(key=lambda entry: entry.kind == "reply")  # below a message that is there
        try:
            # When one lane breaks the others end before the activity does: a repeated execution
            # must not find them still writing.
            async with asyncio.TaskGroup() as lanes:
                for _ in range(CONCURRENCY):
                    lanes.create_task(self._lane(waiting))
        except ExceptionGroup as broken:
            raise broken.exceptions[0] from broken
        return self._stop or SliceAnswer(outcome="more")

    async def _lane(self, waiting: list[Entry]) -> None:
        while waiting and self._stop is None and self._may_go_on:
            await self._guarded(waiting.pop(0), self._item)

    @property
    def _may_go_on(self) -> bool:
        return self._hold.is_ours and self._deps.clock.now() < self._until

    async def _guarded(self, entry: Entry, work: Callable[[Entry], Awaitable[Entry]]) -> None:
        try:
            done = await work(entry)
        except SliceOver as over:
            self._stop = SliceAnswer(outcome="more", not_before=over.not_before)
            return
        except ConsentLost as lost:
            self._stop = SliceAnswer(outcome="failed", error=f"consent is {lost.state}")
            return
        except ItemSkipped as skipped:
            done = _failed(entry, skipped.cause)
        except ItemFailed as failed:
            done = _failed(entry, failed.reason)
        except VaultDamaged as damaged:
            done = _failed(entry, damaged.code)
        except HoldfastError as refused:
            done = _failed(entry, refused.code)
        await repository.save_entry(self._deps.tables, self._restore.restore_id, done)

    async def _folder(self, entry: Entry) -> Entry:
        path = rules.target_path(self._restore.target, entry.folder)
        row, notes = None, list(entry.notes)
        if self._restore.with_permissions and entry.kind == "folder":
            row = await self._opened.snapshot.row(entry.source_id)
            started = entry.model_copy(update={"state": EntryState.STARTED})
            await repository.save_entry(self._deps.tables, self._restore.restore_id, started)
        target_id = await self._writer.ensure_folder(path, entry.kind)
        if row is not None:
            again = entry.state is EntryState.STARTED
            notes += await self._writer.grant_folder(row, target_id, again=again)
        made = {"state": EntryState.CREATED, "target_id": target_id, "notes": notes}
        return entry.model_copy(update=made)

    async def _item(self, entry: Entry) -> Entry:
        row = await self._opened.snapshot.row(entry.source_id)
        if row is None or not row.has_content:
            return _failed(entry, "CONTENT_NOT_HELD")
        collision, notes = self._restore.collision, list(entry.notes)
        if entry.state is EntryState.STARTED:
            collision, more = rules.collision_after_crash(self._restore)
            notes += more
        if row.error == "stale":
            notes.append("older_version")
        folder = await self._writer.ensure_folder(
            rules.target_path(self._restore.target, entry.folder), entry.kind
        )
        started = entry.model_copy(update={"state": EntryState.STARTED})
        await repository.save_entry(self._deps.tables, self._restore.restore_id, started)
        restored = await self._write(row, folder, collision)
        if restored.outcome == "skipped" and restored.target_id in self._mine:
            # The match is another item of this restore: a twin with the same collision key.
            restored = await self._write(row, folder, "copy")
        state = EntryState(restored.outcome.capitalize())
        if entry.state is EntryState.STARTED and state is EntryState.SKIPPED:
            state = EntryState.CREATED  # made before the crash that kept it out of the ledger
            notes.append("found_after_interruption")
        if state is EntryState.CREATED:
            self._mine.add(restored.target_id)
        if self._restore.with_permissions and state is not EntryState.SKIPPED:
            notes += await self._writer.grant(row, restored.target_id, folder)
        return entry.model_copy(
            update={
                "state": state,
                "target_id": restored.target_id,
                "notes": [*notes, *restored.notes],
            }
        )

    async def _write(self, row: Row, folder: str, collision: Collision) -> Restored:
        content = self._opened.snapshot.content(row)
        return await self._writer.restore(row, content, folder, collision)


async def _transport(deps: "Deps", scope: Scope, restore: Restore) -> GraphTransport:
    whose = restore.target.customer_id or restore.customer_id
    return await open_transport(deps, scope, whose, SLICE_SECONDS)


def _failed(entry: Entry, code: str) -> Entry:
    return entry.model_copy(update={"state": EntryState.FAILED, "error": code})


def _running(restore: Restore, now: datetime) -> Restore | None:
    if restore.is_over or restore.state is not RestoreState.QUEUED:
        return None
    return restore.model_copy(
        update={"state": RestoreState.RUNNING, "started_at": now, "updated_at": now}
    )
