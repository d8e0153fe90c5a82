"""The processes of keeping vaults: the nightly round, and one verification.

    keep_vaults            id keep:{night}
      list_vaults          every repository of every customer
      keep_vault           id keep:{night}:{repository}   a few at a time
        open_round         locks, keys, erasures; objects in batches
        keep_objects       retention, garbage, scrub
        close_round        heads signed
    verify_snapshot        id verify:{verification}
      verify_part          chain and rows, then packs, part by part
      seal_verification    outcome and signed report

Nobody has to come. One vault's trouble keeps no other waiting; every activity may run twice.
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import RETRY, SLICES_PER_HISTORY, Steps, said
from shared.bootstrap import deps
from shared.keeping.tasks import Batch, RoundTask, VerifyTask

blueprint = df.Blueprint()
# Vaults in work at once.
WINDOW = 4


def round_of(night: str) -> str:
    """The instance id of a night's round: a second tick finds the first one's."""
    return f"keep:{night}"


def instance_of(verification_id: str) -> str:
    """The instance id of a verification's process."""
    return f"verify:{verification_id}"


@blueprint.orchestration_trigger(context_name="ctx")
def keep_vaults(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One night's round through every vault."""
    waiting = list((yield ctx.call_activity("list_vaults", input=given, retry_policy=RETRY)))
    broken = 0
    flying: list[task.Task[Any]] = []
    while waiting or flying:
        while waiting and len(flying) < WINDOW:
            one = waiting.pop(0)
            instance = f"{round_of(given['night'])}:{one['repository_id']}"
            flying.append(ctx.call_sub_orchestrator("keep_vault", input=one, instance_id=instance))
        landed = yield task.when_any(flying)
        flying = [each for each in flying if each is not landed]
        broken += landed.is_failed
    return {"broken": broken}


@blueprint.orchestration_trigger(context_name="ctx")
def keep_vault(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One vault, batch after batch."""
    batches = yield ctx.call_activity("open_round", input=given, retry_policy=RETRY)
    broken = []
    for batch in batches:
        try:
            yield ctx.call_activity("keep_objects", input=batch, retry_policy=RETRY)
        except task.TaskFailedError as failed:  # told by its own log; the others go on
            broken.append(said(failed))
    if not batches:
        return {"objects": 0, "broken": broken}
    done = yield ctx.call_activity("close_round", input=given, retry_policy=RETRY)
    return {**done, "broken": broken}


@blueprint.orchestration_trigger(context_name="ctx")
def verify_snapshot(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """Part after part of one restore point, then the report."""
    job = VerifyTask.model_validate(given)
    error: str | None = None
    try:
        for part in range(job.part, job.part + SLICES_PER_HISTORY):
            at = job.model_copy(update={"part": part}).model_dump(mode="json")
            more = yield ctx.call_activity("verify_part", input=at, retry_policy=RETRY)
            if not more:
                break
        else:
            following = job.model_copy(update={"part": job.part + SLICES_PER_HISTORY})
            ctx.continue_as_new(following.model_dump(mode="json"))
            return None
    except task.TaskFailedError as broken:
        error = said(broken)
    sealing = {**job.model_dump(mode="json"), "error": error}
    state = yield ctx.call_activity("seal_verification", input=sealing, retry_policy=RETRY)
    return {"state": state}


@blueprint.activity_trigger(input_name="given", activity="list_vaults")
async def list_vaults(given: dict) -> list[dict[str, Any]]:  # type: ignore[type-arg]
    """Every repository."""
    from shared.keeping import rounds

    return [one.model_dump() for one in await rounds.list_vaults(deps(), given["night"])]


@blueprint.activity_trigger(input_name="given", activity="open_round")
async def open_round(given: dict) -> list[dict[str, Any]]:  # type: ignore[type-arg]
    """Locks, keys, erasures."""
    from shared.keeping import rounds

    found = await rounds.open_round(deps(), RoundTask.model_validate(given))
    return [one.model_dump() for one in found]


@blueprint.activity_trigger(input_name="given", activity="keep_objects")
async def keep_objects(given: dict) -> None:  # type: ignore[type-arg]
    """Retention, garbage, scrub."""
    from shared.keeping import rounds

    await rounds.keep_objects(deps(), Batch.model_validate(given))


@blueprint.activity_trigger(input_name="given", activity="close_round")
async def close_round(given: dict) -> dict[str, int]:  # type: ignore[type-arg]
    """Heads signed."""
    from shared.keeping import rounds

    return await rounds.close_round(deps(), RoundTask.model_validate(given))


@blueprint.activity_trigger(input_name="given", activity="verify_part")
async def verify_part(given: dict) -> bool:  # type: ignore[type-arg]
    """One part of a verification."""
    from shared.access.model import Scope
    from shared.keeping import verifying

    job = VerifyTask.model_validate(given)
    return await verifying.check_part(deps(), Scope(job.partner_id), job.verification_id, job.part)


@blueprint.activity_trigger(input_name="given", activity="seal_verification")
async def seal_verification(given: dict) -> str:  # type: ignore[type-arg]
    """The outcome and its signed report."""
    from shared.access.model import Scope
    from shared.keeping import verifying

    scope, name = Scope(given["partner_id"]), given["verification_id"]
    return (await verifying.seal(deps(), scope, name, given["error"])).value
