"""The host's clock for timers: real time, with an offset that a test or a demo may move."""

import asyncio
from datetime import UTC, datetime, timedelta

LONGEST_WAIT_SECONDS = 60.0  # a suspended machine wakes up late: look at the clock again


class HostClock:
    """Aware UTC time; `move` shifts it and wakes everyone who waits. One event loop only."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self._offset = offset
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """The host's idea of now."""
        return datetime.now(UTC) + self._offset

    def move(self, to: datetime) -> None:
        """Let the clock go on from `to` (aware)."""
        self._offset = to - datetime.now(UTC)
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait_until(self, moment: datetime) -> None:
        """Return at or after `moment`, by this clock; others get a turn even if it is past."""
        await asyncio.sleep(0)
        while (left := (moment - self.now()).total_seconds()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), min(left, LONGEST_WAIT_SECONDS))
            except TimeoutError:
                continue
