"""Sub-orchestrations: started for a parent's task, and telling the parent their end."""

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import events, instances, limits, messages
from local.host.taskhub.sqlite.messages import Instance, Kind
from local.host.taskhub.sqlite.store import Transaction


def start(tx: Transaction, parent: Instance, task: int, created: Any) -> None:
    """Start a child from its event; what is in the way fails the parent's task, not the parent.

    A finished instance of that id makes room: a retry asks for the same one again.
    """
    try:
        given = limits.check_payload(
            "the sub-orchestration's input", events.text_of(created, "input")
        )
        new = instances.New(
            created.instanceId,
            created.name,
            events.text_of(created, "version"),
            given,
            dict(created.tags),
            parent=parent,
            parent_task=task,
        )
        instances.start(tx, new, events.TERMINAL)
    except limits.Refused as refused:
        details = events.failure("SubOrchestrationNotStarted", refused.message)
        messages.put(tx, parent.key, Kind.RESULT, events.child_failed(tx.now, task, details))


def tell_again(tx: Transaction, key: int) -> None:
    """Send a finished child's end once more: its parent has gone back to before it came."""
    child = messages.by_key(tx, key)
    assert child is not None
    output, failure = tx.db.execute(
        "SELECT output, failure FROM payloads WHERE key = ?", (key,)
    ).fetchone()
    details = pb.TaskFailureDetails.FromString(failure) if failure else None
    instances.tell_parent(tx, child, child.status, output, details)
