"""Who gets which batch of an entity's operations. One batch of an entity at a time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from local.host.taskhub.sqlite import batches, entities
from local.host.taskhub.sqlite.alarms import Alarms
from local.host.taskhub.sqlite.batches import BegunBatch
from local.host.taskhub.sqlite.chaos import Chaos
from local.host.taskhub.sqlite.effects import BatchOver, EntityAlarm, EntityWake
from local.host.taskhub.sqlite.handing import hand_out
from local.host.taskhub.sqlite.pending import back_off, new_token
from local.host.taskhub.sqlite.poison import Limit
from local.host.taskhub.sqlite.store import Store, Unavailable
from local.host.taskhub.sqlite.streams import BATCH_TAG, Stream, fits, work_item

logger = logging.getLogger(__name__)

LEASE_SECONDS = 600.0
UNREADABLE_SECONDS = 2.0


@dataclass(eq=False, slots=True)
class Awake:
    """An entity that has operations to run, or a batch under way."""

    key: int
    name: str
    is_ready: bool = False
    is_wanted_again: bool = False
    batch: "Batch | None" = None
    losses: int = 0


@dataclass(eq=False, slots=True)
class Batch:
    """A batch under way. After a restart its token no longer counts."""

    entity: Awake
    token: str
    stream: Stream | None
    since: float
    begun: BegunBatch | None = None
    is_committing: bool = False


class EntityDelivery:
    """The entities' part of the delivery; it shares the workers' streams."""

    def __init__(
        self,
        store: Callable[[], Store],
        streams: list[Stream],
        put: Callable[[Stream, bytes], None],
        chaos: Chaos | None,
        limit: Limit,
    ) -> None:
        self._limit = limit
        self._store, self._streams, self._put, self._chaos = store, streams, put, chaos
        self._awake: dict[int, Awake] = {}
        self._batches: dict[str, Batch] = {}
        self._ready: deque[Awake] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarms = Alarms(
            lambda keys: self._store().post(lambda tx: entities.settle_due(tx, keys))
        )

    def clear(self) -> None:
        """Forget everything: what the end of a process does."""
        for task in self._tasks:
            task.cancel()
        self._alarms.clear()
        self._awake.clear()
        self._batches.clear()
        self._ready.clear()

    def count_losses(self) -> None:
        """Before an end: what is out now is lost."""
        for batch in self._batches.values():
            self._store().post(partial(entities.count_loss, key=batch.entity.key))

    def apply(self, effect: Any) -> None:
        """Follow committed work."""
        match effect:
            case EntityWake():
                self._wake(effect)
            case BatchOver(key):
                if (entity := self._awake.get(key)) is not None:
                    entity.losses = 0
                    self._over(entity)
            case EntityAlarm(due, key):
                self._alarms.set(due, key)

    def _wake(self, wake: EntityWake) -> None:
        entity = self._awake.get(wake.key)
        if entity is None:
            name = wake.id[1:].partition("@")[0]
            self._awake[wake.key] = entity = Awake(wake.key, name, losses=wake.losses)
        if entity.batch is not None:
            entity.is_wanted_again = True
        elif not entity.is_ready:
            self._later(entity)

    def _later(self, entity: Awake) -> None:
        """Make it ready now, or after its back-off."""
        if pause := self._limit.pause(entity.losses, back_off(entity.losses)):
            asyncio.get_running_loop().call_later(pause, self._again, entity)
        else:
            entity.is_ready = True
            self._ready.append(entity)

    def _again(self, entity: Awake) -> None:
        is_idle = entity.batch is None and not entity.is_ready
        if is_idle and self._awake.get(entity.key) is entity:
            entity.is_ready = True
            self._ready.append(entity)
            self.dispatch()

    def _over(self, entity: Awake) -> None:
        """The batch under way counts no more; an entity with nothing to do is forgotten."""
        batch, entity.batch = entity.batch, None
        if batch is not None:
            self._batches.pop(batch.token, None)
            if batch.stream is not None and batch.stream.batches.pop(batch.token, None):
                batch.stream.free_batches += 1
        if entity.is_wanted_again:
            entity.is_wanted_again = False
            if not entity.is_ready:
                self._later(entity)
        elif not entity.is_ready and not entity.losses:
            self._awake.pop(entity.key, None)

    # --- workers

    def batch(self, token: str) -> Batch | None:
        """The batch of that token, if it still counts."""
        return self._batches.get(token)

    def lose(self, batch: Batch) -> None:
        """Hand a batch out again, later each time; its old token no longer counts."""
        entity = batch.entity
        if entity.batch is not batch:
            return
        entity.losses += 1
        entity.is_wanted_again = True
        self._store().post(lambda tx: self._limit.lose_batch(tx, entity.key))
        self._over(entity)
        self.dispatch()

    def detach(self, stream: Stream) -> None:
        """A worker is gone: what it held is handed out again."""
        for batch in list(stream.batches.values()):
            batch.stream = None
            if not batch.is_committing:
                self.lose(batch)
        stream.batches.clear()

    def sweep(self, now: float) -> None:
        """Take back what has been out for too long."""
        for batch in [b for b in self._batches.values() if now - b.since > LEASE_SECONDS]:
            if not batch.is_committing:
                logger.warning("the lease of a batch of the entity %s ended", batch.entity.name)
                self.lose(batch)

    # --- handing out

    def dispatch(self) -> None:
        """Give what is ready to workers with free places."""
        hand_out(
            self._ready,
            self._streams,
            lambda s: s.free_batches,
            self._takes,
            self._give,
            self._chaos,
        )

    def _takes(self, stream: Stream, entity: Awake) -> bool:
        fitting = fits(stream.entity_names, entity.name, None)
        return fitting and self._limit.lets(stream, entity.losses)

    def _give(self, stream: Stream, entity: Awake) -> None:
        batch = Batch(entity, new_token(), stream, asyncio.get_running_loop().time())
        entity.batch = self._batches[batch.token] = stream.batches[batch.token] = batch
        entity.is_wanted_again = False
        stream.free_batches -= 1
        task = asyncio.create_task(self._send(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, batch: Batch) -> None:
        if self._chaos is not None:
            await asyncio.sleep(self._chaos.pause())
        entity, most = batch.entity, self._limit.most_operations(batch.entity.losses)
        try:
            begun = self._store().read(lambda tx: batches.begin(tx, entity.key, most))
        except Unavailable:  # the disk's fault, not the batch's
            if entity.batch is batch:
                entity.is_wanted_again = False
                self._over(entity)
                self._awake[entity.key] = entity  # there is something to do
                asyncio.get_running_loop().call_later(UNREADABLE_SECONDS, self._again, entity)
            return
        if batch.entity.batch is not batch:
            return
        if begun is None:
            self._over(batch.entity)
            self.dispatch()
            return
        batch.begun = begun
        if batch.stream is not None:
            self._put(batch.stream, work_item(BATCH_TAG, begun.request, batch.token))
