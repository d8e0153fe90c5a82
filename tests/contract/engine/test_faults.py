"""What goes wrong at Microsoft: nothing is lost, nothing is read twice, everything is counted."""

import asyncio
from typing import Any

import pytest

from shared.protection import engine, process, repository, service
from shared.protection.model import RunState, SessionState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_first_copy import equal
from tests.contract.engine.truth import mail_differences

POISON = "500/generalException"


async def a_mail(ground: Ground, user: dict[str, Any]) -> dict[str, Any]:
    mails: list[dict[str, Any]] = (await ground.cloud.truth(user))["mails"]
    return mails[0]


def path_of(mail: dict[str, Any]) -> str:
    from urllib.parse import quote

    return f"({quote(mail['id'], safe='')}|{mail['id'].replace('+', '.')}).*value"


async def test_expired_token_lists_again_and_reads_no_content(ground: Ground) -> None:
    await ground.back_up()
    await ground.cloud.fault("expireDelta", "messages/delta", times=40, match={"nth": 2})
    await ground.cloud.fault("expireDelta", "root/delta")
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    assert session.counts.protected == 0  # M11
    assert session.counts.unchanged > 0
    await equal(ground, session)
    heads = [(await ground.opened(run)).head for run in (await ground.runs(session)).values()]
    assert "reset" in {head.kind for head in heads}


async def test_poisoned_item_is_a_warning_and_is_tried_again(ground: Ground) -> None:
    user = ground.cloud.user()
    mail = await a_mail(ground, user)
    await ground.cloud.fault("serverError", path_of(mail), times=-1)
    session = await ground.back_up()
    assert session.state is SessionState.WARNING
    await ground.cloud.admin("DELETE", "/faults")
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert run.state is RunState.PARTIAL
    assert run.counts.failed == {POISON: 1}
    assert run.failed_items[0]["code"] == POISON
    held = await ground.held(run)
    assert held[mail["id"]].error == f"fail:{POISON}"
    assert (
        len([row for row in held.values() if row.has_content])
        == len((await ground.cloud.truth(user))["mails"]) - 1
    )  # M21
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS
    assert session.counts.protected == 1  # the others are not read again (M23)
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert await mail_differences(await ground.opened(run), await ground.cloud.truth(user)) == []


async def test_m22_a_corrupt_item_is_a_counted_skip_and_the_point_is_complete(
    ground: Ground,
) -> None:
    """A known permanent cause (microsoft365.md section 5): complete, and never silent (V38)."""
    user = ground.cloud.user()
    mail = await a_mail(ground, user)
    await ground.cloud.fault("corrupt", path_of(mail), times=-1)
    session = await ground.back_up()
    run = (await ground.runs(session))["mailbox", user["id"]]
    head = (await ground.opened(run)).head
    assert (head.status, run.state) == ("complete", RunState.SUCCEEDED)
    assert head.counts["unheld"] == 1
    assert (run.counts.skipped, run.counts.failed) == ({"corrupt": 1}, {})
    assert session.counts.skipped == {"corrupt": 1}
    row = (await ground.held(run))[mail["id"]]
    assert (row.error, row.has_content) == ("skip:corrupt", False)
    assert run.completeness is not None
    assert run.completeness.gap == 0  # it is inside the root, not missing from it (V37)


async def test_item_that_never_heals_stops_holding_back_its_folder(ground: Ground) -> None:
    user = ground.cloud.user()
    mail = await a_mail(ground, user)
    await ground.cloud.fault("serverError", path_of(mail), times=-1)
    kinds = []
    for _ in range(4):
        session = await ground.back_up()
        assert session.state is SessionState.WARNING
        run = (await ground.runs(session))["mailbox", user["id"]]
        assert run.counts.failed == {POISON: 1}
        kinds.append(run.counts.unchanged)
    assert kinds[1] > 0  # its folder is listed again
    assert kinds[3] == 0  # on the retry list by now: the cursor advanced (M23)
    await ground.cloud.admin("DELETE", "/faults")
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert await mail_differences(await ground.opened(run), await ground.cloud.truth(user)) == []


async def test_revoked_consent_is_disconnected_and_reads_nothing(ground: Ground) -> None:
    reader = ground.cloud.registrations.reader
    await ground.cloud.in_tenant("DELETE", "/consent", params={"clientId": reader})
    await ground.cloud.reset_stats()
    session = await ground.back_up()
    assert session.state is SessionState.DISCONNECTED  # BKP-20
    asked = (await ground.cloud.stats())["requests"]
    assert not [name for name in asked if "message" in name or "drive" in name.lower()], asked
    policy = await repository.get_policy(ground.deps.tables, ground.scope, ground.policy_id)
    assert policy.last_status is SessionState.DISCONNECTED


