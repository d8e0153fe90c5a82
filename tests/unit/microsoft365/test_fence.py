"""Fences, buckets and windows (M25-M29), in virtual time."""

import asyncio
from datetime import datetime, timedelta

import pytest

from shared.microsoft365.errors import SliceOver
from shared.microsoft365.fence import Lane, Lanes, TokenBucket, Window
from shared.microsoft365.quotas import default_quotas
from tests.unit.microsoft365.conftest import NOW, MovingClock


async def _take(lane: Lane, cost: int = 1, deadline: datetime | None = None) -> float:
    async with lane.turn(cost, deadline) as waited:
        return waited.seconds


async def test_m28_no_call_starts_inside_a_fence(clock: MovingClock) -> None:
    lane = Lane(None, None, clock, clock.sleep)
    lane.raise_fence(30)
    lane.raise_fence(5)
    assert await _take(lane) == 30
    assert clock.now() == NOW + timedelta(seconds=30)


async def test_m28_a_fence_raised_while_waiting_is_kept_too(clock: MovingClock) -> None:
    lane = Lane(None, None, clock, clock.sleep)
    lane.raise_fence(10)
    naps = 0

    async def sleep(seconds: float) -> None:
        nonlocal naps
        naps += 1
        await clock.sleep(seconds)
        if naps == 1:
            lane.raise_fence(20)

    lane._sleep = sleep
    assert await _take(lane) == 30


async def test_m28_a_fence_beyond_the_deadline_ends_the_slice(clock: MovingClock) -> None:
    lane = Lane(None, None, clock, clock.sleep)
    lane.raise_fence(600)
    with pytest.raises(SliceOver) as over:
        await _take(lane, deadline=NOW + timedelta(seconds=60))
    assert over.value.not_before == NOW + timedelta(seconds=600)
    assert clock.now() == NOW


async def test_m24_a_fence_of_the_app_holds_every_tenant(clock: MovingClock) -> None:
    lanes = Lanes(default_quotas(), clock, clock.sleep)
    lanes.app("reader").raise_fence(7)
    assert await _take(lanes.mailbox("reader", "t", "u")) == 7
    assert await _take(lanes.share_point("other app", "t", 0)) == 0


async def test_m26_four_in_flight_per_mailbox(clock: MovingClock) -> None:
    lane = Lanes(default_quotas(), clock, clock.sleep).mailbox("reader", "t", "u")
    running, most = 0, 0

    async def call() -> None:
        nonlocal running, most
        async with lane.turn(1, None):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(call() for _ in range(40)))
    assert most == 4


async def test_slices_of_one_mailbox_in_one_process_share_its_lane(clock: MovingClock) -> None:
    lanes = Lanes(default_quotas(), clock, clock.sleep)
    assert lanes.mailbox("r", "t", "u") is lanes.mailbox("r", "t", "u")
    assert lanes.mailbox("r", "t", "u") is not lanes.mailbox("r", "t", "U")


def test_m26_no_ten_minutes_of_a_mailbox_exceed_its_quota() -> None:
    quota = default_quotas().mailbox
    bucket = TokenBucket(quota.per_second, quota.burst)
    at, taken = NOW, []
    while at < NOW + timedelta(seconds=1500):
        wait = bucket.delay_s(at, 1)
        if wait > 0:
            at += timedelta(seconds=wait + 1e-6)
            continue
        bucket.take(at, 1)
        taken.append(at)
    first = 0
    for last, moment in enumerate(taken):
        while taken[first] <= moment - timedelta(seconds=quota.window_seconds):
            first += 1
        assert last - first + 1 <= quota.requests


def test_window_never_lets_more_through_and_frees_in_time() -> None:
    window = Window(10, 60)
    window.take(NOW, 6)
    assert window.delay_s(NOW + timedelta(seconds=10), 4) == 0
    window.take(NOW + timedelta(seconds=10), 4)
    assert window.delay_s(NOW + timedelta(seconds=20), 1) == 40
    assert window.delay_s(NOW + timedelta(seconds=20), 8) == 50
    assert window.delay_s(NOW + timedelta(seconds=60), 6) == 0


async def test_licences_widen_the_lane_of_a_tenant(clock: MovingClock) -> None:
    lanes = Lanes(default_quotas(), clock, clock.sleep)
    narrow = lanes.share_point("reader", "t", 0)
    assert await _take(narrow, 1187) == 0
    assert lanes.share_point("reader", "t", 5000) is narrow
    assert await _take(narrow, 1188) == 0
    assert await _take(narrow, 1) == 60


def test_a_call_dearer_than_the_window_is_let_through_when_it_is_empty() -> None:
    assert Window(10, 60).delay_s(NOW, 25) == 0
