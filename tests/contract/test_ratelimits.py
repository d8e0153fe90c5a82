"""The shared counter of the rate limit against real tables."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from shared.kit.clock import FixedClock
from shared.kit.ratelimits import Policy, RateLimiter
from shared.kit.tables import Table

AT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_workers_share_one_quota(make_table: Callable[[], Awaitable[Table]]) -> None:
    table, clock = await make_table(), FixedClock(AT)
    workers = [RateLimiter(table, clock, Policy("p", 20, 60)) for _ in range(2)]
    verdicts = [await workers[at % 2].check("p1", "c1") for at in range(30)]
    assert sum(verdict.allowed for verdict in verdicts) == 20
    assert (await workers[0].check("p1", "c2")).allowed
    assert (await workers[0].check("p2", "c1")).allowed
    clock.advance(timedelta(seconds=60))
    assert (await workers[1].check("p1", "c1")).allowed


async def test_a_burst_of_one_worker_stays_within_the_quota(
    make_table: Callable[[], Awaitable[Table]],
) -> None:
    limiter = RateLimiter(await make_table(), FixedClock(AT), Policy("p", 20, 60))
    verdicts = await asyncio.gather(*(limiter.check("p1", "c1") for _ in range(12)))
    assert sum(verdict.allowed for verdict in verdicts) == 12
