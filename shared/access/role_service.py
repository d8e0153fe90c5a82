"""Use cases of roles and customer groups: create, edit, delete.

Every change is decided on the whole state and committed under its stamp; a lost race decides
again. `holder` is always the grants of who asks: nobody gives more than they hold.
"""

from collections.abc import Collection, Sequence

from shared.access import role_repository as rows
from shared.access import role_rules as rules
from shared.access.model import Scope
from shared.access.permissions import SERVICES, Audience, decide_permissions
from shared.access.role_model import ADMINISTRATOR, CustomerGroup, Grants, Role, User, fresh
from shared.access.role_repository import Change, State
from shared.kit.errors import NotFound
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.seeds import made_id
from shared.kit.tables import Table

# Users changed in one commit; the rest of a large change follows in further ones.
USERS_PER_COMMIT = 90


class Roles:
    """The verbs on roles and customer groups."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def state(self, scope: Scope) -> State:
        """Everything as it is: lists and single reads take from it."""
        return await rows.load(self._table, scope)

    async def create_role(
        self,
        scope: Scope,
        holder: Grants,
        *,
        name: str,
        permissions: Collection[str],
        description: str = "",
        group_ids: Sequence[str] | None = None,
        areas: frozenset[str] = frozenset({SERVICES}),
    ) -> Role:
        """Create a role (ROL-07); refusals of name, permissions, groups and of the giving."""
        role_id = made_id("role")

        def decide(state: State) -> tuple[Role, list[Change]]:
            if (made := state.roles.get(role_id)) is not None:
                return made, []  # this request died and is repeated
            role = Role(
                role_id=role_id,
                name=rules.decide_name(name, [*state.roles.values(), rules.ADMINISTRATOR_ROLE]),
                description=description,
                permissions=decide_permissions(permissions, Audience.PARTNER),
                group_ids=_known_groups(state, group_ids),
                areas=areas,
            )
            rules.check_grant(holder, rules.grant_of(role, state.groups))
            return role, [rows.add(scope, role)]

        return await rows.change(self._table, scope, decide)

    async def edit_role(
        self,
        scope: Scope,
        holder: Grants,
        role_id: str,
        if_match: str | None,
        *,
        name: str,
        permissions: Collection[str],
        description: str = "",
        group_ids: Sequence[str] | None = None,
        areas: frozenset[str] = frozenset({SERVICES}),
    ) -> Role:
        """Replace a role (ROL-08): in force for its holders at their next request."""
        rules.check_editable(role_id)

        def decide(state: State) -> tuple[Role, list[Change]]:
            old = _role(state, role_id)
            check_if_match(if_match, strong_etag(old.etag))
            others = [role for role in state.roles.values() if role.role_id != role_id]
            role = Role(
                role_id=role_id,
                name=rules.decide_name(name, [*others, rules.ADMINISTRATOR_ROLE]),
                description=description,
                permissions=decide_permissions(permissions, Audience.PARTNER),
                group_ids=_known_groups(state, group_ids),
                areas=areas,
            )
            rules.check_grant(holder, rules.grant_of(role, state.groups))
            return role, [rows.put(scope, role)]

        return await rows.change(self._table, scope, decide)

    async def delete_role(self, scope: Scope, role_id: str, if_match: str | None) -> list[str]:
        """Delete a role and take it from its users (ROL-09); the ids of those users.

        The role's rights end with the first commit; a crash before the last one leaves users
        naming a role that is gone, which gives nothing.
        """
        rules.check_editable(role_id)

        def decide(state: State) -> tuple[list[User], list[Change]]:
            role = _role(state, role_id)
            check_if_match(if_match, strong_etag(role.etag))
            stripped = rules.without_role(state.users.values(), role_id)
            first = [rows.put(scope, fresh(user)) for user in stripped[:USERS_PER_COMMIT]]
            return stripped, [rows.remove(scope, role), *first]

        def strip(state: State) -> tuple[bool, list[Change]]:
            left = rules.without_role(state.users.values(), role_id)
            return bool(left), [rows.put(scope, fresh(user)) for user in left[:USERS_PER_COMMIT]]

        stripped = await rows.change(self._table, scope, decide)
        while await rows.change(self._table, scope, strip):
            continue
        return [user.user_id for user in stripped]

    async def create_group(
        self, scope: Scope, holder: Grants, *, name: str, customers: frozenset[str]
    ) -> CustomerGroup:
        """Create a customer group (ROL-21) of customers that the holder sees."""
        group_id = made_id("group")

        def decide(state: State) -> tuple[CustomerGroup, list[Change]]:
            if (made := state.groups.get(group_id)) is not None:
                return made, []  # this request died and is repeated
            group = CustomerGroup(
                group_id=group_id,
                name=rules.decide_name(name, state.groups.values()),
                customers=customers,
            )
            rules.check_group_change(holder, group, customers, state.roles.values())
            return group, [rows.add(scope, group)]

        return await rows.change(self._table, scope, decide)

    async def edit_group(
        self,
        scope: Scope,
        holder: Grants,
        group_id: str,
        if_match: str | None,
        *,
        name: str,
        customers: frozenset[str],
    ) -> CustomerGroup:
        """Replace name and customers; those added widen every role limited to the group."""

        def decide(state: State) -> tuple[CustomerGroup, list[Change]]:
            old = _group(state, group_id)
            check_if_match(if_match, strong_etag(old.etag))
            others = [group for group in state.groups.values() if group.group_id != group_id]
            group = CustomerGroup(
                group_id=group_id, name=rules.decide_name(name, others), customers=customers
            )
            added = customers - old.customers
            rules.check_group_change(holder, group, added, state.roles.values())
            return group, [rows.put(scope, group)]

        return await rows.change(self._table, scope, decide)

    async def delete_group(self, scope: Scope, group_id: str, if_match: str | None) -> None:
        """Delete a group that no role is limited to; `GroupInUse` (409) otherwise."""

        def decide(state: State) -> tuple[None, list[Change]]:
            group = _group(state, group_id)
            check_if_match(if_match, strong_etag(group.etag))
            if any(group_id in (role.group_ids or ()) for role in state.roles.values()):
                raise rules.GroupInUse("Edit the roles limited to it first.")
            return None, [rows.remove(scope, group)]

        await rows.change(self._table, scope, decide)


def _known_groups(state: State, group_ids: Sequence[str] | None) -> tuple[str, ...] | None:
    if group_ids is None:
        return None
    if unknown := sorted(set(group_ids) - state.groups.keys()):
        raise rules.UnknownGroup(f"Unknown: {', '.join(unknown)}.", pointer="/groupIds")
    return tuple(dict.fromkeys(group_ids))


def _role(state: State, role_id: str) -> Role:
    if role_id == ADMINISTRATOR:
        return rules.ADMINISTRATOR_ROLE
    if role_id not in state.roles:
        raise NotFound("There is no such role.")
    return state.roles[role_id]


def _group(state: State, group_id: str) -> CustomerGroup:
    if group_id not in state.groups:
        raise NotFound("There is no such customer group.")
    return state.groups[group_id]
