"""What is read: states, licence counts, modules, changes (SVC-27, SVC-47, LIC-46, LIC-52 to 54)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Basis, Catalogue
from shared.licensing.book import LIVE, Book
from shared.licensing.model import Pool, State, Subscription
from shared.licensing.rules import dates


@dataclass(frozen=True, slots=True)
class TenantUser:
    """One user of a customer's tenant, with the products assigned to it (SKU part numbers)."""

    user_id: str
    products: frozenset[str]


def counted_licences(catalogue: Catalogue, users: Iterable[TenantUser], basis: Basis) -> int:
    """Users with at least one counted product; several products are one seat (LIC-46)."""
    counted = catalogue.counted_products.get(basis, frozenset())
    return sum(1 for user in users if user.products & counted)


def licence_details(
    catalogue: Catalogue, purchased: Mapping[str, int], assigned: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Per product what the tenant bought and assigned, and whether it counts (SVC-27)."""
    every = frozenset().union(*catalogue.counted_products.values())
    return [
        {
            "product": product,
            "available": purchased.get(product, 0),
            "assigned": assigned.get(product, 0),
            "counts": product in every,
        }
        for product in sorted(purchased.keys() | assigned.keys())
    ]


def subscription_view(book: Book, sub: Subscription) -> dict[str, Any]:
    """A subscription as it stands today, with what follows from dates and pool."""
    pool = book.pool_of(sub)
    at = catalogue_rules.place(book.catalogue, sub.slot)
    part = book.catalogue.part_of(at)
    measured = catalogue_rules.is_measured(part, sub.settings)
    view: dict[str, Any] = sub.model_dump(mode="json")
    view |= {
        "state": dates.state_on(sub, pool, book.day),
        "quantity": sub.quantity,
        "expires_on": dates.expires_on(sub, pool),
        "commitment_ends_on": dates.commitment_ends(sub),
        "unlocked": dates.unlocked(sub, book.day),
        "modules": catalogue_rules.module_view(book.catalogue, at, sub.quantity, sub.settings),
    }
    if measured:
        view |= {"purchased_capacity_gb": sub.protected, "protected_capacity_gb": sub.protected}
    service = book.catalogue.service_by_code[sub.service]
    if service.customer_configures_own_storage and sub.settings.get("storage") == "Own":
        view["storage_configured_by_customer"] = True
    return view


def pool_view(pool: Pool, book: Book) -> dict[str, Any]:
    """A pool with what is left and where it stands (LIC-01, RES-03)."""
    left = dates.free(pool, book.day)
    return pool.model_dump(mode="json") | {
        "available": None if pool.is_open else pool.available,
        "free": left,
        "phase": dates.phase(pool, book.day),
        "unit": book.catalogue.item_by_code[pool.item].unit,
    }


def services(book: Book, customer_id: str) -> list[dict[str, Any]]:
    """Every service and add-on of a customer with its state, hidden ones left out (SVC-47)."""
    guard = book.guard(customer_id)
    found = [
        {"service": sub.service, "slot": sub.slot, "tenant": sub.tenant_id, "state": state.value}
        for sub in sorted(book.of_customer(customer_id), key=lambda each: each.key)
        if (state := dates.state_on(sub, book.pool_of(sub), book.day)) is not State.EXPIRED
        or not guard.hide_expired
    ]
    found += [
        {"service": code, "slot": code, "tenant": "", "state": state}
        for code, state in sorted(guard.add_ons.items())
        if state != "Expired" or not guard.hide_expired
    ]
    return found


def usage(sub: Subscription, used: int) -> str:
    """Used of held, for a manual subscription that the tenant has outgrown (LIC-42)."""
    return f"{used}/{sub.quantity}"


def licences_in_use(protected: Mapping[str, bool]) -> int:
    """Users backed up that consume a licence (LIC-53): user -> whether it needs one."""
    return sum(1 for needs_one in protected.values() if needs_one)


def licence_totals(book: Book) -> tuple[int, int]:
    """Customers that hold licences on the book's day, and how many they hold (LIC-54)."""
    held = {
        key: sub
        for key, sub in book.subs.items()
        if sub.lots and not dates.is_over(sub, book.pool_of(sub), book.day)
    }
    customers = {sub.customer_id for sub in held.values()}
    return len(customers), sum(sub.quantity for sub in held.values())


def licence_change(previous: int, now: int) -> int:
    """Month over month (LIC-54)."""
    return now - previous


LicenceModel = Literal["Variable", "Fixed"]


def licence_model(book: Book, customer_id: str) -> LicenceModel:
    """The customer's current model (LIC-52): what its live subscriptions say, Variable unless."""
    said = {
        sub.settings.get("licenceModel")
        for sub in book.of_customer(customer_id)
        if sub.state in LIVE and not dates.is_over(sub, book.pool_of(sub), book.day)
    }
    # Mixed in one tenancy (EXT-08): the narrower one is what the provider must keep to.
    return "Fixed" if "Fixed" in said else "Variable"


def policy_editing_allowed(model: LicenceModel) -> bool:
    """Providers edit policies under the Variable model (LIC-52)."""
    return model == "Variable"
