"""Disaster: Microsoft 365 throttles everything for half an hour, in simulated time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from shared.protection import process
from shared.protection.model import RunState, SessionState
from shared.restore import process as restoring
from shared.restore import repository as restores
from shared.restore import service
from shared.restore.choosing import Wanted
from shared.restore.model import RestoreState
from shared.restore.tasks import RestoreTask
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_first_copy import equal

STORM = timedelta(minutes=30)
WINDOW_SECONDS = 120
"""What every refusal asks to wait."""
Brew = Callable[[], Awaitable[None]]


@pytest.fixture
async def storm(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Brew]:
    """Begins a storm; it ends by itself when its half hour is over by the simulated clock."""
    clock = ground.cloud.clock
    sleep, over = clock.sleep, [clock.now()]

    async def sleep_and_see(seconds: float) -> None:
        await sleep(seconds)
        if clock.now() >= over[0]:
            await ground.cloud.admin("DELETE", "/faults")

    async def brew() -> None:
        await ground.cloud.reset_stats()
        over[0] = clock.now() + STORM
        await ground.cloud.fault(
            "throttle", "^/(users|drives)", times=-1, answer={"retryAfter": WINDOW_SECONDS}
        )

    monkeypatch.setattr(clock, "sleep", sleep_and_see)
    yield brew
    assert clock.now() >= over[0]


async def obeyed(ground: Ground, lanes: int) -> None:
    """No call fell inside a window, and each window was tried once or twice per lane."""
    counted = await ground.cloud.stats()
    assert counted["insideFence"] == 0
    windows = STORM.total_seconds() / WINDOW_SECONDS
    assert 0 < counted["throttled"] <= 2 * lanes * (windows + 1)


async def test_a_storm_of_half_an_hour_in_a_backup_loses_nothing(
    ground: Ground, storm: Brew
) -> None:
    job, began = await ground.start(), ground.cloud.clock.now()
    plan = await process.plan_session(ground.deps, job)
    tasks = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    await ground.slice(tasks[0], 0, items=5)  # it hits in the middle of an object
    await storm()
    for task in tasks:
        await ground.protect(task)
    await process.seal_session(ground.deps, job)
    session = await ground.session(job)
    assert session.state is SessionState.SUCCESS, session
    assert session.counts.failed == {}
    assert session.graph.throttled > 0
    assert session.ended_at is not None
    assert session.ended_at - began >= STORM
    assert {run.state for run in (await ground.runs(session)).values()} == {RunState.SUCCEEDED}
    await obeyed(ground, len(tasks))
    await equal(ground, session)
    again = await ground.back_up()
    assert (again.state, again.counts.protected) == (SessionState.SUCCESS, 0)  # nothing twice


async def test_a_storm_of_half_an_hour_before_a_restore_doubles_nothing(
    ground: Ground, storm: Brew
) -> None:
    session = await ground.back_up()
    user = ground.cloud.user()
    run = (await ground.runs(session))["drive", user["driveId"]]
    wanted = Wanted(object_id=run.object_id, snapshot=run.snapshot or 0)
    made = await service.start_restore(ground.deps, ground.scope, wanted, requested_by="test")
    await storm()
    task = RestoreTask(partner_id=ground.scope.partner_id, restore_id=made.restore_id)
    await restoring.plan_restore(ground.deps, task)
    answer, number = await restoring.restore_slice(ground.deps, task), 1
    while answer.outcome == "more":
        if answer.not_before is not None:
            left = answer.not_before - ground.cloud.clock.now()
            await ground.cloud.clock.sleep(max(0, left.total_seconds()))
        at = task.model_copy(update={"number": number})
        answer, number = await restoring.restore_slice(ground.deps, at), number + 1
    state = await restoring.seal_restore(
        ground.deps, task.model_copy(update={"error": answer.error})
    )
    assert state is RestoreState.COMPLETED
    lines = await restores.list_entries(ground.deps.tables, made.restore_id)
    assert {line.error for line in lines} == {None}
    await obeyed(ground, 4)  # four items of a restore are in flight
    truth = (await ground.cloud.truth(user))["files"]
    paths = [file["path"] for file in truth]
    assert len(paths) == len(set(paths))
    held = [row for row in (await ground.held(run)).values() if row.kind == "file"]
    assert len(paths) == 2 * len(held)  # each came back once
