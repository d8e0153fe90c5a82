"""The process of a batch edit: every customer for itself, then the results.

    batch_edit           id batch:{batch}
      edit_customer      once per customer; a refusal is a result, not an end
      end_batch_edit     writes what became of each

Nobody has to come: a batch of 20 takes seconds. Each activity may run twice: the command id of a
customer's change is the batch's with the customer's. Who cancels leaves a note; the next customer's
turn finds it, and those after it are not begun.
"""

# mypy: disable-error-code="untyped-decorator"

from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import RETRY, Steps
from shared.bootstrap import deps

blueprint = df.Blueprint()


def instance_of(batch_id: str) -> str:
    """The instance id of a batch's process."""
    return f"batch:{batch_id}"


@blueprint.orchestration_trigger(context_name="ctx")
def batch_edit(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One customer after the other: they share the partner's books, so nothing is faster."""
    results = []
    for customer_id in given["customers"]:
        one = {**given, "customer_id": customer_id}
        try:
            told = yield ctx.call_activity("edit_customer", input=one, retry_policy=RETRY)
        except task.TaskFailedError as broken:
            told = {
                "customer_id": customer_id,
                "status": "Failed",
                "code": "INTERNAL",
                "detail": f"{broken.details.error_type}: nothing is known to have changed.",
                "rule": "",
            }
        results.append(told)
        if told["status"] == "Canceled":
            break
    ended = {**given, "results": results}
    yield ctx.call_activity("end_batch_edit", input=ended, retry_policy=RETRY)
    return {"failed": sum(told["status"] == "Failed" for told in results)}


@blueprint.activity_trigger(input_name="given", activity="edit_customer")
async def edit_customer(given: dict) -> dict[str, str]:  # type: ignore[type-arg]
    """One customer."""
    from shared.access.model import Scope
    from shared.customers import batch_edits

    scope = Scope(given["partner_id"])
    return await batch_edits.edit_one(deps(), scope, given["batch_id"], given["customer_id"])


@blueprint.activity_trigger(input_name="given", activity="end_batch_edit")
async def end_batch_edit(given: dict) -> None:  # type: ignore[type-arg]
    """The results."""
    from shared.access.model import Scope
    from shared.customers import batch_edits

    await batch_edits.end(deps(), Scope(given["partner_id"]), given["batch_id"], given["results"])
