"""The clock of the audit trail: signs it once a day, and tells of changes that were cut off."""

import logging
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

from shared.bootstrap import deps

blueprint = df.Blueprint()
log = logging.getLogger(__name__)

# HTTP is cut at 230 s in Azure, so nobody still works on a change announced before this.
CUT_OFF_AFTER = timedelta(minutes=10)


@blueprint.timer_trigger(arg_name="tick", schedule="0 10 0 * * *")
async def sign_audit(tick: func.TimerRequest) -> None:
    """One signed checkpoint per partner and day; then months past their retention go."""
    given = deps()
    trail = await given.trail()
    now = given.clock.now()
    for partner_id in await trail.partners():
        made = await trail.checkpoint(partner_id)
        log.info("audit checkpoint of %s: %s", partner_id, made and made.seq)
    if tick.past_due:
        log.warning("the clock of the audit trail is late: what was missed is signed now")
    # Only after every partner was signed today: the newest head is never older than retention.
    for month in await trail.months_before(now, given.settings.audit_months):
        await trail.drop_month(month)
        log.info("audit month %s dropped after its retention", month)


@blueprint.timer_trigger(arg_name="tick", schedule="0 */15 * * * *")
async def tell_interrupted(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """A line for every change whose worker died before it could write one."""
    trail = await deps().trail()
    for partner_id in await trail.partners():
        found = await trail.record_interrupted(partner_id, CUT_OFF_AFTER)
        if found:
            log.warning("%d changes of %s were cut off", found, partner_id)
