"""When the next message becomes due: a heap in memory, filled from the file at the start."""

import asyncio
import heapq
import time
from collections.abc import Callable

LONGEST_WAIT_SECONDS = 1.0
"""The wall clock may jump and the machine may sleep: it is looked at this often."""


class Alarms:
    """Calls `ring` with the keys whose time has come. One event loop only."""

    def __init__(self, ring: Callable[[list[int]], None]) -> None:
        self._ring = ring
        self._waits: list[tuple[int, int]] = []
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due: int, key: int) -> None:
        """Ring for `key` at `due`, in microseconds since 1970."""
        heapq.heappush(self._waits, (due, key))
        if self._waits[0] == (due, key):
            self._plan()

    def clear(self) -> None:
        """Forget all."""
        self._waits.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _plan(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._waits:
            left = self._waits[0][0] / 1e6 - time.time()
            self._handle = asyncio.get_running_loop().call_later(
                min(max(left, 0.0), LONGEST_WAIT_SECONDS), self._look
            )

    def _look(self) -> None:
        self._handle = None
        now = time.time_ns() // 1000
        keys: dict[int, None] = {}
        while self._waits and self._waits[0][0] <= now:
            keys[heapq.heappop(self._waits)[1]] = None
        if keys:
            self._ring(list(keys))
        self._plan()
