"""What is kept of permissions, and how they are given back: microsoft365.md 3.1 and 9.3."""

from typing import Any

import pytest

from shared.microsoft365.share_rows import Grants, Invite, Link, grants_of, kept
from shared.microsoft365.shares import must_read

ADA = {"id": "a", "displayName": "Ada", "email": "ada@x.example"}
BOB = {"id": "b", "displayName": "Bob", "email": "bob@x.example"}


def person(who: dict[str, str], *roles: str, **more: Any) -> dict[str, Any]:
    return {"id": "1", "roles": list(roles), "grantedToV2": {"user": who}, **more}


def link(kind: str, scope: str, **more: Any) -> dict[str, Any]:
    told = {"type": kind, "scope": scope, "webUrl": "https://secret.example/x"}
    return {"id": "2", "roles": ["read"], "link": told, **more}


def test_inherited_and_owner_are_not_kept_and_no_address_of_a_link_is() -> None:
    found = kept([
        person(ADA, "owner"),
        person(ADA, "read", inheritedFrom={"id": "up"}),
        link("view", "anonymous"),
        person(BOB, "write"),
    ])  # fmt: skip
    bob = {"kind": "user", "id": "b", "name": "Bob", "mail": "bob@x.example"}
    assert {"roles": ["write"], "to": [bob]} in found
    assert {"roles": ["read"], "link": {"type": "view", "scope": "anonymous"}} in found
    assert len(found) == 2
    assert "secret" not in str(found)


def test_order_of_the_answer_changes_nothing() -> None:
    listed = [person(ADA, "read"), person(BOB, "write"), link("edit", "organization")]
    assert kept(listed) == kept(listed[::-1])


def test_people_of_one_set_of_roles_are_one_call() -> None:
    held = kept([person(ADA, "read"), person(BOB, "read"), person(BOB, "write")])
    assert grants_of(held) == Grants(
        invites=(Invite(("read",), ("a", "b")), Invite(("write",), ("b",)))
    )
    assert grants_of(held).calls == 2


def test_a_link_for_people_becomes_an_invitation_and_others_are_made_again() -> None:
    some = {**link("view", "users"), "grantedToIdentitiesV2": [{"user": ADA}, {"user": BOB}]}
    found = grants_of(kept([some, link("edit", "organization")]))
    assert found.invites == (Invite(("read",), ("a", "b")),)
    assert found.links == (Link("edit", "organization"),)
    assert found.notes == ("link_has_new_address",)


@pytest.mark.parametrize(
    ("permission", "note"),
    [
        (link("view", "anonymous", hasPassword=True), "permission_lost:password"),
        (
            link("view", "anonymous", expirationDateTime="2030-01-01T00:00:00Z"),
            "permission_lost:expires",
        ),
        (link("embed", "anonymous"), "permission_lost:link"),
        (person(ADA, "sp.full control"), "permission_lost:role"),
        (
            {"roles": ["read"], "grantedToV2": {"siteGroup": {"id": "5", "displayName": "M"}}},
            "permission_lost:principal",
        ),
    ],
)
def test_what_cannot_be_given_back_is_named(permission: dict[str, Any], note: str) -> None:
    assert grants_of(kept([permission])) == Grants(notes=(note,))


@pytest.mark.parametrize(
    ("when", "held", "version", "asked"),
    [
        ("unlessHeld", None, "1", True),
        ("unlessHeld", {"v": "0", "m": {"permissions": []}}, "1", False),
        ("unlessHeld", {"v": "0", "m": {}}, "1", True),
        ("unlessHeld", {"v": "0", "m": {"permissions": [], "permissionsUnread": "x"}}, "1", True),
        ("otherVersion", {"v": "1", "m": {"permissions": []}}, "1", False),
        ("otherVersion", {"v": "0", "m": {"permissions": []}}, "1", True),
        ("always", {"v": "1", "m": {"permissions": []}}, "1", True),
    ],
)
def test_permissions_are_asked_for_only_when_they_may_be_others(
    when: Any, held: dict[str, Any] | None, version: str, asked: bool
) -> None:
    assert must_read(when, held, {"v": version}) is asked
