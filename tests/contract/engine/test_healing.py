"""Stored content that was found damaged is read again by the next backup, and it says so."""

from typing import Any

import pytest

from shared.keeping import verifying
from shared.kit.blobs import MemoryBlobs
from shared.protection import session_log
from shared.protection.model import ObjectRun, RunState, SessionState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_first_copy import equal


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 2, "mails": 12, "files": 8, "seed": 5}


def blobs(ground: Ground, run: ObjectRun, ending: str) -> tuple[MemoryBlobs, list[str]]:
    """The vault's container and the object's blobs of one kind."""
    storage: Any = ground.deps.storage
    for store in storage.containers.values():
        found = sorted(n for n in store.blobs if n.startswith(f"o/{run.oid}/") and ending in n)
        if found:
            return store, found
    raise AssertionError(ending)


def flip(store: MemoryBlobs, name: str, at: int) -> None:
    data, made = store.blobs[name]
    store.blobs[name] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], made


async def findings(ground: Ground, run: ObjectRun) -> list[str]:
    """A verification of the object's newest restore point, part by part."""
    job = await verifying.request(
        ground.deps, ground.scope, run.object_id, run.snapshot or 0, requested_by="test"
    )
    part = 0
    while await verifying.check_part(ground.deps, ground.scope, job.verification_id, part):
        part += 1
    job = await verifying.get(ground.deps, ground.scope, job.verification_id)
    return [one.blob for one in job.findings]


async def log_of(ground: Ground, session: Any) -> str:
    lines = session_log.read(ground.deps, ground.scope, session.session_id, statuses=frozenset())
    return "\n".join([line.message async for line in lines])


async def test_v65_damaged_packs_are_read_again_and_what_is_gone_is_named(ground: Ground) -> None:
    session = await ground.back_up()
    user = ground.cloud.user()
    before = await ground.runs(session)
    mailbox, drive = before["mailbox", user["id"]], before["drive", user["driveId"]]
    for run in (mailbox, drive):
        store, packs = blobs(ground, run, ".hfp")
        for name in packs:
            del store.blobs[name]
        assert set(packs) <= set(await findings(ground, run))
    truth = await ground.cloud.truth(user)
    lost = truth["mails"][0]
    subject = (await ground.held(mailbox))[lost["id"]].name
    await ground.cloud.in_tenant("DELETE", f"/users/{user['id']}/mails/{lost['id']}")

    session = await ground.back_up(items=7)
    assert session.state is SessionState.SUCCESS, session
    await equal(ground, session)
    after = await ground.runs(session)
    mailbox, drive = after["mailbox", user["id"]], after["drive", user["driveId"]]
    assert (mailbox.healed, mailbox.lost) == (len(truth["mails"]) - 1, [subject])
    assert drive.healed == len([one for one in truth["files"] if one["size"]])
    assert drive.lost == []
    assert await findings(ground, mailbox) == []
    assert await findings(ground, drive) == []
    told = await log_of(ground, session)
    assert f"Healed {mailbox.healed} items: stored content was damaged." in told
    assert f"Lost, damaged here and gone at the source: {subject}." in told

    session = await ground.back_up()
    assert session.counts.protected == 0
    assert sum(run.healed for run in (await ground.runs(session)).values()) == 0


async def test_v65_a_damaged_index_fails_once_and_is_left_behind(ground: Ground) -> None:
    """Nobody had looked: the run that meets the damage names it, the next one heals it."""
    session = await ground.back_up()
    user = ground.cloud.user()
    run = (await ground.runs(session))["mailbox", user["id"]]
    store, bases = blobs(ground, run, ".hfb")
    for name in bases:
        flip(store, name, len(store.blobs[name][0]) // 3)
    await ground.cloud.in_tenant("POST", "/change", json={"seed": 3, "perUser": {"flagMails": 3}})

    session = await ground.back_up()
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "damaged" in run.error

    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    await equal(ground, session)
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert (await ground.opened(run)).head.kind == "reset"
    assert await findings(ground, run) == []
