"""Proof at the level of the engine: two workers on one object, and a person who left."""

import asyncio

import pytest

from shared.protection import process
from shared.protection.model import RunState, SessionState
from shared.restore import service as restores
from shared.restore.choosing import Wanted
from shared.restore.model import RestoreState
from shared.restore.presence import TargetGone
from shared.restore.preview import preview
from tests.contract.engine.conftest import Ground
from tests.contract.engine.truth import file_differences, mail_differences


async def test_v48_two_workers_on_one_object_make_one_snapshot(ground: Ground) -> None:
    job = await ground.start()
    plan = await process.plan_session(ground.deps, job)
    tasks = [t for g in range(plan.groups) for t in await process.list_group(ground.deps, job, g)]
    for task in tasks:
        await asyncio.gather(ground.protect(task, items=9), ground.protect(task, items=9))
    await process.seal_session(ground.deps, job)
    session = await ground.session(job)
    assert session.state is SessionState.SUCCESS, session
    runs = await ground.runs(session)
    assert {run.snapshot for run in runs.values() if run.state is RunState.SUCCEEDED} == {1}
    user = ground.cloud.user()
    truth = await ground.cloud.truth(user)
    mailbox, drive = runs["mailbox", user["id"]], runs["drive", user["driveId"]]
    assert await mail_differences(await ground.opened(mailbox), truth) == []
    assert await file_differences(await ground.opened(drive), truth) == []
    again = await ground.back_up()
    assert again.counts.protected == 0


async def test_the_mailbox_of_a_deleted_user_keeps_its_points_and_takes_nothing(
    ground: Ground,
) -> None:
    session = await ground.back_up()
    user = ground.cloud.user()
    run = (await ground.runs(session))["mailbox", user["id"]]
    truth = await ground.cloud.truth(user)
    tenant = ground.cloud.server.sim.find_tenant(ground.cloud.tenant_id)
    gone = tenant.users.pop(user["id"])
    before = len(gone.mailbox.messages)

    later = await ground.back_up()
    assert later.state in {SessionState.SUCCESS, SessionState.WARNING}, later
    assert (await ground.runs(later)).get(("mailbox", user["id"])) is None or (
        (await ground.runs(later))["mailbox", user["id"]].state is RunState.SKIPPED
    )
    assert await mail_differences(await ground.opened(run, 1), truth) == []

    with pytest.raises(TargetGone) as refused:
        await ground.restore(run, target_folder="Back")
    assert refused.value.code == "TARGET_GONE"
    assert refused.value.errors[0]["pointer"] == "/target/objectId"
    with pytest.raises(TargetGone):
        await preview(ground.deps, ground.scope, Wanted(run.object_id, 1))
    made = await restores.list_restores(
        ground.deps,
        ground.scope,
        ground.customer.customer_id,
        states=frozenset(),
        after="",
        limit=5,
    )
    assert made == ([], None)
    assert len(gone.mailbox.messages) == before
    assert not [f for f in gone.mailbox.folders.values() if f.name == "Back"]

    colleague = ground.cloud.user(1)
    target = (await ground.runs(session))["mailbox", colleague["id"]].object_id
    restore = await ground.restore(run, target_folder="Left", target_object_id=target)
    assert restore.state is RestoreState.COMPLETED, restore
    after = await ground.cloud.truth(colleague)
    own = {mail["sha256"] for mail in truth["mails"]}
    assert len(after["mails"]) >= len(own)


@pytest.mark.parametrize("kind", ["mailbox", "drive"])
async def test_a_target_that_went_after_the_last_backup_is_refused_once_and_not_per_item(
    ground: Ground, kind: str
) -> None:
    session = await ground.back_up()
    user = ground.cloud.user()
    run = (await ground.runs(session))[kind, user["id" if kind == "mailbox" else "driveId"]]
    tenant = ground.cloud.server.sim.find_tenant(ground.cloud.tenant_id)
    gone = tenant.users.pop(user["id"])
    if kind == "drive":
        tenant.drives.pop(user["driveId"])
    restore = await ground.restore(run, target_folder="Back")
    assert restore.state is RestoreState.FAILED, restore
    assert set(restore.entries) == {"Pending"}, restore.entries
    told = await restores.restore_operation(ground.deps, ground.scope, restore.restore_id)
    assert told.error is not None
    assert told.error.code == "TARGET_GONE"
    assert "target.objectId" in told.error.detail
    assert not [f for f in gone.mailbox.folders.values() if f.name == "Back"]
