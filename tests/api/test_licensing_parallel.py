"""Many callers of one pool at the same time, through one worker's door and through two."""

import asyncio
from collections import Counter

import httpx
import pytest

from functions.api.app import build
from shared import bootstrap
from shared.bootstrap import Deps
from shared.kit.clock import FixedClock
from tests.api.licensing import SLOT, Shop

CALLERS, TURNS, POOL = 32, 4, 100


async def assign_one_each(
    api: httpx.AsyncClient, headers: dict[str, str], customers: list[str], callers: int
) -> Counter[str]:
    """Every customer asks for one seat; so many at a time. Answers by status and code."""
    waiting, told = iter(customers), Counter[str]()

    async def caller() -> None:
        for customer in waiting:
            path = f"/api/v1/customers/{customer}/subscriptions"
            body = {"slot": SLOT, "source": "Direct", "quantity": 1}
            answer = await api.post(path, json=body, headers=headers)
            told[f"{answer.status_code} {answer.headers.get('X-Error-Code', '')}".strip()] += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return told


def another_worker(shop: Shop, customers: list[str], callers: int) -> Counter[str]:
    """In a thread: an event loop, connections, caches and a queue of its own, as a process has."""

    async def work() -> Counter[str]:
        given = Deps(shop.deps.settings, clock=FixedClock(shop.clock.now()))
        bootstrap.use(given)
        transport = httpx.ASGITransport(build())
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://other.test") as api:
                return await assign_one_each(api, shop.headers, customers, callers)
        finally:
            await given.close()

    return asyncio.run(work())


@pytest.mark.parametrize("workers", [1, 2])
async def test_24_1_b_32_parallel_callers_take_exactly_the_100_there_are(
    shop: Shop, workers: int
) -> None:
    await shop.buy(quantity=POOL)
    customers = await asyncio.gather(*(shop.add_customer() for _ in range(CALLERS * TURNS)))
    own, others = customers[::workers], customers[1::2] if workers == 2 else []
    callers = CALLERS // workers
    here = assign_one_each(shop.api, shop.headers, own, callers)
    there = asyncio.to_thread(another_worker, shop, others, callers)
    answers = await asyncio.gather(here, there)
    assert all(answers[:workers]), "every worker has answered somebody"
    assert answers[0] + answers[1] == {"201": POOL, "409 POOL_EXHAUSTED": 28}
    (pool,) = (await shop.get("/pools"))["value"]
    assert (pool["assigned"], pool["available"]) == (POOL, 0)
    await shop.adds_up()
