"""Entities: a state, a backlog of operations, and at most one orchestration that has it locked.

A lock request stands in the backlog like an operation. When it is at the front the entity is held:
only the holder's calls run then, everybody else's wait. A request for several entities goes from
one to the next in the order that the SDK sorted, so that two orchestrations never wait for each
other. What an orchestration holds or asks for is let go with its end.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import events, messages
from local.host.taskhub.sqlite.effects import EntityAlarm, EntityWake
from local.host.taskhub.sqlite.limits import check_entity_id, check_payload, invalid
from local.host.taskhub.sqlite.messages import Instance, Kind
from local.host.taskhub.sqlite.store import Transaction


class Asked(IntEnum):
    """What stands in a backlog."""

    SIGNAL = 1
    CALL = 2
    LOCK = 3


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity's narrow row. `holder` is the key of the instance that has it locked."""

    key: int
    id: str
    modified: int
    losses: int
    section: str | None
    holder: int | None


COLUMNS = "key, id, modified, losses, section, holder"


def by_key(tx: Transaction, key: int) -> Entity | None:
    """The entity of that row."""
    row = tx.db.execute(
        f"SELECT {COLUMNS} FROM entities WHERE key = ?",  # noqa: S608 - a constant
        (key,),
    ).fetchone()
    return Entity(*row) if row else None


def of_id(tx: Transaction, entity_id: str) -> int:
    """The key of the entity, made without a state if it is not there."""
    entity_id = check_entity_id(entity_id)
    row = tx.db.execute("SELECT key FROM entities WHERE id = ?", (entity_id,)).fetchone()
    if row is None:
        row = tx.db.execute(
            "INSERT INTO entities (id, modified) VALUES (?, ?) RETURNING key", (entity_id, tx.now)
        ).fetchone()
    return int(row[0])


# --- what is asked for


def signal(tx: Transaction, signalled: Any) -> None:
    """Put a one-way operation into a backlog; one with a later time waits for it."""
    given = check_payload("the signal's input", events.text_of(signalled, "input"))
    asked = events.event(tx.now)
    asked.entityOperationSignaled.CopyFrom(signalled)
    if given is None:
        asked.entityOperationSignaled.ClearField("input")
    due = events.micros(signalled.scheduledTime) if signalled.HasField("scheduledTime") else 0
    _put(tx, signalled.targetInstanceId.value, Asked.SIGNAL, asked, due if due > tx.now else 0)


def call(tx: Transaction, caller: Instance, called: Any) -> None:
    """Put an operation into a backlog whose result the caller's generation waits for."""
    check_payload("the operation's input", events.text_of(called, "input"))
    asked = events.event(tx.now)
    asked.entityOperationCalled.CopyFrom(called)
    _put(tx, called.targetInstanceId.value, Asked.CALL, asked, 0, caller)


def call_again(tx: Transaction, caller: Instance, called: Any) -> None:
    """After a rewind: wait for a call that is still in a backlog, or make it once more."""
    for seq, content in tx.db.execute(
        "SELECT seq, event FROM operations WHERE caller = ? AND kind = ?", (caller.key, Asked.CALL)
    ).fetchall():
        asked = pb.HistoryEvent.FromString(content).entityOperationCalled
        if asked.requestId == called.requestId:
            tx.db.execute(
                "UPDATE operations SET generation = ? WHERE seq = ?", (caller.generation, seq)
            )
            return
    call(tx, caller, called)


def ask_for_lock(tx: Transaction, caller: Instance, requested: Any) -> None:
    """Begin to lock a set of entities, each once, in the order given."""
    wanted = list(dict.fromkeys(check_entity_id(each) for each in requested.lockSet))
    if not wanted:
        raise invalid("a lock request names no entity")
    asked = events.event(tx.now)
    asked.entityLockRequested.CopyFrom(requested)
    asked.entityLockRequested.ClearField("lockSet")
    asked.entityLockRequested.lockSet.extend(wanted)
    asked.entityLockRequested.position = 0
    _put(tx, wanted[0], Asked.LOCK, asked, 0, caller)


def unlock(tx: Transaction, caller: Instance, section: str, entity_id: str) -> None:
    """Let an entity go; a request of that critical section that still waits is withdrawn."""
    for seq, key, content in _requests_of(tx, caller.key):
        asked = pb.HistoryEvent.FromString(content).entityLockRequested
        if asked.criticalSectionId == section:
            tx.db.execute("DELETE FROM operations WHERE seq = ?", (seq,))
            settle(tx, key)
    row = tx.db.execute(
        "UPDATE entities SET section = NULL, holder = NULL "
        "WHERE id = ? AND section = ? AND holder = ? RETURNING key",
        (check_entity_id(entity_id), section, caller.key),
    ).fetchone()
    if row is not None:
        settle(tx, row[0])


