"""The clocks of orders: compare with the channels, tell what was used, look for differences."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions.starting import start
from shared.bootstrap import deps
from shared.kit.errors import HoldfastError
from shared.marketplace import metering, reconciling, usage_files
from shared.marketplace.inbox import instance_of
from shared.marketplace.model import CLOUDBLUE, MICROSOFT
from shared.usage import metered

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 20 * * * *")
@blueprint.durable_client_input(client_name="client")
async def reconcile_orders(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Walk over all channels and start what differs or was lost (24.3 OrderReconcile)."""
    if tick.past_due:
        log.warning("the clock of orders is late: they are compared now")
    given = deps()
    found = await reconciling.walk(given)
    hour = f"{given.clock.now():%Y%m%d%H}"
    for source, event_id in found.started:
        # A process of that id may have died for good: each hour is another try.
        instance = instance_of(source, event_id, hour)
        task = {"source": source, "event_id": event_id}
        await start(client, "apply_channel_event", instance, task)
    log.info(
        "orders compared: %d seen, %d to apply, %d unreadable, %d channels down",
        found.seen, len(found.started), len(found.unreadable), len(found.failed),
    )  # fmt: skip


@blueprint.timer_trigger(arg_name="tick", schedule="0 10 * * * *")
async def submit_metering(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """Queue what evenings have measured and send the hours that are over (marketplace-auth 1.7)."""
    if MICROSOFT not in deps().channels.asked:
        return
    try:
        log.info("metering queued: %s", await metered.tell_everywhere(deps()))
        log.info("metering sent: %s", await metering.submit(deps()))
    except HoldfastError:  # all of it still waits: the next hour sends it
        log.exception("metering was not sent")


@blueprint.timer_trigger(arg_name="tick", schedule="0 30 5 * * *")
async def compare_metering(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """What the marketplace counts otherwise is told once a day."""
    if MICROSOFT in deps().channels.asked:
        await metering.find_mismatches(deps())


@blueprint.timer_trigger(arg_name="tick", schedule="0 40 * * * *")
async def submit_usage_files(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """CloudBlue's files of last month, once it is closed; and how those that wait stand."""
    if CLOUDBLUE not in deps().channels.asked:
        return
    log.info("usage files sent: %s", await metered.send_files(deps()))
    log.info("usage files followed: %s", await usage_files.follow(deps()))
