"""The permission catalogue and what each route needs, as data (features.md 11.1 to 11.3).

A *permission* is what an administrator ticks in a role; a *right* is what a route asks for. The
table `RIGHTS` maps one to the other, so that neither side knows the other's words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.kit.errors import Forbidden, Invalid, Unprocessable


class Audience(StrEnum):
    """Who may be given a permission."""

    PARTNER = "partner"
    """Users of the partner, through roles."""
    CLIENT = "client"
    """Applications and API keys of the partner."""
    CUSTOMER = "customer"
    """Users of the customer's tenant, and partner users acting in a customer's context."""
    OPERATOR = "operator"
    """The operator of the platform; never given by a partner."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One line of the catalogue: code, words for people, what must be ticked with it."""

    code: str
    title: str
    text: str
    audiences: frozenset[Audience]
    requires: frozenset[str] = frozenset()
    per_customer: bool = True
    """False: concerns the partner itself, so customer groups do not narrow it."""


_STAFF = frozenset({Audience.PARTNER, Audience.CLIENT})
_EVERYONE = _STAFF | {Audience.CUSTOMER}
_CUSTOMER = frozenset({Audience.CUSTOMER})
_OPERATOR = frozenset({Audience.OPERATOR})

MONITORING = "MonitoringAccess"

_LIST = (
    Permission(
        MONITORING,
        "Monitoring Access",
        "See customers, policies, sessions, logs and dashboards. Part of every role.",
        _EVERYONE,
    ),
    Permission(
        "SiteSettings",
        "Site Settings",
        "Open the settings area: display name, notification defaults, customer support link.",
        _STAFF,
        per_customer=False,
    ),
    Permission(
        "UserManagement",
        "User Management",
        "Add, edit and remove users, roles and customer groups.",
        _STAFF,
        per_customer=False,
    ),
    Permission(
        "CustomerManagement",
        "Customer Management",
        "Edit customers: settings, flags, IP ranges, notifications, admin users, onboarding. "
        "Creating customers is a permission of its own.",
        _STAFF,
    ),
    Permission(
        "BackupManagement",
        "Backup Management",
        "Create a customer's first policy, manage policies, start sessions and export them.",
        _STAFF,
    ),
    Permission(
        "AdvancedBackupManagement",
        "Advanced Backup Management",
        "Create further policies for a customer that has one. Needs Backup Management.",
        _STAFF,
        frozenset({"BackupManagement"}),
    ),
    Permission(
        "CustomerCreation",
        "Customer Creation",
        "Create customers in the commercial system.",
        _STAFF,
        per_customer=False,
    ),
    Permission(
        "LicenceManagement",
        "Licence Management",
        "Request and change subscriptions, and assign seats from license pools.",
        _STAFF,
    ),
    Permission(
        "UsageSubmission",
        "Usage Submission",
        "Confirm and submit the monthly usage. It is invoiced as submitted.",
        _STAFF,
        per_customer=False,
    ),
    Permission(
        "BillingManagement",
        "Billing Management",
        "Set resale prices and billing profiles; see what customers are billed and what they cost.",
        _STAFF,
    ),
    Permission(
        "ResellerManagement",
        "Reseller Management",
        "Manage resellers of the second tier and the licences they hold.",
        _STAFF,
        per_customer=False,
    ),
    Permission(
        "AuditReading",
        "Audit Reading",
        "Read, export and verify the audit trail.",
        _STAFF,
    ),
    Permission(
        "ApiClientManagement",
        "API Client Management",
        "Register applications and make API keys. They never hold more than their maker.",
        _STAFF,
        per_customer=False,
    ),
    Permission(
        "RestoreData",
        "Restore Data",
        "Restore a customer's data. Users have it only while acting as admin of the customer.",
        frozenset({Audience.CLIENT, Audience.CUSTOMER}),
    ),
    Permission(
        "CrossTenantRestore",
        "Restore Across Tenants",
        "Restore a customer's data into the tenant of another customer. Needs Restore Data.",
        frozenset({Audience.CLIENT}),
        frozenset({"RestoreData"}),
    ),
    Permission(
        "PreviewEmails",
        "Preview Emails",
        "Read the bodies of backed-up mail, where the customer's settings allow previews.",
        _CUSTOMER,
    ),
    Permission(
        "CreateDeletePolicies",
        "Create and Delete Policies",
        "As the customer: create and delete own backup policies.",
        _CUSTOMER,
    ),
    Permission(
        "EditTriggerPolicies",
        "Edit and Trigger Policies",
        "As the customer: edit own backup policies and start jobs.",
        _CUSTOMER,
    ),
    Permission(
        "CreateRepositories",
        "Create Repositories",
        "As the customer: create backup repositories in further regions.",
        _CUSTOMER,
    ),
    Permission(
        "ManageOrganisation",
        "Manage the Organisation",
        "As the customer: see and add admin users, limit addresses, admit the partner or not.",
        _CUSTOMER,
    ),
    Permission(
        "SelfRestore",
        "Restore Own Data",
        "As a user of the tenant: restore one's own mailbox and OneDrive.",
        _CUSTOMER,
    ),
    Permission(
        "OperatePlatform",
        "Operate the Platform",
        "See the health of the platform and its work queues; never a customer's data.",
        _OPERATOR,
        per_customer=False,
    ),
    Permission(
        "OrderPools",
        "Order Pools",
        "Make, grow, renew and end license pools of partners; say who may resell.",
        _OPERATOR,
        per_customer=False,
    ),
    Permission(
        "RegisterPartners",
        "Register Partners",
        "Register, suspend and release partners.",
        _OPERATOR,
        per_customer=False,
    ),
)

