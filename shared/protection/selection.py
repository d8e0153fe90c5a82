"""What a policy may name: services of the customer, objects of the customer, no contradiction."""

from collections.abc import Collection, Iterable, Sequence
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
    known: Collection[str] = (),
) -> None:
    """`Invalid`, `SelectionOverlaps` or `UnknownObjects` for a selection that cannot be meant.

    Groups are looked up in the customer's directory; everything else among what was discovered.
    `known` were accepted before: who has left meanwhile is no reason to refuse another change.
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
        unknown = [
            one
            for one in wanted
            if one not in known and not await _is_known(deps, customer, one, found)
        ]
        if unknown:
            raise UnknownObjects(f"Unknown: {', '.join(unknown[:5])}.", pointer=pointer)
    if lost := swallowed(include, exclude, found):
        raise SelectionOverlaps(
            f"Nothing is left of what is included: {', '.join(lost[:5])}.", pointer="/exclude"
        )


def swallowed(
    include: Sequence[str], exclude: Sequence[str], found: Iterable[ProtectedObject]
) -> list[str]:
    """What is included and then left out again whole: pure.

    Taking a drive out of a user is a selection; taking a user out of its own drive is a mistake.
    Groups are not judged: their members come and go.
    """
    every = list(found)
    lost = []
    for one in include:
        meant = [each for each in every if selectors.names([one], each)]
        if selectors.parts(one)[0] != "group" and meant:
            fixed = [each for each in exclude if selectors.parts(each)[0] != "group"]
            if all(selectors.names(fixed, each) for each in meant):
                lost.append(one)
    return lost


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
