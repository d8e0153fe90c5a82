"""The run's row as a person sees it: one step moves at a time, and every writer re-reads first."""

from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.kit.errors import Conflict
from shared.kit.operations import StepState
from shared.kit.tables import LostRace
from shared.onboarding import repository, rules
from shared.onboarding.inputs import OnboardingJob
from shared.onboarding.model import OVER, OnboardingRun, StepName

if TYPE_CHECKING:
    from shared.bootstrap import Deps

# A second delivery of the same activity is the only other writer: a few tries always suffice.
TRIES = 5


class RunSuperseded(Conflict):
    """The run has ended, or the customer belongs to another run: this one may not go on."""

    code, title = "RUN_SUPERSEDED", "This onboarding may not go on"


def scope_of(job: OnboardingJob) -> Scope:
    """The process sees its own customer and nothing else."""
    return Scope(job.partner_id, frozenset({job.customer_id}))


async def run_of(deps: "Deps", job: OnboardingJob) -> OnboardingRun:
    """The run's row."""
    return await repository.get(deps.tables, scope_of(job), job.run_id)


async def customer_of(deps: "Deps", job: OnboardingJob) -> Customer:
    """The customer, if this run still holds it; `RunSuperseded` otherwise."""
    customer = await customers.get(deps.tables, scope_of(job), job.customer_id)
    if customer.onboarding_run_id != job.run_id:
        raise RunSuperseded("Another onboarding of this customer was started.")
    return customer


async def move(
    deps: "Deps",
    job: OnboardingJob,
    step: StepName,
    state: StepState,
    message: str,
    **update: Any,
) -> OnboardingRun:
    """Move one step of the run and set other members with it; an ended run stays as it is."""
    for _ in range(TRIES):
        run = await run_of(deps, job)
        if run.stage in OVER:
            raise RunSuperseded(f"The onboarding is {run.stage.value}.")
        changed = run.model_copy(
            update={
                **update,
                "steps": rules.with_step(run, step, state, message),
                "updated_at": deps.clock.now(),
            }
        )
        try:
            return await repository.save(deps.tables, scope_of(job), changed)
        except LostRace:
            continue
    raise LostRace("The run's row is written by others all the time.")


async def change_customer(deps: "Deps", job: OnboardingJob, **update: Any) -> Customer:
    """Change the customer this run holds; re-read and repeat when somebody was faster."""
    for _ in range(TRIES):
        customer = await customer_of(deps, job)
        changed = customer.model_copy(update={**update, "updated_at": deps.clock.now()})
        try:
            return await customers.save(deps.tables, scope_of(job), changed)
        except LostRace:
            continue
    raise LostRace("The customer's row is written by others all the time.")
