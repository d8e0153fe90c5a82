"""What clients do to instances: start, raise, terminate, suspend, restart; and their end."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import grpc
from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import entities, events, history, messages, purging
from local.host.taskhub.sqlite.effects import Changed, Gone
from local.host.taskhub.sqlite.limits import (
    Refused,
    check_event_name,
    check_id,
    check_name,
    check_payload,
    check_tags,
    not_found,
)
from local.host.taskhub.sqlite.messages import Instance, Kind
from local.host.taskhub.sqlite.store import Transaction


@dataclass(frozen=True)
class New:
    """An instance to be made."""

    id: str
    name: str
    version: str | None = None
    input: str | None = None
    tags: Mapping[str, str] | None = None
    start_at: int | None = None
    parent: Instance | None = None
    parent_task: int | None = None
    trace: Any = None


def started_by_entity(asked: Any) -> New:
    """What an entity's action starts; without an id it gets a new one."""
    return New(
        asked.instanceId or uuid.uuid4().hex,
        asked.name,
        events.text_of(asked, "version"),
        check_payload("the input", events.text_of(asked, "input")),
        start_at=events.micros(asked.scheduledTime) if asked.HasField("scheduledTime") else None,
    )


def start(tx: Transaction, new: New, replaceable: frozenset[int] = frozenset()) -> None:
    """Start an instance. An existing one is in the way unless its status may be replaced."""
    check_id(new.id)
    check_name(new.name)
    check_tags(new.tags or {})
    known = messages.by_id(tx, new.id)
    if known is not None:
        if known.status not in replaceable:
            raise Refused(
                grpc.StatusCode.ALREADY_EXISTS,
                f"the orchestration instance '{new.id}' exists already",
            )
        purging.remove(tx, known.key)
    create(tx, new)


def create(tx: Transaction, new: New) -> None:
    """Write a new instance with its first message; nothing may be in its place."""
    execution = uuid.uuid4().hex
    new = replace(new, version=new.version or tx.default_version)
    parent = new.parent
    key = tx.db.execute(
        "INSERT INTO instances (id, name, version, status, execution, parent, parent_generation, "
        "parent_task, created, updated, start_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(new.id, new.name, new.version, pb.ORCHESTRATION_STATUS_PENDING, execution),
            *(parent and parent.key, parent and parent.generation, new.parent_task),
            *(tx.now, tx.now, new.start_at),
        ),
    ).lastrowid
    assert key is not None
    tx.db.execute(
        "INSERT INTO payloads (key, input, tags) VALUES (?, ?, ?)",
        (key, new.input, json.dumps(dict(new.tags)) if new.tags else None),
    )
    begun = _execution_started(tx, new, execution)
    due = new.start_at if new.start_at is not None and new.start_at > tx.now else 0
    messages.put(tx, key, Kind.START, begun, due)
    messages.wake(tx, key)
    tx.effects.append(Changed(new.id))


def _execution_started(tx: Transaction, new: New, execution: str) -> Any:
    begun = events.event(tx.now)
    first = begun.executionStarted
    first.name = new.name
    first.orchestrationInstance.instanceId = new.id
    first.orchestrationInstance.executionId.value = execution
    if new.version is not None:
        first.version.value = new.version
    if new.input is not None:
        first.input.value = new.input
    if new.start_at is not None:
        first.scheduledStartTimestamp.FromMicroseconds(new.start_at)
    if new.trace is not None:
        first.parentTraceContext.CopyFrom(new.trace)
    for name, value in (new.tags or {}).items():
        first.tags[name] = value
    if new.parent is not None:
        first.parentInstance.taskScheduledId = new.parent_task or 0
        first.parentInstance.name.value = new.parent.name
        first.parentInstance.orchestrationInstance.instanceId = new.parent.id
        first.parentInstance.orchestrationInstance.executionId.value = new.parent.execution
    return begun


def next_generation(
    tx: Transaction, instance: Instance, given: str | None, version: str | None, carried: list[Any]
) -> None:
    """Continue as new: same id, new execution, empty history; carried events come first."""
    execution = uuid.uuid4().hex
    version = version if version is not None else instance.version
    (tags,) = tx.db.execute("SELECT tags FROM payloads WHERE key = ?", (instance.key,)).fetchone()
    messages.forget_generation(tx, instance.key)
    entities.let_go(tx, instance.key)
    arrived = messages.take_all(tx, instance.key)
    new = New(instance.id, instance.name, version, given, json.loads(tags) if tags else None)
    begun = _execution_started(tx, new, execution)
    if instance.parent is not None and (parent := messages.by_key(tx, instance.parent)):
        begun.executionStarted.parentInstance.taskScheduledId = instance.parent_task or 0
        begun.executionStarted.parentInstance.name.value = parent.name
        begun.executionStarted.parentInstance.orchestrationInstance.instanceId = parent.id
    messages.put(tx, instance.key, Kind.START, begun)
    for event in carried:
        messages.put(tx, instance.key, Kind.EVENT, event)
    messages.put_back(tx, instance.key, arrived)
    history.clear(tx, instance.key)
    tx.db.execute(
        "UPDATE instances SET generation = generation + 1, execution = ?, version = ?, "
        "status = ?, updated = ?, chunks = 0 WHERE key = ?",
        (execution, version, pb.ORCHESTRATION_STATUS_RUNNING, tx.now, instance.key),
    )
    tx.db.execute("UPDATE payloads SET input = ? WHERE key = ?", (given, instance.key))


