"""Changes of a customer: its data, its flags, who manages it, its admin users, its addresses."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from shared.access import contexts
from shared.access.contexts import Flags, ManagementMode
from shared.access.ip_ranges import Address, check_address, merge
from shared.access.model import Caller, Scope
from shared.access.permissions import PermissionMissing
from shared.access.role_model import Network
from shared.customers import repository
from shared.customers.model import AdminUser, Customer
from shared.kit.errors import Conflict, Invalid, NotFound
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.ids import new_id

if TYPE_CHECKING:
    from shared.bootstrap import Deps

MOST_ADMINS = 50


class RegionUnknown(Invalid):
    """No storage region of this deployment (CUS-38)."""

    code, title = "REGION_NOT_SUPPORTED", "This storage region is not offered"


class AdminExists(Conflict):
    """The customer has an admin user with this e-mail."""

    code, title = "ADMIN_EXISTS", "The admin user exists already"


class NotPending(Conflict):
    """After onboarding the customer adds admin users, not the provider (CUS-51)."""

    code, title = "CUSTOMER_NOT_PENDING", "The customer is onboarded"


class LastCustomerAdmin(Conflict):
    """A customer that manages itself keeps somebody who can."""

    code, title = "LAST_ADMIN", "The last admin user cannot be removed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to change; None leaves as it is."""

    display_name: str | None = None
    tags: list[str] | None = None
    region: str | None = None
    management_mode: ManagementMode | None = None
    partner_access: bool | None = None
    flags: dict[str, bool] | None = None


async def edit(
    deps: "Deps", caller: Caller, customer_id: str, if_match: str | None, wanted: Wanted
) -> Customer:
    """Change a customer (CUS-15, CUS-21, CUS-38 to CUS-44).

    `ModeIrreversible` (409), `RegionUnknown` (400), `FlagOff` (403) for a second region.
    """
    customer = await _current(deps, caller, customer_id, if_match)
    mode = contexts.decide_mode(
        customer.management_mode, wanted.management_mode or customer.management_mode
    )
    access = customer.partner_access if wanted.partner_access is None else wanted.partner_access
    flags = Flags(**{**asdict(customer.flags), **(wanted.flags or {})})
    changes: dict[str, Any] = {
        "management_mode": mode,
        "partner_access": contexts.decide_partner_access(mode, access),
        "flags": flags,
    }
    if wanted.display_name is not None:
        changes["display_name"] = wanted.display_name
    if wanted.tags is not None:
        changes["tags"] = sorted(set(wanted.tags))
    if wanted.region is not None:
        changes["region"] = _region(deps, customer, flags, wanted.region)
    return await _save(deps, caller, customer, changes)


async def admit_partner(
    deps: "Deps", caller: Caller, customer_id: str, if_match: str | None, *, is_admitted: bool
) -> Customer:
    """The customer's own people admit the partner or not (SEC-17)."""
    if not caller.acts_for_itself:
        raise PermissionMissing("Only the customer decides this.")
    customer = await _current(deps, caller, customer_id, if_match)
    access = contexts.decide_partner_access(customer.management_mode, is_admitted)
    return await _save(deps, caller, customer, {"partner_access": access})


async def add_admin(
    deps: "Deps", caller: Caller, customer_id: str, *, email: str, first_name: str, last_name: str
) -> tuple[Customer, AdminUser]:
    """Add an admin user: the provider while pending, the customer afterwards (CUS-50, CUS-51)."""
    customer = await repository.get(deps.tables, caller.scope, customer_id)
    as_customer = caller.acts_for_itself or caller.context is not None
    if customer.is_onboarded and not as_customer:
        raise NotPending("The customer adds further admin users itself.")
    if any(admin.email == email.lower() for admin in customer.admins):
        raise AdminExists("Nothing was changed.", pointer="/email")
    if len(customer.admins) >= MOST_ADMINS:
        raise Invalid(f"At most {MOST_ADMINS} admin users.", pointer="/email")
    added = AdminUser(
        admin_id=new_id(),
        email=email.lower(),
        first_name=first_name,
        last_name=last_name,
        origin="customer" if as_customer else "provider",
        added_at=deps.clock.now(),
        added_by=caller.principal.subject,
    )
    saved = await _save(deps, caller, customer, {"admins": [*customer.admins, added]})
    return saved, added


async def remove_admin(
    deps: "Deps", caller: Caller, customer_id: str, if_match: str | None, admin_id: str
) -> Customer:
    """Remove an admin user: their access, and contexts in their name, end at once."""
    customer = await repository.get(deps.tables, caller.scope, customer_id)
    left = [admin for admin in customer.admins if admin.admin_id != admin_id]
    if len(left) == len(customer.admins):
        raise NotFound("There is no such admin user.")
    check_if_match(if_match, strong_etag(customer.etag))
    if not left and not customer.door().is_open:
        raise LastCustomerAdmin("Nobody else could manage the customer.")
    return await _save(deps, caller, customer, {"admins": left})


async def set_network(
    deps: "Deps",
    caller: Caller,
    customer_id: str,
    if_match: str | None,
    network: Network,
    address: Address | None,
) -> Customer:
    """Replace the ranges of one's own origin; the other origin's stay (CUS-46 to CUS-48).

    `AddressNotAllowed` (403) when the customer would lock out whoever asks.
    """
    customer = await _current(deps, caller, customer_id, if_match)
    as_customer = caller.acts_for_itself or caller.context is not None
    origin = "customer" if as_customer else "provider"
    kept = [each for each in customer.network.ranges if each.origin != origin]
    merged = Network(is_on=network.is_on, ranges=tuple(merge(kept, network.ranges)))
    if as_customer:
        check_address(address, [merged.restriction()])
    return await _save(deps, caller, customer, {"network": merged})


async def _current(
    deps: "Deps", caller: Caller, customer_id: str, if_match: str | None
) -> Customer:
    customer = await repository.get(deps.tables, caller.scope, customer_id)
    check_if_match(if_match, strong_etag(customer.etag))
    return customer


async def _save(
    deps: "Deps", caller: Caller, customer: Customer, changes: dict[str, Any]
) -> Customer:
    """Save; a door that closes is noted before, one that opens after, so none stays open."""
    changes |= {"updated_at": deps.clock.now(), "updated_by": caller.principal.subject}
    changed = customer.model_copy(update=changes)
    scope = Scope(customer.partner_id)
    is_open = changed.door().is_open
    if not is_open:
        await deps.grants.note_door(scope, customer.customer_id, is_open=False)
    saved = await repository.save(deps.tables, caller.scope, changed)
    if is_open and not customer.door().is_open:
        await deps.grants.note_door(scope, customer.customer_id, is_open=True)
    return saved


def _region(deps: "Deps", customer: Customer, flags: Flags, wanted: str) -> str:
    if wanted not in deps.settings.regions:
        offered = ", ".join(sorted(deps.settings.regions))
        raise RegionUnknown(f"Choose one of {offered}.", pointer="/region")
    if customer.repository_id and customer.region:
        contexts.check_region(flags, frozenset({customer.region}), wanted)
    return wanted
