"""Acting for a customer: who may, one context at a time, what it permits, when the door is closed.

Pure. A context is a row of the user, stored and ended by `role_service`; a newer one replaces it,
so every token of the older one is refused with CONTEXT_SUPERSEDED (CUS-27, SEC-18).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.access.permissions import CUSTOMER_RIGHTS, MONITORING, PermissionMissing
from shared.access.role_model import ActiveContext
from shared.kit.errors import Conflict, Forbidden, Unauthorized
from shared.kit.ids import new_id

CONTEXT_LIFE = timedelta(hours=8)
ManagementMode = Literal["Partner", "Customer"]
# What stays open when the customer manages itself: licensing and who it is (CUS-22).
OPEN_WHEN_CLOSED = frozenset(
    {"customers.read", "licences.read", "licences.write", "usage.read", "usage.submit"}
    # What the partner did is its own to read; a context looks at the door itself.
    | {"audit.read", "contexts.open"}
)


class ContextSuperseded(Unauthorized):
    """The user has opened another customer's environment since (CUS-27)."""

    code, title = "CONTEXT_SUPERSEDED", "You have opened another customer's environment"


class ContextExpired(Unauthorized):
    """The context has reached its end or was closed."""

    code, title = "CONTEXT_EXPIRED", "The customer's environment is closed"


class NotCustomerAdmin(Forbidden):
    """The user is no admin user of that customer (ACC-07)."""

    code, title = "NOT_CUSTOMER_ADMIN", "You are no admin user of this customer"


class MspAccessDisabled(Forbidden):
    """The customer has closed the door to its partner (CUS-22, SEC-17)."""

    code, title = "MSP_ACCESS_DISABLED", "The customer has disabled your access"


class CustomerPending(Forbidden):
    """Admin users of a pending customer sign in after onboarding (CUS-53)."""

    code, title = "CUSTOMER_PENDING", "The customer is not onboarded yet"


class ModeIrreversible(Conflict):
    """Management goes from the partner to the customer, never back (CUS-21)."""

    code, title = "MODE_IRREVERSIBLE", "The customer manages itself for good"


class FlagOff(Forbidden):
    """The provider has not enabled this for the customer."""

    code, title = "CUSTOMER_FLAG_OFF", "This is not enabled for the customer"


@dataclass(frozen=True, slots=True)
class Door:
    """What of a customer decides who may enter."""

    customer_id: str
    management_mode: ManagementMode = "Partner"
    partner_access: bool = True
    is_onboarded: bool = True
    admins: frozenset[str] = frozenset()
    """E-mail addresses, lower case, of the customer's admin users (CUS-50)."""

    @property
    def is_open(self) -> bool:
        """Whether the partner may enter; customer management implies it may not (AMB-37)."""
        return self.management_mode == "Partner" and self.partner_access


@dataclass(frozen=True, slots=True)
class Flags:
    """What the provider has enabled for a customer (CUS-39 to 44)."""

    self_service: bool = False
    create_delete_policy: bool = False
    edit_trigger_policy: bool = False
    auto_create_policies: bool = False
    multiple_regions: bool = False
    email_previews: bool = False


_EVERY_FLAG = Flags(
    self_service=True,
    create_delete_policy=True,
    edit_trigger_policy=True,
    auto_create_policies=True,
    multiple_regions=True,
    email_previews=True,
)


def check_enterable(door: Door, email: str) -> None:
    """`MspAccessDisabled`, `CustomerPending` or `NotCustomerAdmin` (403) unless they may switch."""
    if not door.is_open:
        raise MspAccessDisabled("Ask the customer to enable your access.")
    if not door.is_onboarded:
        raise CustomerPending("Onboard the customer first.")
    if email.lower() not in door.admins:
        raise NotCustomerAdmin("Have yourself added as an admin user of the customer.")


