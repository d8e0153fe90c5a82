"""From a granted consent to an active customer: prove, claim, store, discover, activate."""

from typing import TYPE_CHECKING

from shared.consent import rules as consent_rules
from shared.consent import service as consent
from shared.customers import repository as customers
from shared.customers.model import AppBinding, ContractType, CustomerState, Service
from shared.kit.errors import Forbidden
from shared.kit.operations import OperationError, StepState
from shared.kit.tables import LostRace
from shared.onboarding import repository, rules
from shared.onboarding.inputs import Answer, OnboardingJob
from shared.onboarding.model import OVER, PolicyChoice, Stage, StepName
from shared.onboarding.progress import (
    TRIES,
    change_customer,
    customer_of,
    move,
    run_of,
    scope_of,
)

if TYPE_CHECKING:
    from shared.bootstrap import Deps


class ConsentRefused(Forbidden):
    """The tenant refuses us for a reason that waiting does not heal."""

    code, title = "CONSENT_REFUSED", "The tenant refuses access"


async def begin(deps: "Deps", job: OnboardingJob) -> Answer:
    """Write down the confirmation and the plan as done (ONB-35 to ONB-37)."""
    await customer_of(deps, job)
    run = await run_of(deps, job)
    who = run.legal_confirmation
    await move(
        deps,
        job,
        StepName.LEGAL,
        StepState.SUCCEEDED,
        f"Confirmed by {who.confirmed_by}.",
        stage=Stage.AWAITING_SIGN_IN if run.stage is Stage.STARTED else run.stage,
    )
    years = run.plan.retention_years
    kept = "without end" if years is None else f"{years} year{'s' if years > 1 else ''}"
    message = f"Stored in {run.plan.region}, kept {kept}."
    await move(deps, job, StepName.PLAN, StepState.SUCCEEDED, message)
    return Answer(outcome="done")


async def verify(deps: "Deps", job: OnboardingJob) -> Answer:
    """Prove the consent by a token of our own (M40); waiting while roles are still missing."""
    run = await run_of(deps, job)
    health = await consent.check_tenant(
        deps, run.customer_id, run.plan.tenant_id, run.plan.services
    )
    if health.state in consent_rules.HOPELESS:
        raise ConsentRefused(f"{health.detail} Ask the customer's administrator.")
    if consent_rules.is_proof(health):
        message = "A token of the tenant carries every permission needed."
        await move(deps, job, StepName.VERIFICATION, StepState.SUCCEEDED, message)
        return Answer(outcome="done")
    message = f"Waiting until Microsoft has spread the consent. {health.detail}"
    await move(deps, job, StepName.VERIFICATION, StepState.RUNNING, message)
    return Answer(outcome="waiting", detail=health.detail)


async def claim_tenant(deps: "Deps", job: OnboardingJob) -> Answer:
    """Bind the tenant to this customer alone (CUS-31) and the plan to the customer (ONB-43)."""
    from shared.microsoft365.directory import Directory

    run, customer = await run_of(deps, job), await customer_of(deps, job)
    directory = Directory(deps.settings, deps.tokens, run.plan.tenant_id)
    organization = await directory.organization()
    await customers.claim_tenant(deps.tables, scope_of(job), customer, run.plan.tenant_id)
    await change_customer(
        deps,
        job,
        tenant_id=run.plan.tenant_id,
        domain=organization.domain,
        country=customer.country or organization.country or None,
        region=run.plan.region,
        retention_years=run.plan.retention_years,
        repository_id=rules.repository_id(run.customer_id, run.plan.tenant_id),
        consent=AppBinding(
            reader_client_id=deps.settings.reader_client_id,
            restorer_client_id=deps.settings.restorer_client_id,
        ),
    )
    message = f"{organization.display_name} ({organization.domain})."
    await move(deps, job, StepName.TENANT, StepState.SUCCEEDED, message)
    return Answer(outcome="done")


async def check_services(deps: "Deps", job: OnboardingJob) -> Answer:
    """Keep what was chosen and the tenant's licences hold (ONB-41)."""
    from shared.microsoft365.directory import Directory

    run = await run_of(deps, job)
    directory = Directory(deps.settings, deps.tokens, run.plan.tenant_id)
    present = {name for sku in await directory.services() for name in sku.services}
    services = rules.decide_services(run.plan.services, present)
    await change_customer(deps, job, services=services)
    message = f"Protecting {', '.join(Service(name).value for name in services)}."
    await move(deps, job, StepName.SERVICES, StepState.SUCCEEDED, message)
    return Answer(outcome="done")


