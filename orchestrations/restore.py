"""The process of one restore: plan, slices of the ledger one after another, seal.

    restore_items   id restore:{restore}
      plan_restore  the ledger of a whole object or folder
      restore_slice at most 200 items; a crash repeats only what was in flight
      seal_restore  the state follows from the ledger

What a human can do: cancel; it is looked at between slices.
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import SlicedSteps, Steps, in_slices
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.kit import ids, watch
from shared.restore.tasks import RestoreTask

blueprint = df.Blueprint()


def instance_of(restore_id: str) -> str:
    """The instance id of a restore's process."""

    return f"restore:{restore_id}"


@blueprint.orchestration_trigger(context_name="ctx")
def restore_items(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One restore from plan to seal; whatever breaks, the seal runs."""
    job = RestoreTask.model_validate(given)
    steps = SlicedSteps("plan_restore", "restore_slice", "seal_restore")
    return (yield from in_slices(ctx, job, steps))


@blueprint.activity_trigger(input_name="given", activity="plan_restore")
async def plan_restore(given: dict) -> None:  # type: ignore[type-arg]
    """Write the ledger."""
    from shared.restore import process

    await process.plan_restore(deps(), RestoreTask.model_validate(given))


@blueprint.activity_trigger(input_name="given", activity="restore_slice")
async def restore_slice(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Restore the next lines of the ledger."""
    from shared.restore import process

    answer = await process.restore_slice(deps(), RestoreTask.model_validate(given))
    return answer.model_dump(mode="json")


@blueprint.activity_trigger(input_name="given", activity="seal_restore")
async def seal_restore(given: dict) -> str:  # type: ignore[type-arg]
    """Compute and write the outcome."""
    from shared.restore import process

    job = RestoreTask.model_validate(given)
    with watch.watching():
        state = await process.seal_restore(deps(), job)
        await tell(
            await deps().trail(),
            job.partner_id,
            process="restore_items",
            instance=instance_of(job.restore_id),
            step="end",
            action="restores.end",
            target=Target(kind="restores", id=job.restore_id),
            customer_id=job.restore_id[: ids.CUSTOMER_LENGTH],
            details={"state": state.value},
        )
    return state.value
