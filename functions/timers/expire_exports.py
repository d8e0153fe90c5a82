"""The clock of exports: what has reached its end is deleted, file, pieces and all."""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.export import service

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 25 * * * *")
async def expire_exports(tick: func.TimerRequest) -> None:
    """Delete every file whose days are over; a repeated tick finds nothing more."""
    if tick.past_due:
        log.warning("the clock of exports is late: what has expired is deleted now")
    given = deps()
    async for export in service.expire(given):
        await tell(
            await given.trail(),
            export.partner_id,
            process="expire_exports",
            instance=f"export:{export.export_id}",
            step="expire",
            action="exports.expire",
            target=Target(kind="exports", id=export.export_id),
            customer_id=export.customer_id,
            details={"state": export.state.value},
        )
