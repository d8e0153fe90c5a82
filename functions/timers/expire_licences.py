"""The clock of licences: what ends, begins or is released by date, partner by partner.

Pools, then expirations, then releases (features.md 24.3): one sweep does the three in this order.
Decisions go by dates, so this only writes down what is already so; after 00:05 every further run
costs one read per partner, and catches up whatever a stopped night has missed.
"""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared.bootstrap import deps
from shared.customers import nightly

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 5 * * * *")
async def expire_licences(tick: func.TimerRequest) -> None:
    """Sweep every partner that has something due."""
    if tick.past_due:
        log.warning("the clock of licences is late: what was missed is written down now")
    swept = await nightly.sweep_all(deps())
    log.info("licences swept: %s", swept)
