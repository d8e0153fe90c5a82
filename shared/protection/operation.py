"""A session as an operation: status, steps a person can read, result or error."""

from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit.operations import Operation, OperationError, OperationStatus, Step, StepState
from shared.protection import repository, rules
from shared.protection.model import RUN_OVER, RunState, Session, SessionState

if TYPE_CHECKING:
    from shared.bootstrap import Deps

_STATUS = {
    SessionState.QUEUED: OperationStatus.NOT_STARTED,
    SessionState.RUNNING: OperationStatus.RUNNING,
    SessionState.STOPPING: OperationStatus.RUNNING,
    SessionState.SUCCESS: OperationStatus.SUCCEEDED,
    SessionState.WARNING: OperationStatus.SUCCEEDED,
    SessionState.FAILED: OperationStatus.FAILED,
    SessionState.DISCONNECTED: OperationStatus.FAILED,
    SessionState.STOPPED: OperationStatus.CANCELED,
}


async def session_operation(deps: "Deps", scope: Scope, operation_id: str) -> Operation:
    """The operation of a session; NotFound when unknown or outside the scope."""
    session = await repository.get_session(deps.tables, scope, operation_id)
    states = {RunState(state): number for state, number in session.objects.items()}
    percent = 100 if session.is_over else rules.progress(states, RUN_OVER, session.found)
    return Operation(
        id=session.session_id,
        kind="backup",
        status=_STATUS[session.state],
        created_at=session.created_at,
        updated_at=session.updated_at,
        percent_complete=percent,
        steps=_steps(session, states),
        error=_error(session),
        result={"sessionId": session.session_id, "state": session.state.value}
        if session.is_over
        else None,
    )


def _steps(session: Session, states: dict[RunState, int]) -> list[Step]:
    ended = sum(states.get(state, 0) for state in RUN_OVER)
    planned = session.shards > 0
    find, protect = StepState.WAITING, StepState.WAITING
    if session.is_over:
        find = StepState.SUCCEEDED if planned else StepState.FAILED
        protect = StepState.SUCCEEDED if planned else StepState.SKIPPED
    elif session.state is not SessionState.QUEUED:
        find = StepState.SUCCEEDED if planned else StepState.RUNNING
        protect = StepState.RUNNING if planned else StepState.WAITING
    return [
        Step(
            name="Find objects",
            state=find,
            message=f"{session.found} found, {session.excluded} left out" if planned else "",
        ),
        Step(
            name="Protect objects",
            state=protect,
            message=f"{ended} of {session.found} objects, {session.counts.protected} items stored"
            if planned
            else "",
        ),
    ]


def _error(session: Session) -> OperationError | None:
    if session.state is SessionState.DISCONNECTED:
        return OperationError(
            code="DISCONNECTED",
            detail=session.error or "The customer's tenant does not let us in.",
        )
    if session.state is SessionState.FAILED:
        return OperationError(
            code="SESSION_FAILED", detail=session.error or "No object could be protected."
        )
    return None
