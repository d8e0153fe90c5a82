"""The processes of usage: the evening's measurement, the close of a month, the look back at night.

    measure_usage          id usage-day:{day}
      list_measured        every partner's customers, a hundred at a time
      measure_customers    their day
    close_usage_month      id usage:{partner}:{month}
      close_usage          picture, measurement, report; tells what holds it up
    amend_usage            id usage-night:{night}
      list_usage_partners
      amend_partner        late data of the newest closed months

A month that is held up is looked at again every day, or when somebody says so (`look_again`).
Each activity may run twice.
"""

# mypy: disable-error-code="untyped-decorator"

from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import RETRY, SLICES_PER_HISTORY, Steps, aware, said
from shared.bootstrap import deps

blueprint = df.Blueprint()
# Activities in work at once.
WINDOW = 4
AGAIN_AFTER = timedelta(days=1)
LOOK_AGAIN = "look_again"


def instance_of(partner_id: str, month: str) -> str:
    """The instance id of a month's close: there is one per partner and month."""
    return f"usage:{partner_id}:{month}"


def task_of(partner_id: str, month: str) -> dict[str, Any]:
    """What that process is given."""
    return {"partner_id": partner_id, "month": month}


@blueprint.orchestration_trigger(context_name="ctx")
def close_usage_month(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """Until it is closed: once a day, or when asked."""
    asked = ctx.wait_for_external_event(LOOK_AGAIN)
    for _ in range(SLICES_PER_HISTORY):
        try:
            told = yield ctx.call_activity("close_usage", input=given, retry_policy=RETRY)
        except task.TaskFailedError as broken:  # told by its log; tomorrow is another day
            told = {"state": "Failed", "error": said(broken)}
        if told["state"] == "Closed":
            return told
        timer = ctx.create_timer(aware(ctx) + AGAIN_AFTER)
        yield task.when_any([asked, timer])
        if not timer.is_complete:
            timer.cancel()
        if asked.is_complete:
            asked = ctx.wait_for_external_event(LOOK_AGAIN)
    ctx.continue_as_new(given)
    return None


@blueprint.orchestration_trigger(context_name="ctx")
def measure_usage(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One evening, all partners."""
    parts = yield ctx.call_activity("list_measured", input=given, retry_policy=RETRY)
    return (yield from _each(ctx, "measure_customers", parts))


@blueprint.orchestration_trigger(context_name="ctx")
def amend_usage(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """One night, all partners."""
    parts = yield ctx.call_activity("list_usage_partners", input=given, retry_policy=RETRY)
    return (yield from _each(ctx, "amend_partner", parts))


def _each(ctx: task.OrchestrationContext, activity: str, parts: list[dict[str, Any]]) -> Steps:
    """A few at a time; what fails keeps no other waiting."""
    waiting, broken = list(parts), 0
    flying: list[task.Task[Any]] = []
    while waiting or flying:
        while waiting and len(flying) < WINDOW:
            one = waiting.pop(0)
            flying.append(ctx.call_activity(activity, input=one, retry_policy=RETRY))
        landed = yield task.when_any(flying)
        flying = [each for each in flying if each is not landed]
        broken += landed.is_failed
    return {"parts": len(parts), "broken": broken}


@blueprint.activity_trigger(input_name="given", activity="close_usage")
async def close_usage(given: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    """Try to close; whether it is closed, or how many customers hold it up."""
    from shared.access.model import Scope
    from shared.usage import keeping

    return await keeping.close_month(deps(), Scope(given["partner_id"]), given["month"])


@blueprint.activity_trigger(input_name="given", activity="list_measured")
async def list_measured(given: dict) -> list[dict[str, Any]]:  # type: ignore[type-arg]
    """Who is measured."""
    from shared.usage import keeping

    return await keeping.list_measured(deps(), given["day"])


@blueprint.activity_trigger(input_name="given", activity="measure_customers")
async def measure_customers(given: dict) -> int:  # type: ignore[type-arg]
    """Some customers of one partner."""
    from shared.access.model import Scope
    from shared.usage import keeping

    scope = Scope(given["partner_id"])
    return await keeping.measure_some(deps(), scope, given["day"], given["customers"])


@blueprint.activity_trigger(input_name="given", activity="list_usage_partners")
async def list_usage_partners(given: dict) -> list[dict[str, Any]]:  # type: ignore[type-arg]  # noqa: ARG001
    """Every partner."""
    from shared.usage import keeping

    return [{"partner_id": each} for each in await keeping.partners(deps())]


@blueprint.activity_trigger(input_name="given", activity="amend_partner")
async def amend_partner(given: dict) -> int:  # type: ignore[type-arg]
    """Late data of one partner."""
    from shared.access.model import Scope
    from shared.usage import keeping

    return await keeping.amend_partner(deps(), Scope(given["partner_id"]))
