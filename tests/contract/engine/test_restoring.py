"""What was protected comes back equal, where it was asked to, and once."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.protection.browsing import ItemNotInSnapshot
from shared.protection.model import ObjectRun
from shared.restore import hold, repository, service
from shared.restore import process as restoring
from shared.restore.choosing import Wanted
from shared.restore.model import EntryState, RestoreState
from tests.contract.engine.conftest import Ground


async def protected(ground: Ground, workload: str, number: int = 0) -> tuple[ObjectRun, Any]:
    session = await ground.back_up()
    user = ground.cloud.user(number)
    source = user["id"] if workload == "mailbox" else user["driveId"]
    return (await ground.runs(session))[workload, source], user


def below(truth: dict[str, Any], top: str) -> set[str]:
    """Ids of the folder with this name and of everything below it."""
    ids = {f["id"] for f in truth["folders"] if f["name"] == top}
    while more := {f["id"] for f in truth["folders"] if f["parentId"] in ids} - ids:
        ids |= more
    return ids


def subjects(mails: list[dict[str, Any]]) -> list[str]:
    """Folding white space of a header is not part of a subject."""
    return sorted(" ".join((mail.get("subject") or "").split()) for mail in mails)


async def test_deleted_files_come_back_byte_for_byte(ground: Ground) -> None:
    run, user = await protected(ground, "drive")
    before = {f["path"].lstrip("/"): f["sha256"] for f in (await ground.cloud.truth(user))["files"]}
    restore = await ground.restore(run, target_folder="Back/again")
    assert restore.state is RestoreState.COMPLETED, restore
    after = {f["path"].lstrip("/"): f["sha256"] for f in (await ground.cloud.truth(user))["files"]}
    assert {f"Back/again/{path}": sha for path, sha in before.items()}.items() <= after.items()
    assert len(after) == 2 * len(before)


async def test_whole_mailbox_into_another_folder_equals_the_source(ground: Ground) -> None:
    run, user = await protected(ground, "mailbox")
    truth = await ground.cloud.truth(user)
    restore = await ground.restore(run, target_folder="Restored")
    assert restore.state is RestoreState.COMPLETED, restore
    after = await ground.cloud.truth(user)
    inside = below(after, "Restored")
    new = [mail for mail in after["mails"] if mail["folderId"] in inside]
    assert len(new) == len(truth["mails"])
    assert subjects(new) == subjects(truth["mails"])


async def test_crash_between_create_and_ledger_makes_no_double(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, user = await protected(ground, "mailbox")
    opened = await ground.opened(run)
    keys = [opened.key(row) for row in (await ground.held(run)).values() if row.kind == "mail"][:6]
    made = await service.start_restore(
        ground.deps,
        ground.scope,
        Wanted(run.object_id, 1, items=keys, target_folder="Once"),
        requested_by="test",
    )
    real, crashes = repository.save_entry, 2

    async def crash(tables: Any, restore_id: str, entry: Any) -> None:
        nonlocal crashes
        if entry.state is EntryState.CREATED and crashes:
            crashes -= 1
            raise ConnectionError("the worker is gone")
        await real(tables, restore_id, entry)

    monkeypatch.setattr(restoring.repository, "save_entry", crash)
    with pytest.raises(ConnectionError):
        await ground.finish(made)
    monkeypatch.undo()
    restore = await ground.finish(made)
    assert restore.state is RestoreState.COMPLETED, restore
    assert restore.entries == {"Created": 6}
    after = await ground.cloud.truth(user)
    inside = below(after, "Once")
    assert len([mail for mail in after["mails"] if mail["folderId"] in inside]) == 6


async def test_same_place_with_skip_changes_nothing(ground: Ground) -> None:
    run, user = await protected(ground, "drive")
    before = await ground.cloud.truth(user)
    restore = await ground.restore(run, place="original", collision="skip")
    assert restore.state is RestoreState.COMPLETED
    files = len(before["files"])
    assert restore.entries["Skipped"] == files
    assert sorted(f["id"] for f in (await ground.cloud.truth(user))["files"]) == sorted(
        f["id"] for f in before["files"]
    )


async def test_into_another_users_mailbox(ground: Ground) -> None:
    run, _ = await protected(ground, "mailbox")
    session_runs = [one async for one in _objects(ground) if one.workload == "mailbox"]
    other = next(one for one in session_runs if one.object_id != run.object_id)
    opened = await ground.opened(run)
    row = next(row for row in (await ground.held(run)).values() if row.kind == "mail")
    restore = await ground.restore(
        run, items=[opened.key(row)], target_folder="From", target_object_id=other.object_id
    )
    assert restore.state is RestoreState.COMPLETED, restore
    user = next(u for u in ground.cloud.world["users"] if u["id"] == other.source_id)
    after = await ground.cloud.truth(user)
    assert len([m for m in after["mails"] if m["folderId"] in below(after, "From")]) == 1


async def test_unknown_item_is_refused_and_nothing_is_written(ground: Ground) -> None:
    run, _ = await protected(ground, "mailbox")
    with pytest.raises(ItemNotInSnapshot):
        await ground.restore(run, items=["0" * 64])
    rows = ground.deps.tables["Restores"].query(ground.customer.customer_id)
    assert [row async for row in rows] == []


async def test_one_item_that_fails_ends_with_errors_and_names_it(ground: Ground) -> None:
    run, _ = await protected(ground, "mailbox")
    opened = await ground.opened(run)
    keys = [opened.key(row) for row in (await ground.held(run)).values() if row.kind == "mail"][:3]
    await ground.cloud.fault(
        "answer", "messages$", answer={"status": 400, "code": "ErrorX"}, match={"method": "POST"}
    )
    restore = await ground.restore(run, items=keys)
    assert restore.state is RestoreState.COMPLETED_WITH_ERRORS  # RST-09
    entries, _ = await service.list_entries(
        ground.deps, ground.scope, restore.restore_id, after="", limit=10
    )
    failed = [entry for entry in entries if entry.state is EntryState.FAILED]
    assert [entry.error for entry in failed] == ["400/ErrorX"]


async def test_proof_and_stored_content_of_an_item_hold(ground: Ground) -> None:
    from shared.vault.format.proofs import content_matches, proof_holds

    run, _ = await protected(ground, "mailbox")
    opened = await ground.opened(run)
    row = next(row for row in (await ground.held(run)).values() if row.kind == "mail")
    proof = await opened.snapshot.proof(row.source_id)
    data = b"".join([part async for part in opened.snapshot.content(row)])
    assert proof_holds(proof)
    assert content_matches(proof, data)
    assert not content_matches(proof, data + b"x")


async def _objects(ground: Ground) -> Any:
    from shared.protection import repository as protection

    for one in await protection.list_objects(
        ground.deps.tables, ground.scope, ground.customer.customer_id
    ):
        yield one


async def test_clock_put_forward_frees_no_hold_of_an_execution_that_still_writes(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = await protected(ground, "mailbox")
    wanted = Wanted(run.object_id, 1, target_folder="Held")
    made = await service.start_restore(ground.deps, ground.scope, wanted, requested_by="test")
    monkeypatch.setattr(hold, "LENGTH", timedelta(seconds=0.5))
    monkeypatch.setattr(hold, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(hold, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(hold, "PATIENCE_SECONDS", 0.1)
    first, second = (hold.Hold(ground.deps, ground.scope, made.restore_id) for _ in range(2))
    await first.take()
    monkeypatch.setattr(ground.deps.clock, "now", lambda: made.created_at + timedelta(days=1))
    with pytest.raises(hold.RestoreBusy):  # it has not been renewed since the jump
        await second.take()
    monkeypatch.setattr(hold, "PATIENCE_SECONDS", 1.5)
    writing = asyncio.create_task(first.keep())
    with pytest.raises(hold.RestoreBusy):  # it is, for three times its length
        await second.take()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await second.take()
    assert second.is_ours
    assert not first.is_ours
