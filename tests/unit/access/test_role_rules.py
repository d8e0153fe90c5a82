"""Roles and users: union, subset rule, last administrator, groups (ROL-01 to 27)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import role_rules as rules
from shared.access.permissions import (
    LICENCES,
    SERVICES,
    Audience,
    PermissionMissing,
    assignable,
)
from shared.access.role_model import ADMINISTRATOR, CustomerGroup, Grant, Grants, Role, User
from shared.kit.errors import Invalid

AT = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMERS = ("c1", "c2", "c3")
CODES = ("MonitoringAccess", "CustomerManagement", "BackupManagement", "UserManagement")
sets_of_customers = st.none() | st.frozensets(st.sampled_from(CUSTOMERS))
some_grants = st.builds(
    Grant,
    permissions=st.frozensets(st.sampled_from(CODES)),
    customers=sets_of_customers,
    areas=st.frozensets(st.sampled_from([SERVICES, LICENCES]), min_size=1),
)


def role(role_id: str, *codes: str, groups: tuple[str, ...] | None = None) -> Role:
    return Role(role_id=role_id, name=role_id, permissions=frozenset(codes), group_ids=groups)


def user(user_id: str, *role_ids: str) -> User:
    return User(
        user_id=user_id,
        email=f"{user_id}@a.example",
        first_name="A",
        last_name="B",
        role_ids=role_ids,
        tenant_id="t",
        created_at=AT,
    )


ROLES = {
    "site": role("site", "MonitoringAccess", "SiteSettings"),
    "backup": role("backup", "MonitoringAccess", "BackupManagement"),
    "edit-g1": role("edit-g1", "MonitoringAccess", "CustomerManagement", groups=("g1",)),
    "backup-g2": role("backup-g2", "MonitoringAccess", "BackupManagement", groups=("g2",)),
    "lost": role("lost", "MonitoringAccess", "BackupManagement", groups=("gone",)),
}
GROUPS = {
    "g1": CustomerGroup(group_id="g1", name="One", customers=frozenset({"c1"})),
    "g2": CustomerGroup(group_id="g2", name="Two", customers=frozenset({"c2"})),
}
ADMIN = rules.effective(user("admin", ADMINISTRATOR), {}, {})


def held(*role_ids: str) -> Grants:
    return rules.effective(user("u", *role_ids), ROLES, GROUPS)


def test_rights_are_the_union_over_roles() -> None:
    """ROL-16"""
    both = held("site", "backup")
    rules.check_right(both, "settings.write")
    rules.check_right(both, "policies.write")
    with pytest.raises(PermissionMissing) as refused:
        rules.check_right(held("site"), "policies.write")
    assert refused.value.status == 403


def test_groups_narrow_each_role_by_itself() -> None:
    """ROL-20: editing in G1 and backing up in G2 is no editing in G2."""
    both = held("edit-g1", "backup-g2")
    assert rules.visible_customers(both, "customers.read") == {"c1", "c2"}
    assert rules.visible_customers(both, "customers.write") == {"c1"}
    assert rules.visible_customers(both, "policies.write") == {"c2"}
    assert rules.visible_customers(held("site", "edit-g1"), "customers.read") is None


def test_a_role_of_a_lost_group_and_a_lost_role_give_nothing() -> None:
    assert rules.visible_customers(held("lost"), "policies.write") == frozenset()
    assert held("never-existed").permissions() == frozenset()
    assert Grants().customers() == frozenset()


def test_an_undeclared_right_is_an_error_not_an_open_door() -> None:
    with pytest.raises(KeyError):
        rules.check_right(ADMIN, "everything.always")


def test_the_administrator_holds_all_but_the_restore() -> None:
    """ROL-10, RST-02"""
    for right in ("users.write", "policies.add", "usage.submit", "audit.read"):
        rules.check_right(ADMIN, right)
    rules.check_right(ADMIN, "resellers.write")
    assert ADMIN.areas() == {SERVICES, LICENCES}
    with pytest.raises(PermissionMissing):
        rules.check_right(ADMIN, "restores.start")


def test_without_the_licences_area_resellers_are_closed() -> None:
    """ROL-23"""
    seller = Grants(grants=(Grant(permissions=frozenset({"ResellerManagement"}), customers=None),))
    with pytest.raises(PermissionMissing):
        rules.check_right(seller, "resellers.read")


def test_first_and_further_policies() -> None:
    """ROL-17"""
    assert rules.may_add_policy(held("backup"), 0)
    assert not rules.may_add_policy(held("backup"), 1)
    assert rules.may_add_policy(ADMIN, 1)
    assert not rules.may_add_policy(held("site"), 0)


def test_templates_are_for_administrators() -> None:
    """ROL-24: every selectable permission is not membership."""
    everything = Grants(grants=(Grant(permissions=assignable(Audience.PARTNER), customers=None),))
    with pytest.raises(PermissionMissing):
        rules.check_template_use(everything)
    rules.check_template_use(ADMIN)


def test_names_are_unique_in_any_case() -> None:
    """ROL-07"""
    others = [*ROLES.values(), rules.ADMINISTRATOR_ROLE]
    assert rules.decide_name("  Night   shift ", others) == "Night shift"
    for taken in ("SITE", "administrator", " Site "):
        with pytest.raises(rules.NameTaken) as refused:
            rules.decide_name(taken, others)
        assert refused.value.status == 409
    for bad in ("", "  ", "x" * 101, "a\x00b"):
        with pytest.raises(Invalid):
            rules.decide_name(bad, others)


def test_the_administrator_role_is_protected() -> None:
    """ROL-10"""
    with pytest.raises(rules.AdministratorProtected) as refused:
        rules.check_editable(ADMINISTRATOR)
    assert refused.value.status == 409
    rules.check_editable("site")


def test_a_deleted_role_is_taken_from_its_users_only() -> None:
    """ROL-09"""
    users = [user("a", "site", "backup"), user("b", "site"), user("c", "backup")]
    changed = rules.without_role(users, "site")
    assert {each.user_id: each.role_ids for each in changed} == {"a": ("backup",), "b": ()}


def test_addresses() -> None:
    """ROL-12"""
    assert rules.decide_email(" Ann@A.Example ", []) == "ann@a.example"
    for bad in ("", "ann", "ann@", "@a.example", "a b@c.de", "ann@a", "<a@b.de>"):
        with pytest.raises(Invalid):
            rules.decide_email(bad, [])
    with pytest.raises(rules.UserExists):
        rules.decide_email("U@a.example", [user("u", "site")])


def test_a_user_has_known_roles_and_at_least_one() -> None:
    with pytest.raises(Invalid):
        rules.decide_role_ids([], ROLES)
    with pytest.raises(rules.UnknownRole):
        rules.decide_role_ids(["site", "nothing"], ROLES)
    assert rules.decide_role_ids(["site", ADMINISTRATOR, "site"], ROLES) == (
        "site",
        ADMINISTRATOR,
    )


def test_the_last_administrator_stays() -> None:
    """ROL-27"""
    admin, other = user("a", ADMINISTRATOR), user("b", "site")
    for after in ([other], [user("a", "site"), other], []):
        with pytest.raises(rules.LastAdmin) as refused:
            rules.check_administrators([admin, other], after)
        assert (refused.value.code, refused.value.status) == ("LAST_ADMIN", 409)
    rules.check_administrators([admin, other], [user("b", ADMINISTRATOR)])
    rules.check_administrators([other], [])


@given(st.lists(some_grants, max_size=4), some_grants)
def test_nobody_gives_more_than_they_hold(own: list[Grant], wanted: Grant) -> None:
    """For each permission, area and customer given there is a grant of one's own."""
    holder = Grants(grants=tuple(own))

    def has(code: str, area: str, customer: str) -> bool:
        return any(
            code in grant.permissions
            and area in grant.areas
            and (grant.customers is None or code == "UserManagement" or customer in grant.customers)
            for grant in own
        )

    unlimited = "a customer of tomorrow"
    concerned = (*CUSTOMERS, unlimited) if wanted.customers is None else wanted.customers
    too_much = {
        code
        for code in wanted.permissions
        for area in wanted.areas
        for customer in concerned
        if not has(code, area, customer)
    }
    refused = rules.exceeding(holder, wanted)
    assert too_much <= refused
    if wanted.customers != frozenset():
        assert refused == too_much