CATALOGUE: dict[str, Permission] = {permission.code: permission for permission in _LIST}


def assignable(*audiences: Audience) -> frozenset[str]:
    """Codes that may be given to any of the audiences."""
    return frozenset(
        permission.code for permission in _LIST if permission.audiences & set(audiences)
    )


@dataclass(frozen=True, slots=True)
class Right:
    """What a route needs: every one of `needs`, in one of the two areas (ROL-23)."""

    needs: frozenset[str]
    area: str = "services"


def _right(*needs: str, area: str = "services") -> Right:
    return Right(frozenset(needs), area)


SERVICES, LICENCES = "services", "licences"
_USERS = _right("UserManagement", "SiteSettings")

RIGHTS: dict[str, Right] = {
    "me.read": _right(),
    "customers.read": _right(MONITORING),
    "customers.write": _right("CustomerManagement"),
    "customers.create": _right("CustomerCreation"),
    "customers.disconnect": _right("CustomerManagement", "LicenceManagement"),
    "organisation.read": _right("CustomerManagement"),
    "organisation.write": _right("CustomerManagement"),
    "onboarding.manage": _right("CustomerManagement"),
    "policies.read": _right(MONITORING),
    "policies.create": _right("BackupManagement"),
    "policies.write": _right("BackupManagement"),
    "policies.delete": _right("BackupManagement"),
    "policies.add": _right("BackupManagement", "AdvancedBackupManagement"),
    "repositories.read": _right(MONITORING),
    "repositories.create": _right("CustomerManagement"),
    "recoveryKeys.write": _right("CustomerManagement", "BackupManagement"),
    "holds.read": _right(MONITORING),
    "holds.write": _right("BackupManagement", "AdvancedBackupManagement"),
    "erasures.read": _right(MONITORING),
    "erasures.write": _right("CustomerManagement", "BackupManagement"),
    "verifications.start": _right("BackupManagement"),
    "sessions.read": _right(MONITORING),
    "sessions.start": _right("BackupManagement"),
    "sessions.export": _right("BackupManagement"),
    "objects.read": _right(MONITORING),
    "restores.read": _right(MONITORING),
    "restores.start": _right("RestoreData"),
    "restores.cross": _right("RestoreData", "CrossTenantRestore"),
    "exports.read": _right(MONITORING),
    "exports.start": _right("RestoreData"),
    "drills.read": _right(MONITORING),
    "drills.start": _right("BackupManagement"),
    "mails.preview": _right("RestoreData", "PreviewEmails"),
    "settings.read": _right("SiteSettings"),
    "settings.write": _right("SiteSettings"),
    "users.read": _USERS,
    "users.write": _USERS,
    "roles.read": _USERS,
    "roles.write": _USERS,
    "groups.read": _USERS,
    "groups.write": _USERS,
    "clients.read": _right("ApiClientManagement"),
    "clients.write": _right("ApiClientManagement"),
    "contexts.open": _right(MONITORING),
    "audit.read": _right("AuditReading"),
    "licences.read": _right(MONITORING),
    "licences.write": _right("LicenceManagement"),
    "usage.read": _right(MONITORING),
    "usage.submit": _right("UsageSubmission"),
    "billing.read": _right("BillingManagement"),
    "billing.write": _right("BillingManagement"),
    "resellers.read": _right("ResellerManagement", area=LICENCES),
    "resellers.write": _right("ResellerManagement", area=LICENCES),
}
"""What each right asks of a partner's user, application or key."""

