"""Legal holds: an object's restore points do not expire until the hold is lifted (V58).

The fact in the vault's control container is what counts; the row here is for people. The fact is
written first and removed last of the two that could lose something: an unseen hold only keeps.
"""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.keeping import repository
from shared.keeping.model import HOLD, Hold
from shared.protection import repository as protection
from shared.protection.browsing import ref_of
from shared.protection.vaults import ensure_vault, open_vault
from shared.vault import upkeep

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.vault.upkeep import Upkeep


def hold_id_of(object_id: str) -> str:
    """The one hold an object may have."""
    customer, _, tail = object_id.partition("-")
    return f"{customer}-{HOLD}{tail[1:]}"


async def place(deps: "Deps", scope: Scope, object_id: str, *, reason: str, by: str) -> Hold:
    """Hold an object; holding it again changes nothing. NotFound outside the scope."""
    found = await protection.get_object(deps.tables, scope, object_id)
    up, oid = await _vault(deps, scope, object_id)
    await upkeep.set_hold(up, oid, by=by, reason=reason)
    hold = Hold(
        hold_id=hold_id_of(object_id),
        partner_id=found.partner_id,
        customer_id=found.customer_id,
        object_id=object_id,
        display_name=found.display_name,
        reason=reason,
        by=by,
        since=deps.clock.now(),
    )
    if await repository.add(deps.tables, found.customer_id, hold.hold_id, hold):
        return hold
    return await repository.get(deps.tables, scope, hold.hold_id, HOLD, Hold)


async def lift(deps: "Deps", scope: Scope, object_id: str) -> None:
    """End a hold; what had expired meanwhile is no restore point any more."""
    await repository.get(deps.tables, scope, hold_id_of(object_id), HOLD, Hold)
    up, oid = await _vault(deps, scope, object_id)
    await upkeep.clear_hold(up, oid)
    found = await protection.get_object(deps.tables, scope, object_id)
    await repository.remove(deps.tables, found.customer_id, hold_id_of(object_id))


async def list_holds(deps: "Deps", scope: Scope, customer_id: str) -> list[Hold]:
    """Every hold of a customer."""
    await customers.get(deps.tables, scope, customer_id)
    return await repository.list_of(deps.tables, scope, customer_id, HOLD, Hold)


async def _vault(deps: "Deps", scope: Scope, object_id: str) -> "tuple[Upkeep, str]":
    found = await protection.get_object(deps.tables, scope, object_id)
    customer = await customers.get(deps.tables, scope, found.customer_id)
    await ensure_vault(deps, customer, found.repository_id)
    vault = await open_vault(deps, customer, found.repository_id)
    return await vault.upkeep(), await vault.oid(ref_of(found))
