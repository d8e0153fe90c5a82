"""Who validated claims describe, and what roles permit (marketplace-auth.md 3.1 rules 6 and 7)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.access.model import Client, Partner, Permission
from shared.access.rules import (
    ROLES,
    ClientNotRegistered,
    RoleMissing,
    TokenInvalid,
    decide_principal,
    permissions,
)

PARTNER = Partner(
    "partner", "tenant", "Partner", datetime(2026, 1, 1, tzinfo=UTC), {"daemon": Client("daemon")}
)
APPLICATION: dict[str, Any] = {
    "idtyp": "app", "azp": "daemon", "azpacr": "1", "oid": "o", "roles": ["Partner.Reader"],
}  # fmt: skip
USER: dict[str, Any] = {"scp": "email access_as_user", "oid": "o", "roles": ["Partner.Admin"]}


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
        (APPLICATION | {"azp": "stranger"}, ClientNotRegistered),
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
    assert all(name.value.endswith(".read") for name in ROLES["Partner.Reader"])


def test_unknown_roles_permit_nothing() -> None:
    assert permissions(frozenset({"Partner.Nobody"})) == frozenset()


def test_roles_add_up() -> None:
    both = permissions(frozenset({"Partner.Billing", "Partner.Restore"}))
    assert {Permission.CUSTOMERS_READ, Permission.RESTORES_START} <= both
    assert Permission.CUSTOMERS_WRITE not in both
