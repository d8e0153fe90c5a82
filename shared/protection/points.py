"""Restore points as they stand now: when they end by all promises, and whether a hold keeps them.

What stands in a record was decided when it was written; a longer retention and a legal hold are
facts beside it (V55, V58).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.protection import repository
from shared.protection.browsing import ref_of
from shared.protection.vaults import open_vault
from shared.vault.model import SnapshotHead
from shared.vault.retention import effective_expiry

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.vault.upkeep import Facts


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """One restore point; `expires` None: without end. While it is held it does not expire."""

    head: SnapshotHead
    expires: datetime | None
    held: bool


async def list_points(deps: "Deps", scope: Scope, object_id: str) -> list[RestorePoint]:
    """Those of an object that are offered, newest first; NotFound outside the scope."""
    found = await repository.get_object(deps.tables, scope, object_id)
    if found.last_point is None:
        return []
    customer = await customers.get(deps.tables, scope, found.customer_id)
    vault = await open_vault(deps, customer, found.repository_id)
    ref = ref_of(found)
    heads, facts = await vault.offered(ref), await vault.facts(ref)
    return [_point(head, facts) for head in heads]


async def get_point(deps: "Deps", scope: Scope, object_id: str, n: int) -> RestorePoint:
    """One of them; NotFound, or `SnapshotExpired`."""
    found = await repository.get_object(deps.tables, scope, object_id)
    customer = await customers.get(deps.tables, scope, found.customer_id)
    vault = await open_vault(deps, customer, found.repository_id)
    ref = ref_of(found)
    snapshot = await vault.open_snapshot(ref, n)
    return _point(snapshot.head, await vault.facts(ref))


def _point(head: SnapshotHead, facts: "Facts") -> RestorePoint:
    expires = effective_expiry(head.ended, head.expires, facts.longest, unlimited=facts.unlimited)
    return RestorePoint(head, expires, facts.held)
