"""The trail: record a line, list, export, verify, and sign what it is today."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from shared.audit import chain, checkpoints, repository
from shared.audit.checkpoints import Checkpoint, CheckpointForged, CheckpointUnreadable
from shared.audit.model import Entry, Intent, Line, Outcome, instant, read
from shared.audit.repository import AuditTables, Head
from shared.kit.blobs import BlobExists, BlobStore
from shared.kit.clock import Clock

if TYPE_CHECKING:
    from shared.access.model import Scope
    from shared.audit.signing import Signer

# Rows looked at per page at most: a rare filter answers a short page and a cursor, not a timeout.
SCAN_ROWS = 5000
WINDOW_ROWS = 500
# Code of a line about a change of which nobody knows whether it took effect.
INTERRUPTED = "INTERRUPTED"
_MONTH_BEFORE = timedelta(days=28)
# Newest checkpoints a verification compares with; older lines are covered by the chain.
CHECKPOINTS_COMPARED = 62


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines to list; None means any. `from_at` inclusive, `to_at` exclusive."""

    from_at: datetime | None = None
    to_at: datetime | None = None
    actor: str | None = None
    customer: str | None = None
    action: str | None = None
    target_kind: str | None = None
    target_id: str | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Lines, newest first, and where the next page starts: None at the end."""

    lines: list[Line]
    next: dict[str, str] | None


class Trail:
    """The audit trail of all partners."""

    def __init__(
        self,
        tables: AuditTables,
        clock: Clock,
        store: BlobStore,
        signer: "Callable[[], Signer]",
    ) -> None:
        """`signer` is called when a checkpoint is signed or compared, not before."""
        self._tables, self._clock, self._store = tables, clock, store
        self._signer = signer
        # Writers of one process take turns; only those of other processes still race.
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def announce(self, partner_id: str, entry: Entry) -> Intent:
        """Say before a change what is about to be done; `record` takes the intent back.

        Without storage for the trail this fails, and nothing has been changed yet.
        """
        return await repository.announce(self._tables, partner_id, entry, self._clock.now())

    async def record(self, partner_id: str, entry: Entry, intent: Intent | None = None) -> Line:
        """Append the entry to the partner's trail; `AuditBusy` when it cannot be written now."""
        async with self._turns[partner_id]:
            return await repository.append(
                self._tables, partner_id, entry, self._clock.now(), intent
            )

    async def record_once(self, partner_id: str, entry: Entry, once: str) -> Line | None:
        """Append the entry unless a line tells of `once` already: then None.

        For processes, whose activities may run twice: `once` is the instance and its step.
        """
        async with self._turns[partner_id]:
            try:
                return await repository.append(
                    self._tables, partner_id, entry, self._clock.now(), once=once
                )
            except repository.AlreadyTold:
                return None

    async def record_interrupted(self, partner_id: str, older_than: timedelta) -> int:
        """Write a line for every change whose doer died before it could; how many."""
        now, found = self._clock.now(), 0
        months = {f"{now:%Y%m}", f"{now - _MONTH_BEFORE:%Y%m}"}
        for month in sorted(months):
            if await self._tables.was_dropped(month):
                continue
            for intent, entry in await repository.announced(
                self._tables, partner_id, month, now - older_than
            ):
                told = {"outcome": Outcome.FAILED, "code": INTERRUPTED}
                await self.record(partner_id, entry.model_copy(update=told), intent)
                found += 1
        return found

    async def partners(self) -> list[str]:
        """Every partner that has a trail."""
        return await repository.partners(self._tables)

    async def page(
        self, scope: "Scope", wanted: Filter, limit: int, position: dict[str, str] | None = None
    ) -> Page:
        """At most `limit` lines in the scope, newest first, from `position` on.

        A caller limited to customers sees the lines about these and none about the partner.
        """
        head = await self._start(scope.partner_id, position)
        below = int(position["below"]) if position else (head.seq + 1 if head else 0)
        where, parameters = _where(wanted)
        found: list[Line] = []
        scanned = 0
        while head is not None and not _is_before(head, wanted):
            while below > head.first and not _is_after(head, wanted):
                if len(found) == limit or scanned >= SCAN_ROWS:
                    return Page(found, {"month": head.month, "below": str(below)})
                above = max(head.first - 1, below - 1 - WINDOW_ROWS)
                window = repository.lines(self._tables, head, above, below, where, **parameters)
                matching = [read(stored.text) async for stored in window]
                visible = [line for line in reversed(matching) if _is_visible(scope, line)]
                room = limit - len(found)
                scanned += below - 1 - above
                found += visible[:room]
                below = visible[room - 1].seq if len(visible) > room else above + 1
            head = await self._before(head)
            below = head.seq + 1 if head else 0
        return Page(found, None)

    async def export(
        self,
        scope: "Scope",
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        *,
        above: int = 0,
    ) -> AsyncIterator[bytes]:
        """JSON lines with a number over `above`, oldest first, each ended by a line feed.

        For callers who see all customers; a limited one would get a chain with gaps.
        """
        if scope.customers is not None:
            raise ValueError("an export is of the whole trail of a partner")
        where, parameters = _where(Filter(from_at, to_at))
        for head in await self._months(scope.partner_id):
            async for stored in repository.lines(
                self._tables, head, max(head.first - 1, above), head.seq + 1, where, **parameters
            ):
                yield stored.text + b"\n"

    async def verify(self, partner_id: str) -> chain.Report:
        """Check the whole stored trail against its heads and the newest signed checkpoints."""
        months = await self._months(partner_id)
        marks = [chain.Mark(head.seq, head.hash, f"the head of {head.month}") for head in months]
        signed, findings = await self._checkpoints(partner_id)
        marks = [mark for mark in marks if mark.seq] + signed
        anchor = (0, chain.GENESIS)
        if months and await self._tables.was_dropped(months[0].previous_month or "-"):
            anchor = (months[0].first - 1, months[0].first_previous)
        texts: list[bytes] = []
        for head in months:
            # Up to any number: a line above the head was put there by somebody else.
            async for stored in repository.lines(self._tables, head, -1, 10**15 - 1):
                texts.append(stored.text)
                findings += _column_findings(stored)
        report = chain.verify(texts, anchor=anchor, marks=marks)
        report.findings += findings
        return report

    async def checkpoint(self, partner_id: str) -> Checkpoint | None:
        """Sign the newest line into the store, once a day; None for an empty trail.

        Opens the current month as well, so the newest head is never older than retention.
        """
        now = self._clock.now()
        if await repository.newest_head(self._tables, partner_id) is None:
            return None
        head = await repository.open_head(self._tables, partner_id, now)
        if head.seq == 0:
            return None
        made = Checkpoint(partner_id, head.seq, head.hash, now)
        document = await checkpoints.sign(made, self._signer())
        try:
            await self._store.put(checkpoints.blob_name(made), document)
        except BlobExists:
            stored = await self._store.get(checkpoints.blob_name(made))
            return checkpoints.read(stored, await self._signer().public_pem())
        return made

    async def documents(self, partner_id: str) -> list[bytes]:
        """The newest signed checkpoints as stored, newest first."""
        names = [blob.name async for blob in self._store.list(checkpoints.prefix(partner_id))]
        return [await self._store.get(name) for name in reversed(names[-CHECKPOINTS_COMPARED:])]

    async def public_pem(self) -> bytes:
        """The key that signs checkpoints."""
        return await self._signer().public_pem()

    async def months_before(self, now: datetime, kept: int) -> list[str]:
        """Months with lines that are more than `kept` months before the one of `now`."""
        number = now.year * 12 + now.month - 1 - kept
        limit = f"{number // 12:04d}{number % 12 + 1:02d}"
        return [month for month in await self._tables.months() if month < limit]

    async def drop_month(self, month: str) -> None:
        """Drop a month after its retention. MUST follow a `checkpoint` of every partner."""
        await self._tables.drop(month)

    async def _start(self, partner_id: str, position: dict[str, str] | None) -> Head | None:
        if position is None:
            return await repository.newest_head(self._tables, partner_id)
        return await repository.find_head(self._tables, partner_id, position["month"])

    async def _before(self, head: Head) -> Head | None:
        if not head.previous_month or await self._tables.was_dropped(head.previous_month):
            return None
        return await repository.find_head(self._tables, head.partner_id, head.previous_month)

    async def _months(self, partner_id: str) -> list[Head]:
        """Heads of the partner's kept months, oldest first."""
        found: list[Head] = []
        head = await repository.newest_head(self._tables, partner_id)
        while head is not None:
            found.insert(0, head)
            head = await self._before(head)
        return found

    async def _checkpoints(self, partner_id: str) -> tuple[list[chain.Mark], list[chain.Finding]]:
        key = await self._signer().public_pem()
        names = [blob.name async for blob in self._store.list(checkpoints.prefix(partner_id))]
        marks: list[chain.Mark] = []
        findings: list[chain.Finding] = []
        for name in names[-CHECKPOINTS_COMPARED:]:
            try:
                made = checkpoints.read(await self._store.get(name), key)
            except (CheckpointForged, CheckpointUnreadable) as wrong:
                findings.append(
                    chain.Finding(
                        chain.Kind.EDITED, None, None, None, f"checkpoint {name}: {wrong.detail}"
                    )
                )
                continue
            if made.partner_id == partner_id:
                marks.append(made.mark())
        return marks, findings


