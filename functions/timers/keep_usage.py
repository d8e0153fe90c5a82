"""The clocks of usage: measured every evening, closed after the month, looked back at at night."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions.starting import start
from orchestrations.usage import instance_of, task_of
from shared.bootstrap import deps
from shared.usage import keeping, rules
from shared.usage.measuring import day_of

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 50 23 * * *")
@blueprint.durable_client_input(client_name="client")
async def usage_daily(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Measure every customer (24.3 UsageDaily); a repeated tick finds the same process."""
    if tick.past_due:
        log.warning("the clock of usage is late: the day is measured now")
    day = day_of(deps().clock.now()).isoformat()
    await start(client, "measure_usage", f"usage-day:{day}", {"day": day})


@blueprint.timer_trigger(arg_name="tick", schedule="0 5 0 1 * *")
async def billing_snapshot(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """Keep who holds what at the end of the month (24.3 BillingSnapshot, USG-15)."""
    month = rules.month_before(rules.month_of(deps().clock.now().date()))
    broken = await keeping.take_pictures(deps(), month)
    log.info("pictures of %s kept, %d failed", month, broken)


@blueprint.timer_trigger(arg_name="tick", schedule="0 0 1 * * *")
@blueprint.durable_client_input(client_name="client")
async def close_usage_months(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Start the close of last month (24.3 MonthlyUsageBuild, PaygClose), one per partner and month.

    Every day and not on the first alone: a clock that stood still then has lost nothing, and where
    the process is there already nothing is started.
    """
    if tick.past_due:
        log.warning("the clock of months is late: last month is closed now")
    given = deps()
    month = rules.month_before(rules.month_of(given.clock.now().date()))
    for partner_id in await keeping.partners(given):
        instance = instance_of(partner_id, month)
        await start(client, "close_usage_month", instance, task_of(partner_id, month))


@blueprint.timer_trigger(arg_name="tick", schedule="0 30 2 * * *")
@blueprint.durable_client_input(client_name="client")
async def amend_usage_months(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001
    """Look again at the newest closed months: late data becomes adjustments."""
    night = deps().clock.now().date().isoformat()
    await start(client, "amend_usage", f"usage-night:{night}", {"night": night})


@blueprint.timer_trigger(arg_name="tick", schedule="0 0 6 * * *")
async def usage_deadline(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """Late flags, suspension and release (24.3 UsageDeadline, USG-10, USG-20)."""
    log.info("suspended for late reports: %d partners", await keeping.keep_deadlines(deps()))
