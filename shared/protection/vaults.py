"""A customer's vaults: made, opened, found; which one an object lives in."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.access.contexts import check_region
from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.kit import ids
from shared.kit.errors import Conflict, Unprocessable
from shared.kit.tables import Row, RowExists
from shared.protection import changes, repositories, repository
from shared.protection.model import Policy, ProtectedObject
from shared.protection.repositories import BackupRepository

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.vault.service import Vault


class NotConnected(Conflict):
    """The customer has no tenant yet."""

    code, title = "CUSTOMER_NOT_CONNECTED", "The customer's tenant is not connected"


class RegionNotOffered(Unprocessable):
    """No storage is offered there."""

    code, title = "REGION_NOT_OFFERED", "This region is not offered"


def tenant_of(customer: Customer) -> str:
    """The customer's tenant; `NotConnected` before onboarding."""
    if not customer.tenant_id:
        raise NotConnected("Onboard the customer first.")
    return customer.tenant_id


def home_of(found: ProtectedObject, policy: Policy, customer: Customer) -> str:
    """The repository an object is copied to: where it lives, else where its policy says.

    A chain of restore points is never torn apart, so the first copy decides (BKP-25).
    """
    if found.repository_id:
        return found.repository_id
    default = repositories.default_of(customer).repository_id
    return default if found.last_point else policy.repository_id or default


async def settle(deps: "Deps", policy: Policy, customer: Customer, one: ProtectedObject) -> str:
    """Write down where an object lives before its first copy; the repository's id. First wins."""
    scope = Scope(one.partner_id)

    def settled(found: ProtectedObject) -> ProtectedObject | None:
        if found.repository_id:
            return None
        home = home_of(found, policy, customer)
        return found.model_copy(update={"repository_id": home})

    await changes.change_object(deps.tables, scope, one.object_id, settled)
    found = await repository.get_object(deps.tables, scope, one.object_id)
    return str(found.repository_id)


async def ensure_vault(deps: "Deps", customer: Customer, repository_id: str | None = None) -> str:
    """Create a repository's vault if it is missing; returns the vault's id. May run twice."""
    from shared.vault.service import create_repository as make

    place = await repositories.find(deps, customer, repository_id)
    stores = await deps.vault_stores(place.vault_id, region=place.region, create=True)
    await make(
        stores.vault,
        stores.control,
        deps.keys,
        repo_id=place.vault_id,
        tenant_id=tenant_of(customer),
        now=deps.clock.now(),
        recovery_public_pem=await repositories.recovery_pem(deps, customer),
        locks=stores.locks,
    )
    return place.vault_id


async def open_vault(deps: "Deps", customer: Customer, repository_id: str | None = None) -> "Vault":
    """One of the customer's repositories, opened with its keys; the default one for None."""
    from shared.vault.service import open_repository

    place = await repositories.find(deps, customer, repository_id)
    stores = await deps.vault_stores(place.vault_id, region=place.region)
    return await open_repository(
        stores.vault,
        stores.control,
        deps.keys,
        repo_id=place.vault_id,
        locks=stores.locks,
        clock=deps.clock,
    )


@dataclass(frozen=True, slots=True)
class Described:
    """A repository and what its vault says of its locks (V59); nothing before it was made."""

    repository: BackupRepository
    lock_mode: Literal["full", "none"] | None = None
    key_lock: Literal["rolling", "full"] | None = None


async def list_described(deps: "Deps", scope: Scope, customer_id: str) -> list[Described]:
    """A customer's repositories, the default one first; NotFound outside the scope."""
    customer = await customers.get(deps.tables, scope, customer_id)
    return [
        await _describe(deps, customer, one) for one in await repositories.list_of(deps, customer)
    ]


async def get_described(deps: "Deps", scope: Scope, repository_id: str) -> Described:
    """One repository; NotFound when unknown or outside the scope."""
    found = await repositories.get_repository(deps, scope, repository_id)
    customer = await customers.get(deps.tables, scope, found.customer_id)
    return await _describe(deps, customer, found)


async def _describe(deps: "Deps", customer: Customer, one: BackupRepository) -> Described:
    from shared.vault.errors import UnknownRepository

    try:
        said = (await open_vault(deps, customer, one.repository_id)).document
    except UnknownRepository:
        return Described(one)
    return Described(one, said["lock_mode"], said["key_lock"])


async def create_repository(
    deps: "Deps", scope: Scope, customer_id: str, *, name: str, region: str, by: str
) -> Described:
    """Make a repository with its storage (BKP-26); the same name and region are found again.

    `RegionNotOffered`; `FlagOff` when the customer may have one region only (CUS-43).
    """
    customer = await customers.get(deps.tables, scope, customer_id)
    tenant_of(customer)
    if region not in deps.settings.regions:
        offered = ", ".join(deps.settings.regions)
        raise RegionNotOffered(f"Choose one of: {offered}.", pointer="/region")
    held = await repositories.list_of(deps, customer)
    check_region(customer.flags, frozenset(one.region for one in held if one.region), region)
    made = next((one for one in held if (one.name, one.region) == (name, region)), None)
    if made is None:
        from shared.vault.format.names import new_repository_id

        made = BackupRepository(
            repository_id=f"{customer_id}-{repositories.KIND}{ids.new_id(8)}",
            customer_id=customer_id,
            partner_id=customer.partner_id,
            name=name,
            region=region,
            vault_id=new_repository_id(),
            created_at=deps.clock.now(),
            created_by=by,
        )
        with suppress(RowExists):
            row = Row(customer_id, made.repository_id, made.model_dump(mode="json"))
            await deps.tables[repositories.TABLE].insert(row)
    await ensure_vault(deps, customer, made.repository_id)
    return await _describe(deps, customer, made)
