"""The clock of drills: each month every customer's backups are read back, spread over its days."""

import hashlib
import logging

import azure.durable_functions as df
import azure.functions as func

from functions.starting import start
from orchestrations.drill import instance_of
from shared.bootstrap import deps
from shared.drills import service

blueprint = df.Blueprint()
log = logging.getLogger(__name__)

# All customers on one day would be a wave of reads; after the 27th what is late catches up.
DAYS = 27


@blueprint.timer_trigger(arg_name="tick", schedule="0 35 3 * * *")
@blueprint.durable_client_input(client_name="client")
async def start_due_drills(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Start this month's drill of every customer whose day has come; repeats start nothing."""
    if tick.past_due:
        log.warning("the clock of drills is late: what was missed is started now")
    given = deps()
    today = given.clock.now().day
    partners = await (await given.trail()).partners()
    if left := await service.clean_up(given, sorted(partners)):
        log.warning("%d scratch folders of drills could not be removed yet", left)
    async for drill in service.due_drills(given, sorted(partners), lambda c: day_of(c) <= today):
        task = {"partner_id": drill.partner_id, "drill_id": drill.drill_id}
        await start(client, "restore_drill", instance_of(drill.drill_id), task)


def day_of(customer_id: str) -> int:
    """The day of the month on which a customer's drill is due: 1 to 27, by a hash."""
    return int.from_bytes(hashlib.sha256(customer_id.encode()).digest()[:4]) % DAYS + 1
