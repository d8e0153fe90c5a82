"""History events, made by the hub with their time; and the few conversions around them."""

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

TERMINAL = frozenset(
    {
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
        pb.ORCHESTRATION_STATUS_CANCELED,
    }
)


def event(now: int, number: int = -1) -> Any:
    """An event without its kind. `number` is the action's id; what arrives from outside has -1."""
    made = pb.HistoryEvent(eventId=number)
    made.timestamp.FromMicroseconds(now)
    return made


def text_of(message: Any, field: str) -> str | None:
    """An optional text, or None when it is not there."""
    return getattr(message, field).value if message.HasField(field) else None


def micros(stamp: Any) -> int:
    """A protobuf time as microseconds since 1970."""
    return int(stamp.ToMicroseconds())


def failure(kind: str, message: str, *, is_final: bool = False) -> Any:
    """Failure details made by the hub itself."""
    return pb.TaskFailureDetails(errorType=kind, errorMessage=message, isNonRetriable=is_final)


def started(now: int) -> Any:
    """The mark at the beginning of a turn; its time is the orchestrator's clock."""
    made = event(now)
    made.orchestratorStarted.SetInParent()
    return made


def turn_completed(now: int) -> Any:
    """The mark at the end of a turn."""
    made = event(now)
    made.orchestratorCompleted.SetInParent()
    return made


def execution_completed(now: int, status: int, output: str | None, details: Any) -> Any:
    """The last event of a finished instance."""
    made = event(now)
    made.executionCompleted.orchestrationStatus = status
    if output is not None:
        made.executionCompleted.result.value = output
    if details is not None:
        made.executionCompleted.failureDetails.CopyFrom(details)
    return made


def raised(now: int, name: str, given: str | None) -> Any:
    """An external event."""
    made = event(now)
    made.eventRaised.name = name
    if given is not None:
        made.eventRaised.input.value = given
    return made


def task_result(now: int, task: int, response: Any) -> Any:
    """An activity's answer."""
    made = event(now)
    if response.HasField("failureDetails"):
        made.taskFailed.taskScheduledId = task
        made.taskFailed.failureDetails.CopyFrom(response.failureDetails)
    else:
        made.taskCompleted.taskScheduledId = task
        if response.HasField("result"):
            made.taskCompleted.result.CopyFrom(response.result)
    return made


def task_failed(now: int, task: int, details: Any) -> Any:
    """An activity that the hub itself refuses."""
    made = event(now)
    made.taskFailed.taskScheduledId = task
    made.taskFailed.failureDetails.CopyFrom(details)
    return made


def child_completed(now: int, task: int, output: str | None) -> Any:
    """A sub-orchestration's output."""
    made = event(now)
    made.subOrchestrationInstanceCompleted.taskScheduledId = task
    if output is not None:
        made.subOrchestrationInstanceCompleted.result.value = output
    return made


def child_failed(now: int, task: int, details: Any) -> Any:
    """A sub-orchestration that failed, was terminated or could not be started."""
    made = event(now)
    made.subOrchestrationInstanceFailed.taskScheduledId = task
    made.subOrchestrationInstanceFailed.failureDetails.CopyFrom(details)
    return made


def timer_fired(now: int, timer: int, fire_at: Any) -> Any:
    """A durable timer's message."""
    made = event(now)
    made.timerFired.timerId = timer
    made.timerFired.fireAt.CopyFrom(fire_at)
    return made