def open_context(user_id: str, email: str, door: Door, now: datetime) -> ActiveContext:
    """The context of a switch that is allowed; the refusals of `check_enterable`."""
    check_enterable(door, email)
    return ActiveContext(
        context_id=new_id(),
        user_id=user_id,
        customer_id=door.customer_id,
        identity=email.lower(),
        opened_at=now,
        expires_at=now + CONTEXT_LIFE,
    )


def check_current(current: ActiveContext | None, context_id: str, now: datetime) -> ActiveContext:
    """The context presented, when it is the user's current one (401 otherwise)."""
    if current is None:
        raise ContextExpired("Switch to the customer again.")
    if current.context_id != context_id:
        raise ContextSuperseded("One environment is open at a time; switch again to come back.")
    if current.expires_at <= now:
        raise ContextExpired("Switch to the customer again.")
    return current


def check_door(door: Door, right: str) -> None:
    """`MspAccessDisabled` (403) for a partner's caller at a closed door (CUS-22, SEC-17)."""
    if not door.is_open and right not in OPEN_WHEN_CLOSED:
        raise MspAccessDisabled("Licensing can still be read; everything else is the customer's.")


def organisations(doors: Iterable[Door], email: str) -> list[str]:
    """Customers the user can switch to (ACC-06); the own organisation is always one more."""
    return [
        door.customer_id
        for door in doors
        if door.is_open and door.is_onboarded and email.lower() in door.admins
    ]


def decide_mode(current: ManagementMode, wanted: ManagementMode) -> ManagementMode:
    """The mode after a change; `ModeIrreversible` (409) on the way back (CUS-21)."""
    if current == "Customer" and wanted == "Partner":
        raise ModeIrreversible("Only the customer could hand itself over again.")
    return wanted


def decide_partner_access(mode: ManagementMode, wanted: bool) -> bool:
    """Partner access after a change of mode or flag: none under customer management (AMB-37)."""
    return wanted and mode == "Partner"


def customer_permissions(flags: Flags, *, is_admin: bool) -> frozenset[str]:
    """What a user of the customer's tenant, or a partner user in its context, holds.

    An end user holds only the restore of own data, and that by flag (CUS-39).
    """
    if not is_admin:
        return frozenset({"SelfRestore"}) if flags.self_service else frozenset()
    by_flag = {
        "CreateDeletePolicies": flags.create_delete_policy,
        "EditTriggerPolicies": flags.edit_trigger_policy,
        "CreateRepositories": flags.multiple_regions,
        "PreviewEmails": flags.email_previews,
        "SelfRestore": flags.self_service,
    }
    enabled = {code for code, is_on in by_flag.items() if is_on}
    return frozenset({MONITORING, "RestoreData", "ManageOrganisation"} | enabled)


def check_customer_right(flags: Flags, right: str, *, is_admin: bool = True) -> None:
    """403 unless the right is given inside the customer's context; an undeclared one never is."""
    needs = CUSTOMER_RIGHTS.get(right)
    if needs is None:
        raise PermissionMissing("This is the partner's; switch back first.")
    if needs.needs - customer_permissions(_EVERY_FLAG, is_admin=is_admin):
        raise PermissionMissing("This is for the customer's admin users.")
    if needs.needs - customer_permissions(flags, is_admin=is_admin):
        raise FlagOff("Ask your provider to enable it.")


def check_self_restore(flags: Flags, own_id: str, owner_id: str, workload: str) -> None:
    """403 unless the flag is on and a tenant user restores own data (CUS-39, RST-04)."""
    if not flags.self_service:
        raise FlagOff("Ask your provider to enable self service.")
    if own_id.lower() != owner_id.lower() or workload not in {"mailbox", "drive"}:
        raise PermissionMissing("Only your own mailbox and OneDrive can be restored by you.")


def check_region(flags: Flags, used: frozenset[str], wanted: str) -> None:
    """`FlagOff` (403) when a customer wants a further region without the flag (CUS-43)."""
    if not flags.multiple_regions and used - {wanted}:
        raise FlagOff("Ask your provider to enable several regions.")
