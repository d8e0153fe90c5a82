"""The rows of the trail: one table per month, one head per partner so that the chain cannot fork.

Table `AuditYYYYMM`, partition partner: `head` (number and hash of the newest line) and
`line~{number}`. A line and the head it moves are one batch under the head's ETag; the batch also
removes the row `intent~{id}` that announced the change before it was made, and adds a row
`once~{hash}` for what a process tells, so that a repeated activity tells it once. To open a month
the head of the month before is closed first, so late writers meet a closed head and follow its
`nextMonth`. Table `AuditHeads` holds, per partner, a month at or before the open one,
and in the partition `partners` every partner that has a trail.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.audit import chain
from shared.audit.model import Entry, Intent, Line, instant, read, seal
from shared.kit.errors import Unavailable
from shared.kit.ids import new_id
from shared.kit.tables import LostRace, Row, RowExists, Table

if TYPE_CHECKING:
    from azure.data.tables.aio import TableServiceClient

HEADS = "AuditHeads"
_HEAD, _CURRENT, _PARTNERS, _INTENT = "head", "current", "partners", "intent~"
_ONCE = "once~"
_DROPPED = Row("retention", "dropped")
# Each lost race means that somebody else's line was written; this many in a row is an overload.
ATTEMPTS = 30
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.5


class AuditBusy(Unavailable):
    """Too many others write to the trail at this moment."""

    code, title = "AUDIT_BUSY", "The audit trail cannot take the line now"


class AlreadyTold(Exception):
    """A line tells of it."""


@dataclass(slots=True)
class Head:
    """Where a partner's chain stands in one month."""

    partner_id: str
    month: str
    seq: int
    hash: str
    at: str
    first: int
    """Number of the month's first line, written or not."""
    first_previous: str
    previous_month: str = ""
    next_month: str = ""
    """Set once the month is closed."""
    etag: str = ""


@dataclass(slots=True)
class StoredLine:
    """A line's text and the columns beside it."""

    text: bytes
    columns: dict[str, Any] = field(default_factory=dict)

    @property
    def is_consistent(self) -> bool:
        """Whether the columns say what the text says; readable texts only."""
        return self.columns == columns(read(self.text))


class AuditTables:
    """The tables of the trail: their names have a month in them, so they are opened here."""

    def __init__(self, service: "TableServiceClient", prefix: str = "Audit") -> None:
        self._service, self._prefix = service, prefix
        self._open: dict[str, Table] = {}

    async def month(self, month: str) -> Table:
        """The table of a month, `YYYYMM`; created when it is missing."""
        return await self._table(f"{self._prefix}{month}")

    async def heads(self) -> Table:
        """The table that says where each partner's chain is open."""
        return await self._table(f"{self._prefix}Heads")

    async def months(self) -> list[str]:
        """Every month that has a table, oldest first."""
        start, names = len(self._prefix), self._service.list_tables()
        found = [each.name async for each in names if each.name.startswith(self._prefix)]
        return sorted(name[start:] for name in found if name[start:].isdigit())

    async def drop(self, month: str) -> None:
        """Drop the table of a month whole, and remember that it was retention."""
        await (await self.heads()).upsert(
            Row(_DROPPED.partition, f"{_DROPPED.key}~{month}", {"month": month})
        )
        self._open.pop(f"{self._prefix}{month}", None)
        await self._service.delete_table(f"{self._prefix}{month}")

    async def was_dropped(self, month: str) -> bool:
        """Whether the month's table was dropped by retention."""
        found = await (await self.heads()).find(_DROPPED.partition, f"{_DROPPED.key}~{month}")
        return found is not None

    async def _table(self, name: str) -> Table:
        if name not in self._open:
            await self._service.create_table_if_not_exists(name)
            self._open[name] = Table(self._service.get_table_client(name), watched=False)
        return self._open[name]


