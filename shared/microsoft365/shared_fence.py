"""Fences that all workers of a tenant keep: one row a scope, read before calls, seldom (M28).

A worker that was told to wait writes until when; the others read it before their next call, at most
once in `BELIEVED_S`. A row is only ever moved later, under its ETag.
"""

import asyncio
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from shared.kit.clock import Clock
from shared.kit.tables import LostRace, Row, RowExists, Table, put_over

TABLE = "Fences"
# Seconds a reading is believed: two calls of a busy worker cost one transaction in this time.
BELIEVED_S = 2.0
# A fence that ends this much later than a known one is no news to the others.
NO_NEWS = timedelta(seconds=1)
ATTEMPTS = 20


class SharedScope(NamedTuple):
    """What Microsoft throttles together over workers: a tenant's service, or our application."""

    partition: str
    key: str


class Fences(Protocol):
    """Where workers tell each other until when a scope is closed."""

    async def until(self, scope: SharedScope) -> datetime | None:
        """The end of the scope's fence, as far as known; it may have passed."""
        ...

    async def close_until(self, scope: SharedScope, until: datetime) -> None:
        """Tell the others; never opens a scope earlier than somebody said."""
        ...


class TableFences:
    """The port on Table Storage; one instance a worker."""

    def __init__(self, table: Table, clock: Clock, *, believed_s: float = BELIEVED_S) -> None:
        self._table, self._clock = table, clock
        self._believed = timedelta(seconds=believed_s)
        self._known: dict[str, tuple[datetime, dict[str, datetime]]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def until(self, scope: SharedScope) -> datetime | None:
        """From the last reading of the partition, or a new one."""
        async with self._reading.setdefault(scope.partition, asyncio.Lock()):
            found = self._fresh(scope.partition)
            if found is None:
                rows = self._table.query(scope.partition)
                found = {row.key: row.values["until"] async for row in rows}
                self._known[scope.partition] = self._clock.now(), found
        return found.get(scope.key)

    async def close_until(self, scope: SharedScope, until: datetime) -> None:
        """Move the row later under its ETag; `LostRace` when others never let it through."""
        told = (self._fresh(scope.partition) or {}).get(scope.key)
        if told is not None and until - told < NO_NEWS:
            return
        for attempt in range(ATTEMPTS):
            stored = await self._table.find(*scope)
            if stored is not None and stored.values["until"] >= until:
                break
            row = Row(*scope, {"until": until})
            try:
                await put_over(self._table, row, stored)
            except (LostRace, RowExists):
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            break
        self._known.pop(scope.partition, None)

    def _fresh(self, partition: str) -> dict[str, datetime] | None:
        at, found = self._known.get(partition, (None, None))
        if at is None or self._clock.now() - at >= self._believed:
            return None
        return found
