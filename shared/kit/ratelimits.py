"""A fixed-window rate limit shared by all workers, and the headers that tell of it.

Counting every request in a table would cost two calls each, so a worker takes a block of the
window's quota from the shared counter and serves from it locally. The limiter fails open: when
the table does not answer, the worker counts alone and says so in the log.
"""

import hashlib
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass

from shared.kit.clock import Clock
from shared.kit.tables import LostRace, Row, RowExists, Table, put_over

_log = logging.getLogger(__name__)

# A block is this part of the quota, and no more than so many requests: what a worker has taken
# and does not use is lost to the others for the rest of the window.
BLOCKS_PER_WINDOW = 40
LARGEST_BLOCK = 25
ATTEMPTS = 4
# Callers remembered per worker; the least recently seen one is forgotten.
MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `quota` requests in each window of `window_seconds`."""

    name: str = "burst"
    quota: int = 300
    window_seconds: int = 60

    @property
    def block(self) -> int:
        """Requests taken from the shared counter at once."""
        return max(1, min(LARGEST_BLOCK, self.quota // BLOCKS_PER_WINDOW))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the request may run, and what is left of the window."""

    allowed: bool
    policy: Policy
    remaining: int
    """Requests left; an estimate, other workers hold blocks of their own."""
    reset_seconds: int
    """Seconds until the window ends, at least 1."""


@dataclass(slots=True)
class _Window:
    start: int
    held: int = 0
    taken: int = 0
    exhausted: bool = False


def headers(verdict: Verdict) -> dict[str, str]:
    """Response headers (draft-ietf-httpapi-ratelimit-headers-11; `Retry-After` on a refusal)."""
    policy, name = verdict.policy, f'"{verdict.policy.name}"'
    found = {
        "RateLimit-Policy": f"{name};q={policy.quota};w={policy.window_seconds}",
        "RateLimit": f"{name};r={verdict.remaining};t={verdict.reset_seconds}",
    }
    return found if verdict.allowed else found | {"Retry-After": str(verdict.reset_seconds)}


class RateLimiter:
    """Counts per partner and caller in the table "RateLimits": one row per caller, reused."""

    def __init__(self, table: Table, clock: Clock, policy: Policy | None = None) -> None:
        self._table, self._clock = table, clock
        self._policy = policy or Policy()
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    async def check(self, partner: str, caller: str) -> Verdict:
        """Count one request of the caller; a refused verdict means 429. Never raises."""
        policy, now = self._policy, self._clock.now().timestamp()
        start = math.floor(now / policy.window_seconds) * policy.window_seconds
        window = self._window(partner, caller, start)
        if window.held == 0 and not window.exhausted:
            await self._refill(window, partner, caller)
        allowed = window.held > 0
        if allowed:
            window.held -= 1
        remaining = max(0, policy.quota - window.taken) + window.held
        reset = max(1, math.ceil(start + policy.window_seconds - now))
        return Verdict(allowed, policy, remaining, reset)

    def _window(self, partner: str, caller: str, start: int) -> _Window:
        known = self._windows.get((partner, caller))
        if known is None or known.start != start:
            known = self._windows[partner, caller] = _Window(start)
        self._windows.move_to_end((partner, caller))
        if len(self._windows) > MAX_CALLERS:
            self._windows.popitem(last=False)
        return known

    async def _refill(self, window: _Window, partner: str, caller: str) -> None:
        from azure.core.exceptions import AzureError

        try:
            granted, taken = await self._take(window.start, partner, caller)
        except (AzureError, LostRace, RowExists, OSError) as fault:
            _log.warning("rate limit counted locally, the table does not answer: %r", fault)
            granted = min(self._policy.block, self._policy.quota - window.taken)
            taken = window.taken + granted
        # Several requests of this worker may have waited for the table at the same time.
        window.held += granted
        window.taken = max(window.taken, taken)
        window.exhausted = granted == 0

    async def _take(self, start: int, partner: str, caller: str) -> tuple[int, int]:
        """(granted, taken of the window by all): a block from the shared counter."""
        key = hashlib.sha256(caller.encode()).hexdigest()
        for attempt in range(ATTEMPTS):
            stored = await self._table.find(partner, key)
            before = 0
            if stored is not None and stored.values["window"] == start:
                before = int(stored.values["taken"])
            granted = min(self._policy.block, self._policy.quota - before)
            if granted <= 0:
                return 0, before
            row = Row(partner, key, {"window": start, "taken": before + granted})
            try:
                await put_over(self._table, row, stored)
            except (LostRace, RowExists):
                if attempt == ATTEMPTS - 1:
                    raise
                continue
            return granted, before + granted
        raise AssertionError("the last attempt returns or raises")
