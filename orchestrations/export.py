"""The process of one export: plan, slices of the ZIP one after another, seal.

    export_items    id export:{export}
      plan_export   what is taken
      export_slice  the next part of the file; a crash repeats only this part
      seal_export   the file exists, or nothing of it is left

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
from shared.export.tasks import ExportTask
from shared.kit import ids, watch

blueprint = df.Blueprint()


def instance_of(export_id: str) -> str:
    """The instance id of an export's process."""
    return f"export:{export_id}"


@blueprint.orchestration_trigger(context_name="ctx")
def export_items(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One export from plan to seal; whatever breaks, the seal runs."""
    job = ExportTask.model_validate(given)
    steps = SlicedSteps("plan_export", "export_slice", "seal_export")
    return (yield from in_slices(ctx, job, steps))


@blueprint.activity_trigger(input_name="given", activity="plan_export")
async def plan_export(given: dict) -> None:  # type: ignore[type-arg]
    """Write down what is taken."""
    from shared.export import process

    await process.plan_export(deps(), ExportTask.model_validate(given))


@blueprint.activity_trigger(input_name="given", activity="export_slice")
async def export_slice(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Write the next part of the file."""
    from shared.export import process

    answer = await process.export_slice(deps(), ExportTask.model_validate(given))
    return answer.model_dump(mode="json")


@blueprint.activity_trigger(input_name="given", activity="seal_export")
async def seal_export(given: dict) -> str:  # type: ignore[type-arg]
    """Make the file, or clear up."""
    from shared.export import process

    job = ExportTask.model_validate(given)
    with watch.watching():
        state = await process.seal_export(deps(), job)
        await tell(
            await deps().trail(),
            job.partner_id,
            process="export_items",
            instance=instance_of(job.export_id),
            step="end",
            action="exports.end",
            target=Target(kind="exports", id=job.export_id),
            customer_id=job.export_id[: ids.CUSTOMER_LENGTH],
            details={"state": state.value},
        )
    return state.value
