"""The clock of seats: automatic subscriptions follow the licences assigned in their tenants."""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared.bootstrap import deps
from shared.customers import nightly
from shared.usage import licences
from shared.usage.measuring import day_of

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 45 2 * * *")
async def note_licences_in_use(tick: func.TimerRequest) -> None:
    """Who is backed up, as last evening measured it (LIC-53): what seats follow has it then."""
    if tick.past_due:
        log.warning("the clock of licences in use is late: they are noted now")
    given = deps()
    day = day_of(given.clock.now())
    log.info("licences in use noted: %s", await licences.note_everywhere(given, day))


@blueprint.timer_trigger(arg_name="tick", schedule="0 0 3 * * *")
async def adjust_licences(tick: func.TimerRequest) -> None:
    """Every partner (LIC-43 to 45); a mass change stops and waits for a person."""
    if tick.past_due:
        log.warning("the clock of seats is late: seats are adjusted now")
    log.info("seats adjusted: %s", await nightly.adjust_all(deps()))


@blueprint.timer_trigger(arg_name="tick", schedule="0 */10 * * * *")
async def adjust_approved(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """What a person has approved since: read in the tenants anew, then done without the brake."""
    log.info("approved seats adjusted: %s", await nightly.adjust_approved(deps()))
