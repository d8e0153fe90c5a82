"""Pure decisions about roles and users (features.md 11.4): who may hold, give and lose what."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from shared.access.permissions import (
    CATALOGUE,
    LICENCES,
    SERVICES,
    Audience,
    PermissionMissing,
    assignable,
    needed,
    right_of,
)
from shared.access.role_model import (
    ADMINISTRATOR,
    ADMINISTRATOR_NAME,
    CustomerGroup,
    Grant,
    Grants,
    Role,
    User,
)
from shared.kit.errors import Conflict, Forbidden, Invalid

_EMAIL = re.compile(r"[^@\s\"<>,;]{1,64}@[^@\s\"<>,;.]{1,63}(\.[^@\s\"<>,;.]{1,63})+")
MOST_NAME_CHARACTERS = 100


class NameTaken(Conflict):
    """Another one has this name (ROL-07)."""

    code, title = "NAME_TAKEN", "The name is taken"


class UserExists(Conflict):
    """A user with this e-mail exists (ROL-12)."""

    code, title = "USER_EXISTS", "The user exists already"


class AdministratorProtected(Conflict):
    """The Administrator role can be neither edited nor deleted (ROL-10)."""

    code, title = "ADMINISTRATOR_PROTECTED", "The Administrator role cannot be changed"


class LastAdmin(Conflict):
    """The change would leave no administrator (ROL-27)."""

    code, title = "LAST_ADMIN", "The last administrator cannot be removed"


class GrantExceedsOwn(Forbidden):
    """Somebody would give more than they hold."""

    code, title = "GRANT_EXCEEDS_OWN", "You cannot give what you do not hold"


class UnknownRole(Invalid):
    """A role named does not exist."""

    code, title = "ROLE_UNKNOWN", "There is no such role"


class UnknownGroup(Invalid):
    """A customer group named does not exist."""

    code, title = "GROUP_UNKNOWN", "There is no such customer group"


class GroupInUse(Conflict):
    """A role is limited to the group; without it the role would silently see nothing."""

    code, title = "GROUP_IN_USE", "A role is limited to this customer group"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


ADMINISTRATOR_ROLE = Role(
    role_id=ADMINISTRATOR,
    name=ADMINISTRATOR_NAME,
    description="Everything in the partner tenant. Predefined; cannot be edited or deleted.",
    permissions=assignable(Audience.PARTNER),
    areas=frozenset({SERVICES, LICENCES}),
)
# Administrators do not restore themselves (RST-02), but may let an application do it.
_GRANTABLE_BY_ADMINISTRATOR = assignable(Audience.PARTNER, Audience.CLIENT)


def decide_name(name: str, others: Iterable[_Named]) -> str:
    """The name, trimmed; `NameTaken` when another has it in any case, `Invalid` when unusable."""
    name = " ".join(name.split())
    if not name or len(name) > MOST_NAME_CHARACTERS or not name.isprintable():
        raise Invalid(f"A name has 1 to {MOST_NAME_CHARACTERS} characters.", pointer="/name")
    if name.casefold() in {other.name.casefold() for other in others}:
        raise NameTaken(f"{name!r} exists already.", pointer="/name")
    return name


def decide_email(email: str, users: Iterable[User]) -> str:
    """The address, lower case; `Invalid` when malformed, `UserExists` when taken (ROL-12)."""
    email = email.strip().lower()
    if _EMAIL.fullmatch(email) is None:
        raise Invalid("Give a Microsoft 365 e-mail address.", pointer="/email")
    if any(user.email == email for user in users):
        raise UserExists("Edit the user that exists.", pointer="/email")
    return email


def decide_role_ids(role_ids: Collection[str], roles: Mapping[str, Role]) -> tuple[str, ...]:
    """The roles of a user, without repeats; at least one, all known (ROL-12)."""
    if not role_ids:
        raise Invalid("A user has at least one role.", pointer="/roleIds")
    if unknown := sorted(set(role_ids) - roles.keys() - {ADMINISTRATOR}):
        raise UnknownRole(f"Unknown: {', '.join(unknown)}.", pointer="/roleIds")
    return tuple(dict.fromkeys(role_ids))


def check_editable(role_id: str) -> None:
    """`AdministratorProtected` (409) for the predefined role."""
    if role_id == ADMINISTRATOR:
        raise AdministratorProtected("Make a role of your own instead.")


def without_role(users: Iterable[User], role_id: str) -> list[User]:
    """The users that held the role, without it; their other roles stay (ROL-09)."""
    return [
        user.model_copy(
            update={"role_ids": tuple(each for each in user.role_ids if each != role_id)}
        )
        for user in users
        if role_id in user.role_ids
    ]


def check_administrators(before: Iterable[User], after: Iterable[User]) -> None:
    """`LastAdmin` (409) when there was an administrator before and there is none after."""
    if any(ADMINISTRATOR in user.role_ids for user in before) and not any(
        ADMINISTRATOR in user.role_ids for user in after
    ):
        raise LastAdmin("Make another user an administrator first.")


def grant_of(role: Role, groups: Mapping[str, CustomerGroup]) -> Grant:
    """What a role gives; a group that does not exist adds no customer."""
    customers = None
    if role.group_ids is not None:
        known = (groups[each].customers for each in role.group_ids if each in groups)
        customers = frozenset[str]().union(*known)
    return Grant(permissions=role.permissions, customers=customers, areas=role.areas)


def effective(user: User, roles: Mapping[str, Role], groups: Mapping[str, CustomerGroup]) -> Grants:
    """What a user may do: the union over the roles that exist (ROL-16)."""
    held = [
        ADMINISTRATOR_ROLE if each == ADMINISTRATOR else roles[each]
        for each in user.role_ids
        if each == ADMINISTRATOR or each in roles
    ]
    return Grants(
        user_id=user.user_id,
        is_administrator=ADMINISTRATOR in user.role_ids,
        grants=tuple(grant_of(role, groups) for role in held),
    )


def exceeding(holder: Grants, wanted: Grant) -> frozenset[str]:
    """Permissions in `wanted` that the holder lacks for a customer or area of it.

    Fails closed: what is unknown is not held.
    """
    if holder.is_administrator:
        return wanted.permissions - _GRANTABLE_BY_ADMINISTRATOR
    return frozenset(
        code
        for code in wanted.permissions
        for area in wanted.areas or {SERVICES}
        if not _covers(holder, code, area, wanted.customers)
    )


def check_grant(holder: Grants, wanted: Grant) -> None:
    """`GrantExceedsOwn` (403) when the holder would give more than they hold."""
    if missing := exceeding(holder, wanted):
        titles = sorted(CATALOGUE[code].title if code in CATALOGUE else code for code in missing)
        raise GrantExceedsOwn(f"You do not hold, for all customers concerned: {', '.join(titles)}.")


def check_roles_given(
    holder: Grants,
    role_ids: Iterable[str],
    roles: Mapping[str, Role],
    groups: Mapping[str, CustomerGroup],
) -> None:
    """`GrantExceedsOwn` unless the holder may give every role; Administrator by one only."""
    for role_id in role_ids:
        if role_id == ADMINISTRATOR:
            if not holder.is_administrator:
                raise GrantExceedsOwn("Only an administrator makes administrators.")
        else:
            check_grant(holder, grant_of(roles[role_id], groups))


def check_group_change(
    holder: Grants, group: CustomerGroup, added: frozenset[str], roles: Iterable[Role]
) -> None:
    """Adding customers to a group widens every role limited to it: the holder must hold that."""
    users = [role for role in roles if role.group_ids and group.group_id in role.group_ids]
    monitoring = Grant(permissions=frozenset({"MonitoringAccess"}), customers=added)
    wanted = [
        Grant(permissions=role.permissions, customers=added, areas=role.areas) for role in users
    ]
    if added:
        for grant in [monitoring, *wanted]:
            check_grant(holder, grant)


def check_right(grants: Grants, right: str, *, settings_area: bool = True) -> None:
    """`PermissionMissing` (403) unless the caller holds what the right needs; undeclared: KeyError.

    Which customers it may be used for is `visible_customers`.
    """
    needs = needed(right, settings_area=settings_area)
    if missing := sorted(needs - grants.permissions(right_of(right).area)):
        titles = ", ".join(CATALOGUE[code].title for code in missing)
        raise PermissionMissing(f"Ask an administrator for: {titles}.", missing=missing)


def visible_customers(
    grants: Grants, right: str, *, settings_area: bool = True
) -> frozenset[str] | None:
    """The customers the right may be used for: the customers of the `Scope`; None means all."""
    return grants.customers(
        *sorted(needed(right, settings_area=settings_area)), area=right_of(right).area
    )


def check_template_use(grants: Grants) -> None:
    """Templates are applied by administrators only, whatever else is held (ROL-24)."""
    if not grants.is_administrator:
        raise PermissionMissing("Only administrators apply templates.")


def may_add_policy(grants: Grants, existing: int) -> bool:
    """The first policy needs Backup Management, every further one the advanced one too (ROL-17)."""
    right = "policies.add" if existing else "policies.write"
    return grants.holds(*needed(right))


def _covers(holder: Grants, code: str, area: str, customers: frozenset[str] | None) -> bool:
    if code not in CATALOGUE or not holder.holds(code, area=area):
        return False
    held = holder.customers(code, area=area)
    return held is None or (customers is not None and customers <= held)