async def announce(tables: AuditTables, partner_id: str, entry: Entry, now: datetime) -> Intent:
    """Write down what is about to be done: should its doer die, the trail still tells of it."""
    month, key = f"{now:%Y%m}", f"{_INTENT}{new_id()}"
    text = entry.model_dump_json(by_alias=True, exclude_none=True)
    row = Row(partner_id, key, {"entry": text, "at": instant(now)})
    await (await tables.month(month)).insert(row)
    return Intent(partner_id, month, key)


async def announced(
    tables: AuditTables, partner_id: str, month: str, before: datetime
) -> list[tuple[Intent, Entry]]:
    """Intents of a month from before an instant that no line has removed."""
    table = await tables.month(month)
    return [
        (Intent(partner_id, month, row.key), Entry.model_validate_json(row.values["entry"]))
        async for row in table.query(partner_id, prefix=_INTENT)
        if row.values["at"] < instant(before)
    ]


async def append(
    tables: AuditTables,
    partner_id: str,
    entry: Entry,
    now: datetime,
    intent: Intent | None = None,
    once: str | None = None,
) -> Line:
    """Write the entry as the partner's next line; `AuditBusy` when races never end.

    `intent` goes in the same moment, unless a month ended in between: then right after. `once`
    names what is told: `AlreadyTold` when a line of this month or the one before tells of it.
    """
    marker = f"{_ONCE}{hashlib.sha256(once.encode()).hexdigest()}" if once else None
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(ATTEMPTS):
        head = await open_head(tables, partner_id, now)
        table = await tables.month(head.month)
        if marker and await _is_told(tables, head, marker):
            raise AlreadyTold
        # A clock behind the newest line must not make time run backwards in the chain.
        at = max(instant(now), head.at)
        text = seal(
            entry,
            partner_id=partner_id,
            seq=head.seq + 1,
            at=datetime.fromisoformat(at),
            previous=head.hash,
        )
        line = read(text)
        moved = Head(**{**_fields(head), "seq": line.seq, "hash": line.hash, "at": at})
        stored = Row(partner_id, _line_key(line.seq), {"line": text.decode(), **columns(line)})
        changes = [("insert", stored), ("replace", _head_row(moved))]
        if marker:
            changes.append(("insert", Row(partner_id, marker)))
        if intent is not None and intent.month == head.month:
            changes.append(("delete", Row(partner_id, intent.key)))
        try:
            await table.batch(changes)
        except LostRace:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            continue
        if intent is not None and intent.month != head.month:
            await (await tables.month(intent.month)).delete(partner_id, intent.key)
        return line
    raise AuditBusy("Repeat the request in a moment.", retryAfter=2)


async def _is_told(tables: AuditTables, head: Head, marker: str) -> bool:
    months = [head.month]
    if head.previous_month and not await tables.was_dropped(head.previous_month):
        months.append(head.previous_month)
    for month in months:
        if await (await tables.month(month)).find(head.partner_id, marker) is not None:
            return True
    return False


async def open_head(tables: AuditTables, partner_id: str, now: datetime) -> Head:
    """The head that takes the next line, in the month of `now` or a later one."""
    wanted = f"{now:%Y%m}"
    head = await find_head(tables, partner_id, wanted)  # the usual case: one read
    if head is None:
        head = await _open_month(tables, partner_id, wanted, instant(now))
    while head.next_month:  # another instance's clock is in the next month already
        head = await _opened(tables, head)
    return head


async def find_head(tables: AuditTables, partner_id: str, month: str) -> Head | None:
    """The head of a partner's month, or None."""
    row = await (await tables.month(month)).find(partner_id, _HEAD)
    if row is None:
        return None
    values = {name: row.values[name] for name in _STORED}
    return Head(partner_id, month, **values, etag=row.etag)


async def partners(tables: AuditTables) -> list[str]:
    """Every partner that has a trail."""
    return [row.key async for row in (await tables.heads()).query(_PARTNERS)]