CUSTOMER_RIGHTS: dict[str, Right] = {
    "me.read": _right(),
    "customers.read": _right(MONITORING),
    "organisation.read": _right("ManageOrganisation"),
    "organisation.write": _right("ManageOrganisation"),
    "policies.read": _right(MONITORING),
    "policies.create": _right("CreateDeletePolicies"),
    "policies.delete": _right("CreateDeletePolicies"),
    "policies.write": _right("EditTriggerPolicies"),
    "sessions.read": _right(MONITORING),
    "sessions.start": _right("EditTriggerPolicies"),
    "objects.read": _right(MONITORING),
    "restores.read": _right(MONITORING),
    "restores.start": _right("RestoreData"),
    "exports.read": _right(MONITORING),
    "exports.start": _right("RestoreData"),
    "drills.read": _right(MONITORING),
    "repositories.read": _right(MONITORING),
    "repositories.create": _right("CreateRepositories"),
    "recoveryKeys.write": _right("ManageOrganisation"),
    "mails.preview": _right("PreviewEmails"),
    "self.restore": _right("SelfRestore"),
}
"""What the same rights ask inside a customer's context; one that is absent is never given."""


OPERATOR_RIGHTS: dict[str, Right] = {
    "pools.order": _right("OrderPools"),
    "schedules.set": _right("OperatePlatform"),
}
"""Rights of the platform's operator: nothing that a partner can be given leads to them."""


class UnknownPermission(Invalid):
    """No permission has this code."""

    code, title = "PERMISSION_UNKNOWN", "There is no such permission"


class PermissionDependency(Unprocessable):
    """A permission was chosen without one that it needs (ROL-06)."""

    code, title = "PERMISSION_DEPENDENCY", "A permission needs another one"


class PermissionNotAssignable(Unprocessable):
    """The permission exists, but not for this kind of holder."""

    code, title = "PERMISSION_NOT_ASSIGNABLE", "This permission cannot be given here"


class PermissionMissing(Forbidden):
    """The caller does not hold what the route needs."""

    code, title = "PERMISSION_MISSING", "You lack a permission"


def decide_permissions(codes: Iterable[str], audience: Audience) -> frozenset[str]:
    """The permissions a holder of that audience gets: those chosen and Monitoring (ROL-01).

    Raises `UnknownPermission` (400), `PermissionNotAssignable` and `PermissionDependency` (422).
    """
    chosen = frozenset(codes) | {MONITORING}
    if unknown := sorted(chosen - CATALOGUE.keys()):
        raise UnknownPermission(f"Unknown: {', '.join(unknown)}.", pointer="/permissions")
    if foreign := sorted(chosen - assignable(audience)):
        raise PermissionNotAssignable(f"Not here: {', '.join(foreign)}.", pointer="/permissions")
    for code in sorted(chosen):
        if missing := sorted(CATALOGUE[code].requires - chosen):
            raise PermissionDependency(
                f"{CATALOGUE[code].title} needs {CATALOGUE[missing[0]].title} as well.",
                pointer="/permissions",
                missing=missing,
            )
    return chosen


def right_of(name: str) -> Right:
    """What a right asks of a caller at home in its own partner; KeyError for an unknown one."""
    return RIGHTS[name] if name in RIGHTS else OPERATOR_RIGHTS[name]


def needed(right: str, *, settings_area: bool = True) -> frozenset[str]:
    """Permissions a right asks of a partner's caller; KeyError for one that nobody declared.

    `settings_area` False relaxes users and roles to User Management alone (AMB-26).
    """
    needs = right_of(right).needs
    if not settings_area and "UserManagement" in needs:
        return needs - {"SiteSettings"}
    return needs
