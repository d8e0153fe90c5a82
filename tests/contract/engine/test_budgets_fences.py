"""Slices keep the budget they are given, and one worker's 429 stops the others (M25, M28)."""

from datetime import timedelta
from typing import Any

import pytest

from shared.microsoft365.drive import Drive
from shared.microsoft365.model import Budget
from shared.microsoft365.quotas import default_quotas
from shared.microsoft365.shared_fence import SharedScope, TableFences
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.wire import Wire
from shared.protection import budgets, engine, process, repository
from shared.protection.model import RunState, SessionState
from shared.protection.tasks import ObjectTask, SliceBudget
from tests.contract.engine.conftest import Ground
from tests.contract.graph.conftest import run_pass

PATIENCE = 300


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 3, "mails": 4, "files": 20, "seed": 5}


class Counting:
    """A table that counts its transactions."""

    def __init__(self, table: Any) -> None:
        self._table, self.reads, self.writes = table, 0, 0

    def query(self, partition: str) -> Any:
        self.reads += 1
        return self._table.query(partition)

    async def find(self, partition: str, key: str) -> Any:
        self.reads += 1
        return await self._table.find(partition, key)

    async def insert(self, row: Any) -> Any:
        self.writes += 1
        return await self._table.insert(row)

    async def replace(self, row: Any) -> Any:
        self.writes += 1
        return await self._table.replace(row)


class Worker:
    """One process: lanes, HTTP session and reading of fences of its own."""

    def __init__(self, ground: Ground, *, shares: bool = True) -> None:
        cloud = ground.cloud
        self.slept: list[float] = []
        self.meanwhile: Any = None
        self.wire = Wire(clock=cloud.clock, sleep=self._sleep)
        self._clock = cloud.clock
        self.table = Counting(ground.deps.tables["Fences"])
        fences = TableFences(self.table, cloud.clock) if shares else None  # type: ignore[arg-type]
        self.transport = GraphTransport(
            cloud.settings, cloud.tokens, cloud.tenant_id, Budget(), wire=self.wire,
            client_id=cloud.registrations.reader, fences=fences,
        )  # fmt: skip

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.meanwhile is not None:
            work, self.meanwhile = self.meanwhile, None
            await work()
        await self._clock.sleep(seconds)

    async def close(self) -> None:
        await self.wire.close()


async def two(ground: Ground, *, shares: bool) -> tuple[Worker, Worker, dict[str, Any]]:
    """The first is told to wait; the second, another drive's, calls while the first waits."""
    one, other = Worker(ground, shares=shares), Worker(ground, shares=shares)
    mine = Drive(one.transport, ground.cloud.user(0)["driveId"])
    theirs = Drive(other.transport, ground.cloud.user(1)["driveId"])
    try:
        await run_pass(theirs)  # has read the row before: there was none
        ground.cloud.clock.simulator.advance(3)
        await ground.cloud.fault("throttle", "root/delta", answer={"retryAfter": 40})

        async def meanwhile() -> None:
            ground.cloud.clock.simulator.advance(5)
            await run_pass(theirs)

        one.meanwhile = meanwhile
        await run_pass(mine)
        return one, other, await ground.cloud.stats()
    finally:
        await one.close()
        await other.close()


async def test_m28_one_workers_refusal_stops_the_others_before_their_next_call(
    ground: Ground,
) -> None:
    one, other, stats = await two(ground, shares=True)
    assert stats["throttled"] + stats["faults"] >= 1
    assert stats["insideFence"] == 0
    assert sum(other.slept) >= 34
    assert one.table.writes == 1
    assert other.table.writes == 0


async def test_m28_without_the_row_the_other_worker_calls_inside_the_fence(ground: Ground) -> None:
    """What the row is for: the same without it."""
    _, other, stats = await two(ground, shares=False)
    assert stats["insideFence"] > 0
    assert other.slept == []


