"""The table Drills: a row per drill and the newest one's name (partition customer), and what was
found in each object (partition drill).
"""

import contextlib

from shared.access.jobs import Jobs
from shared.access.model import Scope
from shared.drills.model import Drill, Sampled
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.tables import Row, RowExists, Tables

TABLE = "Drills"
_DRILLS = Jobs(TABLE, ids.DRILL, Drill, "drill_id", for_owners=False)

get = _DRILLS.get
change = _DRILLS.change
open_jobs = _DRILLS.open_jobs
settle = _DRILLS.settle


async def add(tables: Tables, scope: Scope, drill: Drill) -> Drill:
    """Create; the one that is there when the id is taken."""
    with contextlib.suppress(NotFound):
        return await get(tables, scope, drill.drill_id)
    try:
        return await _DRILLS.add(tables, scope, drill)
    except RowExists:
        return await get(tables, scope, drill.drill_id)


async def list_drills(
    tables: Tables, scope: Scope, customer_id: str, *, after: str = "", limit: int
) -> list[Drill]:
    """A customer's drills, newest first, after the drill id `after`; none outside the scope."""
    if not scope.covers(customer_id) or scope.owner_id is not None:
        return []
    return await _DRILLS.page(tables, scope, customer_id, after=after, limit=limit)


async def save_sampled(tables: Tables, drill_id: str, sampled: Sampled) -> None:
    """What was found in one object; a repeated execution finds and writes the same."""
    values = sampled.model_dump(mode="json")
    await tables[TABLE].upsert(Row(drill_id, sampled.object_id, values))


async def list_sampled(tables: Tables, drill_id: str) -> list[Sampled]:
    """Everything found so far, by object id."""
    return [Sampled.model_validate(row.values) async for row in tables[TABLE].query(drill_id)]
