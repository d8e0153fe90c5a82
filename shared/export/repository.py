"""The table Exports: a row per export (partition customer), its slices (partition export), and
one partition of what expires when.
"""

from collections.abc import AsyncIterator
from datetime import datetime

from shared.access.jobs import Jobs
from shared.access.model import Scope
from shared.export.model import Export, SliceRow
from shared.kit import ids
from shared.kit.clock import to_text
from shared.kit.tables import Row, RowExists, Tables

TABLE = "Exports"
EXPIRING = "expiring"
_EXPORTS = Jobs(TABLE, ids.EXPORT, Export, "export_id")

get = _EXPORTS.get
change = _EXPORTS.change
open_jobs = _EXPORTS.open_jobs
settle = _EXPORTS.settle
list_exports = _EXPORTS.page


async def add(tables: Tables, scope: Scope, export: Export) -> Export:
    """Create; its end is noted first, so that nothing stays for ever whatever breaks."""
    assert export.expires_at is not None
    key = f"{to_text(export.expires_at)}~{export.export_id}"
    await tables[TABLE].upsert(Row(EXPIRING, key, {"partner_id": export.partner_id}))
    return await _EXPORTS.add(tables, scope, export)


async def add_slice(tables: Tables, export_id: str, row: SliceRow) -> SliceRow:
    """Note a slice that is done; the one that stands, which may be another execution's."""
    key = f"slice~{row.number:06d}"
    try:
        await tables[TABLE].insert(Row(export_id, key, row.model_dump(mode="json")))
    except RowExists:
        return SliceRow.model_validate((await tables[TABLE].get(export_id, key)).values)
    return row


async def slices(tables: Tables, export_id: str) -> AsyncIterator[SliceRow]:
    """Slices that are done, in order."""
    async for row in tables[TABLE].query(export_id, prefix="slice~"):
        yield SliceRow.model_validate(row.values)


async def find_slice(tables: Tables, export_id: str, number: int) -> SliceRow | None:
    """A slice that is done; None before."""
    row = await tables[TABLE].find(export_id, f"slice~{number:06d}")
    return SliceRow.model_validate(row.values) if row else None


async def drop_slices(tables: Tables, export_id: str) -> None:
    """Forget the slices of an export that is over."""
    keys = [row.key async for row in tables[TABLE].query(export_id, prefix="slice~")]
    for key in keys:
        await tables[TABLE].delete(export_id, key)


async def expired(tables: Tables, now: datetime) -> AsyncIterator[tuple[str, str, str]]:
    """(partner id, export id, key of the note) of what has reached its end."""
    async for row in tables[TABLE].query(EXPIRING, below=to_text(now)):
        yield row.values["partner_id"], row.key.partition("~")[2], row.key


async def forget_expired(tables: Tables, key: str) -> None:
    """The note is dealt with."""
    await tables[TABLE].delete(EXPIRING, key)
