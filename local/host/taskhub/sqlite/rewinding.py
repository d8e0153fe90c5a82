"""Rewind: a failed instance goes on from its last good state.

The worker rewrites the history (it takes out what failed); the hub puts it in place, runs again
what the failure cut off, and does the same for failed children.
"""

from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import activities, children, entities, events, history, messages
from local.host.taskhub.sqlite.effects import Changed
from local.host.taskhub.sqlite.limits import Refused, not_found
from local.host.taskhub.sqlite.messages import Instance, Kind
from local.host.taskhub.sqlite.store import Transaction

ENTITY_ANSWERS = (
    *("entityOperationCompleted", "entityOperationFailed"),
    *("entityLockGranted", "entityUnlockSent"),
)


def rewind(tx: Transaction, instance_id: str, reason: str | None) -> None:
    """Have a failed instance rewound; any other status is refused."""
    instance = messages.by_id(tx, instance_id)
    if instance is None:
        raise not_found(instance_id)
    if instance.status != pb.ORCHESTRATION_STATUS_FAILED:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the orchestration instance '{instance_id}' has not failed: it cannot be rewound",
        )
    _begin(tx, instance, reason)


def _begin(tx: Transaction, instance: Instance, reason: str | None) -> None:
    tx.db.execute(
        "UPDATE instances SET status = ?, completed = NULL, updated = ? WHERE key = ?",
        (pb.ORCHESTRATION_STATUS_RUNNING, tx.now, instance.key),
    )
    tx.db.execute(
        "UPDATE payloads SET output = NULL, failure = NULL WHERE key = ?", (instance.key,)
    )
    asked = events.event(tx.now)
    asked.executionRewound.SetInParent()
    if reason is not None:
        asked.executionRewound.reason.value = reason
    tx.db.execute("DELETE FROM messages WHERE instance = ?", (instance.key,))
    messages.put(tx, instance.key, Kind.CONTROL, asked)
    messages.wake(tx, instance.key)
    tx.effects.append(Changed(instance.id))


def rewrite(tx: Transaction, instance: Instance, rewritten: list[Any]) -> None:
    """Put the worker's history in place of the old one and start again what is open in it."""
    execution = instance.execution
    reason = None
    for event in rewritten:
        if event.HasField("executionStarted"):
            execution = event.executionStarted.orchestrationInstance.executionId.value or execution
        elif event.HasField("executionRewound"):
            reason = events.text_of(event.executionRewound, "reason")
    history.clear(tx, instance.key)
    history.append(tx, instance, rewritten)
    # A new generation: a late result of what was cut off is not taken beside its repetition.
    tx.db.execute(
        "UPDATE instances SET generation = generation + 1, execution = ?, updated = ? "
        "WHERE key = ?",
        (execution, tx.now, instance.key),
    )
    again = messages.by_key(tx, instance.key)
    assert again is not None
    for task, event in _open(rewritten).items():
        if event.HasField("taskScheduled"):
            activities.schedule(tx, again, task, event.taskScheduled)
        elif event.HasField("timerCreated"):
            fire_at = event.timerCreated.fireAt
            fired = events.timer_fired(tx.now, task, fire_at)
            messages.put(tx, again.key, Kind.TIMER, fired, max(events.micros(fire_at), 1))
        elif event.HasField("entityOperationCalled"):
            entities.call_again(tx, again, event.entityOperationCalled)
        elif event.HasField("entityLockRequested"):
            entities.ask_for_lock(tx, again, event.entityLockRequested)
        else:
            _child(tx, again, task, event.subOrchestrationInstanceCreated, reason)
    messages.put(tx, again.key, Kind.NUDGE, None)
    messages.wake(tx, again.key)


def _open(rewritten: list[Any]) -> dict[int, Any]:
    """What was asked for and has no result, by its number."""
    found: dict[int, Any] = {}
    entity_tasks: dict[str, int] = {}
    for event in rewritten:
        kind = event.WhichOneof("eventType")
        if kind in ("taskScheduled", "timerCreated", "subOrchestrationInstanceCreated"):
            found[event.eventId] = event
        elif kind == "taskCompleted":
            found.pop(event.taskCompleted.taskScheduledId, None)
        elif kind == "timerFired":
            found.pop(event.timerFired.timerId, None)
        elif kind == "subOrchestrationInstanceCompleted":
            found.pop(event.subOrchestrationInstanceCompleted.taskScheduledId, None)
        elif kind in ("entityOperationCalled", "entityLockRequested"):
            found[event.eventId] = event
            entity_tasks[_entity_request(getattr(event, kind))] = event.eventId
        elif kind in ENTITY_ANSWERS:
            found.pop(entity_tasks.get(_entity_request(getattr(event, kind)), -1), None)
    return found


def _entity_request(message: Any) -> str:
    is_lock = "criticalSectionId" in message.DESCRIPTOR.fields_by_name
    return str(message.criticalSectionId if is_lock else message.requestId)


def _child(tx: Transaction, parent: Instance, task: int, created: Any, reason: str | None) -> None:
    """A child that failed is rewound, one that was purged starts anew, another is waited for."""
    child = messages.by_id(tx, created.instanceId)
    if child is None:
        children.start(tx, parent, task, created)
        return
    tx.db.execute(
        "UPDATE instances SET parent = ?, parent_generation = ?, parent_task = ? WHERE key = ?",
        (parent.key, parent.generation, task, child.key),
    )
    if child.status == pb.ORCHESTRATION_STATUS_FAILED:
        _begin(tx, child, reason)
    elif child.completed is not None:
        children.tell_again(tx, child.key)
