"""Who validated claims describe, and what roles permit (marketplace-auth.md 3.1 rules 6 and 7)."""

from typing import Any

import pytest

from shared.access.rules import (
    ROLES,
    RoleMissing,
    TokenInvalid,
    ceiling,
    decide_principal,
)

PARTNER = "partner"
APPLICATION: dict[str, Any] = {
    "tid": "t", "idtyp": "app", "azp": "daemon", "azpacr": "1", "oid": "o",
    "roles": ["Partner.Reader"],
}  # fmt: skip
USER: dict[str, Any] = {
    "tid": "t", "scp": "email access_as_user", "oid": "o", "roles": ["Partner.Admin"],
}  # fmt: skip


def test_an_application_with_a_role_is_a_principal() -> None:
    found = decide_principal(APPLICATION, PARTNER)
    assert (found.kind, found.subject, found.partner_id) == ("application", "o", "partner")


def test_a_user_with_scope_and_role_is_a_principal() -> None:
    assert decide_principal(USER, PARTNER).kind == "user"


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        (APPLICATION | {"roles": []}, RoleMissing),
        (APPLICATION | {"roles": ["Owner"]}, RoleMissing),
        (APPLICATION | {"azpacr": "0"}, TokenInvalid),
        (APPLICATION | {"idtyp": "user"}, RoleMissing),
        (APPLICATION | {"oid": None}, TokenInvalid),
        (USER | {"scp": "access_as_user_not"}, RoleMissing),
        (USER | {"scp": ""}, RoleMissing),
        (USER | {"roles": []}, RoleMissing),
    ],
)
def test_refused_claims(claims: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        decide_principal(claims, PARTNER)


def test_a_reader_changes_nothing() -> None:
    assert all(name.endswith(".read") for name in ROLES["Partner.Reader"])


def test_unknown_roles_permit_nothing() -> None:
    assert ceiling(frozenset({"Partner.Nobody"})) == frozenset()


def test_roles_add_up() -> None:
    both = ceiling(frozenset({"Partner.Billing", "Partner.Restore"}))
    assert {"customers.read", "restores.start", "usage.submit"} <= both
    assert "customers.write" not in both
