"""Acting for a customer: who may switch, one context, closed doors, customer flags."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.access import contexts
from shared.access.contexts import CONTEXT_LIFE, Door, Flags
from shared.access.permissions import PermissionMissing

AT = datetime(2026, 1, 1, tzinfo=UTC)
ANN = "Ann@partner.example"
OPEN = Door("c1", admins=frozenset({ANN.lower()}))


def test_an_admin_user_of_the_customer_switches() -> None:
    """ACC-07, ACC-08"""
    opened = contexts.open_context("u1", ANN, OPEN, AT)
    assert (opened.customer_id, opened.identity) == ("c1", ANN.lower())
    assert contexts.check_current(opened, opened.context_id, AT) is opened


@pytest.mark.parametrize(
    ("door", "refusal"),
    [
        (replace(OPEN, admins=frozenset()), contexts.NotCustomerAdmin),
        (replace(OPEN, management_mode="Customer"), contexts.MspAccessDisabled),
        (replace(OPEN, partner_access=False), contexts.MspAccessDisabled),
        (replace(OPEN, is_onboarded=False), contexts.CustomerPending),
    ],
)
def test_others_do_not(door: Door, refusal: type[contexts.Forbidden]) -> None:
    """ACC-07, CUS-22, SEC-17, CUS-53"""
    with pytest.raises(refusal) as refused:
        contexts.open_context("u1", ANN, door, AT)
    assert refused.value.status == 403


def test_a_new_context_supersedes_the_old() -> None:
    """CUS-27"""
    old = contexts.open_context("u1", ANN, OPEN, AT)
    new = contexts.open_context("u1", ANN, OPEN, AT)
    with pytest.raises(contexts.ContextSuperseded) as refused:
        contexts.check_current(new, old.context_id, AT)
    assert (refused.value.code, refused.value.status) == ("CONTEXT_SUPERSEDED", 401)
    for stored, at in ((None, AT), (new, AT + CONTEXT_LIFE)):
        with pytest.raises(contexts.ContextExpired):
            contexts.check_current(stored, new.context_id, at)


def test_organisations_are_those_with_an_open_door() -> None:
    """ACC-06"""
    closed = replace(OPEN, customer_id="c2", partner_access=False)
    other = Door("c3", admins=frozenset({"bob@partner.example"}))
    assert contexts.organisations([OPEN, closed, other], ANN) == ["c1"]


def test_a_closed_door_leaves_licensing() -> None:
    """CUS-22, AMB-37"""
    for closed in (replace(OPEN, management_mode="Customer"), replace(OPEN, partner_access=False)):
        contexts.check_door(closed, "licences.read")
        for right in ("policies.write", "sessions.start", "onboarding.manage", "objects.read"):
            with pytest.raises(contexts.MspAccessDisabled) as refused:
                contexts.check_door(closed, right)
            assert refused.value.code == "MSP_ACCESS_DISABLED"
            contexts.check_door(OPEN, right)


def test_management_mode_goes_one_way() -> None:
    """CUS-21, AMB-37"""
    assert contexts.decide_mode("Partner", "Customer") == "Customer"
    assert contexts.decide_mode("Customer", "Customer") == "Customer"
    with pytest.raises(contexts.ModeIrreversible) as refused:
        contexts.decide_mode("Customer", "Partner")
    assert (refused.value.code, refused.value.status) == ("MODE_IRREVERSIBLE", 409)
    assert not contexts.decide_partner_access("Customer", True)
    assert contexts.decide_partner_access("Partner", True)
    assert not contexts.decide_partner_access("Partner", False)


@pytest.mark.parametrize(
    ("flag", "rights"),
    [
        ("create_delete_policy", {"policies.create", "policies.delete"}),
        ("edit_trigger_policy", {"policies.write", "sessions.start"}),
        ("email_previews", {"mails.preview"}),
        ("multiple_regions", {"repositories.create"}),
    ],
)
def test_each_flag_opens_its_rights_and_no_other(flag: str, rights: set[str]) -> None:
    """CUS-40, 41, 43, 44"""
    guarded = {
        "policies.create",
        "policies.delete",
        "policies.write",
        "sessions.start",
        "mails.preview",
        "repositories.create",
    }
    flags = Flags(**{flag: True})
    for right in rights:
        contexts.check_customer_right(flags, right)
    for right in guarded - rights:
        with pytest.raises(contexts.FlagOff):
            contexts.check_customer_right(flags, right)


def test_the_partners_own_rights_are_not_given_in_a_context() -> None:
    for right in ("users.write", "customers.write", "audit.read", "no.such"):
        with pytest.raises(PermissionMissing):
            contexts.check_customer_right(Flags(), right)
    contexts.check_customer_right(Flags(), "restores.start")


def test_previews_switched_off_are_not_even_assignable() -> None:
    """CUS-44"""
    assert "PreviewEmails" not in contexts.customer_permissions(Flags(), is_admin=True)


def test_end_users_restore_their_own_by_flag() -> None:
    """CUS-39, RST-04"""
    on = Flags(self_service=True)
    contexts.check_self_restore(on, "U1", "u1", "mailbox")
    for flags, owner, workload in (
        (Flags(), "u1", "mailbox"),
        (on, "u2", "mailbox"),
        (on, "u1", "site"),
    ):
        with pytest.raises(contexts.Forbidden):
            contexts.check_self_restore(flags, "u1", owner, workload)
    assert contexts.customer_permissions(on, is_admin=False) == {"SelfRestore"}
    with pytest.raises(PermissionMissing):
        contexts.check_customer_right(on, "restores.start", is_admin=False)


def test_a_second_region_needs_the_flag() -> None:
    """CUS-43"""
    contexts.check_region(Flags(), frozenset(), "westeurope")
    contexts.check_region(Flags(), frozenset({"westeurope"}), "westeurope")
    contexts.check_region(Flags(multiple_regions=True), frozenset({"uksouth"}), "westeurope")
    with pytest.raises(contexts.FlagOff):
        contexts.check_region(Flags(), frozenset({"uksouth"}), "westeurope")
