"""The process that turns a pending customer into an active one (ONB-34 to ONB-51).

    onboard_customer         id onboarding:{run}
      onboarding_begin       confirmation and plan written down
      sign-in                ask -> wait for the answer, looking now and then -> expired -> renewed
      onboarding_verify      a token of our own with every role, polled by durable timers (M40)
      connecting             tenant guard, services, vault, discovery, policies, activation
      onboarding_undo        after a failure or a cancel: the customer is pending again

What a human can do: open the link or enter the code, issue a new one after expiry, cancel. Waits
are durable timers and external events, days long if need be. Every activity may run twice. What
a person sees is the run's row, never this process.
"""
# Durable's decorators carry no types of their own:
# mypy: disable-error-code="untyped-decorator"

import logging
from collections.abc import Awaitable, Callable, Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import aware
from shared.audit.model import Outcome, Target
from shared.audit.processes import tell
from shared.bootstrap import Deps, deps
from shared.kit import watch
from shared.kit.errors import HoldfastError
from shared.kit.operations import OperationError
from shared.onboarding import connect, sign_in
from shared.onboarding.inputs import (
    CANCEL,
    CONSENT_ANSWERED,
    ORCHESTRATOR,
    RENEW,
    Answer,
    Ending,
    OnboardingJob,
    instance_id,
)
from shared.onboarding.model import Stage, StepName
from shared.onboarding.progress import run_of
from shared.onboarding.rules import is_final_refusal

log = logging.getLogger(__name__)
blueprint = df.Blueprint()

# An expired link or code is kept renewable this long; then the run ends by itself.
ABANDONED_AFTER = timedelta(days=7)
# Each round adds to a history that is replayed at every turn.
MOST_ROUNDS = 10
# A redirect can get lost, so a waiting run looks for itself: soon at first, then at this pace.
SLOWEST_LOOK = timedelta(seconds=15)
# Roles appear within seconds or minutes (M40): the polls grow apart up to this.
SLOWEST_POLL = timedelta(seconds=60)
# Passing faults of our storage or of Microsoft's sign-in service.
RETRY = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=2),
    max_number_of_attempts=5,
    backoff_coefficient=3,
    max_retry_interval=timedelta(minutes=1),
)

# From a proved consent to an active customer, in this order.
CONNECTING: tuple[tuple[StepName, str], ...] = (
    (StepName.TENANT, "onboarding_claim_tenant"),
    (StepName.SERVICES, "onboarding_check_services"),
    (StepName.VAULT, "onboarding_make_vault"),
    (StepName.DISCOVERY, "onboarding_discover"),
    (StepName.POLICIES, "onboarding_prepare_policies"),
    (StepName.ACTIVATION, "onboarding_activate"),
)

Turns = Generator[task.Task[Any], Any, Any]


class _Stopped(Exception):
    """The run ends here; carries what its row will say."""

    def __init__(self, error: OperationError, *, canceled: bool = False) -> None:
        super().__init__(error.code)
        self.error = error
        self.canceled = canceled


