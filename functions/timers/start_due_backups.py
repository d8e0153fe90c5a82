"""The clock of backups: every five minutes, start what is due."""

import logging

import azure.durable_functions as df
import azure.functions as func

from functions.starting import start
from orchestrations.backup import instance_of
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.protection import scheduling
from shared.protection.model import Session
from shared.protection.repository import Due

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 */5 * * * *")
@blueprint.durable_client_input(client_name="client")
async def start_due_backups(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Start the session of every due policy; a repeated tick finds the same sessions."""
    if tick.past_due:
        log.warning("the clock of backups is late: what was missed is started now")
    async for session, due in scheduling.due_sessions(deps()):
        try:
            await _serve(client, session, due)
        except Exception:  # still due: the next tick finds the same session
            log.exception("policy %s is due and was not started", due.policy_id)


async def _serve(client: df.DurableFunctionsClient, session: Session | None, due: Due) -> None:
    """Start, tell, plan the next: in this order, so that whatever breaks is found again."""
    if session is not None:
        task = {"partner_id": session.partner_id, "session_id": session.session_id}
        await start(client, "backup_session", instance_of(session.session_id), task)
        await _tell(session)
    await scheduling.plan_next(deps(), due)


async def _tell(session: Session) -> None:
    """A line for what the clock started; what somebody started by hand has one already."""
    if session.trigger != "Schedule":
        return
    await tell(
        await deps().trail(),
        session.partner_id,
        process="start_due_backups",
        instance=instance_of(session.session_id),
        step="start",
        action="sessions.start",
        target=Target(kind="sessions", id=session.session_id),
        customer_id=session.customer_id,
        details={"policy": session.policy_id},
    )
