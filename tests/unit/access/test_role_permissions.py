"""The permission catalogue: complete words, sound dependencies, every right mapped."""

import pytest

from shared.access.permissions import (
    CATALOGUE,
    CUSTOMER_RIGHTS,
    MONITORING,
    RIGHTS,
    Audience,
    PermissionDependency,
    PermissionNotAssignable,
    UnknownPermission,
    assignable,
    decide_permissions,
    needed,
)

VEEAM = {
    "MonitoringAccess",
    "SiteSettings",
    "UserManagement",
    "CustomerManagement",
    "BackupManagement",
    "AdvancedBackupManagement",
}


def test_the_six_permissions_of_the_portal_are_there() -> None:
    assert assignable(Audience.PARTNER) >= VEEAM


def test_every_permission_has_words_and_known_dependencies() -> None:
    titles = [permission.title for permission in CATALOGUE.values()]
    assert len(set(titles)) == len(titles)
    for permission in CATALOGUE.values():
        assert permission.text.endswith(".")
        assert permission.audiences
        assert permission.requires <= CATALOGUE.keys()
        for required in permission.requires:
            assert CATALOGUE[required].audiences >= permission.audiences


def test_every_right_of_a_route_needs_something_that_can_be_given() -> None:
    staff = assignable(Audience.PARTNER, Audience.CLIENT, Audience.CUSTOMER)
    for name, right in RIGHTS.items():
        assert right.needs or name == "me.read"
        assert right.needs <= staff
    for name, right in CUSTOMER_RIGHTS.items():
        assert right.needs or name == "me.read"
        assert right.needs <= assignable(Audience.CUSTOMER)


def test_no_write_is_given_by_monitoring_alone() -> None:
    """ROL-01"""
    for name in RIGHTS:
        if not name.endswith(".read") and name != "contexts.open":
            assert needed(name) != {MONITORING}


def test_monitoring_is_in_every_role() -> None:
    assert decide_permissions([], Audience.PARTNER) == {MONITORING}
    assert decide_permissions(["SiteSettings"], Audience.PARTNER) == {MONITORING, "SiteSettings"}


def test_advanced_without_backup_management_is_refused() -> None:
    """ROL-06"""
    with pytest.raises(PermissionDependency) as refused:
        decide_permissions(["AdvancedBackupManagement"], Audience.PARTNER)
    assert (refused.value.code, refused.value.status) == ("PERMISSION_DEPENDENCY", 422)


def test_users_of_the_partner_cannot_be_given_restore_or_operation() -> None:
    """RST-02: users restore only in a customer's context."""
    for code in ("RestoreData", "OperatePlatform", "PreviewEmails"):
        with pytest.raises(PermissionNotAssignable):
            decide_permissions([code], Audience.PARTNER)
    assert "RestoreData" in decide_permissions(["RestoreData"], Audience.CLIENT)


def test_an_unknown_code_is_400() -> None:
    with pytest.raises(UnknownPermission):
        decide_permissions(["Everything"], Audience.PARTNER)


def test_users_and_roles_need_the_settings_area_unless_relaxed() -> None:
    """AMB-26"""
    assert needed("users.write") == {"UserManagement", "SiteSettings"}
    assert needed("users.write", settings_area=False) == {"UserManagement"}
    assert needed("settings.write", settings_area=False) == {"SiteSettings"}
