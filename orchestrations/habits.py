"""What every process has in common: retries, the length of a history, its clock, its failures."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from durabletask import task

from shared.kit.slicing import SliceAnswer, SliceTask

# Transient faults of our own storage; Microsoft 365's are handled below the activity (M31).
RETRY = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=3),
    max_number_of_attempts=4,
    backoff_coefficient=3,
    max_retry_interval=timedelta(minutes=1),
)
# A history is replayed at every turn: after this many slices it starts anew.
SLICES_PER_HISTORY = 20

Steps = Generator[task.Task[Any], Any, Any]


def said(broken: task.TaskFailedError) -> str:
    """What a failed step said, for people."""
    return f"{broken.details.error_type}: {broken.details.message}"[:500]


def aware(ctx: task.OrchestrationContext) -> datetime:
    """The orchestration's clock as an aware instant."""
    now: datetime = ctx.current_utc_datetime
    return now if now.tzinfo else now.replace(tzinfo=UTC)


class SlicedSteps(NamedTuple):
    """The activities of a process that plans, works in slices and seals."""

    plan: str
    slice: str
    seal: str


def in_slices(ctx: task.OrchestrationContext, job: SliceTask, steps: SlicedSteps) -> Steps:
    """One job from plan to seal; whatever breaks, the seal runs. Its answer is the state."""
    error: str | None = None
    try:
        if job.number == 0:
            yield _step(ctx, steps.plan, job)
        for number in range(job.number, job.number + SLICES_PER_HISTORY):
            raw = yield _step(ctx, steps.slice, job.model_copy(update={"number": number}))
            answer = SliceAnswer.model_validate(raw)
            if answer.outcome != "more":
                error = answer.error
                break
            if answer.not_before is not None and answer.not_before > aware(ctx):
                yield ctx.create_timer(answer.not_before)
        else:
            following = job.model_copy(update={"number": job.number + SLICES_PER_HISTORY})
            ctx.continue_as_new(following.model_dump(mode="json"))
            return None
    except task.TaskFailedError as broken:
        error = said(broken)
    state = yield _step(ctx, steps.seal, job.model_copy(update={"error": error}))
    return {"state": state}


def _step(ctx: task.OrchestrationContext, activity: str, job: SliceTask) -> task.Task[Any]:
    return ctx.call_activity(activity, input=job.model_dump(mode="json"), retry_policy=RETRY)
