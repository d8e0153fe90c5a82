"""Poison: what its workers do not survive is tried alone, and then parked with a clear failure."""

from dataclasses import dataclass
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import activities, batches, events, instances
from local.host.taskhub.sqlite.store import Transaction
from local.host.taskhub.sqlite.streams import Stream
from local.host.taskhub.sqlite.tries import TRIES

ERROR_TYPE = "PoisonedWorkItem"
PARKING_SECONDS = 2.0
"""How long parking may take; what the disk did not let be parked then is tried once more."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often an item may be lost with its worker."""

    tries: int = TRIES

    def is_suspect(self, losses: int) -> bool:
        """Whether an item was lost in half of its tries: it, or what was out beside it."""
        return 2 * losses >= self.tries

    def lets(self, stream: Stream, losses: int) -> bool:
        """Whether a worker may have an item: of suspects one at a time, so the culprit is found."""
        if not self.is_suspect(losses):
            return True
        held = [turn.live.losses for turn in stream.turns.values()]
        held += [item.losses for item in stream.activities.values()]
        held += [batch.entity.losses for batch in stream.batches.values()]
        return not any(map(self.is_suspect, held))

    def pause(self, losses: int, back_off: float) -> float:
        """Seconds before the next try; after the last one parking comes first."""
        return back_off if losses < self.tries else max(back_off, PARKING_SECONDS)

    def most_operations(self, losses: int) -> int:
        """How many operations a batch has: fewer each time it is lost; a suspect's goes alone."""
        if self.is_suspect(losses):
            return 1
        return max(1, batches.MOST_OPERATIONS >> 2 * losses)

    # --- what a loss does to the file

    def lose_turn(self, tx: Transaction, key: int) -> None:
        """Count the loss of a turn; the last one fails the instance."""
        losses = _count(tx, "instances", "key", key)
        if losses >= self.tries:
            instances.give_up(tx, key, lambda name: _failure(f"the turn of '{name}'", losses))

    def lose_activity(self, tx: Transaction, seq: int) -> None:
        """Count the loss of an activity; the last one fails its task, and its caller decides."""
        losses = _count(tx, "activities", "seq", seq)
        if losses >= self.tries:
            (name,) = tx.db.execute("SELECT name FROM activities WHERE seq = ?", (seq,)).fetchone()
            details = _failure(f"the activity '{name}'", losses)
            activities.complete(tx, seq, pb.ActivityResponse(failureDetails=details))

    def lose_batch(self, tx: Transaction, key: int) -> None:
        """Count the loss of a batch; the last one fails the operation that was tried alone."""
        losses = _count(tx, "entities", "key", key)
        if losses < self.tries or (begun := batches.begin(tx, key, 1)) is None:
            return
        request = pb.EntityRequest.FromString(begun.request)
        details = _failure(f"an operation of '{request.instanceId}'", losses)
        answer = pb.EntityBatchResult(failureDetails=details)
        if request.HasField("entityState"):
            answer.entityState.CopyFrom(request.entityState)
        batches.complete(tx, begun, answer)


def _count(tx: Transaction, table: str, column: str, key: int) -> int:
    row = tx.db.execute(
        f"UPDATE {table} SET losses = losses + 1 WHERE {column} = ? RETURNING losses",  # noqa: S608 - constants
        (key,),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _failure(what: str, tries: int) -> Any:
    return events.failure(
        ERROR_TYPE,
        f"{what} was lost with its worker in {tries} tries: it is not handed out again",
    )
