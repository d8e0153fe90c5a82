"""The clock of the vaults' keepers: retention, garbage, scrub, locks, once a night."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions.starting import start
from orchestrations.keep import round_of
from shared.bootstrap import deps

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 0 4 * * *")
@blueprint.durable_client_input(client_name="client")
async def keep_every_vault(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Start tonight's round; a repeated tick finds the same one."""
    if tick.past_due:
        log.warning("the clock of the keepers is late: the round starts now")
    night = deps().clock.now().date().isoformat()
    await start(client, "keep_vaults", round_of(night), {"night": night})
