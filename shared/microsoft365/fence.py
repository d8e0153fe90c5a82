"""Spend before being told to stop: fences, buckets and places in flight, one lane per scope.

A scope is what Microsoft throttles together (M28): a mailbox, a tenant's SharePoint, a tenant's
directory. No call of a scope starts inside its fence, and waiting is not an attempt (M29).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from shared.kit.clock import Clock
from shared.microsoft365.errors import SliceOver
from shared.microsoft365.quotas import Quotas, identity_band, share_point_band
from shared.microsoft365.shared_fence import SharedScope

Sleep = Callable[[float], Awaitable[None]]
SHORTEST_WAIT = 0.001
"""Seconds."""


class Allowance(Protocol):
    """A budget that refills with time; times are aware datetimes."""

    def delay_s(self, now: datetime, cost: int) -> float:
        """Seconds until `cost` may be spent; 0 = now."""
        ...

    def take(self, now: datetime, cost: int) -> None:
        """Spend `cost` (only after `delay_s` said 0)."""
        ...


class TokenBucket:
    """`per_second` flow with a burst: in any window of w seconds at most burst + w * per_second."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._level = burst
        self._at: datetime | None = None

    def _refill(self, now: datetime) -> None:
        if self._at is not None and now > self._at:
            gained = (now - self._at).total_seconds() * self._per_second
            self._level = min(self._burst, self._level + gained)
        self._at = now

    def delay_s(self, now: datetime, cost: int) -> float:
        """Seconds until `cost` tokens are there."""
        self._refill(now)
        return max(0.0, (cost - self._level) / self._per_second)

    def take(self, now: datetime, cost: int) -> None:
        """Remove `cost` tokens."""
        self._refill(now)
        self._level -= cost


class Window:
    """At most `limit` units in any `seconds`: it slides, so no burst breaks the quota."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self._length = limit, timedelta(seconds=seconds)
        self._spent: deque[tuple[datetime, int]] = deque()
        self._sum = 0

    def _forget(self, now: datetime) -> None:
        while self._spent and self._spent[0][0] <= now - self._length:
            self._sum -= self._spent.popleft()[1]

    def delay_s(self, now: datetime, cost: int) -> float:
        """Seconds until enough old spending has left the window."""
        self._forget(now)
        missing = self._sum + min(cost, self.limit) - self.limit
        for at, units in self._spent:
            if missing <= 0:
                break
            missing -= units
            if missing <= 0:
                return (at + self._length - now).total_seconds()
        return 0.0

    def take(self, now: datetime, cost: int) -> None:
        """Record `cost` units as spent now."""
        self._spent.append((now, cost))
        self._sum += cost


class Waited(msgspec.Struct):
    """Seconds spent waiting for a turn."""

    seconds: float = 0.0


class Lane:
    """Admission to one scope: fence, allowance, and at most `in_flight` calls at once."""

    def __init__(
        self,
        allowance: Allowance | None,
        in_flight: int | None,
        clock: Clock,
        sleep: Sleep,
        parent: "Lane | None" = None,
        *,
        fences_parent: bool = False,
        shared: SharedScope | None = None,
    ) -> None:
        self.shared = shared
        """What other workers call this scope; None where only one works on it at a time."""
        self._allowance = allowance
        self._places = asyncio.Semaphore(in_flight) if in_flight else None
        self._clock, self._sleep = clock, sleep
        self._parent = parent
        # A refusal of one team keeps all calls to the tenant's Teams back (M28, M29).
        self._fenced = parent if fences_parent else None
        self._fence: datetime | None = None
        self.blind_refusals = 0
        """Throttling answers without a hint in a row; a good answer sets it back."""

    def raise_fence(self, seconds: float) -> None:
        """Keep every call of this scope back for `seconds` from now; never shortens a fence."""
        if self._fenced is not None:
            self._fenced.raise_fence(seconds)
            return
        self.close_until(self._clock.now() + timedelta(seconds=seconds))

    def close_until(self, until: datetime) -> None:
        """Keep every call of this very scope back until then; never shortens a fence."""
        if self._fence is None or until > self._fence:
            self._fence = until

    def fenced(self) -> tuple["Lane", datetime | None]:
        """The scope that a refusal of this one closes, and until when it is closed."""
        return (self, self._fence) if self._fenced is None else self._fenced.fenced()

    def shared_lanes(self) -> list["Lane"]:
        """This scope and the wider ones, as far as several workers share them."""
        wider = self._parent.shared_lanes() if self._parent else []
        return [self, *wider] if self.shared else wider

    def _delay_s(self, now: datetime, cost: int) -> float:
        wait = self._allowance.delay_s(now, cost) if self._allowance else 0.0
        if self._parent:
            wait = max(wait, self._parent._delay_s(now, cost))  # noqa: SLF001  same class
        return max(wait, self.fenced_s(now))

    def _take(self, now: datetime, cost: int) -> None:
        if self._allowance:
            self._allowance.take(now, cost)
        if self._parent:
            self._parent._take(now, cost)  # noqa: SLF001  same class

    def fenced_s(self, now: datetime) -> float:
        """Seconds until neither this scope's fence nor a wider one stands; 0 = open."""
        own = (self._fence - now).total_seconds() if self._fence is not None else 0.0
        return max(0.0, own, self._parent.fenced_s(now) if self._parent else 0.0)

    @asynccontextmanager
    async def turn(self, cost: int, deadline: datetime | None) -> AsyncIterator[Waited]:
        """Hold a place in the scope while a call runs.

        Yields how long it had to wait. SliceOver when the wait would end after `deadline`.
        """
        asked = self._clock.now()
        if self._places:
            await self._places.acquire()
        try:
            while True:
                now = self._clock.now()
                wait = self._delay_s(now, cost)
                ready = now + timedelta(seconds=wait)
                if deadline is not None and ready >= deadline:
                    raise SliceOver(ready)
                if wait <= 0:
                    break
                # A wait below the clock's own step would be asked for again and again.
                await self._sleep(max(wait, SHORTEST_WAIT))
            self._take(now, cost)
            yield Waited((now - asked).total_seconds())
        finally:
            if self._places:
                self._places.release()


