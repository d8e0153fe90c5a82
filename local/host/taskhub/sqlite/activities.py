"""Activities: scheduled with a turn, kept until a result is taken, delivered at least once."""

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import events, limits, messages
from local.host.taskhub.sqlite.effects import ActivityOver, Scheduled
from local.host.taskhub.sqlite.messages import Instance, Kind
from local.host.taskhub.sqlite.store import Transaction

KEPT_IN_MEMORY_BYTES = 8_192
"""A larger request stays in the file until it is handed out: a fan-out may have thousands."""


def schedule(tx: Transaction, instance: Instance, task: int, scheduled: Any) -> None:
    """Have an activity run for this generation of an instance. `scheduled`: action or event."""
    request = pb.ActivityRequest(name=scheduled.name, taskId=task, tags=scheduled.tags)
    if scheduled.HasField("version"):
        request.version.CopyFrom(scheduled.version)
    if scheduled.HasField("input"):
        request.input.CopyFrom(scheduled.input)
    if scheduled.HasField("parentTraceContext"):
        request.parentTraceContext.CopyFrom(scheduled.parentTraceContext)
    request.orchestrationInstance.instanceId = instance.id
    request.orchestrationInstance.executionId.value = instance.execution
    content = request.SerializeToString()
    version = events.text_of(scheduled, "version")
    seq = tx.db.execute(
        "INSERT INTO activities (instance, generation, task, name, version, request) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (instance.key, instance.generation, task, scheduled.name, version, content),
    ).lastrowid
    assert seq is not None
    kept = content if len(content) <= KEPT_IN_MEMORY_BYTES else None
    tx.effects.append(Scheduled(seq, scheduled.name, version, kept))


def complete(tx: Transaction, seq: int, response: Any) -> None:
    """Take a result once; what comes twice, late or for an older generation changes nothing."""
    row = tx.db.execute(
        "DELETE FROM activities WHERE seq = ? RETURNING instance, generation, task", (seq,)
    ).fetchone()
    tx.effects.append(ActivityOver(seq))
    if row is None:
        return
    key, generation, task = row
    instance = messages.by_key(tx, key)
    if instance is None or instance.completed is not None or instance.generation != generation:
        return
    if response.ByteSize() > limits.LARGEST_PAYLOAD_BYTES:
        details = events.failure(
            "PayloadTooLarge",
            f"the activity's result has {response.ByteSize():,} bytes; at most "
            f"{limits.LARGEST_PAYLOAD_BYTES:,} are taken: put it into a blob and return its name",
        )
        result = events.task_failed(tx.now, task, details)
    else:
        result = events.task_result(tx.now, task, response)
    messages.put(tx, key, Kind.RESULT, result)
    messages.wake(tx, key)


def requests(tx: Transaction, seqs: list[int]) -> dict[int, bytes]:
    """The serialised requests; a missing one is over."""
    found: dict[int, bytes] = {}
    for seq in seqs:
        row = tx.db.execute("SELECT request FROM activities WHERE seq = ?", (seq,)).fetchone()
        if row is not None:
            found[seq] = row[0]
    return found


def recover(tx: Transaction) -> None:
    """After a start: everything without a result is handed out again."""
    for seq, name, version, losses in tx.db.execute(
        "SELECT seq, name, version, losses FROM activities ORDER BY seq"
    ).fetchall():
        tx.effects.append(Scheduled(seq, name, version, None, losses))


def count_loss(tx: Transaction, seq: int) -> None:
    """An activity was lost with its worker: remembered until it has a result."""
    tx.db.execute("UPDATE activities SET losses = losses + 1 WHERE seq = ?", (seq,))
