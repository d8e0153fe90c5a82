"""The table Drills: a row per drill and the newest one's name (partition customer), and what was
found in each object (partition drill).
"""

from collections.abc import Callable

from shared.access.model import Scope
from shared.drills.model import Drill, Sampled
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.tables import LostRace, Row, RowExists, Tables

TABLE = "Drills"
_RACES = 12


def _missing(drill_id: str) -> NotFound:
    return NotFound(f"There is nothing with the id {drill_id[:64]!r}.")


async def get(tables: Tables, scope: Scope, drill_id: str) -> Drill:
    """The drill; NotFound when unknown or outside the scope."""
    customer_id = ids.customer_of(drill_id, ids.DRILL)
    row = await tables[TABLE].find(customer_id, drill_id) if scope.covers(customer_id) else None
    if row is None or row.values["partner_id"] != scope.partner_id or scope.owner_id is not None:
        raise _missing(drill_id)
    return Drill.model_validate(row.values | {"etag": row.etag})


async def add(tables: Tables, scope: Scope, drill: Drill) -> Drill:
    """Create; the one that is there when the id is taken."""
    if drill.partner_id != scope.partner_id or not scope.covers(drill.customer_id):
        raise _missing(drill.drill_id)
    try:
        row = await tables[TABLE].insert(
            Row(drill.customer_id, drill.drill_id, drill.model_dump(mode="json"))
        )
    except RowExists:
        return await get(tables, scope, drill.drill_id)
    return drill.model_copy(update={"etag": row.etag})


async def change(
    tables: Tables, scope: Scope, drill_id: str, decide: Callable[[Drill], Drill | None]
) -> Drill:
    """Apply a pure decision under the ETag; None leaves the row as it is."""
    for _ in range(_RACES):
        drill = await get(tables, scope, drill_id)
        changed = decide(drill)
        if changed is None:
            return drill
        values = changed.model_dump(mode="json")
        try:
            row = await tables[TABLE].replace(Row(drill.customer_id, drill_id, values, drill.etag))
        except LostRace:
            continue
        return changed.model_copy(update={"etag": row.etag})
    raise LostRace(f"{drill_id} keeps changing; try again.")


async def list_drills(
    tables: Tables, scope: Scope, customer_id: str, *, after: str = "", limit: int
) -> list[Drill]:
    """A customer's drills, newest first, after the drill id `after`."""
    if not scope.covers(customer_id) or scope.owner_id is not None:
        return []
    prefix = f"{customer_id}-{ids.DRILL}"
    rows = tables[TABLE].query(customer_id, prefix=prefix, after=after, limit=limit)
    found = [Drill.model_validate(row.values | {"etag": row.etag}) async for row in rows]
    return [drill for drill in found if drill.partner_id == scope.partner_id]


async def save_sampled(tables: Tables, drill_id: str, sampled: Sampled) -> None:
    """What was found in one object; a repeated execution finds and writes the same."""
    values = sampled.model_dump(mode="json")
    await tables[TABLE].upsert(Row(drill_id, sampled.object_id, values))


async def list_sampled(tables: Tables, drill_id: str) -> list[Sampled]:
    """Everything found so far, by object id."""
    return [Sampled.model_validate(row.values) async for row in tables[TABLE].query(drill_id)]