async def newest_head(tables: AuditTables, partner_id: str) -> Head | None:
    """The open head, without opening a month; None for a partner without a line."""
    current = await (await tables.heads()).find(partner_id, _CURRENT)
    if current is None:
        return None
    head = await find_head(tables, partner_id, str(current.values["month"]))
    while head is not None and head.next_month:
        following = await find_head(tables, partner_id, head.next_month)
        if following is None:
            return head
        head = following
    return head


async def lines(
    tables: AuditTables, head: Head, above: int, below: int, where: str = "", **parameters: str
) -> AsyncIterator[StoredLine]:
    """Lines of a month with above < number < below, ascending."""
    table = await tables.month(head.month)
    async for row in table.query(
        head.partner_id,
        after=_line_key(above),
        below=_line_key(below),
        where=where,
        parameters=parameters,
    ):
        text = str(row.values.pop("line"))
        yield StoredLine(text.encode(), row.values)


def columns(line: Line) -> dict[str, Any]:
    """What is stored beside the text, to filter by."""
    found = {
        "at": instant(line.at),
        "actor": line.actor.subject,
        "customer": line.customer_id,
        "action": line.action,
        "targetKind": line.target.kind,
        "targetId": line.target.id,
        "outcome": str(line.outcome),
    }
    return {name: value for name, value in found.items() if value is not None}


_STORED = ("seq", "hash", "at", "first", "first_previous", "previous_month", "next_month")


def _fields(head: Head) -> dict[str, Any]:
    return {name: getattr(head, name) for name in ("partner_id", "month", *_STORED, "etag")}


def _head_row(head: Head) -> Row:
    values = {name: getattr(head, name) for name in _STORED}
    return Row(head.partner_id, _HEAD, values, head.etag)


def _line_key(seq: int) -> str:
    return f"line~{seq:015d}"


async def _open_month(tables: AuditTables, partner_id: str, month: str, at: str) -> Head:
    """Open `month` after the month that is open now; another's opening is as good as ours."""
    heads = await tables.heads()
    current = await heads.find(partner_id, _CURRENT)
    if current is None:
        await heads.upsert(Row(_PARTNERS, partner_id))
        # Created before the first head: two first writers in different months agree on one.
        try:
            current = await heads.insert(Row(partner_id, _CURRENT, {"month": month}))
        except RowExists:
            current = await heads.get(partner_id, _CURRENT)
    head = await find_head(tables, partner_id, str(current.values["month"]))
    if head is None:
        first = str(current.values["month"])
        head = await _insert(
            tables, Head(partner_id, first, 0, chain.GENESIS, at, 1, chain.GENESIS)
        )
    while head.month < month:
        if not head.next_month:
            head.next_month = month
            try:
                await (await tables.month(head.month)).replace(_head_row(head))
            except LostRace:
                head = await find_head(tables, partner_id, head.month) or head
                continue
        head = await _opened(tables, head)
    current.values["month"] = head.month
    try:
        await heads.replace(current)
    except LostRace:
        return head  # a hint only: whoever won points at an open month or one before it
    return head


async def _opened(tables: AuditTables, closed: Head) -> Head:
    """The head of the month after a closed one; made when its opener died before."""
    following = await find_head(tables, closed.partner_id, closed.next_month)
    if following is not None:
        return following
    at = max(closed.at, f"{closed.next_month[:4]}-{closed.next_month[4:]}-01T00:00:00.000000Z")
    return await _insert(
        tables,
        Head(
            closed.partner_id,
            closed.next_month,
            closed.seq,
            closed.hash,
            at,
            closed.seq + 1,
            closed.hash,
            closed.month,
        ),
    )


async def _insert(tables: AuditTables, head: Head) -> Head:
    try:
        head.etag = (await (await tables.month(head.month)).insert(_head_row(head))).etag
    except RowExists:
        return await find_head(tables, head.partner_id, head.month) or head
    return head
