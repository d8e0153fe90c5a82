"""Legal holds: an object's restore points do not expire until the hold is lifted (V58).

The fact in the vault's control container is what counts; the row here is for people. The fact is
written first and removed last of the two that could lose something: an unseen hold only keeps.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.keeping import repository
from shared.keeping.model import HOLD, Hold
from shared.kit.errors import Conflict, NotFound, PreconditionFailed
from shared.kit.etags import check_if_match, strong_etag
from shared.protection import repository as protection
from shared.protection.browsing import ref_of
from shared.protection.model import REMOVED
from shared.protection.vaults import ensure_vault, open_vault
from shared.vault import upkeep

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.vault.upkeep import Upkeep


def hold_id_of(object_id: str) -> str:
    """The one hold an object may have."""
    customer, _, tail = object_id.partition("-")
    return f"{customer}-{HOLD}{tail[1:]}"


class HoldRefused(Conflict):
    """An object whose erasure was approved, or is done, cannot be held any more (17.3)."""

    code, title = "HOLD_REFUSED", "This object is being erased, or was"


async def get(deps: "Deps", scope: Scope, object_id: str) -> Hold:
    """The hold of an object; NotFound without one or outside the scope."""
    await protection.get_object(deps.tables, scope, object_id)
    return await repository.get(deps.tables, scope, hold_id_of(object_id), HOLD, Hold)


async def place(
    deps: "Deps", scope: Scope, object_id: str, if_match: str | None, *, reason: str, by: str
) -> Hold:
    """Hold an object, or give its hold another reason; the same reason again changes nothing.

    An existing hold is changed on its current state only (412, 428). `HoldRefused` under erasure.
    """
    found = await protection.get_object(deps.tables, scope, object_id)
    held = await _find(deps, scope, object_id)
    if held is None and if_match is not None:
        raise PreconditionFailed("There is no hold any more: read, and decide again.")
    if held is not None and (held.reason != reason or if_match is not None):
        check_if_match(if_match, etag_of(held))
    if held is not None and held.reason == reason:
        return held
    if found.state == REMOVED:
        raise HoldRefused("Cancel the erasure first, if it still can be.")
    up, oid = await _vault(deps, scope, object_id)
    await upkeep.set_hold(up, oid, by=by, reason=reason)
    if held is not None:
        return await _give_reason(deps, scope, held, reason=reason, by=by)
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
    await repository.add(deps.tables, found.customer_id, hold.hold_id, hold)
    return await repository.get(deps.tables, scope, hold.hold_id, HOLD, Hold)


async def lift(deps: "Deps", scope: Scope, object_id: str, if_match: str | None) -> None:
    """End a hold; what had expired meanwhile is no restore point any more."""
    held = await get(deps, scope, object_id)
    check_if_match(if_match, etag_of(held))
    up, oid = await _vault(deps, scope, object_id)
    await upkeep.clear_hold(up, oid)
    found = await protection.get_object(deps.tables, scope, object_id)
    await repository.remove(deps.tables, found.customer_id, hold_id_of(object_id))


async def list_holds(deps: "Deps", scope: Scope, customer_id: str) -> list[Hold]:
    """Every hold of a customer."""
    await customers.get(deps.tables, scope, customer_id)
    return await repository.list_of(deps.tables, scope, customer_id, HOLD, Hold)


def etag_of(hold: Hold) -> str:
    """The strong ETag of a hold."""
    return strong_etag(hold.etag)


async def _find(deps: "Deps", scope: Scope, object_id: str) -> Hold | None:
    with suppress(NotFound):
        return await repository.get(deps.tables, scope, hold_id_of(object_id), HOLD, Hold)
    return None


async def _give_reason(deps: "Deps", scope: Scope, held: Hold, *, reason: str, by: str) -> Hold:
    def changed(at: Hold) -> Hold | None:
        if at.etag != held.etag:
            raise PreconditionFailed("Read the hold again and repeat the change.")
        return at.model_copy(update={"reason": reason, "by": by})

    return await repository.change(deps.tables, scope, held.hold_id, HOLD, Hold, changed)


async def _vault(deps: "Deps", scope: Scope, object_id: str) -> "tuple[Upkeep, str]":
    found = await protection.get_object(deps.tables, scope, object_id)
    customer = await customers.get(deps.tables, scope, found.customer_id)
    await ensure_vault(deps, customer, found.repository_id)
    vault = await open_vault(deps, customer, found.repository_id)
    return await vault.upkeep(), await vault.oid(ref_of(found))
