"""What a policy may name: services of the customer, objects of the customer, no contradiction."""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers.model import Customer
from shared.kit.errors import Invalid, Unprocessable
from shared.protection import repository
from shared.protection.model import SERVICE_OF, BackupType

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class ServiceNotChosen(Unprocessable):
    """A service that was not chosen at onboarding cannot be protected (BKP-21)."""

    code, title = "SERVICE_NOT_CHOSEN", "The customer does not have this service"


class UnknownObjects(Unprocessable):
    """A selection names objects that the customer does not have."""

    code, title = "UNKNOWN_OBJECTS", "Some objects do not exist"


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
    """`Invalid`, `SelectionOverlaps` or `UnknownObjects` for a selection that cannot be meant."""
    if backup_type is BackupType.SELECTED_ITEMS and not include:
        raise Invalid("SelectedItems needs at least one object.", pointer="/include")
    if backup_type is BackupType.ENTIRE_ORGANIZATION and include:
        raise Invalid("Everything is included; use SelectedItems.", pointer="/include")
    if both := sorted(set(include) & set(exclude)):
        raise SelectionOverlaps(f"Both: {', '.join(both[:5])}.", pointer="/exclude")
    if not include and not exclude:
        return
    found = await repository.list_objects(deps.tables, scope, customer_id)
    known = {one.object_id for one in found}
    for pointer, wanted in (("/include", include), ("/exclude", exclude)):
        if unknown := [one for one in wanted if one not in known]:
            raise UnknownObjects(f"Unknown objects: {', '.join(unknown[:5])}.", pointer=pointer)
