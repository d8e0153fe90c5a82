"""What is kept of the permissions of a drive's item, and how they are granted again: all pure.

Rules: microsoft365.md sections 3.1 and 9.3. Only an item's own permissions are kept: inherited ones
come back with the folder, the owner's with the drive.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shared.microsoft365.mail_rows import without_nothing

MEMBER = "permissions"
"""Member of a row's `m` that holds what `kept` gives."""
UNREAD = "permissionsUnread"
"""Member of a row's `m`: the code with which the newest permissions could not be read."""
GRANTED_ROLES = ("read", "write")
"""What an application can give; `owner` and SharePoint's own levels it cannot."""
LINK_TYPES = frozenset({"view", "edit"})
LINK_SCOPES = frozenset({"anonymous", "organization"})

IDENTITIES = ("user", "group", "application", "siteGroup", "siteUser")

Json = Mapping[str, Any]


class Invite(msgspec.Struct, frozen=True):
    """One set of roles for the people who shall hold it: one call (section 9.3)."""

    roles: tuple[str, ...]
    people: tuple[str, ...]
    """Ids of users and groups of the directory."""


class Link(msgspec.Struct, frozen=True):
    """A sharing link that can be made again; its address will be another one."""

    type: str
    scope: str


class Grants(msgspec.Struct, frozen=True):
    """What to ask for, and what cannot be given back (notes of the item's result)."""

    invites: tuple[Invite, ...] = ()
    links: tuple[Link, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """Requests at most: one an invite, or a link."""
        return len(self.invites) + len(self.links)


def kept(listed: Iterable[Json]) -> list[dict[str, Any]]:
    """The item's own permissions as a row holds them, in one fixed order."""
    found = [_kept(one) for one in listed if not _comes_from_elsewhere(one)]
    return sorted(found, key=lambda one: str(sorted(one.items())))


def _comes_from_elsewhere(permission: Json) -> bool:
    return bool(permission.get("inheritedFrom")) or permission.get("roles") == ["owner"]


def _kept(permission: Json) -> dict[str, Any]:
    link = permission.get("link") or {}
    told = without_nothing({
        "type": link.get("type"),
        "scope": link.get("scope"),
        "password": bool(permission.get("hasPassword")) or None,
    })  # fmt: skip
    several = permission.get("grantedToIdentitiesV2") or permission.get("grantedToIdentities")
    one = permission.get("grantedToV2") or permission.get("grantedTo")
    people = [who for given in several or [one or {}] for who in _people(given)]
    return without_nothing({
        "roles": sorted(permission.get("roles") or []),
        "link": told or None,
        "expires": permission.get("expirationDateTime"),
        "to": people or None,
    })  # fmt: skip


def _people(given: Json) -> list[dict[str, Any]]:
    """One identity set; SharePoint adds a `siteUser` that says the same again."""
    kind = next((one for one in IDENTITIES if given.get(one)), None)
    if kind is None:
        return []
    who = given[kind]
    told = {"id": who.get("id"), "name": who.get("displayName"), "mail": who.get("email")}
    return [without_nothing({"kind": kind, **told})]


def shares_of(item: Json) -> list[dict[str, Any]]:
    """The permissions a row holds; none where none were read."""
    found: list[dict[str, Any]] = item.get("m", {}).get(MEMBER) or []
    return found


def grants_of(permissions: Iterable[Json]) -> Grants:
    """How to give permissions back: people by their roles, links by kind; the rest as notes.

    A permission that ends by itself is not given without its end, which Graph does not take from
    an application for people; a link with a password would come back without one.
    """
    people: dict[tuple[str, ...], dict[str, None]] = {}
    links: dict[Link, None] = {}
    notes: dict[str, None] = {}
    for one in permissions:
        note = _refusal(one)
        link = one.get("link")
        if note is not None:
            notes[note] = None
        elif link and link.get("scope") in LINK_SCOPES:
            links[Link(link["type"], link["scope"])] = None
        else:
            roles = tuple(role for role in GRANTED_ROLES if role in one["roles"])
            held = people.setdefault(roles, {})
            held.update((str(who["id"]), None) for who in one.get("to") or () if who.get("id"))
    if links:
        notes["link_has_new_address"] = None
    invites = tuple(Invite(roles, tuple(held)) for roles, held in people.items() if held)
    return Grants(invites, tuple(links), tuple(notes))


def _refusal(permission: Json) -> str | None:
    """Why a permission cannot be given back; None when it can."""
    link = permission.get("link") or {}
    if permission.get("expires"):
        return "permission_lost:expires"
    if link.get("password"):
        return "permission_lost:password"
    if link and (link.get("type") not in LINK_TYPES or not link.get("scope")):
        return "permission_lost:link"
    if link.get("scope") in LINK_SCOPES:
        return None
    if not set(permission.get("roles") or ()) <= set(GRANTED_ROLES) or not permission.get("roles"):
        return "permission_lost:role"
    if any(who.get("kind") not in {"user", "group"} for who in permission.get("to") or ()):
        return "permission_lost:principal"
    return None
