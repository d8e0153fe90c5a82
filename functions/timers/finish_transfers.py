"""The clock of the second tier: transfers of seats that were cut off are carried on (RES-04)."""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared.bootstrap import deps
from shared.resellers import moving

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 2/10 * * * *")
async def finish_transfers(tick: func.TimerRequest) -> None:
    """Every partner with resellers; two reads each when nothing is under way."""
    if tick.past_due:
        log.warning("the clock of transfers is late: what was cut off is carried on now")
    done = await moving.finish_everywhere(deps())
    if done:
        log.warning("transfers carried on: %s", done)
