"""How writes into a customer's tenant are signed: as the Restorer it let in."""

from datetime import timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.microsoft365.model import Budget
from shared.microsoft365.transport import GraphTransport
from shared.protection.discovery import tenant_of

if TYPE_CHECKING:
    from shared.bootstrap import Deps


async def open_transport(
    deps: "Deps", scope: Scope, customer_id: str, seconds: int
) -> GraphTransport:
    """Calls to the customer's tenant as the Restorer, for so many seconds from now."""
    customer = await customers.get(deps.tables, scope, customer_id)
    return GraphTransport(
        deps.settings,
        deps.tokens,
        tenant_of(customer),
        Budget(deadline=deps.clock.now() + timedelta(seconds=seconds)),
        client_id=customer.consent.restorer_client_id
        if customer.consent
        else deps.settings.restorer_client_id,
        fences=deps.fences,
    )