async def test_throttle_storm_slows_and_loses_nothing(ground: Ground) -> None:
    await ground.cloud.fault("throttle", "/v1.0/users/.*messages", times=40, match={"nth": 2})
    await ground.cloud.fault("throttle", "root/delta|_content", times=20, match={"nth": 2})
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    assert session.graph.throttled > 0
    assert (await ground.cloud.stats())["insideFence"] == 0  # M28
    await equal(ground, session)


async def test_crash_in_the_middle_of_a_slice_repeats_only_that_slice(ground: Ground) -> None:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    tasks = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    task = next(one for one in tasks if one.workload == "mailbox")
    await ground.slice(task, 0, items=15)
    await ground.cloud.fault("delay", r"\$value", times=3, answer={"status": 200, "seconds": 30})
    broken = asyncio.create_task(ground.slice(task, 1, items=15))
    await asyncio.sleep(0.3)
    broken.cancel()
    await asyncio.gather(broken, return_exceptions=True)
    await ground.cloud.admin("DELETE", "/faults")
    await ground.slice(task, 0, items=15)  # delivered twice: finds its checkpoint
    number, answer = 1, await ground.slice(task, 1, items=15)
    while answer.outcome == "more":
        number += 1
        answer = await ground.slice(task, number, items=15)
    await engine.seal_object(ground.deps, task)
    await engine.seal_object(ground.deps, task)  # twice as well
    session = await ground.session(job)
    run = await repository.get_run(ground.deps.tables, session, task.workload, task.object_id)
    assert run.state is RunState.SUCCEEDED
    assert run.snapshot == 1
    user = next(u for u in ground.cloud.world["users"] if u["id"] == run.source_id)
    assert await mail_differences(await ground.opened(run), await ground.cloud.truth(user)) == []


async def test_stop_lets_no_further_object_start(ground: Ground) -> None:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    tasks = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    await ground.protect(tasks[0])
    await service.stop_session(ground.deps, ground.scope, job.session_id)
    for task in tasks[1:]:
        assert (await ground.protect(task)).outcome == "stopped"
    await process.seal_session(ground.deps, job)
    session = await ground.session(job)
    assert session.state is SessionState.STOPPED
    assert session.objects == {"Succeeded": 1, "Stopped": len(tasks) - 1}
    with pytest.raises(service.NotRunning):
        await service.stop_session(ground.deps, ground.scope, job.session_id)


async def test_second_start_is_refused_while_a_session_runs(ground: Ground) -> None:
    await ground.start()
    with pytest.raises(service.AlreadyRunning):
        await ground.start()


async def test_mailbox_without_a_licence_is_skipped_by_name(ground: Ground) -> None:
    user = ground.cloud.user()
    await ground.cloud.fault("noMailbox", f"{user['id']}/mailFolders", times=-1)
    session = await ground.back_up()
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert (run.state, run.error) == (RunState.SKIPPED, "mailbox_not_enabled")
    assert session.state is SessionState.SUCCESS


async def test_m23_an_item_of_the_retry_list_that_is_gone_leaves_it(ground: Ground) -> None:
    """Deleted while its token expired: no delta ever says so, and nothing is listed."""
    user = ground.cloud.user()
    mail = await a_mail(ground, user)
    await ground.cloud.fault("serverError", path_of(mail), times=-1)
    session = await ground.back_up()
    assert session.state is SessionState.WARNING
    await ground.cloud.admin("DELETE", "/faults")
    await ground.cloud.in_tenant("DELETE", f"/users/{user['id']}/mails/{mail['id']}")
    await ground.cloud.fault("expireDelta", "messages/delta", times=40)
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert mail["id"] not in await ground.held(run)
    await equal(ground, session)


async def test_a_slice_that_was_handed_out_twice_and_ends_late_takes_no_end_back(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the death of a task hub: the first execution still runs, the second was faster."""
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    tasks = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    task, put_run = tasks[0], repository.put_run
    read, gone_on = asyncio.Event(), asyncio.Event()

    async def late(tables: Any, session: Any, run: Any) -> None:
        if run.slices and not read.is_set():  # the first execution is about to write how far it is
            read.set()
            await gone_on.wait()
        await put_run(tables, session, run)

    monkeypatch.setattr(repository, "put_run", late)
    first = asyncio.create_task(ground.slice(task, 0))
    await read.wait()
    await ground.protect(task)
    gone_on.set()
    await first
    session = await ground.session(job)
    run = await repository.get_run(ground.deps.tables, session, task.workload, task.object_id)
    assert (run.state, run.snapshot) == (RunState.SUCCEEDED, 1)