def raise_event(tx: Transaction, instance_id: str, name: str, given: str | None) -> None:
    """Buffer an event; for a finished instance it is accepted and dropped."""
    check_event_name(name)
    instance = messages.by_id(tx, instance_id)
    if instance is None:
        raise not_found(instance_id)
    if instance.completed is not None:
        return
    messages.put(tx, instance.key, Kind.EVENT, events.raised(tx.now, name, given))
    messages.wake(tx, instance.key)


def control(tx: Transaction, instance_id: str, event: Any) -> None:
    """Suspend or resume; what is so already, or is finished, stays as it is.

    Never two suspensions in a row: the SDK's worker would go round in circles at the resumption.
    """
    instance = messages.by_id(tx, instance_id)
    if instance is None:
        raise not_found(instance_id)
    if instance.completed is not None:
        return
    is_suspended = instance.status == pb.ORCHESTRATION_STATUS_SUSPENDED
    for _, kind, waiting in messages.waiting(tx, instance.key):
        if kind is Kind.CONTROL and waiting is not None:
            is_suspended = waiting.HasField("executionSuspended")
    if is_suspended == event.HasField("executionSuspended"):
        return
    messages.put(tx, instance.key, Kind.CONTROL, event)
    messages.wake(tx, instance.key)


def terminate(tx: Transaction, instance_id: str, reason: str | None, *, is_recursive: bool) -> None:
    """End an instance now, whatever it waits for or whoever works on it; output is the reason.

    Activities that were handed out run to their end; their results are dropped.
    """
    instance = messages.by_id(tx, instance_id)
    if instance is None or instance.completed is not None:
        return
    if is_recursive:
        for (child,) in tx.db.execute(
            "SELECT id FROM instances WHERE parent = ? AND completed IS NULL", (instance.key,)
        ).fetchall():
            terminate(tx, child, reason, is_recursive=True)
    ending = events.event(tx.now)
    ending.executionTerminated.recurse = is_recursive
    if reason is not None:
        ending.executionTerminated.input.value = reason
    end(tx, instance, pb.ORCHESTRATION_STATUS_TERMINATED, reason, None, [ending])


def end(
    tx: Transaction,
    instance: Instance,
    status: int,
    output: str | None,
    details: Any,
    last: list[Any],
) -> None:
    """Finish an instance: history, status, inbox, parent, whoever waits."""
    final = events.execution_completed(tx.now, status, output, details)
    history.append(tx, instance, [*last, final])
    tx.db.execute(
        "UPDATE instances SET status = ?, completed = ?, updated = ? WHERE key = ?",
        (status, tx.now, tx.now, instance.key),
    )
    tx.db.execute(
        "UPDATE payloads SET output = ?, failure = ? WHERE key = ?",
        (output, details.SerializeToString() if details is not None else None, instance.key),
    )
    tx.db.execute("DELETE FROM messages WHERE instance = ?", (instance.key,))
    entities.let_go(tx, instance.key)
    tx.effects += [Gone(instance.key), Changed(instance.id)]
    tell_parent(tx, instance, status, output, details)


def tell_parent(
    tx: Transaction, instance: Instance, status: int, output: str | None, details: Any
) -> None:
    """Send a child's end to the generation that asked for it."""
    if instance.parent is None or instance.parent_task is None:
        return
    parent = messages.by_key(tx, instance.parent)
    if parent is None or parent.completed is not None:
        return
    if parent.generation != instance.parent_generation:
        return
    if status == pb.ORCHESTRATION_STATUS_COMPLETED:
        result = events.child_completed(tx.now, instance.parent_task, output)
    else:
        word = pb.OrchestrationStatus.Name(status).removeprefix("ORCHESTRATION_STATUS_").lower()
        details = details or events.failure(
            "SubOrchestrationFailed", f"the sub-orchestration '{instance.id}' was {word}"
        )
        result = events.child_failed(tx.now, instance.parent_task, details)
    messages.put(tx, parent.key, Kind.RESULT, result)
    messages.wake(tx, parent.key)


def restart(tx: Transaction, instance_id: str, *, is_new_id: bool) -> str:
    """Run a finished instance once more with its first input; gives the id."""
    instance = messages.by_id(tx, instance_id)
    if instance is None:
        raise not_found(instance_id)
    if instance.completed is None:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the orchestration instance '{instance_id}' has not ended: it cannot be restarted",
        )
    given, tags = tx.db.execute(
        "SELECT input, tags FROM payloads WHERE key = ?", (instance.key,)
    ).fetchone()
    new_id = uuid.uuid4().hex if is_new_id else instance_id
    if not is_new_id:
        purging.remove(tx, instance.key)
    create(
        tx,
        New(new_id, instance.name, instance.version, given, json.loads(tags) if tags else None),
    )
    return new_id


def give_up(tx: Transaction, key: int, why: Callable[[str], Any]) -> None:
    """Fail an instance whose turn no worker survives; `why` gets its id, gives failure details.

    What had arrived stays in its history: a rewind goes on from there.
    """
    instance = messages.by_key(tx, key)
    if instance is None or instance.completed is not None:
        return
    arrived = [event for _, _, event in messages.waiting(tx, key) if event is not None]
    kept = [event for event in arrived if not event.HasField("executionRewound")]
    end(tx, instance, pb.ORCHESTRATION_STATUS_FAILED, None, why(instance.id), kept)
