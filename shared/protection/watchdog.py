"""Sessions whose process is gone or silent: found, resumed or ended (features.md 24.2, 24.3)."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from shared.access.model import Scope
from shared.kit.losses import HOPELESS_AFTER, ProcessState
from shared.protection import process, repository
from shared.protection.model import Session, SessionState
from shared.protection.tasks import SessionTask

if TYPE_CHECKING:
    from shared.bootstrap import Deps

SILENT_AFTER = timedelta(minutes=20)
"""A slice takes four minutes and reports; only waiting behind a throttle takes longer."""

Verdict = Literal["wait", "resume", "end"]


def decide(state: ProcessState, silent: timedelta) -> Verdict:
    """What becomes of a session that is not over: pure.

    A process that was lost with its task hub goes on from the rows when it is started again; one
    that ended without a result is never believed: the outcome is computed from the rows.
    """
    if silent < SILENT_AFTER:
        return "wait"
    if state == "missing":
        return "resume"
    return "end" if state == "ended" or silent >= HOPELESS_AFTER else "wait"


async def silent_sessions(deps: "Deps", now: datetime) -> AsyncIterator[Session]:
    """Sessions of all partners that are not over and have reported nothing for a while."""
    for partner_id in await (await deps.trail()).partners():
        scope = Scope(partner_id)
        running = await repository.list_policies(
            deps.tables, scope, chosen=lambda policy: policy.running_session_id is not None
        )
        for policy in running:
            session = await repository.find_session(
                deps.tables, scope, str(policy.running_session_id)
            )
            if session is None or session.is_over:
                continue
            if now - session.updated_at >= SILENT_AFTER:
                yield session


async def end(deps: "Deps", session: Session, why: str) -> SessionState:
    """End a session in the place of its process; may run twice, and beside a late process."""
    task = SessionTask(partner_id=session.partner_id, session_id=session.session_id, error=why)
    return await process.seal_session(deps, task)
