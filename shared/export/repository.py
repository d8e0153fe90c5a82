"""The table Exports: a row per export (partition customer), its slices (partition export), and
one partition of what expires when.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from shared.access.model import Scope
from shared.export.model import Export, SliceRow
from shared.kit import ids
from shared.kit.clock import to_text
from shared.kit.errors import NotFound
from shared.kit.tables import LostRace, Row, RowExists, Tables

TABLE = "Exports"
EXPIRING = "expiring"
_RACES = 12


def _missing(export_id: str) -> NotFound:
    return NotFound(f"There is nothing with the id {export_id[:64]!r}.")


async def get(tables: Tables, scope: Scope, export_id: str) -> Export:
    """The export; NotFound when unknown or outside the scope."""
    customer_id = ids.customer_of(export_id, ids.EXPORT)
    if not scope.covers(customer_id):
        raise _missing(export_id)
    row = await tables[TABLE].find(customer_id, export_id)
    if row is None or row.values["partner_id"] != scope.partner_id:
        raise _missing(export_id)
    if scope.owner_id is not None and row.values["requested_by"] != scope.owner_id:
        raise _missing(export_id)
    return Export.model_validate(row.values | {"etag": row.etag})


async def add(tables: Tables, scope: Scope, export: Export) -> Export:
    """Create; its end is noted first, so that nothing stays for ever whatever breaks."""
    if export.partner_id != scope.partner_id or not scope.covers(export.customer_id):
        raise _missing(export.export_id)
    assert export.expires_at is not None
    key = f"{to_text(export.expires_at)}~{export.export_id}"
    await tables[TABLE].upsert(Row(EXPIRING, key, {"partner_id": export.partner_id}))
    values = export.model_dump(mode="json")
    row = await tables[TABLE].insert(Row(export.customer_id, export.export_id, values))
    return export.model_copy(update={"etag": row.etag})


async def change(
    tables: Tables, scope: Scope, export_id: str, decide: Callable[[Export], Export | None]
) -> Export:
    """Apply a pure decision under the ETag; None leaves the row as it is."""
    for _ in range(_RACES):
        export = await get(tables, scope, export_id)
        changed = decide(export)
        if changed is None:
            return export
        values = changed.model_dump(mode="json")
        try:
            row = await tables[TABLE].replace(
                Row(changed.customer_id, export_id, values, export.etag)
            )
        except LostRace:
            continue
        return changed.model_copy(update={"etag": row.etag})
    raise LostRace(f"{export_id} keeps changing; try again.")


async def list_exports(
    tables: Tables, scope: Scope, customer_id: str, *, after: str = "", limit: int
) -> list[Export]:
    """A customer's exports, newest first, after the export id `after`; own ones of an owner."""
    if not scope.covers(customer_id):
        raise _missing(customer_id)
    found: list[Export] = []
    prefix = f"{customer_id}-{ids.EXPORT}"
    async for row in tables[TABLE].query(customer_id, prefix=prefix, after=after):
        if row.values["partner_id"] != scope.partner_id:
            raise _missing(customer_id)
        export = Export.model_validate(row.values | {"etag": row.etag})
        if scope.owner_id in {None, export.requested_by}:
            found.append(export)
        if len(found) >= limit:
            break
    return found


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
