"""What a session's log says, and that it is written once whoever repeats what."""

import pytest

from shared.access.model import Scope
from shared.kit.errors import NotFound
from shared.protection import engine, process, session_log
from shared.protection.log_lines import LogLine
from shared.protection.model import RunState, Session, SessionState
from tests.contract.engine.conftest import Ground


async def log_of(ground: Ground, session: Session, *statuses: str) -> list[LogLine]:
    """Every line, read two at a time."""
    found: list[LogLine] = []
    after: str | None = ""
    while after is not None:
        lines, after = await session_log.page(
            ground.deps,
            ground.scope,
            session.session_id,
            statuses=frozenset(statuses),
            after=after,
            limit=2,
        )
        found += lines
    return found


async def test_bkp_16_log_has_start_found_excluded_objects_transferred_finish(
    ground: Ground,
) -> None:
    session = await ground.back_up()
    lines = await log_of(ground, session)
    kinds = [line.key.partition("~")[0] for line in lines]
    objects = ["3"] * session.found
    assert kinds == ["0-start", "1-found", "2-excluded", *objects, "8-transferred", "9-finish"]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    text = [line.message for line in lines]
    assert text[1].startswith(f"{session.found} objects found")
    assert f"{session.counts.protected} items" in text[-2]
    assert "/s" in text[-2]
    assert text[-1] == "Session finished: Success."
    runs = await ground.runs(session)
    assert {line.object_id for line in lines if line.object_id} == {
        run.object_id for run in runs.values()
    }


async def test_bkp_30_log_names_the_object_that_failed(ground: Ground) -> None:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    first, *others = [
        task
        for group in range(plan.groups)
        for task in await process.list_group(ground.deps, job, group)
    ]
    await engine.fail_object(ground.deps, first, "its disk burnt")
    for task in others:
        await ground.protect(task)
    await process.seal_session(ground.deps, job)
    session = await ground.session(job)
    assert session.state is SessionState.WARNING
    (failed,) = await log_of(ground, session, "Failed")
    assert failed.object_id == first.object_id
    run = next(r for r in (await ground.runs(session)).values() if r.state is RunState.FAILED)
    assert run.display_name in failed.message
    assert "its disk burnt" in failed.message


async def test_bkp_15_log_is_appended_once_and_completed_by_the_seal(ground: Ground) -> None:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    await process.plan_session(ground.deps, job)
    tasks = await process.list_group(ground.deps, job, 0)
    assert plan.groups == 1
    for task in tasks:
        await ground.protect(task)
        await engine.seal_object(ground.deps, task)
    lost = next(line for line in await log_of(ground, await ground.session(job)) if line.object_id)
    # A worker that died between the object's row and its line.
    await ground.deps.tables[session_log.TABLE].delete(job.session_id, lost.key)
    await process.seal_session(ground.deps, job)
    await process.seal_session(ground.deps, job)
    lines = await log_of(ground, await ground.session(job))
    assert lost in lines
    assert len(lines) == len(tasks) + 5


async def test_bkp_20_log_of_a_session_that_was_not_let_in_says_why(ground: Ground) -> None:
    job = await ground.start()
    ended = job.model_copy(update={"disconnected": True, "error": "consent is revoked"})
    await process.seal_session(ground.deps, ended)
    session = await ground.session(job)
    last = (await log_of(ground, session))[-1]
    assert (last.status, last.message) == (
        "Failed",
        "Session finished: Disconnected, consent is revoked",
    )
    stranger = Scope("stranger")
    with pytest.raises(NotFound):
        await session_log.page(
            ground.deps, stranger, job.session_id, statuses=frozenset(), after="", limit=9
        )