class Lanes:
    """The lanes of one process, found by scope: slices of one scope in a process share them."""

    def __init__(self, quotas: Quotas, clock: Clock, sleep: Sleep) -> None:
        self._quotas, self._clock, self._sleep = quotas, clock, sleep
        self._lanes: dict[tuple[str, ...], Lane] = {}
        self._windows: dict[tuple[str, str, str], Window] = {}

    def app(self, client_id: str) -> Lane:
        """The application as a whole, over all tenants (M24): only a fence."""
        shared = SharedScope(f"app~{client_id}", "app")
        return self._found(("app", client_id), None, None, None, shared=shared)

    def mailbox(self, client_id: str, tenant_id: str, user_id: str) -> Lane:
        """One mailbox: 4 in flight and 16 requests a second (M26)."""
        quota = self._quotas.mailbox
        return self._found(
            ("mailbox", client_id, tenant_id, user_id),
            lambda: TokenBucket(quota.per_second, quota.burst),
            quota.in_flight,
            self.app(client_id),
        )

    def team(self, client_id: str, tenant_id: str, team_id: str) -> Lane:
        """One team, inside its tenant's and our application's calls to Teams (M24, M26)."""
        quota = self._quotas.teams
        shard = self._found(
            ("teams", client_id),
            lambda: TokenBucket(quota.shard_per_second, quota.burst),
            None,
            self.app(client_id),
        )
        tenant = self._found(
            ("teams", client_id, tenant_id),
            lambda: TokenBucket(quota.per_second, quota.burst),
            None,
            shard,
            shared=SharedScope(tenant_id, f"teams~{client_id}"),
        )
        return self._found(
            ("teams", client_id, tenant_id, team_id),
            lambda: TokenBucket(quota.per_team, quota.burst),
            None,
            tenant,
            fences_parent=True,
        )

    def share_point(self, client_id: str, tenant_id: str, seats: int) -> Lane:
        """A tenant's SharePoint and OneDrive: resource units of its band (M26)."""
        quota = self._quotas.share_point
        limit = int(share_point_band(self._quotas, seats).per_minute * quota.share)
        key = ("share_point", client_id, tenant_id)
        return self._by_band(key, limit, quota.window_seconds)

    def sharing(self, client_id: str, tenant_id: str, seats: int) -> Lane:
        """Invitations and sharing links of a tenant: about one a second (section 9.3)."""
        quota = self._quotas.share_point
        units = quota.units["permission"]  # what each of these calls costs
        return self._found(
            ("sharing", client_id, tenant_id),
            lambda: TokenBucket(quota.sharing_per_second * units, units),
            None,
            self.share_point(client_id, tenant_id, seats),
            fences_parent=True,
        )

    def identity(self, client_id: str, tenant_id: str, seats: int) -> Lane:
        """A tenant's directory."""
        quota = self._quotas.identity
        limit = int(identity_band(self._quotas, seats).units * quota.share)
        key = ("identity", client_id, tenant_id)
        return self._by_band(key, limit, quota.window_seconds)

    def _by_band(self, key: tuple[str, str, str], limit: int, seconds: float) -> Lane:
        """One lane a tenant: who knows its licences widens it for those who do not."""
        window = self._windows.setdefault(key, Window(limit, seconds))
        window.limit = max(window.limit, limit)
        shared = SharedScope(key[2], f"{key[0]}~{key[1]}")
        return self._found(key, lambda: window, None, self.app(key[1]), shared=shared)

    def _found(
        self,
        key: tuple[str, ...],
        allowance: Callable[[], Allowance] | None,
        in_flight: int | None,
        parent: Lane | None,
        *,
        fences_parent: bool = False,
        shared: SharedScope | None = None,
    ) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            made = allowance() if allowance else None
            lane = Lane(
                made, in_flight, self._clock, self._sleep, parent,
                fences_parent=fences_parent, shared=shared,
            )  # fmt: skip
            self._lanes[key] = lane
        return lane
