"""The process of a channel's event: answer the channel, then bring the pools to its truth.

    apply_channel_event        id marketplace:{source}:{event}
      answer_channel_event     a change that waits is agreed to or refused
      settle_channel_event     what the channel says now, into the licence ledger
      park_channel_event       after hours without success

The channel auto-accepts after ten seconds, so the answer comes first and nothing waits before it.
Both activities may run twice: what is to be done is found anew each time.
"""

# mypy: disable-error-code="untyped-decorator"

from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from durabletask import task

from orchestrations.habits import Steps, aware, said
from shared.bootstrap import deps

blueprint = df.Blueprint()

# Quick first: a change is auto-accepted after ten seconds, and a lease is given back soon.
RETRY = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=1),
    max_number_of_attempts=4,
    backoff_coefficient=2,
    max_retry_interval=timedelta(seconds=10),
)
PAUSES_MINUTES = (1, 2, 5, 10, 20, 30, 60, 60, 60, 60, 60, 60)
"""About seven hours: after that the hourly reconciliation goes on alone."""


@blueprint.orchestration_trigger(context_name="ctx")
def apply_channel_event(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Steps:
    """Until it is applied or parked; the state of the order."""
    problem = ""
    for pause in (*PAUSES_MINUTES, None):
        try:
            yield ctx.call_activity("answer_channel_event", input=given, retry_policy=RETRY)
            state = yield ctx.call_activity("settle_channel_event", input=given, retry_policy=RETRY)
        except task.TaskFailedError as broken:
            problem = said(broken)
        else:
            return state
        if pause is not None:
            yield ctx.create_timer(aware(ctx) + timedelta(minutes=pause))
    ended = {**given, "said": problem}
    yield ctx.call_activity("park_channel_event", input=ended, retry_policy=RETRY)
    return "Parked"


@blueprint.activity_trigger(input_name="given", activity="answer_channel_event")
async def answer_channel_event(given: dict) -> str:  # type: ignore[type-arg]
    """Agree or refuse, where the channel waits for it."""
    from shared.marketplace import processing

    return await processing.answer_event(deps(), given["source"], given["event_id"])


@blueprint.activity_trigger(input_name="given", activity="settle_channel_event")
async def settle_channel_event(given: dict) -> str:  # type: ignore[type-arg]
    """The channel's truth into the ledger."""
    from shared.marketplace import processing

    return await processing.settle_event(deps(), given["source"], given["event_id"])


@blueprint.activity_trigger(input_name="given", activity="park_channel_event")
async def park_channel_event(given: dict) -> None:  # type: ignore[type-arg]
    """Nothing helped: the order says so."""
    from shared.marketplace import processing

    await processing.give_up(deps(), given["source"], given["event_id"], given["said"])
