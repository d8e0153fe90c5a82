"""Which of the groups that policies name a user belongs to: kept on the user's objects.

Asked at every session, so that whoever joins a group is protected the same night. A group that
the directory no longer has keeps its last known members: a deletion must not end a protection
silently, so the session's log tells of it.
"""

from functools import partial
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers.model import Customer
from shared.microsoft365.groups import GroupMissing, Groups
from shared.protection import changes, repository, selectors
from shared.protection.discovery import tenant_of
from shared.protection.model import ProtectedObject

if TYPE_CHECKING:
    from shared.bootstrap import Deps


async def note_groups(deps: "Deps", customer: Customer) -> list[str]:
    """Write the named groups of every object's owner; returns the ids of groups that are gone."""
    scope = Scope(customer.partner_id)
    policies = await repository.list_policies(deps.tables, scope, customer_id=customer.customer_id)
    named = selectors.of_kind(
        [each for policy in policies for each in (*policy.include, *policy.exclude)], "group"
    )
    members: dict[str, frozenset[str]] = {}
    missing = []
    for group_id in named:
        try:
            members[group_id] = await open_groups(deps, customer).users(group_id)
        except GroupMissing:
            missing.append(group_id)
    for one in await repository.list_objects(deps.tables, scope, customer.customer_id):
        kept = [each for each in one.groups if each in missing]
        now = sorted([*kept, *(name for name, users in members.items() if one.owner_id in users)])
        if now != one.groups:
            await changes.change_object(deps.tables, scope, one.object_id, partial(_noted, now))
    return missing


def open_groups(deps: "Deps", customer: Customer) -> Groups:
    """The groups of the customer's tenant."""
    client_id = customer.consent.reader_client_id if customer.consent else None
    return Groups(deps.settings, deps.tokens, tenant_of(customer), client_id=client_id)


def _noted(groups: list[str], found: ProtectedObject) -> ProtectedObject:
    return found.model_copy(update={"groups": groups})
