"""Use cases of onboarding: start a run, read it, ask to cancel or renew."""

from typing import TYPE_CHECKING

from shared.access.model import Caller, Scope
from shared.customers import repository as customers
from shared.customers.model import CustomerState, LegalConfirmation
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.operations import Operation
from shared.kit.tables import LostRace
from shared.onboarding import repository, rules
from shared.onboarding.model import OnboardingRun, Plan, Stage

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class NoOnboarding(NotFound):
    """No onboarding was ever started for the customer."""

    code, title = "NO_ONBOARDING", "No onboarding was started"


async def start_run(
    deps: "Deps", caller: Caller, customer_id: str, plan: Plan, *, legally_confirmed: bool
) -> OnboardingRun:
    """Claim the pending customer for a new run; the caller starts its process.

    When an earlier start was cut off before its process began, that run comes back: starting
    its process again is harmless. Refusals: ONB-34 to ONB-37, CUS-31.
    """
    scope, who, now = caller.scope, caller.principal.subject, deps.clock.now()
    rules.require_legal_confirmation(legally_confirmed)
    rules.require_plan(plan, deps.settings.regions)
    customer = await customers.get(deps.tables, scope, customer_id)
    if customer.state is CustomerState.ONBOARDING and customer.onboarding_run_id:
        unfinished = await repository.find(deps.tables, scope, customer.onboarding_run_id)
        if unfinished and unfinished.stage is Stage.STARTED and unfinished.plan == plan:
            return unfinished
    rules.require_startable(customer)
    await customers.require_unclaimed(deps.tables, scope, customer, plan.tenant_id)
    confirmation = LegalConfirmation(confirmed_by=who, confirmed_at=now)
    run = OnboardingRun(
        run_id=ids.newest_first(customer_id, ids.ONBOARDING, now),
        customer_id=customer_id,
        partner_id=scope.partner_id,
        plan=plan,
        legal_confirmation=confirmation,
        steps=rules.new_steps(),
        created_at=now,
        created_by=who,
        updated_at=now,
    )
    # The row first: a customer never points at a run that is not there. A run that loses the
    # race for the customer stays behind unstarted and is never shown.
    run = await repository.add(deps.tables, scope, run)
    claimed = customer.model_copy(
        update={
            "state": CustomerState.ONBOARDING,
            "onboarding_run_id": run.run_id,
            "legal_confirmation": confirmation,
            "updated_at": now,
            "updated_by": who,
        }
    )
    try:
        await customers.save(deps.tables, scope, claimed)
    except LostRace as lost:
        raise rules.OnboardingRunning("Somebody else changed the customer just now.") from lost
    return run


async def get_run(deps: "Deps", scope: Scope, customer_id: str) -> OnboardingRun:
    """The customer's latest run; NotFound when there is none."""
    customer = await customers.get(deps.tables, scope, customer_id)
    if customer.onboarding_run_id is None:
        raise NoOnboarding("Start one with POST to this address.")
    return await repository.get(deps.tables, scope, customer.onboarding_run_id)


async def require_running(deps: "Deps", scope: Scope, customer_id: str) -> OnboardingRun:
    """The customer's run if it can still be canceled."""
    run = await get_run(deps, scope, customer_id)
    rules.require_running(run)
    return run


async def require_renewable(deps: "Deps", scope: Scope, customer_id: str) -> OnboardingRun:
    """The customer's run if its code or link has expired (ONB-38)."""
    run = await get_run(deps, scope, customer_id)
    rules.require_renewable(run, deps.clock.now())
    return run


async def onboarding_operation(deps: "Deps", scope: Scope, run_id: str) -> Operation:
    """The run as an operation."""
    return rules.operation(await repository.get(deps.tables, scope, run_id))
