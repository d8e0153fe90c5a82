"""Start services: protection and a first session for a customer that bought the backup (ONB-16)."""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.catalogue.service import catalogue
from shared.customers import repository as customers
from shared.customers.model import CustomerState
from shared.kit.errors import Conflict, Forbidden, Invalid, Unprocessable
from shared.licensing import reading
from shared.licensing.model import State
from shared.licensing.rules import views
from shared.protection import repository, service
from shared.protection.model import Session

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TENANT_TYPE = "Microsoft365"
AVAILABLE = frozenset({State.TRIAL.value, State.ACTIVE.value})


class ServiceNotOurs(Unprocessable):
    """The service copies by itself: there is nothing that Holdfast could start."""

    code, title = "SERVICE_RUNS_ELSEWHERE", "This service runs its backup by itself"


class NoSubscription(Conflict):
    """Nothing was bought that could be started."""

    code, title = "NO_AVAILABLE_SUBSCRIPTION", "There is no available subscription"


class AccessClosed(Forbidden):
    """The customer does not let its partner in (SEC-17)."""

    code, title = "PARTNER_ACCESS_DISABLED", "The customer has closed its door"


async def has_policy(deps: "Deps", scope: Scope, customer_id: str) -> bool:
    """Whether the policy that start services makes is there: then it makes none (BKP-05)."""
    customer = await customers.get(deps.tables, scope, customer_id)
    policy_id = service.recommended_id(customer.customer_id)
    return await repository.find_policy(deps.tables, scope, policy_id) is not None


async def start_services(
    deps: "Deps", scope: Scope, customer_id: str, code: str, *, requested_by: str, as_partner: bool
) -> Session:
    """Make the policy that protects all, unless it is there, and claim its session (BKP-22).

    The caller starts the session's process. `ServiceNotOurs` for what the catalogue knows and
    other systems copy, such as Google Workspace.
    """
    customer = await customers.get(deps.tables, scope, customer_id)
    if as_partner and not customer.partner_access:
        raise AccessClosed("Ask the customer to admit its partner.")
    sold = catalogue().service_by_code.get(code)
    if sold is None:
        raise Invalid("The catalogue has no such service.", pointer="/service")
    if TENANT_TYPE not in sold.tenant_types or not sold.protects:
        raise ServiceNotOurs(
            f"{sold.name} is run in the service itself; its jobs are reported.", pointer="/service"
        )
    book = await reading.customer_book(deps.ledgers, scope, customer_id)
    held = [one for one in views.services(book, customer_id) if one["service"] == code]
    if not any(one["state"] in AVAILABLE for one in held):
        raise NoSubscription(f"The customer holds no available subscription of {sold.name}.")
    if customer.state is not CustomerState.ACTIVE:
        raise service.CustomerNotReady(
            "Finish the customer's onboarding first.", state=customer.state.value
        )
    policy = await service.create_recommended_policy(deps, scope, customer)
    return await service.start_session(deps, scope, policy.policy_id, requested_by=requested_by)
