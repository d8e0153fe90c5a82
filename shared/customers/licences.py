"""A customer's licences as somebody asks for them: the customer's facts, then a verb."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository
from shared.customers.model import Customer, CustomerState
from shared.customers.tenant_licences import read_licences
from shared.kit.errors import Conflict
from shared.licensing import standings
from shared.licensing.model import CustomerFacts, Mode, Standing
from shared.licensing.repository import TABLE
from shared.licensing.requests import AdjustChange, AssignIn, Foreseen, TermsIn
from shared.licensing.rules.offers import Measured
from shared.licensing.wishes import NOT_MEASURED, Wish

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class CustomerGone(Conflict):
    """The customer was disconnected: nothing of it changes any more."""

    code, title = "CUSTOMER_DISCONNECTED", "The customer was disconnected"


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose licences, and on what footing the partner stands."""

    customer: Customer
    facts: CustomerFacts
    standing: Standing


async def asked(deps: "Deps", scope: Scope, customer_id: str) -> Asked:
    """What licensing must know; NotFound for a customer outside the scope."""
    customer, standing = await asyncio.gather(
        repository.get(deps.tables, scope, customer_id), standings.of(deps.tables[TABLE], scope)
    )
    facts = CustomerFacts(
        customer_id,
        management_mode=customer.management_mode,
        is_connected=customer.tenant_id is not None,
    )
    return Asked(customer, facts, standing)


async def wish_of(deps: "Deps", about: Asked, change: "Foreseen | AssignIn") -> Wish:
    """The wish behind a change; what it must know of the tenant is read for it (SVC-26).

    `CustomerGone` (409) for a customer that was disconnected.
    """
    if about.customer.state is CustomerState.DISCONNECTED:
        raise CustomerGone("Only its history can be read.")
    measured = await _measured(deps, about, change)
    return change.wish(about.facts, about.standing, measured)


async def _measured(deps: "Deps", about: Asked, change: object) -> Measured:
    """The tenant's assigned licences when nobody names a quantity; a failed reading is None."""
    if not isinstance(change, TermsIn | AdjustChange) or about.customer.tenant_id is None:
        return NOT_MEASURED
    named = isinstance(change, TermsIn) and change.quantity is not None
    if named or (isinstance(change, TermsIn) and change.mode is Mode.MANUAL):
        return NOT_MEASURED
    return Measured(counted=await read_licences(deps, about.customer.tenant_id))
