"""One bounded slice of one object: pages in, a decision per item, packs out (vault.md V51).

Knows nothing of mail or drives: a workload enumerates and fetches, the vault stores. Memory is
bounded by one page and a few contents in flight, whatever the size of the mailbox.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from shared.kit.clock import Clock
from shared.microsoft365.errors import ItemFailed, ItemSkipped, SliceOver
from shared.microsoft365.model import Change, Completes, Page, Workload
from shared.protection.fetching import fetch_into
from shared.protection.item_rules import (
    Step,
    decide_step,
    holds_cursor,
    next_tries,
    relist_due,
    skip_cause,
)
from shared.protection.passes import Pass
from shared.vault.format.primitives import hex16
from shared.vault.format.rows import key_of
from shared.vault.model import GraphUse, Row, SliceResult
from shared.vault.rules import BY_ID, DESCRIPTIONS
from shared.vault.run import Run
from shared.vault.slices import Slice

# vault.md V51: a crash repeats at most one slice.
MAX_ITEMS = 5_000
MAX_BYTES = 256 * 1024 * 1024
# Rows of damaged content that are read again before anything is noted of them.
HEALED_AT_ONCE = 64
# Rows that every run lists whole, so that their pages heal them.
ALWAYS_LISTED = f"{DESCRIPTIONS}/"
# The item is no longer at its source (microsoft365.md M19).
GONE = "gone"


class Meter(Protocol):
    """What tells the Microsoft 365 requests spent so far."""

    def __call__(self) -> GraphUse:
        """The sum since the transport was opened."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a slice has done enough, whichever comes first."""

    deadline: datetime
    items: int = MAX_ITEMS
    bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class SliceEnd:
    """How a slice ended; `not_before` is set when Microsoft 365 asked for patience (M28)."""

    result: SliceResult
    more: bool
    not_before: datetime | None = None


async def run_slice(
    workload: Workload, run: Run, number: int, *, bounds: Bounds, clock: Clock, meter: Meter
) -> SliceEnd:
    """Do slice `number` of the run, or find that it was done before (V48).

    Raises what concerns the whole object: `ObjectUnavailable`, `ConsentLost`. Then no checkpoint
    is written and the slice can be repeated.
    """
    part = await run.slice(number)
    if part.done and part.result is not None:
        return SliceEnd(part.result, part.result.more)
    if run.slices:
        standing = Pass.model_validate(run.state)
    else:
        due = relist_due(run.ref.workload, run.ref.source_id, run.cursors, clock.now())
        standing = Pass.start(run.cursors, relist=due)
    work = _Work(workload, run, part, standing, bounds, clock)
    try:
        more = await _enumerate(workload, work, standing, first=number == 0)
    except BaseException:
        await part.abort()
        raise
    not_before = work.over.not_before if work.over is not None else None
    result = await part.finish(
        standing.committable(),
        state=standing.model_dump(mode="json"),
        more=more,
        graph=meter(),
    )
    return SliceEnd(result, result.more, not_before)


async def _enumerate(workload: Workload, work: "_Work", standing: Pass, *, first: bool) -> bool:
    """Page after page until the slice is spent; whether there is more to do."""
    try:
        if not await work.heal():
            return True
        await work.try_retry_list(first=first)
        if work.is_cut:
            return True
        changes = workload.changes(standing.work, set(standing.done))
        async with aclosing(cast(AsyncGenerator[Page], changes)) as pages:
            async for page in pages:
                if not await work.take(page) or work.is_spent():
                    return True
    except SliceOver as over:
        work.over = over
        return True
    except ItemFailed as failed:  # a page that cannot be read: the container stays unfinished
        standing.note_failed({"k": "page"}, failed.reason, failed.request_id)
    return False