async def make_vault(deps: "Deps", job: OnboardingJob) -> Answer:
    """Make the customer's repository in the chosen region (ONB-43)."""
    from shared.protection.service import ensure_vault

    customer = await customer_of(deps, job)
    repo_id = await ensure_vault(deps, customer)
    if repo_id != customer.repository_id:
        await change_customer(deps, job, repository_id=repo_id)
    message = f"Repository {repo_id}, keys made."
    await move(deps, job, StepName.VAULT, StepState.SUCCEEDED, message)
    return Answer(outcome="done")


async def discover(deps: "Deps", job: OnboardingJob) -> Answer:
    """Find what can be protected."""
    from shared.protection.service import discover as find

    counts = await find(deps, await customer_of(deps, job))
    message = ", ".join(f"{count} {what}" for what, count in counts.items())
    await move(deps, job, StepName.DISCOVERY, StepState.SUCCEEDED, message, result=counts)
    return Answer(outcome="done")


async def prepare_policies(deps: "Deps", job: OnboardingJob) -> Answer:
    """Make the recommended policy, or none when the partner wants to (ONB-44, ONB-45)."""
    from shared.protection.service import create_recommended_policy

    run = await run_of(deps, job)
    if run.plan.policies is PolicyChoice.MANUAL:
        state, message, result = StepState.SKIPPED, "You make the policies yourself.", run.result
    else:
        customer = await customer_of(deps, job)
        policy = await create_recommended_policy(deps, scope_of(job), customer)
        state, message = StepState.SUCCEEDED, f"Policy {policy.policy_id} is ready."
        result = {**(run.result or {}), "policyId": policy.policy_id}
    await move(
        deps, job, StepName.POLICIES, state, message, result=result, stage=Stage.PREPARING_POLICIES
    )
    return Answer(outcome="done")


async def activate(deps: "Deps", job: OnboardingJob) -> Answer:
    """The customer is active from now on (ONB-51); a repetition keeps the first instant."""
    customer = await customer_of(deps, job)
    if customer.state is not CustomerState.ACTIVE:
        await change_customer(
            deps,
            job,
            state=CustomerState.ACTIVE,
            contract_type=ContractType.MONTH_TO_MONTH,
            activation_at=deps.clock.now(),
        )
    run = await run_of(deps, job)
    if run.stage is not Stage.FINISHED:
        message = "The customer is active."
        await move(
            deps, job, StepName.ACTIVATION, StepState.SUCCEEDED, message, stage=Stage.FINISHED
        )
    return Answer(outcome="done")


async def undo(deps: "Deps", job: OnboardingJob, error: OperationError, *, canceled: bool) -> None:
    """Compensate: free the tenant, set the customer back to Pending, say why in the run's row.

    The empty repository stays: its id follows from customer and tenant, so the next run finds it.
    """
    scope = scope_of(job)
    customer = await customers.get(deps.tables, scope, job.customer_id)
    ours = customer.onboarding_run_id == job.run_id
    if ours and customer.state is CustomerState.ACTIVE:
        await activate(deps, job)  # only the last line of a finished run was missing
        return
    if ours and customer.state is CustomerState.ONBOARDING:
        if customer.tenant_id:
            await customers.release_tenant(deps.tables, scope, customer, customer.tenant_id)
        await change_customer(
            deps,
            job,
            state=CustomerState.PENDING,
            tenant_id=None,
            domain=None,
            region=None,
            retention_years=None,
            services=[],
            repository_id=None,
            consent=None,
        )
    for _ in range(TRIES):
        run = await run_of(deps, job)
        if run.stage in OVER:
            return
        ended = run.model_copy(
            update={
                "stage": Stage.CANCELED if canceled else Stage.FAILED,
                "error": error,
                "steps": rules.ended_steps(run.steps, None if canceled else error),
                "sign_in": None,
                "updated_at": deps.clock.now(),
            }
        )
        try:
            await repository.save(deps.tables, scope, ended)
        except LostRace:
            continue
        return
    raise LostRace("The run's row is written by others all the time.")
