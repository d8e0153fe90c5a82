"""A turn: history and new events out, actions in; one transaction takes all that it changes."""

from dataclasses import dataclass
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import (
    activities,
    children,
    entities,
    events,
    history,
    instances,
    limits,
    messages,
    rewinding,
)
from local.host.taskhub.sqlite.chaos import Chaos
from local.host.taskhub.sqlite.effects import Changed, TurnOver
from local.host.taskhub.sqlite.messages import Instance, Kind
from local.host.taskhub.sqlite.store import Transaction

CONTINUED = pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
RUNNING = pb.ORCHESTRATION_STATUS_RUNNING


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is handed out: what it took from the inbox, and its serialised request."""

    key: int
    generation: int
    seqs: list[int]
    events: list[Any]
    request: bytes


def begin(tx: Transaction, key: int, chaos: Chaos | None = None) -> Begun | None:
    """Put a turn together. Nothing is written: a turn that is lost is begun again."""
    instance = messages.by_key(tx, key)
    if instance is None or instance.completed is not None or not messages.is_ready(tx, instance):
        return None
    taken = messages.waiting(tx, key)
    rewound = [m for m in taken if m[2] is not None and m[2].HasField("executionRewound")]
    taken = rewound[:1] or taken  # the worker rewinds in a turn of its own
    if chaos is not None:
        results = iter(chaos.shuffle([m for m in taken if m[1] is Kind.RESULT]))
        taken = [next(results) if m[1] is Kind.RESULT else m for m in taken]
    new = [events.started(tx.now), *(event for _, _, event in taken if event is not None)]
    request = (
        history.content(tx, key)
        + pb.OrchestratorRequest(
            instanceId=instance.id, executionId={"value": instance.execution}, newEvents=new
        ).SerializeToString()
    )
    return Begun(key, instance.generation, [seq for seq, _, _ in taken], new, request)


def complete(tx: Transaction, begun: Begun, response: Any) -> None:
    """Commit a turn: history, status, messages and activities out, inbox in.

    An answer for an instance that has ended or gone on meanwhile changes nothing. Raises Refused
    for an action that is not done; nothing is kept then.
    """
    tx.effects.append(TurnOver(begun.key))
    instance = messages.by_key(tx, begun.key)
    if instance is None or instance.completed is not None:
        return
    if instance.generation != begun.generation:
        return
    tx.db.executemany("DELETE FROM messages WHERE seq = ?", [(seq,) for seq in begun.seqs])
    if response.HasField("customStatus"):
        limits.check_custom_status(response.customStatus.value)
        tx.db.execute(
            "UPDATE payloads SET custom_status = ? WHERE key = ?",
            (response.customStatus.value, begun.key),
        )
    status = _status(instance, begun.events)
    if status != instance.status:
        tx.effects.append(Changed(instance.id))
    tx.db.execute(
        "UPDATE instances SET status = ?, updated = ?, losses = 0 WHERE key = ?",
        (status, tx.now, begun.key),
    )
    _act(tx, instance, begun, response.actions)
    messages.wake(tx, begun.key)


def _status(instance: Instance, new: list[Any]) -> int:
    status = instance.status
    if status == pb.ORCHESTRATION_STATUS_PENDING:
        status = RUNNING
    for event in new:
        if event.HasField("executionSuspended"):
            status = pb.ORCHESTRATION_STATUS_SUSPENDED
        elif event.HasField("executionResumed"):
            status = RUNNING
    return int(status)


def _act(tx: Transaction, instance: Instance, begun: Begun, actions: Any) -> None:
    if len(actions) > limits.MOST_ACTIONS:
        raise limits.invalid(
            f"a turn of '{instance.id}' asks for {len(actions):,} actions; "
            f"at most {limits.MOST_ACTIONS:,} are taken"
        )
    completing = None
    asked: list[Any] = []
    for action in actions:
        kind = action.WhichOneof("orchestratorActionType")
        if kind == "completeOrchestration":
            completing = action.completeOrchestration
        elif kind == "rewindOrchestration":
            rewinding.rewrite(tx, instance, list(action.rewindOrchestration.newHistory))
            return
        elif kind == "terminateOrchestration":
            ending = action.terminateOrchestration
            reason = events.text_of(ending, "reason")
            instances.terminate(tx, ending.instanceId, reason, is_recursive=ending.recurse)
        elif kind in ACTIONS:
            asked.append(ACTIONS[kind](tx, instance, action))
        else:
            raise limits.Refused(
                limits.UNIMPLEMENTED, f"the local task hub does not do '{kind}' actions"
            )
    last = [*begun.events, *asked, events.turn_completed(tx.now)]
    if completing is None:
        history.append(tx, instance, last)
    elif completing.orchestrationStatus == CONTINUED:
        given = events.text_of(completing, "result")
        version = events.text_of(completing, "newVersion")
        limits.check_payload("the input of the next generation", given)
        instances.next_generation(tx, instance, given, version, list(completing.carryoverEvents))
    else:
        details = completing.failureDetails if completing.HasField("failureDetails") else None
        output = events.text_of(completing, "result")
        limits.check_payload("the orchestration's output", output)
        if completing.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED:
            output = None  # failure details stand for it
        instances.end(tx, instance, completing.orchestrationStatus, output, details, last)


def _schedule(tx: Transaction, instance: Instance, action: Any) -> Any:
    asked = action.scheduleTask
    made = events.event(tx.now, action.id)
    scheduled = made.taskScheduled
    scheduled.name = asked.name
    for field in ("version", "input", "parentTraceContext"):
        if asked.HasField(field):
            getattr(scheduled, field).CopyFrom(getattr(asked, field))
    for name, value in asked.tags.items():
        scheduled.tags[name] = value
    if asked.ByteSize() > limits.LARGEST_PAYLOAD_BYTES:
        limits.check_payload(f"the input of the activity '{asked.name}'", asked.input.value)
    activities.schedule(tx, instance, action.id, asked)
    return made


def _timer(tx: Transaction, instance: Instance, action: Any) -> Any:
    made = events.event(tx.now, action.id)
    fire_at = action.createTimer.fireAt
    made.timerCreated.fireAt.CopyFrom(fire_at)
    fired = events.timer_fired(max(tx.now, events.micros(fire_at)), action.id, fire_at)
    messages.put(tx, instance.key, Kind.TIMER, fired, max(events.micros(fire_at), 1))
    return made


def _child(tx: Transaction, instance: Instance, action: Any) -> Any:
    asked = action.createSubOrchestration
    made = events.event(tx.now, action.id)
    created = made.subOrchestrationInstanceCreated
    created.name = asked.name
    created.instanceId = asked.instanceId or f"{instance.id}:{action.id:04x}"
    for field in ("version", "input", "parentTraceContext"):
        if asked.HasField(field):
            getattr(created, field).CopyFrom(getattr(asked, field))
    for name, value in asked.tags.items():
        created.tags[name] = value
    children.start(tx, instance, action.id, created)
    return made


def _send(tx: Transaction, _: Instance, action: Any) -> Any:
    asked = action.sendEvent
    target = asked.instance.instanceId
    given = limits.check_payload("the event", events.text_of(asked, "data"))
    made = events.event(tx.now, action.id)
    made.eventSent.instanceId = target
    made.eventSent.name = asked.name
    if given is not None:
        made.eventSent.input.value = given
    if target and messages.by_id(tx, target) is not None:  # nobody there: dropped, as in the cloud
        instances.raise_event(tx, target, asked.name, given)
    return made


def _to_entity(tx: Transaction, instance: Instance, action: Any) -> Any:
    asked = action.sendEntityMessage
    made = events.event(tx.now, action.id)
    kind = asked.WhichOneof("EntityMessageType")
    message = getattr(asked, kind)
    getattr(made, kind).CopyFrom(message)
    if kind == "entityOperationSignaled":
        entities.signal(tx, message)
    elif kind == "entityOperationCalled":
        entities.call(tx, instance, message)
    elif kind == "entityLockRequested":
        entities.ask_for_lock(tx, instance, message)
    else:
        entity = message.targetInstanceId.value
        entities.unlock(tx, instance, message.criticalSectionId, entity)
    return made


ACTIONS = {
    "sendEntityMessage": _to_entity,
    "scheduleTask": _schedule,
    "createTimer": _timer,
    "createSubOrchestration": _child,
    "sendEvent": _send,
}