class _Work:
    """The hands of one slice."""

    def __init__(
        self,
        workload: Workload,
        run: Run,
        part: Slice,
        standing: Pass,
        bounds: Bounds,
        clock: Clock,
    ) -> None:
        self.over: SliceOver | None = None
        self.is_cut = False
        """The slice ended inside an item, at the end of a piece (V15)."""
        self._workload, self._run, self._slice, self._pass = workload, run, part, standing
        self._bounds, self._clock = bounds, clock
        self._known = {str(entry["i"]): entry for entry in run.retry}
        self._flying: set[asyncio.Task[None]] = set()

    def is_spent(self) -> bool:
        """Whether the slice has done enough (V51)."""
        return (
            self.over is not None
            or self._slice.items >= self._bounds.items
            or self._slice.bytes_read >= self._bounds.bytes
            or self._clock.now() >= self._bounds.deadline
        )

    async def take(self, page: Page) -> bool:
        """Deal with one page; False when the slice is over before its end."""
        at = (self._slice.number, self._slice.position)
        changes = self._pass.enter(page)
        held = await self._run.previous_many(
            [change.item["i"] for change in changes if not change.removed]
        )
        try:
            for change in changes:
                if self.is_spent():
                    break
                row = held.get(change.item["i"])
                whole = await self._whole(change, row)
                if whole is None:
                    break
                await self._one(whole, row)
            else:
                await self._land(0)
                if self.over is None and not self.is_cut:
                    if self._pass.begin(page, at):
                        self._name_again(page, changes)
                    self._pass.leave(page)
                    return True
            await self._land(0)
        finally:
            await self._cancel()
        return False

    def _name_again(self, page: Page, fresh: list[Change]) -> None:
        """What earlier slices dealt with is in the new listing too."""
        new = {change.item["i"] for change in fresh}
        for change in page.changes:
            if change.item["i"] not in new:
                self._slice.keep(change.item["i"], page.container)

    async def heal(self) -> bool:
        """Read again what is stored but damaged, listed or not; False when the slice is over."""
        while True:
            seen, batch = set(self._pass.heal_seen), list[Row]()
            rows = self._run.wounded_rows(bytes.fromhex(self._pass.heal_after))
            async with aclosing(cast(AsyncGenerator[Row], rows)):
                async for row in rows:
                    batch.append(row)
                    if len(batch) == HEALED_AT_ONCE:
                        break
            if not batch:
                return True
            try:
                for row in batch:
                    if self.is_spent():
                        break
                    if row.source_id not in seen and not row.source_id.startswith(ALWAYS_LISTED):
                        change = _from_row(row, self._run.ref.workload)
                        await self._start(change, None, listed=False, heals=True)
                else:
                    await self._land(0)
                    if self.over is None and not self.is_cut:
                        last = key_of(hex16(self._run.keys.oid), batch[-1].source_id)
                        self._pass.heal_after, self._pass.heal_seen = last.hex(), []
                        continue
                await self._land(0)
            finally:
                await self._cancel()
            return False

    async def try_retry_list(self, *, first: bool) -> None:
        """One try per run for every item that failed before, listed again or not (M23).

        In later slices only those that an earlier one did not read to their end.
        """
        waiting = [str(entry["i"]) for entry in self._run.retry]
        if not first:
            waiting = [source_id for source_id in waiting if self._slice.half(source_id)]
        if not waiting:
            return
        held = await self._run.previous_many(waiting)
        try:
            for source_id in waiting:
                row = held.get(source_id)
                if row is not None and not self._run.is_wounded(row) and not self.is_spent():
                    change = _from_row(row, self._run.ref.workload)
                    await self._start(change, row, listed=False)
            await self._land(0)
        finally:
            await self._cancel()

    async def _whole(self, change: Change, row: Row | None) -> Change | None:
        """The change with what its page does not say; None when the slice ends meanwhile."""
        if not isinstance(self._workload, Completes):
            return change
        try:
            return await self._workload.complete(change, row.item if row else None)
        except SliceOver as over:
            self.over = over
            return None

    async def _one(self, change: Change, row: Row | None) -> None:
        heals = row is not None and self._run.is_wounded(row)
        row = None if heals else row  # what is damaged is not held
        item, old = change.item, row.item if row else None
        if change.removed:
            self._slice.gone(item["i"], change.container)
            self._pass.note(change)
            return
        step = decide_step(
            old,
            item,
            has_content=change.content,
            content_changed=old is not None and self._workload.content_changed(old, change),
            audited=self._workload.audited(change),
            today=self._clock.now().date(),
        )
        if step is Step.CONTENT:
            if item["i"] in self._pass.tried:
                self._failed(change, row, self._pass.tried[item["i"]], "")
                self._pass.note(change)
            else:
                await self._start(change, row, listed=True, heals=heals)
            return
        if step is Step.UNCHANGED:
            self._slice.keep(item["i"])
        elif step is Step.SKIP_AGAIN and old is not None:
            self._slice.skipped(item, skip_cause(old), _with_content(row))
        elif change.content and row is not None:
            self._slice.carry(item, row)
        else:
            await self._slice.put(item, None)
        self._pass.note(change)

    async def _start(
        self, change: Change, row: Row | None, *, listed: bool, heals: bool = False
    ) -> None:
        await self._land(max(0, self._workload.concurrency - 1))
        work = self._content(change, row, listed=listed, heals=heals)
        self._flying.add(asyncio.create_task(work))

    async def _content(self, change: Change, row: Row | None, *, listed: bool, heals: bool) -> None:
        item = change.item
        try:
            whole = await fetch_into(self._slice, self._workload, change, stop=self.is_spent)
        except ItemSkipped as skip:
            if skip.cause == GONE and not listed:
                # No page names it, so no skip may keep its row: an enumeration without a delta
                # token would never report it removed.
                self._slice.gone(item["i"], change.container)
                if heals:
                    self._pass.note_lost(item)
            else:
                self._slice.skipped(item, skip.cause, _with_content(row))
        except ItemFailed as failed:
            if not listed:
                self._pass.tried[item["i"]] = failed.reason
            self._failed(change, row, failed.reason, failed.request_id, block=listed)
        except SliceOver as over:  # not dealt with: the page is read again in the next slice
            self.over = over
            return
        else:
            self.is_cut = self.is_cut or not whole
            if not whole:
                return
            self._pass.healed += heals
        if listed:
            self._pass.note(change)
        elif heals:
            self._pass.heal_seen.append(item["i"])

    def _failed(
        self, change: Change, row: Row | None, code: str, request_id: str, *, block: bool = True
    ) -> None:
        self._slice.failed(change.item, code, request_id, _with_content(row))
        self._pass.note_failed(change.item, code, request_id)
        if block and holds_cursor(next_tries(self._known.get(change.item["i"]), code)):
            self._pass.block(change.container)

    async def _land(self, left: int) -> None:
        """Wait until at most `left` contents are in flight; raises what one of them raised."""
        while len(self._flying) > left:
            landed, self._flying = await asyncio.wait(
                self._flying, return_when=asyncio.FIRST_COMPLETED
            )
            for task in landed:
                task.result()

    async def _cancel(self) -> None:
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        self._flying.clear()


def _with_content(row: Row | None) -> Row | None:
    return row if row is not None and row.has_content else None


def _from_row(row: Row, workload: str) -> Change:
    item: dict[str, Any] = _shown(row.item)
    inside = row.source_id.partition("/")[0] if workload in BY_ID else item.get("p", "")
    return Change(
        item=item,
        removed=False,
        container=str(inside),
        fetch={"id": item["i"]},
        content=True,
    )


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in {"s", "d", "e"}}
