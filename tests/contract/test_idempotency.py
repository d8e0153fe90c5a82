"""Idempotency-Key against real tables: replay, in flight, another body, crash, spill, reaping."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.kit.clock import FixedClock
from shared.kit.idempotency import (
    KEEP,
    STALE_AFTER,
    Claim,
    IdempotencyStore,
    KeyReused,
    Replay,
    StillRunning,
    request_hash,
)
from shared.kit.tables import Table

AT = datetime(2026, 1, 1, tzinfo=UTC)
SAME = request_hash("POST", "/v1/customers", "", b"{}")
OTHER = request_hash("POST", "/v1/customers", "", b"[]")
HEADERS = {"location": "/v1/customers/1"}


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(AT)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
async def store(
    make_table: Callable[[], Awaitable[Table]], blobs: MemoryBlobs, clock: FixedClock
) -> IdempotencyStore:
    return IdempotencyStore(await make_table(), blobs, clock)


async def _claim(store: IdempotencyStore, key: str = "k", caller: str = "c") -> Claim:
    claim = await store.begin("p1", caller, key, SAME)
    assert isinstance(claim, Claim)
    return claim


@pytest.mark.parametrize("body", [b'{"id":"1"}', b"", "ü".encode() * 20_000, b"\xff\x00"])
async def test_the_stored_answer_is_replayed_for_a_day(
    store: IdempotencyStore, clock: FixedClock, blobs: MemoryBlobs, body: bytes
) -> None:
    assert await store.finish(await _claim(store), 201, HEADERS, body)
    clock.advance(timedelta(hours=24))
    assert await store.begin("p1", "c", "k", SAME) == Replay(201, HEADERS, body)
    assert bool(blobs.blobs) == (len(body) > 30_000 or body == b"\xff\x00")


async def test_same_key_with_another_body_is_422(store: IdempotencyStore) -> None:
    claim = await _claim(store)
    for _ in range(2):
        with pytest.raises(KeyReused) as refused:
            await store.begin("p1", "c", "k", OTHER)
        assert refused.value.status == 422
        await store.finish(claim, 200, {}, b"")


async def test_a_repeat_in_flight_is_409_with_retry_after(store: IdempotencyStore) -> None:
    await _claim(store)
    with pytest.raises(StillRunning) as refused:
        await store.begin("p1", "c", "k", SAME)
    assert refused.value.status == 409
    assert refused.value.extra["retryAfter"] > 0


async def test_keys_of_other_callers_and_partners_are_theirs(store: IdempotencyStore) -> None:
    await store.finish(await _claim(store), 200, {}, b"secret")
    assert isinstance(await store.begin("p1", "another", "k", SAME), Claim)
    assert isinstance(await store.begin("p2", "c", "k", SAME), Claim)


async def test_of_many_at_once_one_runs(store: IdempotencyStore) -> None:
    outcomes = await asyncio.gather(
        *(store.begin("p1", "c", "k", SAME) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Claim) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, StillRunning) for outcome in outcomes) == 7


async def test_crashed_holder_is_replaced_with_the_same_seed(
    store: IdempotencyStore, clock: FixedClock
) -> None:
    dead = await _claim(store)
    clock.advance(STALE_AFTER)
    heir = await _claim(store)
    assert heir.seed == dead.seed
    assert await store.finish(heir, 201, {}, b"heir")
    assert not await store.finish(dead, 201, {}, b"late")
    replay = await store.begin("p1", "c", "k", SAME)
    assert isinstance(replay, Replay)
    assert replay.body == b"heir"


async def test_an_abandoned_key_may_be_used_again(store: IdempotencyStore) -> None:
    first = await _claim(store)
    await store.abandon(first)
    assert (await _claim(store)).seed == first.seed


async def test_lost_answer_never_runs_twice(store: IdempotencyStore, blobs: MemoryBlobs) -> None:
    await store.finish(await _claim(store), 200, {}, b"x" * 40_000)
    blobs.blobs.clear()
    with pytest.raises(KeyReused):
        await store.begin("p1", "c", "k", SAME)


async def test_after_expiry_the_key_is_new_and_reaping_leaves_nothing(
    store: IdempotencyStore, clock: FixedClock, blobs: MemoryBlobs
) -> None:
    first = await _claim(store, "old")
    await store.finish(first, 200, {}, b"x" * 40_000)
    await store.finish(await _claim(store, "older"), 200, {}, b"")
    clock.advance(KEEP)
    again = await store.begin("p1", "c", "older", OTHER)
    assert isinstance(again, Claim)
    clock.advance(timedelta(seconds=1))
    assert await store.reap("p1") == 1
    assert blobs.blobs == {}
    with pytest.raises(StillRunning):
        await store.begin("p1", "c", "older", OTHER)