@given(st.lists(some_grants, max_size=3))
def test_everyone_may_give_what_they_hold(own: list[Grant]) -> None:
    holder = Grants(grants=tuple(own))
    for grant in own:
        assert rules.exceeding(holder, grant) == frozenset()


def test_what_is_unknown_is_not_held() -> None:
    odd = Grant(permissions=frozenset({"Invented"}), customers=frozenset())
    assert rules.exceeding(Grants(grants=(odd,)), odd) == {"Invented"}
    assert rules.exceeding(ADMIN, odd) == {"Invented"}


def test_administrators_alone_make_administrators_and_restoring_clients() -> None:
    nearly = Grants(grants=(Grant(permissions=assignable(Audience.PARTNER), customers=None),))
    with pytest.raises(rules.GrantExceedsOwn):
        rules.check_roles_given(nearly, [ADMINISTRATOR], {}, {})
    rules.check_roles_given(ADMIN, [ADMINISTRATOR], {}, {})
    restore = Grant(permissions=frozenset({"RestoreData"}), customers=None)
    rules.check_grant(ADMIN, restore)
    with pytest.raises(rules.GrantExceedsOwn):
        rules.check_grant(nearly, restore)
    operate = Grant(permissions=frozenset({"OperatePlatform"}), customers=None)
    with pytest.raises(rules.GrantExceedsOwn):
        rules.check_grant(ADMIN, operate)


def test_a_group_cannot_be_widened_beyond_what_the_editor_holds() -> None:
    """Else a group editor would see, or let others touch, customers outside their own group."""
    added = frozenset({"c2"})
    editor = held("edit-g1")
    with pytest.raises(rules.GrantExceedsOwn):
        rules.check_group_change(editor, GROUPS["g1"], added, [ROLES["edit-g1"]])
    reader = held("site")  # sees every customer, edits none
    with pytest.raises(rules.GrantExceedsOwn):
        rules.check_group_change(reader, GROUPS["g1"], added, [ROLES["edit-g1"]])
    rules.check_group_change(reader, GROUPS["g1"], added, [])
    rules.check_group_change(ADMIN, GROUPS["g1"], added, ROLES.values())
    rules.check_group_change(editor, GROUPS["g1"], frozenset(), ROLES.values())
