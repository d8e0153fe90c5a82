"""Backup repositories: where a customer's restore points are kept, one storage container each.

Every customer has the one of its region; further ones in other regions are made beside it, if the
customer may have them (BKP-25, BKP-26, CUS-43). An object lives in the first repository that it
was copied to: its chain of restore points is never torn apart.
"""

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.kit import ids
from shared.kit.errors import Unprocessable
from shared.protection.model import Stored
from shared.protection.repository import missing

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TABLE = "Repositories"
KIND = "v"
DEFAULT = "default"
RECOVERY_ROW = "recovery-key"
"""Beside a customer's repositories: the public half of its recovery key."""


class UnknownRepository(Unprocessable):
    """A policy names a repository that the customer does not have."""

    code, title = "UNKNOWN_REPOSITORY", "The customer has no such repository"


class BackupRepository(Stored):
    """One repository; `vault_id` names its containers."""

    repository_id: str
    customer_id: str
    partner_id: str
    name: str
    region: str
    vault_id: str
    is_default: bool = False
    created_at: datetime
    created_by: str = ""


class RecoveryKey(Stored):
    """The public half of a customer's recovery key, as it was given (recovery_keys.py)."""

    customer_id: str
    partner_id: str
    public_pem: str
    fingerprint: str
    """Hex SHA-256 of its SubjectPublicKeyInfo."""
    bits: int
    set_at: datetime
    set_by: str


def repository_of(customer: Customer) -> str:
    """The vault id of the default repository: the stored one, else one made of the customer's."""
    if customer.repository_id:
        return customer.repository_id
    return hashlib.sha256(f"holdfast/repository/{customer.customer_id}".encode()).hexdigest()[:32]


def default_of(customer: Customer) -> BackupRepository:
    """The repository that a customer has from its onboarding on."""
    return BackupRepository(
        repository_id=f"{customer.customer_id}-{KIND}{DEFAULT}",
        customer_id=customer.customer_id,
        partner_id=customer.partner_id,
        name="Default",
        region=customer.region or "",
        vault_id=repository_of(customer),
        is_default=True,
        created_at=customer.activation_at or customer.created_at,
    )


async def list_of(deps: "Deps", customer: Customer) -> list[BackupRepository]:
    """The default one first, then the others by id."""
    made = [
        BackupRepository.model_validate(row.values | {"etag": row.etag})
        async for row in deps.tables[TABLE].query(
            customer.customer_id, prefix=f"{customer.customer_id}-{KIND}"
        )
    ]
    return [default_of(customer), *made]


async def get_repository(deps: "Deps", scope: Scope, repository_id: str) -> BackupRepository:
    """One repository; NotFound when unknown or outside the scope."""
    customer_id = ids.customer_of(repository_id, KIND)
    if not scope.covers(customer_id):
        raise missing(repository_id)
    customer = await customers.get(deps.tables, scope, customer_id)
    return await find(deps, customer, repository_id)


async def find(deps: "Deps", customer: Customer, repository_id: str | None) -> BackupRepository:
    """A repository of this customer, the default one for None; NotFound for any other."""
    default = default_of(customer)
    if repository_id in {None, default.repository_id}:
        return default
    row = await deps.tables[TABLE].find(customer.customer_id, str(repository_id))
    if row is None:
        raise missing(str(repository_id))
    return BackupRepository.model_validate(row.values | {"etag": row.etag})


async def find_recovery_key(deps: "Deps", customer: Customer) -> RecoveryKey | None:
    """The recovery key of a customer; None when it gave none."""
    row = await deps.tables[TABLE].find(customer.customer_id, RECOVERY_ROW)
    return RecoveryKey.model_validate(row.values | {"etag": row.etag}) if row else None


async def recovery_pem(deps: "Deps", customer: Customer) -> bytes | None:
    """What a vault of the customer is wrapped for (V7); None: the operator's sealed key."""
    found = await find_recovery_key(deps, customer)
    return found.public_pem.encode() if found else None


async def check(deps: "Deps", customer: Customer, repository_id: str | None) -> None:
    """`UnknownRepository` unless the customer has it."""
    if repository_id is None:
        return
    if repository_id not in {one.repository_id for one in await list_of(deps, customer)}:
        raise UnknownRepository(
            "Take one from the customer's repositories.", pointer="/repositoryId"
        )
