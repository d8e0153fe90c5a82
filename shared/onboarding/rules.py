"""Pure decisions of onboarding: what may start, how steps move, what the run shows."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime

from shared.customers.model import Customer, CustomerState, Service
from shared.kit.errors import Conflict, HoldfastError, Invalid, Unprocessable
from shared.kit.operations import Operation, OperationError, OperationStatus, Step, StepState
from shared.onboarding.model import OVER, OnboardingRun, Plan, Stage, StepName

KIND = "onboarding"
OFFERED = (Service.EXCHANGE, Service.ONEDRIVE, Service.SHAREPOINT, Service.TEAMS)
"""Services this version protects, in the order they are shown."""
RETENTION_YEARS = range(1, 26)
"""ONB-37: 1 to 25 years; without end is None."""

_STATUS = {
    Stage.FINISHED: OperationStatus.SUCCEEDED,
    Stage.FAILED: OperationStatus.FAILED,
    Stage.CANCELED: OperationStatus.CANCELED,
}


class LegalConfirmationRequired(Conflict):
    """The partner has not confirmed the legal relationship (ONB-35)."""

    code, title = "LEGAL_CONFIRMATION_REQUIRED", "Confirm the legal relationship first"


class RegionNotSupported(Invalid):
    """No storage in that region (ONB-36)."""

    code, title = "REGION_NOT_SUPPORTED", "This storage region is not offered"


class RetentionOutOfRange(Unprocessable):
    """Retention is 1 to 25 years, or without end (ONB-37)."""

    code, title = "RETENTION_OUT_OF_RANGE", "This retention period is not offered"


class CustomerNotPending(Conflict):
    """Only a pending customer can be onboarded (ONB-34)."""

    code, title = "CUSTOMER_NOT_PENDING", "The customer is not pending"


class OnboardingRunning(Conflict):
    """A run is in progress (ONB-33)."""

    code, title = "ONBOARDING_RUNNING", "An onboarding is in progress"


class OnboardingOver(Conflict):
    """The run has ended; a new one can be started while the customer is pending."""

    code, title = "ONBOARDING_OVER", "The onboarding has ended"


class NothingToRenew(Conflict):
    """The current code or link has not expired, or none is needed."""

    code, title = "NOTHING_TO_RENEW", "There is no expired code or link"


class ServiceNotInTenant(Unprocessable):
    """A chosen service is not licensed in the tenant (ONB-41)."""

    code, title = "SERVICE_NOT_IN_TENANT", "The tenant does not have this service"


class NotGlobalAdmin(Unprocessable):
    """The account that signed in is no Global Administrator (ONB-39)."""

    code, title = "NOT_GLOBAL_ADMIN", "A Global Administrator has to sign in"


def require_legal_confirmation(confirmed: bool) -> None:
    """ONB-35."""
    if not confirmed:
        raise LegalConfirmationRequired(
            "Set legalConfirmation.confirmed to true: the legal relationship with the customer "
            "has to be agreed by contract.",
            pointer="#/legalConfirmation/confirmed",
        )


def require_plan(plan: Plan, regions: Collection[str]) -> None:
    """ONB-36 and ONB-37."""
    if plan.region not in regions:
        raise RegionNotSupported(f"Choose one of {', '.join(sorted(regions))}.", pointer="#/region")
    if plan.retention_years is not None and plan.retention_years not in RETENTION_YEARS:
        raise RetentionOutOfRange(
            'Choose 1 to 25 years, or "unlimited".', pointer="#/retentionYears"
        )


def require_startable(customer: Customer) -> None:
    """ONB-34: only a pending customer, and one run at a time."""
    if customer.state is CustomerState.ONBOARDING:
        raise OnboardingRunning("Wait for the running onboarding, or cancel it.")
    if customer.state is not CustomerState.PENDING:
        raise CustomerNotPending(f"The customer is {customer.state.value}.")


def decide_services(chosen: Sequence[Service] | None, present: Collection[str]) -> list[Service]:
    """The services to protect: what was chosen, else all the tenant has (ONB-41)."""
    absent = [service.value for service in chosen or () if service not in present]
    if absent:
        raise ServiceNotInTenant(
            f"The tenant has no licence with {', '.join(absent)}. Start again without."
        )
    services = list(chosen) if chosen else [name for name in OFFERED if name in present]
    if not services:
        raise ServiceNotInTenant("The tenant has no licence with a service that can be protected.")
    return services


def repository_id(customer_id: str, tenant_id: str) -> str:
    """The repository of a customer's tenant: a second attempt finds the first one's."""
    named = f"holdfast/repository/{customer_id}/{tenant_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def new_steps() -> list[Step]:
    """Every step, waiting."""
    return [Step(name=name.value) for name in StepName]


def with_step(run: OnboardingRun, name: StepName, state: StepState, message: str) -> list[Step]:
    """The run's steps with one of them moved."""
    return [
        Step(name=step.name, state=state, message=message) if step.name == name else step
        for step in run.steps
    ]


def ended_steps(steps: Sequence[Step], error: OperationError | None) -> list[Step]:
    """Steps after the end: the failed one named, what never began is skipped."""
    ended = []
    for step in steps:
        if error is not None and step.name == error.step:
            ended.append(Step(name=step.name, state=StepState.FAILED, message=error.detail))
        elif step.state in {StepState.WAITING, StepState.RUNNING}:
            ended.append(Step(name=step.name, state=StepState.SKIPPED, message=step.message))
        else:
            ended.append(step)
    return ended


def refusal(error: HoldfastError, step: StepName) -> OperationError:
    """What the run's row says about a refusal: code, what to do, and where."""
    return OperationError(code=error.code, detail=error.detail, step=step.value)


def is_final_refusal(error: HoldfastError) -> bool:
    """Whether trying again cannot help: the request's fault, not a passing one of ours."""
    return error.status < 500 and error.status != 429 and error.code != "LOST_RACE"


def require_running(run: OnboardingRun) -> None:
    """`OnboardingOver` for a run that has ended."""
    if run.stage in OVER:
        raise OnboardingOver(f"The onboarding is {run.stage.value}.")


def require_renewable(run: OnboardingRun, now: datetime) -> None:
    """A new code or link only when the last one has expired (ONB-38)."""
    require_running(run)
    sign_in = run.sign_in
    if sign_in is None or sign_in.state == "done" or sign_in.expires_at > now:
        raise NothingToRenew("The current code or link can still be used, or none is needed.")


def operation(run: OnboardingRun) -> Operation:
    """The run as an operation (ONB-34)."""
    done = sum(step.state in {StepState.SUCCEEDED, StepState.SKIPPED} for step in run.steps)
    status = _STATUS.get(run.stage, OperationStatus.RUNNING)
    if run.stage is Stage.STARTED:
        status = OperationStatus.NOT_STARTED
    return Operation(
        id=run.run_id,
        kind=KIND,
        status=status,
        created_at=run.created_at,
        updated_at=run.updated_at,
        percent_complete=100 if run.stage in OVER else 100 * done // len(run.steps),
        steps=run.steps,
        error=run.error,
        result=run.result,
    )