def _where(wanted: Filter) -> tuple[str, dict[str, str]]:
    given = (
        ("at ge @from_at", "from_at", wanted.from_at and instant(wanted.from_at)),
        ("at lt @to_at", "to_at", wanted.to_at and instant(wanted.to_at)),
        ("actor eq @actor", "actor", wanted.actor),
        ("customer eq @customer", "customer", wanted.customer),
        ("action eq @action", "action", wanted.action),
        ("targetKind eq @target_kind", "target_kind", wanted.target_kind),
        ("targetId eq @target_id", "target_id", wanted.target_id),
        ("outcome eq @outcome", "outcome", wanted.outcome and str(wanted.outcome)),
    )
    where = " and ".join(clause for clause, _, value in given if value is not None)
    return where, {name: str(value) for _, name, value in given if value is not None}


def _is_after(head: Head, wanted: Filter) -> bool:
    """Whether every line of the month is newer than the filter."""
    return wanted.to_at is not None and head.month > f"{wanted.to_at:%Y%m}"


def _is_before(head: Head, wanted: Filter) -> bool:
    """Whether every line of the month, and of those before, is older than the filter."""
    return wanted.from_at is not None and head.month < f"{wanted.from_at:%Y%m}"


def _is_visible(scope: "Scope", line: Line) -> bool:
    if scope.customers is None:
        return True
    return line.customer_id is not None and scope.covers(line.customer_id)


def _column_findings(stored: repository.StoredLine) -> list[chain.Finding]:
    """A column that contradicts its line would hide the line from a filter."""
    try:
        if stored.is_consistent:
            return []
        line = read(stored.text)
    except (ValidationError, ValueError):
        return []  # the chain names it
    detail = "what is stored beside the line to filter by was changed"
    return [chain.Finding(chain.Kind.EDITED, line.seq, line.seq, None, detail)]
