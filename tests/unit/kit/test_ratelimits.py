"""Rate limit headers, and the limiter while its table is down."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.kit.clock import FixedClock
from shared.kit.ratelimits import Policy, RateLimiter, Verdict, headers
from shared.kit.tables import Row, Table

AT = datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC)


def test_headers_say_policy_and_rest() -> None:
    assert headers(Verdict(True, Policy("burst", 300, 60), 12, 20)) == {
        "RateLimit-Policy": '"burst";q=300;w=60',
        "RateLimit": '"burst";r=12;t=20',
    }


def test_a_refusal_says_when_to_come_back() -> None:
    assert headers(Verdict(False, Policy(), 0, 20))["Retry-After"] == "20"


class DeadTable(Table):
    def __init__(self) -> None:
        self.calls = 0

    async def find(self, partition: str, key: str) -> Row | None:
        self.calls += 1
        raise ServiceRequestError("no route")


async def test_dead_table_fails_open_and_still_limits_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FixedClock(AT)
    limiter = RateLimiter(DeadTable(), clock, Policy("p", 5, 60))
    with caplog.at_level(logging.WARNING):
        verdicts = [await limiter.check("p1", "c1") for _ in range(7)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 2
    assert "does not answer" in caplog.text
    assert (verdicts[0].remaining, verdicts[4].remaining) == (4, 0)
    assert verdicts[0].reset_seconds == 45
    clock.advance(timedelta(seconds=45))
    assert (await limiter.check("p1", "c1")).allowed
