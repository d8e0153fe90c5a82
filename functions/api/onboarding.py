"""Onboarding of a customer: start, look, cancel, renew; and what its consent looks like."""

from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import Field, StrictInt, StringConstraints

from functions.api.paging import address
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import process_state, signal, start
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.customers.model import Service
from shared.kit.api_model import ApiModel, Instant
from shared.kit.operations import Operation, OperationError, Step
from shared.onboarding import inputs, service
from shared.onboarding.model import OnboardingRun, Plan, PolicyChoice, SignInWay, Stage
from shared.onboarding.rules import OnboardingRunning, operation

router = Router(prefix="/customers/{customer_id}", tags=["onboarding"])

MANAGE = Depends(requires("onboarding.manage"))
RETRY_SECONDS = 2
Guid = Annotated[
    str,
    StringConstraints(
        to_lower=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
    ),
]


class LegalConfirmationIn(ApiModel):
    """Your word that the legal relationship with the customer is agreed by contract (ONB-35)."""

    confirmed: bool


class OnboardingInStart(ApiModel):
    """Everything the process needs to connect the customer (ONB-43)."""

    legal_confirmation: LegalConfirmationIn = LegalConfirmationIn(confirmed=False)
    tenant_id: Guid = Field(description="The customer's Microsoft 365 tenant")
    region: str = Field(max_length=50, description="Where backups are stored", examples=["uksouth"])
    retention_years: StrictInt | Literal["unlimited"] = Field(description='1 to 25, or "unlimited"')
    services: list[Service] | None = Field(
        default=None,
        min_length=1,
        max_length=len(Service),
        description="What to protect; left out: every service the tenant has",
    )
    sign_in: SignInWay = SignInWay.ADMIN_CONSENT
    policies: PolicyChoice = PolicyChoice.RECOMMENDED
    acknowledgements: list[
        Literal["licensingModelKnown", "usersAndServicesDiscussed", "scopeAgreed"]
    ] = Field(default=[], description="What you agreed with the customer (ONB-46)")


class SignInOut(ApiModel):
    """What the customer's administrator needs: a link to open, or a code to enter."""

    way: SignInWay
    state: Literal["waiting", "expired", "done"]
    link: str | None = None
    user_code: str | None = None
    verification_uri: str | None = None
    expires_at: Instant


class OnboardingOut(ApiModel):
    """Where an onboarding stands."""

    id: str
    customer_id: str
    stage: Stage
    steps: list[Step]
    sign_in: SignInOut | None
    error: OperationError | None
    result: dict[str, int | str] | None
    tenant_id: str
    region: str
    retention_years: int | Literal["unlimited"]
    services: list[Service] | None
    policies: PolicyChoice
    created_at: Instant
    updated_at: Instant


def shown(run: OnboardingRun) -> OnboardingOut:
    """The run without its secrets."""
    sign_in = None
    if run.sign_in is not None:
        sign_in = SignInOut(
            way=run.sign_in.way,
            state=run.sign_in.state,
            link=run.sign_in.link,
            user_code=run.sign_in.user_code,
            verification_uri=run.sign_in.verification_uri,
            expires_at=run.sign_in.expires_at,
        )
    years = run.plan.retention_years
    return OnboardingOut(
        id=run.run_id,
        customer_id=run.customer_id,
        stage=run.stage,
        steps=run.steps,
        sign_in=sign_in,
        error=run.error,
        result=run.result,
        tenant_id=run.plan.tenant_id,
        region=run.plan.region,
        retention_years="unlimited" if years is None else years,
        services=run.plan.services,
        policies=run.plan.policies,
        created_at=run.created_at,
        updated_at=run.updated_at,
    )


def _accepted(response: Response, run: OnboardingRun) -> Operation:
    response.headers["Operation-Location"] = address(f"/operations/{run.run_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return operation(run)


@router.post(
    "/onboarding",
    operation_id="onboarding_start",
    summary="Start onboarding",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start_onboarding(
    customer_id: str,
    body: OnboardingInStart,
    response: Response,
    caller: Annotated[Caller, MANAGE],
) -> Operation:
    """Starts the process and answers at once; read the link or code with GET on this address."""
    years = None if body.retention_years == "unlimited" else body.retention_years
    plan = Plan(
        tenant_id=body.tenant_id,
        region=body.region,
        retention_years=years,
        services=body.services,
        sign_in=body.sign_in,
        policies=body.policies,
        acknowledgements=list(body.acknowledgements),
    )
    confirmed = body.legal_confirmation.confirmed
    try:
        run = await service.start_run(
            deps(), caller, customer_id, plan, legally_confirmed=confirmed
        )
    except OnboardingRunning:
        run = await service.get_run(deps(), caller.scope, customer_id)
        instance = inputs.instance_id(run.run_id)
        if run.plan != plan or await process_state(current_client(), instance) != "missing":
            raise
        # Its start was refused or lost after the run was written: the same request starts it now.
    job = inputs.job_of(run, deps().settings)
    await start(
        current_client(), inputs.ORCHESTRATOR, inputs.instance_id(run.run_id), job.model_dump()
    )
    return _accepted(response, run)


@router.get("/onboarding", operation_id="onboarding_get", summary="Read the latest onboarding")
async def get(
    customer_id: str,
    caller: Annotated[Caller, Depends(requires("customers.read"))],
) -> OnboardingOut:
    """The steps, and what the customer's administrator has to open or enter."""
    return shown(await service.get_run(deps(), caller.scope, customer_id))


@router.post(
    "/onboarding:cancel",
    operation_id="onboarding_cancel",
    summary="Cancel the running onboarding",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def cancel(
    customer_id: str, response: Response, caller: Annotated[Caller, MANAGE]
) -> Operation:
    """The process stops at its next step, undoes what it did, and the customer is pending again."""
    run = await service.require_running(deps(), caller.scope, customer_id)
    await _tell(run, inputs.CANCEL)
    return _accepted(response, run)


@router.post(
    "/onboarding:renewSignIn",
    operation_id="onboarding_renew_sign_in",
    summary="Issue a new link or code",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def renew(
    customer_id: str, response: Response, caller: Annotated[Caller, MANAGE]
) -> Operation:
    """After the link or code has expired (ONB-38)."""
    run = await service.require_renewable(deps(), caller.scope, customer_id)
    await _tell(run, inputs.RENEW)
    return _accepted(response, run)


async def _tell(run: OnboardingRun, event: str) -> None:
    """Signal the run's process, starting it first: an earlier start may have been lost."""
    client, instance = current_client(), inputs.instance_id(run.run_id)
    job = inputs.job_of(run, deps().settings)
    await start(client, inputs.ORCHESTRATOR, instance, job.model_dump())
    await signal(client, instance, event, {})
