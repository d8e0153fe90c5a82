"""Pure decisions about customers: which match a search, in which order, where a page ends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.customers.model import ContractType, Customer, CustomerState


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which customers a list asks for, and in which order (CUS-02, CUS-04, CUS-07, CUS-08)."""

    search: str = ""
    states: frozenset[CustomerState] = frozenset()
    contract_types: frozenset[ContractType] = frozenset()
    tags: frozenset[str] = frozenset()
    descending: bool = False


Place = tuple[str, str]
"""Where a page ends: the sort key and the id of its last customer."""


def matches(customer: Customer, wanted: Wanted) -> bool:
    """Whether the customer meets every criterion."""
    if wanted.states and customer.state not in wanted.states:
        return False
    if not wanted.states and customer.state is CustomerState.DISCONNECTED:
        return False  # gone from the list (CUS-29), found again by asking for its state
    if wanted.contract_types and customer.contract_type not in wanted.contract_types:
        return False
    if not wanted.tags <= set(customer.tags):
        return False
    searched = (customer.display_name, customer.domain, customer.external_id, customer.customer_id)
    needle = wanted.search.casefold()
    return not needle or any(needle in text.casefold() for text in searched if text)


def place(customer: Customer) -> Place:
    """Sort key: the name without regard to case, then the id, so that no two are equal."""
    return customer.display_name.casefold(), customer.customer_id


def page(
    customers: Iterable[Customer], wanted: Wanted, after: Place | None, size: int
) -> tuple[list[Customer], Place | None]:
    """One page in order, and where it ends when more follow.

    A customer added or renamed between two pages may be missed or met twice, never lost data.
    """
    found: Sequence[Customer] = sorted(
        (customer for customer in customers if matches(customer, wanted)),
        key=place,
        reverse=wanted.descending,
    )
    if after is not None:
        if wanted.descending:
            found = [customer for customer in found if place(customer) < after]
        else:
            found = [customer for customer in found if place(customer) > after]
    taken = list(found[:size])
    return taken, place(taken[-1]) if len(found) > size else None
