"""What a policy may name: services of the customer, objects of the customer, no contradiction."""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.kit.errors import Invalid, Unprocessable
from shared.microsoft365.groups import GroupMissing
from shared.protection import repository, selectors
from shared.protection.memberships import open_groups
from shared.protection.model import SERVICE_OF, BackupType, ProtectedObject

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class ServiceNotChosen(Unprocessable):
    """A service that was not chosen at onboarding cannot be protected (BKP-21)."""

    code, title = "SERVICE_NOT_CHOSEN", "The customer does not have this service"


class UnknownObjects(Unprocessable):
    """A selection names objects that the customer does not have."""

    code, title = "UNKNOWN_OBJECTS", "Some objects do not exist"


class RetentionOutOfRange(Unprocessable):
    """Restore points are kept 1 to 25 years or without end (SEC-08)."""

    code, title = "RETENTION_OUT_OF_RANGE", "This retention period is not offered"


class SelectionOverlaps(Unprocessable):
    """An object is both taken in and left out."""

    code, title = "SELECTION_OVERLAPS", "Some objects are included and excluded"


def protectable(customer: Customer) -> list[str]:
    """The customer's services that this version can protect."""
    known = set(SERVICE_OF.values())
    return [str(service) for service in customer.services if str(service) in known]


def check_services(customer: Customer, chosen: list[str]) -> None:
    """`Invalid` without a service, `ServiceNotChosen` for one the customer does not have."""
    if not chosen:
        raise Invalid("Name at least one service.", pointer="/services")
    if foreign := sorted(set(chosen) - set(protectable(customer))):
        raise ServiceNotChosen(
            f"Not chosen at onboarding or not protectable: {', '.join(foreign)}.",
            pointer="/services",
        )


async def check_objects(
    deps: "Deps",
    scope: Scope,
    customer_id: str,
    backup_type: BackupType,
    include: list[str],
    exclude: list[str],
) -> None:
    """`Invalid`, `SelectionOverlaps` or `UnknownObjects` for a selection that cannot be meant.

    Groups are looked up in the customer's directory; everything else among what was discovered.
    """
    if backup_type is BackupType.SELECTED_ITEMS and not include:
        raise Invalid("SelectedItems needs at least one object.", pointer="/include")
    if backup_type is BackupType.ENTIRE_ORGANIZATION and include:
        raise Invalid("Everything is included; use SelectedItems.", pointer="/include")
    if both := sorted(set(include) & set(exclude)):
        raise SelectionOverlaps(f"Both: {', '.join(both[:5])}.", pointer="/exclude")
    if not include and not exclude:
        return
    found = await repository.list_objects(deps.tables, scope, customer_id)
    customer = await customers.get(deps.tables, scope, customer_id)
    for pointer, wanted in (("/include", include), ("/exclude", exclude)):
        unknown = [one for one in wanted if not await _is_known(deps, customer, one, found)]
        if unknown:
            raise UnknownObjects(f"Unknown: {', '.join(unknown[:5])}.", pointer=pointer)


def check_retention(years: int | None) -> None:
    """1 to 25 years, 0 without end, None as the customer says; else `RetentionOutOfRange`."""
    if years is not None and years not in range(26):
        raise RetentionOutOfRange(
            "Use 1 to 25 years, 0 for without end, or leave it out.", pointer="/retentionYears"
        )


async def _is_known(
    deps: "Deps", customer: Customer, selector: str, found: list[ProtectedObject]
) -> bool:
    kind, name = selectors.parts(selector)
    if kind != "group":
        return any(selectors.names([selector], one) for one in found)
    try:
        await open_groups(deps, customer).name(name)
    except GroupMissing:
        return False
    return True
