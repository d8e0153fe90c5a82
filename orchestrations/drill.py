"""The process of one restore drill: draw objects, read some items of each back, sign the report.

restore_drill   id drill:{drill}
  plan_drill    the objects, by lot
  drill_object  a few items of one object, read into memory and checked
  seal_drill    the signed report; whatever broke, it is written
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import RETRY, Steps, said
from shared.audit.model import Outcome, Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.drills.model import DrillState
from shared.drills.tasks import DrillPlan, DrillTask
from shared.kit import ids, watch

blueprint = df.Blueprint()


def instance_of(drill_id: str) -> str:
    """The instance id of a drill's process."""
    return f"drill:{drill_id}"


@blueprint.orchestration_trigger(context_name="ctx")
def restore_drill(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One drill; an object that breaks the activity is told and does not end the others."""
    job = DrillTask.model_validate(given)
    error: str | None = None
    try:
        raw = yield ctx.call_activity("plan_drill", input=given, retry_policy=RETRY)
        for object_id in DrillPlan.model_validate(raw).objects:
            at = job.model_copy(update={"object_id": object_id})
            try:
                yield ctx.call_activity(
                    "drill_object", input=at.model_dump(mode="json"), retry_policy=RETRY
                )
            except task.TaskFailedError as broken:
                error = error or said(broken)
    except task.TaskFailedError as broken:
        error = said(broken)
    sealing = job.model_copy(update={"error": error})
    state = yield ctx.call_activity(
        "seal_drill", input=sealing.model_dump(mode="json"), retry_policy=RETRY
    )
    return {"state": state}


@blueprint.activity_trigger(input_name="given", activity="plan_drill")
async def plan_drill(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Draw the objects."""
    from shared.drills import process

    plan = await process.plan_drill(deps(), DrillTask.model_validate(given))
    return plan.model_dump(mode="json")


@blueprint.activity_trigger(input_name="given", activity="drill_object")
async def drill_object(given: dict) -> None:  # type: ignore[type-arg]
    """Read some items of one object back."""
    from shared.drills import process

    await process.drill_object(deps(), DrillTask.model_validate(given))


@blueprint.activity_trigger(input_name="given", activity="seal_drill")
async def seal_drill(given: dict) -> str:  # type: ignore[type-arg]
    """Sign and write the report."""
    from shared.drills import process

    job = DrillTask.model_validate(given)
    with watch.watching():
        state = await process.seal_drill(deps(), job)
        good = state in {DrillState.PASSED, DrillState.EMPTY}
        await tell(
            await deps().trail(),
            job.partner_id,
            process="restore_drill",
            instance=instance_of(job.drill_id),
            step="end",
            action="drills.end",
            target=Target(kind="drills", id=job.drill_id),
            customer_id=job.drill_id[: ids.CUSTOMER_LENGTH],
            outcome=Outcome.DONE if good else Outcome.FAILED,
            details={"state": state.value},
        )
    return state.value
