"""The process of one backup session: plan, protect every object in bounded slices, seal.

    backup_session           id backup:{session}
      plan_session           consent, discovery, one row per object
      protect_group          id backup:{session}:g{n}   at most ~100 objects, a few at a time
        protect_object       id backup:{session}:{object}   slice after slice, then seal
      seal_session           outcome computed from the rows

What a human can do: stop the session; it is looked at between slices. Every activity may run
twice; a child that breaks is written down as a failed object (architecture.md sections 4 and 6).
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import RETRY, SLICES_PER_HISTORY, Steps, aware, said
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.kit import ids, watch
from shared.protection.tasks import WINDOW, ObjectTask, Plan, SessionTask, SliceAnswer

blueprint = df.Blueprint()


def instance_of(session_id: str) -> str:
    """The instance id of a session's process."""
    return f"backup:{session_id}"


@blueprint.orchestration_trigger(context_name="ctx")
def backup_session(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One session from plan to seal; whatever breaks, the seal runs."""
    job = SessionTask.model_validate(given)
    error, disconnected = None, False
    try:
        raw = yield ctx.call_activity("plan_session", input=given, retry_policy=RETRY)
        plan = Plan.model_validate(raw)
        if plan.outcome == "over":
            return None
        disconnected, error = plan.outcome == "disconnected", plan.detail or None
        for group in range(plan.groups):
            ended = yield ctx.call_sub_orchestrator(
                "protect_group",
                input={"session": given, "group": group},
                instance_id=f"{instance_of(job.session_id)}:g{group}",
            )
            if ended["disconnected"]:
                disconnected, error = True, "the customer's tenant does not let us in"
                break
    except task.TaskFailedError as broken:
        error = said(broken)
    sealing = job.model_copy(update={"error": error, "disconnected": disconnected})
    state = yield ctx.call_activity(
        "seal_session", input=sealing.model_dump(mode="json"), retry_policy=RETRY
    )
    return {"state": state}


@blueprint.orchestration_trigger(context_name="ctx")
def protect_group(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """The objects of one group, `WINDOW` at a time; an object that breaks is written down."""
    tasks = yield ctx.call_activity("list_group", input=given, retry_policy=RETRY)
    waiting, disconnected = list(tasks), False
    flying: dict[int, tuple[task.Task[Any], dict[str, Any]]] = {}
    while flying or (waiting and not disconnected):
        while waiting and not disconnected and len(flying) < WINDOW:
            one = waiting.pop(0)
            child = ctx.call_sub_orchestrator(
                "protect_object",
                input=one,
                instance_id=f"{ctx.instance_id.rsplit(':', 1)[0]}:{short(one['object_id'])}",
            )
            flying[id(child)] = (child, one)
        landed = yield task.when_any([child for child, _ in flying.values()])
        _, one = flying.pop(id(landed))
        if landed.is_failed:
            yield ctx.call_activity(
                "fail_object",
                input={"object": one, "error": said(landed.get_exception())},
                retry_policy=RETRY,
            )
        elif landed.get_result()["outcome"] == "disconnected":
            disconnected = True
    return {"disconnected": disconnected}


@blueprint.orchestration_trigger(context_name="ctx")
def protect_object(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """Slice after slice of one object, then its seal; waits on a durable timer when throttled."""
    job = ObjectTask.model_validate(given)
    answer = SliceAnswer(outcome="more")
    for number in range(job.number, job.number + SLICES_PER_HISTORY):
        budget = answer.budget or job.budget
        at = job.model_copy(update={"number": number, "budget": budget})
        raw = yield ctx.call_activity(
            "protect_slice", input=at.model_dump(mode="json"), retry_policy=RETRY
        )
        answer = SliceAnswer.model_validate(raw)
        if answer.outcome != "more":
            break
        if answer.not_before is not None and answer.not_before > aware(ctx):
            yield ctx.create_timer(answer.not_before)
    else:
        number = job.number + SLICES_PER_HISTORY
        following = job.model_copy(update={"number": number, "budget": answer.budget})
        ctx.continue_as_new(following.model_dump(mode="json"))
        return None
    if answer.outcome in {"done", "stopped"}:
        yield ctx.call_activity("seal_object", input=given, retry_policy=RETRY)
    return {"outcome": answer.outcome}


@blueprint.activity_trigger(input_name="given", activity="plan_session")
async def plan_session(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Consent, discovery, rows."""
    from shared.protection import process

    plan = await process.plan_session(deps(), SessionTask.model_validate(given))
    return plan.model_dump(mode="json")


@blueprint.activity_trigger(input_name="given", activity="list_group")
async def list_group(given: dict) -> list[dict[str, Any]]:  # type: ignore[type-arg]
    """The objects of one group that have not ended."""
    from shared.protection import process

    session = SessionTask.model_validate(given["session"])
    tasks = await process.list_group(deps(), session, given["group"])
    return [one.model_dump(mode="json") for one in tasks]


@blueprint.activity_trigger(input_name="given", activity="protect_slice")
async def protect_slice(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """One bounded slice of one object; the session's row then shows how far it came."""
    from shared.protection import engine, process

    job = ObjectTask.model_validate(given)
    answer = await engine.protect_slice(deps(), job)
    await process.tally(deps(), session_of(job))
    return answer.model_dump(mode="json")


@blueprint.activity_trigger(input_name="given", activity="seal_object")
async def seal_object(given: dict) -> None:  # type: ignore[type-arg]
    """Commit one object's snapshot."""
    from shared.protection import engine, process

    job = ObjectTask.model_validate(given)
    await engine.seal_object(deps(), job)
    await process.tally(deps(), session_of(job))


@blueprint.activity_trigger(input_name="given", activity="fail_object")
async def fail_object(given: dict) -> None:  # type: ignore[type-arg]
    """Count an object whose process broke."""
    from shared.protection import engine

    await engine.fail_object(deps(), ObjectTask.model_validate(given["object"]), given["error"])


@blueprint.activity_trigger(input_name="given", activity="seal_session")
async def seal_session(given: dict) -> str:  # type: ignore[type-arg]
    """Compute and write the outcome."""
    from shared.protection import process

    job = SessionTask.model_validate(given)
    with watch.watching():
        state = await process.seal_session(deps(), job)
        await tell(
            await deps().trail(),
            job.partner_id,
            process="backup_session",
            instance=instance_of(job.session_id),
            step="end",
            action="sessions.end",
            target=Target(kind="sessions", id=job.session_id),
            customer_id=job.session_id[: ids.CUSTOMER_LENGTH],
            details={"state": state.value},
        )
    return state.value


def session_of(job: ObjectTask) -> SessionTask:
    """The session an object's task belongs to."""
    return SessionTask(partner_id=job.partner_id, session_id=job.session_id)


def short(object_id: str) -> str:
    """The part of an object's id that differs inside a customer."""
    return object_id.rsplit("-", 1)[-1]
