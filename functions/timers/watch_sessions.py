"""The clock that watches sessions: one whose process is gone is resumed, or ended by its rows."""

import logging
from typing import TYPE_CHECKING

import azure.durable_functions as df
import azure.functions as func

from functions.starting import process_state, start
from orchestrations.backup import instance_of
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.kit import losses, watch
from shared.protection import watchdog

if TYPE_CHECKING:
    from shared.protection.model import Session

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@blueprint.timer_trigger(arg_name="tick", schedule="0 */10 * * * *")
@blueprint.durable_client_input(client_name="client")
async def watch_sessions(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Look at every session that has been silent for a while."""
    if tick.past_due:
        log.warning("the clock that watches sessions is late: silent ones are looked at now")
    await look(client)


async def look(client: df.DurableFunctionsClient) -> dict[str, watchdog.Verdict]:
    """Session -> what was decided about it."""
    given = deps()
    now = given.clock.now()
    found: dict[str, watchdog.Verdict] = {}
    async for session in watchdog.silent_sessions(given, now):
        instance = instance_of(session.session_id)
        state = await process_state(client, instance)
        verdict = watchdog.decide(state, now - session.updated_at)
        found[session.session_id] = verdict
        if verdict == "resume":
            log.warning("session %s lost its process: resumed", session.session_id)
            task = {"partner_id": session.partner_id, "session_id": session.session_id}
            await start(client, "backup_session", instance, task)
        elif verdict == "end":
            await _end(session, state)
    return found


async def _end(session: "Session", state: losses.ProcessState) -> None:
    given = deps()
    why = losses.why(state)
    with watch.watching():
        outcome = await watchdog.end(given, session, why)
        log.warning("session %s ended as %s: %s", session.session_id, outcome.value, why)
        await tell(
            await given.trail(),
            session.partner_id,
            process="watch_sessions",
            instance=instance_of(session.session_id),
            step="end",
            action="sessions.end",
            target=Target(kind="sessions", id=session.session_id),
            customer_id=session.customer_id,
            details={"state": outcome.value, "why": why},
        )
