"""Consent: roles against the manifest, refusals, single-use links (CON-02, CON-03, M37 to M40)."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.consent import rules
from shared.consent.model import ConsentLink, ConsentState
from shared.microsoft365 import permissions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = permissions.needed(rules.workloads(["exchange", "onedrive"]))
LINK = ConsentLink(
    state="s", partner_id="p", customer_id="c", tenant_id="t", client_id="a", run_id="r",
    expires_at=NOW + rules.LINK_LIFE,
)  # fmt: skip


def health(services: list[str], roles: frozenset[str]) -> rules.ConsentHealth:
    return rules.health_of_roles(permissions.compare(rules.workloads(services), roles), NOW)


def test_m37_every_role_is_healthy_and_a_proof() -> None:
    found = health(["exchange", "onedrive"], ALL)
    assert found.state is ConsentState.HEALTHY
    assert rules.is_proof(found)


def test_m37_surplus_is_reported_and_harmless() -> None:
    found = health(["exchange"], ALL)
    assert found.excess == ["Files.Read.All", "Sites.Read.All"]
    assert found.is_usable


def test_m37_a_missing_role_names_its_workload() -> None:
    found = health(["exchange", "onedrive"], ALL - {"Files.Read.All"})
    assert found.state is ConsentState.MISSING
    assert found.workloads_off == ["drive"]
    assert found.is_usable
    assert not rules.is_proof(found)


def test_m38_an_unchosen_workload_is_not_asked_for() -> None:
    assert "Files.Read.All" not in permissions.needed(rules.workloads(["exchange"]))


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        ("revoked", ConsentState.REVOKED),
        ("invited", ConsentState.REVOKED),
        ("denied", ConsentState.DENIED),
        ("blocked", ConsentState.BLOCKED),
        ("tenant_gone", ConsentState.TENANT_GONE),
        ("something new", ConsentState.REVOKED),
    ],
)
def test_a_refusing_tenant_is_never_usable(refusal: str, state: ConsentState) -> None:
    found = rules.health_of_refusal(refusal, 700016, NOW)
    assert found.state is state
    assert not found.is_usable


def test_con_03_a_fresh_link_is_usable() -> None:
    assert rules.require_usable(LINK, NOW) is LINK


@pytest.mark.parametrize(
    "link",
    [
        None,
        LINK.model_copy(update={"used_at": NOW}),
        LINK.model_copy(update={"expires_at": NOW}),
        LINK.model_copy(update={"expires_at": NOW - timedelta(seconds=1)}),
    ],
    ids=["foreign", "replayed", "just expired", "expired"],
)
def test_con_03_other_links_are_refused(link: ConsentLink | None) -> None:
    with pytest.raises(rules.ConsentStateInvalid):
        rules.require_usable(link, NOW)


@pytest.mark.parametrize(
    ("admin_consent", "error", "outcome"),
    [
        ("True", None, "accepted"),
        ("true", None, "accepted"),
        ("True", "access_denied", "declined"),
        (None, "access_denied", "declined"),
        (None, None, "declined"),
    ],
)
def test_what_a_call_back_claims(
    admin_consent: str | None, error: str | None, outcome: str
) -> None:
    assert rules.outcome(admin_consent, error) == outcome
