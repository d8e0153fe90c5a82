"""V15: a huge file is read on where a slice ended; what changed meanwhile is read anew."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from shared.protection import engine, process, repository
from shared.protection.model import ObjectRun, RunState
from shared.protection.slices import Bounds
from shared.protection.tasks import ObjectTask, SessionTask, SliceAnswer
from shared.vault import contents as writing
from shared.vault.format import content as format_content
from tests.contract.engine.conftest import Ground
from tests.contract.engine.truth import file_differences

PIECE = 1 << 20
BIG = random.Random(5).randbytes(10 * PIECE + 777)


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 2, "mails": 2, "files": 3, "seed": 5}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_content, "PIECE", PIECE)
    monkeypatch.setattr(writing, "PIECE", PIECE)


async def write(ground: Ground, user: dict[str, Any], data: bytes) -> str:
    path = f"/users/{user['id']}/files?path=big.bin"
    return str((await ground.cloud.in_tenant("PUT", path, data=data))["id"])


async def begin(ground: Ground, user: dict[str, Any]) -> tuple[SessionTask, ObjectTask]:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    tasks = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    session = await ground.session(job)
    for task in tasks:
        row = await repository.get_run(ground.deps.tables, session, task.workload, task.object_id)
        if row.source_id == user["driveId"]:
            return job, task
    raise AssertionError("the drive is not in the session")


async def one_slice(ground: Ground, task: ObjectTask, number: int, size: int) -> SliceAnswer:
    bounds = Bounds(ground.deps.clock.now() + timedelta(minutes=10), bytes=size)
    at = task.model_copy(update={"number": number})
    return await engine.protect_slice(ground.deps, at, bounds)


async def to_the_end(
    ground: Ground, job: SessionTask, task: ObjectTask, number: int, size: int
) -> ObjectRun:
    while (await one_slice(ground, task, number, size)).outcome == "more":
        number += 1
        assert number < 60
    await engine.seal_object(ground.deps, task)
    await process.seal_session(ground.deps, job)
    session = await ground.session(job)
    return await repository.get_run(ground.deps.tables, session, task.workload, task.object_id)


async def test_v15_a_huge_file_takes_several_slices_and_is_read_once(ground: Ground) -> None:
    user = ground.cloud.user()
    await write(ground, user, BIG)
    job, task = await begin(ground, user)
    run = await to_the_end(ground, job, task, 0, 3 * PIECE)
    assert run.state is RunState.SUCCEEDED
    assert run.slices >= 4
    truth = await ground.cloud.truth(user)
    assert await file_differences(await ground.opened(run), truth) == []
    assert run.volume.read == sum(one["size"] for one in truth["files"])
    again = await ground.runs(await ground.back_up())
    assert again["drive", user["driveId"]].counts.protected == 0


async def test_v15_killed_at_seven_pieces_it_does_not_start_at_zero(ground: Ground) -> None:
    user = ground.cloud.user()
    await write(ground, user, BIG)
    job, task = await begin(ground, user)
    number = 0
    while number < 3:  # at least six of eleven pieces
        assert (await one_slice(ground, task, number, 2 * PIECE)).outcome == "more"
        number += 1
    await ground.cloud.fault("delay", "_content", answer={"status": 200, "seconds": 30})
    killed = asyncio.create_task(one_slice(ground, task, number, 2 * PIECE))
    await asyncio.sleep(0.3)
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    await ground.cloud.admin("DELETE", "/faults")
    run = await to_the_end(ground, job, task, number, 100 * PIECE)
    truth = await ground.cloud.truth(user)
    assert await file_differences(await ground.opened(run), truth) == []
    assert run.slices == 4
    assert run.volume.read == sum(one["size"] for one in truth["files"])


async def test_v15_a_file_that_changed_between_two_slices_is_read_anew(ground: Ground) -> None:
    user = ground.cloud.user()
    await write(ground, user, BIG)
    job, task = await begin(ground, user)
    assert (await one_slice(ground, task, 0, 5 * PIECE)).outcome == "more"
    other = BIG[: 2 * PIECE] + b"other" * 200_000 + BIG[3 * PIECE :]
    await write(ground, user, other)
    run = await to_the_end(ground, job, task, 1, 3 * PIECE)
    assert run.state is RunState.SUCCEEDED
    truth = await ground.cloud.truth(user)
    assert await file_differences(await ground.opened(run), truth) == []


async def test_v15_a_file_that_was_only_renamed_is_read_on(ground: Ground) -> None:
    user = ground.cloud.user()
    file_id = await write(ground, user, BIG)
    job, task = await begin(ground, user)
    assert (await one_slice(ground, task, 0, 5 * PIECE)).outcome == "more"
    await ground.cloud.in_tenant(
        "PATCH", f"/users/{user['id']}/files/{file_id}", json={"path": "renamed.bin"}
    )
    run = await to_the_end(ground, job, task, 1, 100 * PIECE)
    truth = await ground.cloud.truth(user)
    assert await file_differences(await ground.opened(run), truth) == []
    assert run.volume.read == sum(one["size"] for one in truth["files"])


async def test_m25_a_slice_that_is_throttled_inside_a_file_keeps_its_pieces(
    ground: Ground,
) -> None:
    """A fence longer than the slice ends it in the middle of the file; pieces stay (M28)."""
    user = ground.cloud.user()
    await write(ground, user, BIG)
    job, task = await begin(ground, user)
    assert (await one_slice(ground, task, 0, 2 * PIECE)).outcome == "more"
    await ground.cloud.fault("truncate", "_content")
    await ground.cloud.fault("throttle", "_content", answer={"retryAfter": 3000})
    answer = await one_slice(ground, task, 1, 100 * PIECE)
    assert answer.not_before is not None
    wait = (answer.not_before - ground.deps.clock.now()).total_seconds()
    await ground.cloud.clock.sleep(max(0.0, wait))
    run = await to_the_end(ground, job, task, 2, 100 * PIECE)
    truth = await ground.cloud.truth(user)
    assert await file_differences(await ground.opened(run), truth) == []
    # What is read again is the piece that was not finished.
    assert run.volume.read <= sum(one["size"] for one in truth["files"]) + PIECE
