"""The inbox of an instance: what arrives, when it may be taken, and who is woken for it."""

from enum import IntEnum
from typing import Any, NamedTuple

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite.effects import Alarm, Wake
from local.host.taskhub.sqlite.store import Transaction


class Kind(IntEnum):
    """What a message is: it decides what survives continue-as-new and what ends a suspension."""

    START = 1
    EVENT = 2
    RESULT = 3
    TIMER = 4
    CONTROL = 5
    NUDGE = 6
    """No event at all: a turn is wanted."""


class Instance(NamedTuple):
    """The narrow row of an instance."""

    key: int
    id: str
    name: str
    version: str | None
    status: int
    generation: int
    execution: str
    parent: int | None
    parent_generation: int | None
    parent_task: int | None
    created: int
    updated: int
    completed: int | None
    start_at: int | None
    chunks: int
    losses: int


COLUMNS = (
    "key, id, name, version, status, generation, execution, parent, parent_generation, "
    "parent_task, created, updated, completed, start_at, chunks, losses"
)


def by_id(tx: Transaction, instance_id: str) -> Instance | None:
    """The instance of that id."""
    row = tx.db.execute(
        f"SELECT {COLUMNS} FROM instances WHERE id = ?",  # noqa: S608 - a constant
        (instance_id,),
    ).fetchone()
    return Instance._make(row) if row else None


def by_key(tx: Transaction, key: int) -> Instance | None:
    """The instance of that row; a row's key is never used again."""
    row = tx.db.execute(
        f"SELECT {COLUMNS} FROM instances WHERE key = ?",  # noqa: S608 - a constant
        (key,),
    ).fetchone()
    return Instance._make(row) if row else None


def put(tx: Transaction, key: int, kind: Kind, event: Any | None, due: int = 0) -> None:
    """Put a message into an inbox. `due` 0 is at once; else it may be taken from then on."""
    content = b"" if event is None else event.SerializeToString()
    tx.db.execute(
        "INSERT INTO messages (instance, kind, due, at, event) VALUES (?, ?, ?, ?, ?)",
        (key, kind, due, due or tx.stamp(), content),
    )
    if due > tx.now:
        tx.effects.append(Alarm(due, key))


def waiting(tx: Transaction, key: int) -> list[tuple[int, Kind, Any | None]]:
    """What may be taken now: sequence number, kind and event, in the order of arrival."""
    rows = tx.db.execute(
        "SELECT seq, kind, event FROM messages WHERE instance = ? AND due <= ? ORDER BY at, seq",
        (key, tx.now),
    )
    return [
        (seq, Kind(kind), pb.HistoryEvent.FromString(event) if event else None)
        for seq, kind, event in rows
    ]


def wake(tx: Transaction, key: int) -> None:
    """Have a turn handed out, at the end of the transaction, if there is something to take."""
    tx.at_end[_wake, key] = None


def _wake(tx: Transaction, key: int) -> None:
    found = by_key(tx, key)
    if found is None or found.completed is not None:
        return
    if not is_ready(tx, found):
        return
    at_once = found.chunks == 0 or not _awaits(tx, found)
    awake = Wake(key, found.id, found.name, found.version, at_once, found.losses)
    tx.effects.append(awake)


def is_ready(tx: Transaction, instance: Instance) -> bool:
    """Whether a turn has something to take: the start first; a suspended one waits for resume."""
    lowest, highest = Kind.START, Kind.NUDGE
    if instance.chunks == 0:
        highest = Kind.START
    elif instance.status == pb.ORCHESTRATION_STATUS_SUSPENDED:
        lowest = Kind.CONTROL
    found = tx.db.execute(
        "SELECT 1 FROM messages WHERE instance = ? AND due <= ? AND kind BETWEEN ? AND ? LIMIT 1",
        (instance.key, tx.now, lowest, highest),
    ).fetchone()
    return found is not None


def _awaits(tx: Transaction, instance: Instance) -> bool:
    """Whether an activity, a child or an entity's answer is still out for this generation."""
    found = tx.db.execute(
        "SELECT 1 FROM activities WHERE instance = ?1 AND generation = ?2 "
        "UNION ALL SELECT 1 FROM instances WHERE parent = ?1 AND completed IS NULL "
        "UNION ALL SELECT 1 FROM operations WHERE caller = ?1 AND generation = ?2 LIMIT 1",
        (instance.key, instance.generation),
    ).fetchone()
    return found is not None


def forget_generation(tx: Transaction, key: int) -> None:
    """Drop timers and results: nobody waits for them in the next generation."""
    tx.db.execute(
        "DELETE FROM messages WHERE instance = ? AND kind IN (?, ?, ?)",
        (key, Kind.RESULT, Kind.TIMER, Kind.NUDGE),
    )


def take_all(tx: Transaction, key: int) -> list[tuple[int, bytes]]:
    """Take what waits out of the inbox: kind and content, in order."""
    rows = tx.db.execute(
        "SELECT kind, event FROM messages WHERE instance = ? ORDER BY at, seq", (key,)
    ).fetchall()
    tx.db.execute("DELETE FROM messages WHERE instance = ?", (key,))
    return rows


def put_back(tx: Transaction, key: int, rows: list[tuple[int, bytes]]) -> None:
    """Put them in again, behind what has been put since."""
    for kind, content in rows:
        tx.db.execute(
            "INSERT INTO messages (instance, kind, due, at, event) VALUES (?, ?, 0, ?, ?)",
            (key, kind, tx.stamp(), content),
        )


def wake_due(tx: Transaction, keys: list[int]) -> None:
    """Wake the instances whose alarm rang."""
    for key in keys:
        wake(tx, key)


def count_loss(tx: Transaction, key: int) -> None:
    """A turn was lost with its worker: remembered until one is committed."""
    tx.db.execute("UPDATE instances SET losses = losses + 1 WHERE key = ?", (key,))


def recover(tx: Transaction) -> None:
    """After a start: wake who has something to do, set the alarms again."""
    for (key,) in tx.db.execute(
        "SELECT DISTINCT instance FROM messages WHERE due <= ?", (tx.now,)
    ).fetchall():
        wake(tx, key)
    for due, key in tx.db.execute(
        "SELECT due, instance FROM messages WHERE due > ?", (tx.now,)
    ).fetchall():
        tx.effects.append(Alarm(due, key))