def let_go(tx: Transaction, holder: int) -> int:
    """End all that an instance has locked or waits to lock; the number of locks ended."""
    for seq, key, _ in _requests_of(tx, holder):
        tx.db.execute("DELETE FROM operations WHERE seq = ?", (seq,))
        settle(tx, key)
    freed = tx.db.execute(
        "UPDATE entities SET section = NULL, holder = NULL WHERE holder = ? RETURNING key",
        (holder,),
    ).fetchall()
    for (key,) in freed:
        settle(tx, key)
    return len(freed)


def _requests_of(tx: Transaction, caller: int) -> list[tuple[int, int, bytes]]:
    return tx.db.execute(
        "SELECT seq, entity, event FROM operations WHERE caller = ? AND kind = ?",
        (caller, Asked.LOCK),
    ).fetchall()


def _put(
    tx: Transaction,
    entity_id: str,
    kind: Asked,
    asked: Any,
    due: int,
    caller: Instance | None = None,
) -> None:
    key = of_id(tx, entity_id)
    tx.db.execute(
        "INSERT INTO operations (entity, kind, due, at, caller, generation, event) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(key, kind, due, due or tx.stamp()),
            *(caller and caller.key, caller and caller.generation, asked.SerializeToString()),
        ),
    )
    if due:
        tx.effects.append(EntityAlarm(due, key))
    else:
        settle(tx, key)


# --- whose turn it is


def settle(tx: Transaction, key: int) -> None:
    """Grant a lock whose time has come, then have a batch handed out if something may run."""
    while (entity := by_key(tx, key)) is not None:
        if entity.holder is not None:
            break
        front = tx.db.execute(
            "SELECT seq, kind, caller, generation, event FROM operations "
            "WHERE entity = ? AND due <= ? ORDER BY at, seq LIMIT 1",
            (key, tx.now),
        ).fetchone()
        if front is None or front[1] != Asked.LOCK:
            break
        _grant(tx, entity, *front)
    if entity is not None and runnable(tx, entity, 1):
        tx.effects.append(EntityWake(key, entity.id, entity.losses))


def _grant(
    tx: Transaction,
    entity: Entity,
    seq: int,
    _kind: int,
    caller: int,
    generation: int,
    content: bytes,
) -> None:
    tx.db.execute("DELETE FROM operations WHERE seq = ?", (seq,))
    instance = messages.by_key(tx, caller)
    if instance is None or instance.completed is not None or instance.generation != generation:
        return
    asked = pb.HistoryEvent.FromString(content)
    request = asked.entityLockRequested
    tx.db.execute(
        "UPDATE entities SET section = ?, holder = ? WHERE key = ?",
        (request.criticalSectionId, caller, entity.key),
    )
    request.position += 1
    if request.position < len(request.lockSet):
        _put(tx, request.lockSet[request.position], Asked.LOCK, asked, 0, instance)
        return
    granted = events.event(tx.now)
    granted.entityLockGranted.criticalSectionId = request.criticalSectionId
    messages.put(tx, caller, Kind.RESULT, granted)
    messages.wake(tx, caller)


Operation = tuple[int, int, int | None, int | None, bytes]
"""Sequence number, kind, caller, the caller's generation, event."""


def runnable(tx: Transaction, entity: Entity, most: int) -> list[Operation]:
    """The operations that may run now, in order: the holder's, or all before a lock request."""
    if entity.holder is not None:
        return tx.db.execute(
            "SELECT seq, kind, caller, generation, event FROM operations "
            "WHERE entity = ? AND kind = ? AND caller = ? ORDER BY at, seq LIMIT ?",
            (entity.key, Asked.CALL, entity.holder, most),
        ).fetchall()
    rows: list[Operation] = tx.db.execute(
        "SELECT seq, kind, caller, generation, event FROM operations "
        "WHERE entity = ? AND due <= ? ORDER BY at, seq LIMIT ?",
        (entity.key, tx.now, most),
    ).fetchall()
    for place, row in enumerate(rows):
        if row[1] == Asked.LOCK:
            return rows[:place]
    return rows


def settle_due(tx: Transaction, keys: list[int]) -> None:
    """Look after the entities whose alarm rang."""
    for key in keys:
        settle(tx, key)


def count_loss(tx: Transaction, key: int) -> None:
    """A batch was lost with its worker: remembered until one is committed."""
    tx.db.execute("UPDATE entities SET losses = losses + 1 WHERE key = ?", (key,))


def recover(tx: Transaction) -> None:
    """After a start: wake who has something to do, set the alarms again."""
    for (key,) in tx.db.execute("SELECT DISTINCT entity FROM operations").fetchall():
        settle(tx, key)
    for due, key in tx.db.execute(
        "SELECT due, entity FROM operations WHERE due > ?", (tx.now,)
    ).fetchall():
        tx.effects.append(EntityAlarm(due, key))
