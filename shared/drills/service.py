"""Use cases of drills: start, read, list, the newest of a customer, and what is due."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import CustomerState
from shared.drills import repository
from shared.drills.model import Drill, Mode
from shared.kit import ids
from shared.kit.errors import Conflict

if TYPE_CHECKING:
    from shared.bootstrap import Deps


LOOKED_THROUGH = 20
"""Drills of a customer, from the newest, in which a left folder is looked for each day."""


class DrillRunning(Conflict):
    """One drill of a customer at a time."""

    code, title = "DRILL_RUNNING", "A drill is running already"


async def start_drill(
    deps: "Deps", scope: Scope, customer_id: str, *, requested_by: str, mode: Mode = "dry"
) -> Drill:
    """A drill on demand; `DrillRunning` while another one of the customer runs."""
    await customers.get(deps.tables, scope, customer_id)
    newest = await newest_drill(deps, scope, customer_id)
    if newest is not None and not newest.is_over:
        raise DrillRunning(f"Wait for {newest.drill_id}.", drillId=newest.drill_id)
    now = deps.clock.now()
    drill = Drill(
        drill_id=ids.newest_first(customer_id, ids.DRILL, now),
        partner_id=scope.partner_id,
        customer_id=customer_id,
        trigger="Manual",
        mode=mode,
        requested_by=requested_by,
        created_at=now,
        updated_at=now,
    )
    return await repository.add(deps.tables, scope, drill)


async def get_drill(deps: "Deps", scope: Scope, drill_id: str) -> Drill:
    """The drill; NotFound when unknown or outside the scope."""
    return await repository.get(deps.tables, scope, drill_id)


async def list_drills(
    deps: "Deps", scope: Scope, customer_id: str, *, after: str, limit: int
) -> tuple[list[Drill], str | None]:
    """A page of a customer's drills, newest first, and the id the next page starts after."""
    await customers.get(deps.tables, scope, customer_id)
    found = await repository.list_drills(
        deps.tables, scope, customer_id, after=after, limit=limit + 1
    )
    page = found[:limit]
    return page, page[-1].drill_id if len(found) > limit else None


async def newest_drill(deps: "Deps", scope: Scope, customer_id: str) -> Drill | None:
    """The latest drill of a customer; None before the first."""
    found = await repository.list_drills(deps.tables, scope, customer_id, limit=1)
    return found[0] if found else None


async def due_drills(
    deps: "Deps", partner_ids: list[str], is_due: Callable[[str], bool]
) -> AsyncIterator[Drill]:
    """This month's drill of every active customer that has not ended; repeats find the same."""
    now = deps.clock.now()
    for partner_id in partner_ids:
        scope = Scope(partner_id)
        for customer in await customers.list_all(deps.tables, scope):
            if customer.state is not CustomerState.ACTIVE or not is_due(customer.customer_id):
                continue
            drill = await repository.add(
                deps.tables, scope, _monthly(partner_id, customer.customer_id, now)
            )
            if not drill.is_over:
                yield drill


async def clean_up(deps: "Deps", partner_ids: list[str]) -> int:
    """Remove scratch folders that ended drills left; how many are still there.

    Looked for in the newest drills of every customer that still lets us in.
    """
    from shared.drills import scratch  # writes to Microsoft 365: heavy, and nothing to a door

    left = 0
    for partner_id in partner_ids:
        scope = Scope(partner_id)
        for customer in await customers.list_all(deps.tables, scope):
            if customer.state is not CustomerState.ACTIVE:
                continue
            newest = await repository.list_drills(
                deps.tables, scope, customer.customer_id, limit=LOOKED_THROUGH
            )
            for drill in newest:
                for object_id in drill.scratch if drill.is_over else ():
                    left += not await scratch.clean(deps, scope, drill.drill_id, object_id)
    return left


def _monthly(partner_id: str, customer_id: str, now: datetime) -> Drill:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Drill(
        drill_id=ids.newest_first(customer_id, ids.DRILL, first, tail="0000"),
        partner_id=partner_id,
        customer_id=customer_id,
        trigger="Schedule",
        created_at=now,
        updated_at=now,
    )
