"""Use cases of the customer registry: create, read, list."""

from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Caller, Scope
from shared.consent import repository as consents
from shared.consent import service as consent
from shared.consent.model import App, Consent
from shared.consent.rules import tenant_of
from shared.customers import repository, rules
from shared.customers.model import Customer
from shared.kit.errors import Forbidden, Invalid
from shared.kit.seeds import made_id
from shared.kit.tables import RowExists

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class ScopeTooNarrow(Forbidden):
    """A caller limited to some customers cannot create another one it could not see."""

    code, title = "SCOPE_TOO_NARROW", "You are limited to some customers"


class CustomerUnknown(Invalid):
    """A customer named is none of the partner's."""

    code, title = "CUSTOMER_UNKNOWN", "There is no such customer"


async def create_customer(
    deps: "Deps",
    caller: Caller,
    *,
    display_name: str,
    external_id: str | None = None,
    country: str | None = None,
    tags: list[str] | None = None,
) -> Customer:
    """A new pending customer (CUS-09, ONB-32)."""
    if caller.scope.customers is not None:
        raise ScopeTooNarrow("Ask an administrator of the partner to create the customer.")
    now = deps.clock.now()
    customer = Customer(
        customer_id=made_id("customer"),
        partner_id=caller.scope.partner_id,
        display_name=display_name,
        external_id=external_id,
        country=country,
        tags=sorted(set(tags or ())),
        created_at=now,
        created_by=caller.principal.subject,
        updated_at=now,
        updated_by=caller.principal.subject,
    )
    try:
        return await repository.add(deps.tables, caller.scope, customer)
    except RowExists:  # made by this request before, which died and is repeated
        return await repository.get(deps.tables, caller.scope, customer.customer_id)


async def require_known(deps: "Deps", scope: Scope, customer_ids: frozenset[str]) -> None:
    """`CustomerUnknown` (400) unless all are customers of the partner, inside the scope."""
    if not customer_ids:
        return
    if unknown := customer_ids - await repository.list_ids(deps.tables, scope):
        shown = ", ".join(sorted(unknown)[:10])
        raise CustomerUnknown(f"Unknown: {shown}.", pointer="/customerIds")


async def get_customer(deps: "Deps", scope: Scope, customer_id: str) -> Customer:
    """The customer; NotFound when unknown or outside the scope."""
    return await repository.get(deps.tables, scope, customer_id)


async def list_customers(
    deps: "Deps", scope: Scope, wanted: rules.Wanted, after: rules.Place | None, size: int
) -> tuple[list[Customer], rules.Place | None]:
    """One page of the partner's customers, and where to go on."""
    every = await repository.list_all(deps.tables, scope)
    return rules.page(every, wanted, after, size)


async def customer_consents(deps: "Deps", scope: Scope, customer_id: str) -> list[Consent]:
    """Every grant in the customer's tenant as the latest look found it (CON-02)."""
    customer = await repository.get(deps.tables, scope, customer_id)
    return await consents.list_of(deps.tables, scope, customer.customer_id)


async def check_consents(deps: "Deps", scope: Scope, customer_id: str) -> list[Consent]:
    """Look at every grant now; `NoTenant` before onboarding."""
    customer = await repository.get(deps.tables, scope, customer_id)
    return await consent.check_every_app(deps, customer)


async def ask_consent(
    deps: "Deps", caller: Caller, customer_id: str, app: App
) -> tuple[str, datetime]:
    """A consent link for one of our registrations, and when it expires; `NoTenant` as above."""
    customer = await repository.get(deps.tables, caller.scope, customer_id)
    url, link = await consent.create_link(
        deps,
        partner_id=customer.partner_id,
        customer_id=customer_id,
        tenant_id=tenant_of(customer),
        created_by=caller.principal.subject,
        app=app,
    )
    return url, link.expires_at