async def test_m28_the_row_costs_a_transaction_in_two_seconds_and_is_never_moved_earlier(
    ground: Ground,
) -> None:
    clock, table = ground.cloud.clock, Counting(ground.deps.tables["Fences"])
    fences = TableFences(table, clock)  # type: ignore[arg-type]
    others = TableFences(ground.deps.tables["Fences"], clock)
    scope = SharedScope(ground.cloud.tenant_id, "share_point~reader")
    for _ in range(200):  # ten seconds of a busy worker
        assert await fences.until(scope) is None
        clock.simulator.advance(0.05)
    assert table.reads <= 6
    now = clock.now()
    await others.close_until(scope, now + timedelta(seconds=60))
    await fences.close_until(scope, now + timedelta(seconds=30))
    clock.simulator.advance(2.1)
    assert await fences.until(scope) == await others.until(scope)
    found = await fences.until(scope)
    assert found is not None
    assert abs((found - now).total_seconds() - 60) < 0.01
    assert await fences.until(SharedScope(ground.cloud.tenant_id, "teams~reader")) is None


# Budgets ----------------------------------------------------------------------------------------


async def tasks(ground: Ground) -> tuple[Any, list[ObjectTask]]:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    found = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    return job, found


async def test_m25_every_object_is_given_its_share_of_the_tenants_quotas(ground: Ground) -> None:
    _, found = await tasks(ground)
    drives = [task for task in found if task.workload == "drive"]
    quotas = default_quotas()
    band = budgets.share_point_rate(quotas, 0)
    for task in found:
        assert task.budget is not None
        if task.workload == "drive":
            assert task.budget.ru == int(band * task.budget.seconds / len(drives))
        else:
            assert task.budget.requests is not None
            assert task.budget.requests <= quotas.mailbox.requests


async def test_m25_a_slice_spends_its_budget_and_the_next_goes_on_when_it_may(
    ground: Ground,
) -> None:
    job, found = await tasks(ground)
    task = next(one for one in found if one.workload == "drive")
    assert task.budget is not None
    small = task.budget.model_copy(update={"ru": 6})
    begun = ground.deps.clock.now()
    answer = await engine.protect_slice(ground.deps, task.model_copy(update={"budget": small}))
    session = await ground.session(job)
    run = await repository.get_run(ground.deps.tables, session, task.workload, task.object_id)
    assert answer.outcome == "more"
    assert run.graph.ru == 6
    assert answer.not_before is not None
    assert begun < answer.not_before <= begun + timedelta(seconds=small.seconds)
    assert answer.budget is not None
    assert (answer.budget.ru or 0) > small.ru  # type: ignore[operator]  # what is its share by now
    number = 0
    while answer.outcome == "more":
        number += 1
        assert number < PATIENCE
        at = task.model_copy(update={"number": number, "budget": answer.budget})
        answer = await engine.protect_slice(ground.deps, at)
    await engine.seal_object(ground.deps, task)
    run = await repository.get_run(ground.deps.tables, session, task.workload, task.object_id)
    assert run.state is RunState.SUCCEEDED


async def test_m25_what_other_sessions_spent_today_is_not_spent_again(ground: Ground) -> None:
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS
    assert session.graph.ru > 0
    _, found = await tasks(ground)
    (left,) = {t.budget.day_left for t in found if t.workload == "drive" and t.budget}
    day = default_quotas().share_point.bands[0].per_day * 0.8  # the reserve for restores is left
    assert left == int(day) - session.graph.ru


def test_m25_shares_are_pure_and_never_more_than_the_whole() -> None:
    quotas = default_quotas()
    whole = budgets.share_point_rate(quotas, 0) * 240
    for sharing in (1, 3, 8):
        for sessions in (1, 2):
            one = budgets.slice_budget(
                quotas, "site", 0, sharing=sharing, sessions=sessions, seconds=240,
                day_left=1_000_000, spent=0,
            )  # fmt: skip
            assert one.ru is not None
            assert one.ru * sharing * sessions <= whole
    spent = budgets.slice_budget(
        quotas, "drive", 0, sharing=1, sessions=1, seconds=240, day_left=500, spent=600
    )
    assert spent.ru == 0
    box = budgets.slice_budget(
        quotas, "mailbox", 0, sharing=8, sessions=3, seconds=240, day_left=0, spent=0
    )
    assert box == SliceBudget(seconds=240, requests=16 * 240 + 400, sessions=3)
