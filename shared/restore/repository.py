"""The table Restores: a row per restore (partition customer) and its ledger (partition restore)."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from itertools import batched

from shared.access.jobs import Jobs, missing
from shared.access.model import Scope
from shared.kit import ids
from shared.kit.clock import to_text
from shared.kit.tables import LostRace, Row, Tables
from shared.restore.model import Entry, EntryState, Restore

TABLE = "Restores"
_BATCH = 100
_RESTORES = Jobs(TABLE, ids.RESTORE, Restore, "restore_id")

get = _RESTORES.get
add = _RESTORES.add
change = _RESTORES.change
open_jobs = _RESTORES.open_jobs
settle = _RESTORES.settle
list_restores = _RESTORES.page


async def created_between(
    tables: Tables, scope: Scope, customer_id: str, begin: datetime, end: datetime
) -> AsyncIterator[datetime]:
    """When each restore of a customer was asked for; `end` exclusive. One ranged query."""
    if not scope.covers(customer_id):
        raise missing(customer_id)
    rows = tables[TABLE].query(
        customer_id,
        prefix=f"{customer_id}-{ids.RESTORE}",
        where="partner_id eq @partner and created_at ge @begin and created_at lt @end",
        parameters={"partner": scope.partner_id, "begin": _bound(begin), "end": _bound(end)},
        select=["PartitionKey", "RowKey", "created_at"],
    )
    async for row in rows:
        yield datetime.fromisoformat(row.values["created_at"])


async def add_entries(tables: Tables, restore_id: str, entries: Iterable[Entry]) -> None:
    """Write ledger lines that do not exist yet; planning again undoes nothing."""
    for some in batched(entries, _BATCH, strict=False):
        rows = [_row(restore_id, entry) for entry in some]
        try:
            await tables[TABLE].batch([("insert", row) for row in rows])
        except LostRace:  # some are there from an earlier attempt: one by one
            for row in rows:
                if await tables[TABLE].find(row.partition, row.key) is None:
                    await tables[TABLE].insert(row)


async def save_entry(tables: Tables, restore_id: str, entry: Entry) -> None:
    """Write a ledger line: its only writer is the restore's own process."""
    await tables[TABLE].upsert(_row(restore_id, entry))


async def list_entries(
    tables: Tables, restore_id: str, *, after: str = "", limit: int | None = None
) -> list[Entry]:
    """Ledger lines in key order after the item key `after`."""
    rows = tables[TABLE].query(
        restore_id, prefix="item~", after=f"item~{after}" if after else "", limit=limit
    )
    return [Entry.model_validate(row.values | {"etag": row.etag}) async for row in rows]


async def open_entries(tables: Tables, restore_id: str, limit: int) -> list[Entry]:
    """Ledger lines that have not ended, at most `limit`."""
    rows = tables[TABLE].query(
        restore_id,
        prefix="item~",
        where="state eq @pending or state eq @started",
        parameters={"pending": EntryState.PENDING.value, "started": EntryState.STARTED.value},
        limit=limit,
    )
    return [Entry.model_validate(row.values | {"etag": row.etag}) async for row in rows]


async def count_entries(tables: Tables, restore_id: str) -> Counter[EntryState]:
    """Ledger lines by state."""
    counted: Counter[EntryState] = Counter()
    async for row in _states(tables, restore_id):
        counted[EntryState(row.values["state"])] += 1
    return counted


async def made_ids(tables: Tables, restore_id: str) -> set[str]:
    """Ids at the target of everything this restore created so far."""
    rows = tables[TABLE].query(
        restore_id,
        prefix="item~",
        where="state eq @created",
        parameters={"created": EntryState.CREATED.value},
        select=["PartitionKey", "RowKey", "target_id"],
    )
    return {row.values["target_id"] async for row in rows if "target_id" in row.values}


def _states(tables: Tables, restore_id: str) -> AsyncIterator[Row]:
    return tables[TABLE].query(
        restore_id, prefix="item~", select=["PartitionKey", "RowKey", "state"]
    )


def _row(restore_id: str, entry: Entry) -> Row:
    return Row(restore_id, f"item~{entry.item_key}", entry.model_dump(mode="json"))


def _bound(at: datetime) -> str:
    """An instant as a bound of stored texts: below all of its second, with a fraction or not."""
    return to_text(at).removesuffix("Z")
