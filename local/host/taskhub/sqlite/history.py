"""Histories: appended turn by turn, read as bytes.

A chunk is a serialised OrchestratorRequest that has nothing but pastEvents. Protobuf joins repeated
fields when messages are laid end to end, so a work item with the whole history is made by joining
chunks: no event is parsed by the hub again.
"""

from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite.messages import Instance
from local.host.taskhub.sqlite.store import Transaction


def append(tx: Transaction, instance: Instance, events: list[Any]) -> None:
    """Add a chunk behind the others; the number comes from the row, which may have moved on."""
    content = pb.OrchestratorRequest(pastEvents=events).SerializeToString()
    (chunk,) = tx.db.execute(
        "UPDATE instances SET chunks = chunks + 1 WHERE key = ? RETURNING chunks", (instance.key,)
    ).fetchone()
    tx.db.execute(
        "INSERT INTO history (instance, chunk, events) VALUES (?, ?, ?)",
        (instance.key, chunk, content),
    )


def clear(tx: Transaction, key: int) -> None:
    """Forget the history of an instance."""
    tx.db.execute("DELETE FROM history WHERE instance = ?", (key,))


def content(tx: Transaction, key: int) -> bytes:
    """The whole history as the beginning of a serialised OrchestratorRequest."""
    rows = tx.db.execute("SELECT events FROM history WHERE instance = ? ORDER BY chunk", (key,))
    return b"".join(chunk for (chunk,) in rows)


def events_of(tx: Transaction, key: int) -> list[Any]:
    """The whole history, parsed."""
    return list(pb.OrchestratorRequest.FromString(content(tx, key)).pastEvents)
