"""One thread that calls functions at given times: timers of orchestrations, delayed starts."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Alarm:
    """Calls back after a delay, in one thread of its own, for any number of waits."""

    def __init__(self) -> None:
        self._waits: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="hub-alarm", daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` once, `seconds` from now. It must be short."""
        with self._changed:
            due = time.monotonic() + max(seconds, 0.0)
            heapq.heappush(self._waits, (due, next(self._order), act))
            self._changed.notify()

    def stop(self) -> None:
        """Forget all waits and end the thread."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while (act := self._next()) is not None:
            try:
                act()
            except Exception:
                logger.exception("an alarm of the task hub failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._is_stopped:
                if not self._waits:
                    self._changed.wait()
                elif (left := self._waits[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._waits)[2]
        return None
