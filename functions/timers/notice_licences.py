"""The clock of notices: what partners are to be told of licences is written down (NTF-20)."""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared.bootstrap import deps
from shared.licensing import noticing

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 0 8 * * *")
async def notice_licences(tick: func.TimerRequest) -> None:
    """Ends in 30, 7 and 1 days, shortfalls, low pools: each once; missed days are told late."""
    if tick.past_due:
        log.warning("the clock of notices is late: what was missed is told now")
    log.info("notices written: %s", await noticing.note_everywhere(deps()))
