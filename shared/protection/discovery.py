"""Finds what a customer has: users with mailboxes and drives, sites, teams."""

from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers.model import Customer
from shared.kit import ids
from shared.protection import repository
from shared.protection.discovery_shared import discover_shared
from shared.protection.model import ACTIVE, PERSONAL, REMOVED, SERVICE_OF, ProtectedObject, Workload
from shared.protection.vaults import ensure_vault, open_vault, tenant_of

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.microsoft365.directory import DirectoryUser

USER_DELETED = "user_deleted"
__all__ = ["ACTIVE", "USER_DELETED", "discover", "ensure_vault", "open_vault", "tenant_of"]


async def discover(deps: "Deps", customer: Customer) -> dict[str, int]:
    """Bring the Objects rows up to date with the directory; returns what was counted.

    An object whose user has vanished is kept with its restore points and no longer licensed. An
    empty directory changes nothing: it is more likely a fault than a tenant without users.
    """
    from shared.microsoft365.directory import Directory

    scope = Scope(customer.partner_id)
    directory = Directory(deps.settings, deps.tokens, tenant_of(customer))
    users = await directory.list_users()
    now = deps.clock.now()
    seen: set[str] = set()
    counts = {"users": len(users), "mailboxes": 0, "drives": 0, "seats": await directory.seats()}
    known = {
        one.object_id: one
        for one in await repository.list_objects(deps.tables, scope, customer.customer_id)
    }
    for user in users:
        for found in objects_of(customer, user, now):
            seen.add(found.object_id)
            counts["mailboxes" if found.workload == "mailbox" else "drives"] += 1
            await _remember(deps, scope, known.get(found.object_id), found)
    if users:
        for gone in known.values():
            personal = gone.workload in PERSONAL
            if personal and gone.object_id not in seen and gone.licensed and gone.state != REMOVED:
                update = {"licensed": False, "state": USER_DELETED}
                await repository.save_object(deps.tables, scope, gone.model_copy(update=update))
    return counts | await discover_shared(deps, customer, known, counts["seats"])


def objects_of(customer: Customer, user: "DirectoryUser", now: datetime) -> list[ProtectedObject]:
    """The mailbox and the drive of a user, as far as they exist: pure."""
    found: list[ProtectedObject] = []
    sources: list[tuple[Workload, str | None]] = [("mailbox", user.id), ("drive", user.drive_id)]
    for workload, source_id in sources:
        if SERVICE_OF[workload] not in user.services or not source_id:
            continue
        found.append(
            ProtectedObject(
                object_id=ids.object_id(customer.customer_id, workload, source_id),
                customer_id=customer.customer_id,
                partner_id=customer.partner_id,
                workload=workload,
                source_id=source_id,
                owner_id=user.id,
                display_name=user.display_name or user.upn,
                address=user.mail or user.upn,
                licensed=user.licensed,
                discovered_at=now,
            )
        )
    return found


async def _remember(
    deps: "Deps", scope: Scope, known: ProtectedObject | None, found: ProtectedObject
) -> None:
    if known is None:
        await repository.add_object(deps.tables, scope, found)
        return
    if known.state == REMOVED:
        return  # its name was erased and does not come back
    update = {
        "display_name": found.display_name,
        "address": found.address,
        "licensed": found.licensed,
        "state": ACTIVE if known.state == USER_DELETED else known.state,
    }
    changed = known.model_copy(update=update)
    if changed != known:
        await repository.save_object(deps.tables, scope, changed)
