"""Removing instances: one with its children, or the finished ones that fit a filter."""

import time
from typing import Any

from local.host.taskhub.sqlite import entities, messages
from local.host.taskhub.sqlite.effects import Changed, Gone
from local.host.taskhub.sqlite.store import Transaction

AT_ONCE = 200
"""Instances removed in one transaction: others are not kept waiting."""


def remove(tx: Transaction, key: int) -> None:
    """Remove an instance whatever its status; results on their way are dropped on arrival."""
    row = tx.db.execute("DELETE FROM instances WHERE key = ? RETURNING id", (key,)).fetchone()
    for statement in (
        "DELETE FROM payloads WHERE key = ?",
        "DELETE FROM history WHERE instance = ?",
        "DELETE FROM messages WHERE instance = ?",
        "DELETE FROM activities WHERE instance = ?",
    ):
        tx.db.execute(statement, (key,))
    entities.let_go(tx, key)
    tx.effects.append(Gone(key))
    if row is not None:
        tx.effects.append(Changed(row[0]))


def purge_one(tx: Transaction, instance_id: str, *, is_recursive: bool) -> int:
    """Remove a finished instance; a running or unknown one gives 0 and no error."""
    instance = messages.by_id(tx, instance_id)
    if instance is None or instance.completed is None:
        return 0
    removed = 0
    if is_recursive:
        for (child,) in tx.db.execute(
            "SELECT id FROM instances WHERE parent = ? AND completed IS NOT NULL", (instance.key,)
        ).fetchall():
            removed += purge_one(tx, child, is_recursive=True)
    remove(tx, instance.key)
    return removed + 1


def purge_some(tx: Transaction, given: Any, *, is_recursive: bool) -> tuple[int, bool]:
    """Remove a bounded number that fit; the count, and whether there may be more."""
    terms, values = ["completed IS NOT NULL"], []
    if given.HasField("createdTimeFrom"):
        terms.append("created >= ?")
        values.append(given.createdTimeFrom.ToMicroseconds())
    if given.HasField("createdTimeTo"):
        terms.append("created < ?")
        values.append(given.createdTimeTo.ToMicroseconds())
    if given.runtimeStatus:
        terms.append(f"status IN ({', '.join('?' * len(given.runtimeStatus))})")
        values += list(given.runtimeStatus)
    found = tx.db.execute(
        f"SELECT id FROM instances WHERE {' AND '.join(terms)} ORDER BY key LIMIT {AT_ONCE}",  # noqa: S608 - built from constants
        values,
    ).fetchall()
    removed = sum(purge_one(tx, instance_id, is_recursive=is_recursive) for (instance_id,) in found)
    return removed, len(found) == AT_ONCE


class Deadline:
    """When a purge has to stop, if it was given a time."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def is_over(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and time.monotonic() >= self._end


def deadline(given: Any) -> Deadline:
    """The time a filter allows."""
    is_given = given.HasField("timeout")
    return Deadline(given.timeout.ToTimedelta().total_seconds() if is_given else None)