@blueprint.orchestration_trigger(context_name="ctx")
def onboard_customer(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Turns:
    """One run from its start to an active customer, or back to a pending one."""
    job = OnboardingJob.model_validate(given)
    cancel: task.Task[Any] = ctx.wait_for_external_event(CANCEL)
    try:
        yield from _act(ctx, StepName.LEGAL, "onboarding_begin", job)
        yield from _signed_in(ctx, job, cancel)
        yield from _verified(ctx, job, cancel)
        for step, activity in CONNECTING:
            _stop_if(cancel, step)
            yield from _act(ctx, step, activity, job)
    except _Stopped as stopped:
        ending = Ending(job=job, error=stopped.error, canceled=stopped.canceled)
        yield ctx.call_activity(
            "onboarding_undo", input=ending.model_dump(mode="json"), retry_policy=RETRY
        )
        return {"outcome": stopped.error.code}
    return {"outcome": "FINISHED"}


def _act(
    ctx: task.OrchestrationContext, step: StepName, activity: str, job: OnboardingJob
) -> Turns:
    """One activity; a refusal, or a fault that outlives the retries, stops the run."""
    try:
        raw = yield ctx.call_activity(
            activity, input=job.model_dump(mode="json"), retry_policy=RETRY
        )
    except task.TaskFailedError as failed:
        raise _Stopped(
            OperationError(
                code="STEP_FAILED",
                detail=f"{failed.details.message} Start the onboarding again; what is there stays.",
                step=step.value,
            )
        ) from failed
    answer = Answer.model_validate(raw)
    if answer.error is not None:
        raise _Stopped(answer.error)
    return answer


def _signed_in(ctx: task.OrchestrationContext, job: OnboardingJob, cancel: task.Task[Any]) -> Turns:
    """Wait for the administrator: link or code, as often as it has to be issued (ONB-38 to 40)."""
    answered: task.Task[Any] = ctx.wait_for_external_event(CONSENT_ANSWERED)
    renewed: task.Task[Any] = ctx.wait_for_external_event(RENEW)
    for _ in range(MOST_ROUNDS):
        asked: Answer = yield from _act(ctx, StepName.SIGN_IN, "onboarding_ask", job)
        deadline = asked.expires_at or aware(ctx)
        wait = timedelta(seconds=asked.look_seconds)
        while aware(ctx) < deadline:
            yield from _first(ctx, min(deadline, aware(ctx) + wait), cancel, answered)
            wait = max(wait, min(wait * 1.25, SLOWEST_LOOK))
            _stop_if(cancel, StepName.SIGN_IN)
            if answered.is_complete:
                answered = ctx.wait_for_external_event(CONSENT_ANSWERED)
            looked: Answer = yield from _act(ctx, StepName.SIGN_IN, "onboarding_look", job)
            if looked.outcome == "done":
                return None
        yield from _act(ctx, StepName.SIGN_IN, "onboarding_expire", job)
        yield from _first(ctx, aware(ctx) + ABANDONED_AFTER, cancel, renewed)
        _stop_if(cancel, StepName.SIGN_IN)
        if not renewed.is_complete:
            break
        renewed = ctx.wait_for_external_event(RENEW)
    raise _Stopped(
        OperationError(
            code="SIGN_IN_ABANDONED",
            detail="Nobody used the link or code in time. Start the onboarding again.",
            step=StepName.SIGN_IN.value,
        )
    )


def _verified(ctx: task.OrchestrationContext, job: OnboardingJob, cancel: task.Task[Any]) -> Turns:
    """Poll our own token until it carries every role, by durable timers that grow apart (M40)."""
    deadline = aware(ctx) + timedelta(seconds=job.patience_seconds)
    wait = timedelta(seconds=job.poll_seconds)
    while True:
        answer: Answer = yield from _act(ctx, StepName.VERIFICATION, "onboarding_verify", job)
        if answer.outcome == "done":
            return None
        if aware(ctx) >= deadline:
            raise _Stopped(
                OperationError(
                    code="CONSENT_NOT_EFFECTIVE",
                    detail=f"The consent does not work yet. {answer.detail} "
                    "Ask the administrator to accept again, then start again.",
                    step=StepName.VERIFICATION.value,
                )
            )
        yield from _first(ctx, aware(ctx) + wait, cancel)
        _stop_if(cancel, StepName.VERIFICATION)
        wait = min(wait * 1.5, SLOWEST_POLL)


def _first(ctx: task.OrchestrationContext, at: datetime, *events: task.Task[Any]) -> Turns:
    """Wait for the first of the events, at most until `at`."""
    timer = ctx.create_timer(at)
    yield task.when_any([timer, *events])
    if not timer.is_complete:
        timer.cancel()


def _stop_if(cancel: task.Task[Any], step: StepName) -> None:
    if cancel.is_complete:
        error = OperationError(
            code="CANCELED", detail="The onboarding was canceled.", step=step.value
        )
        raise _Stopped(error, canceled=True)


Work = Callable[[Deps, OnboardingJob], Awaitable[Answer]]


async def _answer(given: dict[str, Any], step: StepName, work: Work) -> dict[str, Any]:
    """Run one use case; a final refusal becomes an answer, anything else is left to the retries."""
    job = OnboardingJob.model_validate(given)
    try:
        answer = await work(deps(), job)
    except HoldfastError as refused:
        if not is_final_refusal(refused):
            raise
        log.info("%s: %s refused with %s", job.run_id, step.value, refused.code)
        error = OperationError(code=refused.code, detail=refused.detail, step=step.value)
        answer = Answer(outcome="refused", error=error)
    return answer.model_dump(mode="json")


@blueprint.activity_trigger(input_name="given")
async def onboarding_begin(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Confirmation and plan."""
    return await _answer(given, StepName.LEGAL, connect.begin)


@blueprint.activity_trigger(input_name="given")
async def onboarding_ask(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """A link or a code."""
    return await _answer(given, StepName.SIGN_IN, sign_in.ask)


@blueprint.activity_trigger(input_name="given")
async def onboarding_look(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Has the administrator answered?"""
    return await _answer(given, StepName.SIGN_IN, sign_in.look)


@blueprint.activity_trigger(input_name="given")
async def onboarding_expire(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Say that the link or code has run out."""
    return await _answer(given, StepName.SIGN_IN, sign_in.expire)


@blueprint.activity_trigger(input_name="given")
async def onboarding_verify(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Prove the consent once."""
    return await _answer(given, StepName.VERIFICATION, connect.verify)


@blueprint.activity_trigger(input_name="given")
async def onboarding_claim_tenant(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Bind the tenant to this customer alone."""
    with watch.watching():
        answer = await _answer(given, StepName.TENANT, connect.claim_tenant)
        if answer["outcome"] == "done":
            await _tell(OnboardingJob.model_validate(given), "customers.connect", StepName.TENANT)
    return answer


@blueprint.activity_trigger(input_name="given")
async def onboarding_check_services(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Compare the chosen services with the licences."""
    return await _answer(given, StepName.SERVICES, connect.check_services)


@blueprint.activity_trigger(input_name="given")
async def onboarding_make_vault(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Make the repository."""
    return await _answer(given, StepName.VAULT, connect.make_vault)


@blueprint.activity_trigger(input_name="given")
async def onboarding_discover(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Find what can be protected."""
    return await _answer(given, StepName.DISCOVERY, connect.discover)


@blueprint.activity_trigger(input_name="given")
async def onboarding_prepare_policies(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Recommended policy, or none."""
    return await _answer(given, StepName.POLICIES, connect.prepare_policies)


@blueprint.activity_trigger(input_name="given")
async def onboarding_activate(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Make the customer active."""
    with watch.watching():
        answer = await _answer(given, StepName.ACTIVATION, connect.activate)
        await _tell_ending(OnboardingJob.model_validate(given))
    return answer


@blueprint.activity_trigger(input_name="given")
async def onboarding_undo(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Compensate and say why."""
    ending = Ending.model_validate(given)
    with watch.watching():
        await connect.undo(deps(), ending.job, ending.error, canceled=ending.canceled)
        await _tell_ending(ending.job)
    return {"outcome": "undone"}


async def _tell_ending(job: OnboardingJob) -> None:
    """The line about how the run ended: what its row says, whatever was attempted."""
    run = await run_of(deps(), job)
    if run.stage is Stage.FINISHED:
        await _tell(job, "customers.activate", "end")
    elif run.stage is Stage.CANCELED:
        await _tell(job, "onboarding.cancel", "end")
    elif run.stage is Stage.FAILED:
        code = run.error.code if run.error else None
        await _tell(job, "onboarding.end", "end", outcome=Outcome.FAILED, code=code)


async def _tell(
    job: OnboardingJob,
    action: str,
    step: str,
    outcome: Outcome = Outcome.DONE,
    code: str | None = None,
) -> None:
    await tell(
        await deps().trail(),
        job.partner_id,
        process=ORCHESTRATOR,
        instance=instance_id(job.run_id),
        step=step,
        action=action,
        target=Target(kind="onboarding", id=job.run_id),
        customer_id=job.customer_id,
        outcome=outcome,
        code=code,
    )
