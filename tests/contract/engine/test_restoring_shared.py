"""Libraries, list items and messages come back equal, where asked, once; imports are closed."""

from typing import Any

import pytest

from shared.export.model import ExportState
from shared.protection.model import ObjectRun
from shared.restore import process as restoring
from shared.restore import repository, service
from shared.restore.choosing import Wanted
from shared.restore.model import EntryState, Restore, RestoreState
from shared.restore.presence import TargetGone
from shared.restore.preview import preview
from shared.restore.tasks import RestoreTask
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_exporting import begin, finish
from tests.contract.engine.test_sites_teams import (
    shared,
    site_truth,
    size,
    team_truth,
    the_run,
)

__all__ = ["shared", "size"]


async def a_site(ground: Ground) -> tuple[ObjectRun, dict[str, Any]]:
    session = await ground.back_up()
    site = ground.cloud.world["sites"][0]["id"]
    return await the_run(ground, session, "site", site), await site_truth(ground, site)


async def a_team(ground: Ground) -> tuple[ObjectRun, dict[str, Any]]:
    session = await ground.back_up()
    team = ground.cloud.world["teams"][0]["id"]
    return await the_run(ground, session, "team", team), await team_truth(ground, team)


def files_of(truth: dict[str, Any], library: str) -> dict[str, str]:
    found = next(one for one in truth["libraries"] if one["name"] == library)
    return {file["path"].lstrip("/"): file["sha256"] for file in found["files"]}


def items_of(truth: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = next(one for one in truth["lists"] if one["name"] == name)
    return [item["fields"] for item in found["items"]]


KEPT = ("Title", "Status", "Amount", "Due", "Notes", "Urgent")


def kept(items: list[dict[str, Any]]) -> list[str]:
    return sorted(str([one.get(name) for name in KEPT]) for one in items)


async def entries_of(ground: Ground, restore: Restore) -> list[Any]:
    found, _ = await service.list_entries(
        ground.deps, ground.scope, restore.restore_id, after="", limit=1000
    )
    return found


async def test_a_whole_site_into_a_folder_and_new_lists(shared: Ground) -> None:
    run, before = await a_site(shared)
    restore = await shared.restore(run, target_folder="Back")
    assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
    after = await site_truth(shared, run.source_id)
    there = files_of(after, "Documents")
    for library in ("Documents", "Verträge"):
        wanted = {f"Back/{library}/{path}": sha for path, sha in files_of(before, library).items()}
        assert wanted.items() <= there.items()
    for name in ("Tasks", "Größen"):
        assert kept(items_of(after, f"{name} (Back)")) == kept(items_of(before, name))
    notes = [note for entry in await entries_of(shared, restore) for note in entry.notes]
    assert {"author_and_created_as_text", "column_lost:Double", "settings_not_restored"} == set(
        notes
    )
    made = items_of(after, "Tasks (Back)")[0]
    assert "@" in made["RestoredFrom"]


async def test_same_place_brings_back_what_was_deleted_and_skips_the_rest(shared: Ground) -> None:
    run, before = await a_site(shared)
    await shared.cloud.in_tenant(
        "POST",
        "/change",
        json={"sites": [run.source_id], "perSite": {"deleteFiles": 3, "deleteItems": 2}},
    )
    restore = await shared.restore(run, place="original")
    assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
    after = await site_truth(shared, run.source_id)
    for library in ("Documents", "Verträge"):
        assert files_of(after, library) == files_of(before, library)
    for name in ("Tasks", "Größen"):
        assert kept(items_of(after, name)) == kept(items_of(before, name))
    again = await shared.restore(run, place="original")
    assert set(again.entries) <= {"Skipped", "Created"}
    assert {e.kind for e in await entries_of(shared, again) if e.state is EntryState.CREATED} <= {
        "folder", "list",
    }  # fmt: skip
    assert await site_truth(shared, run.source_id) == after


async def test_replaced_and_copied_items_are_not_lost(shared: Ground) -> None:
    run, _ = await a_site(shared)
    opened = await shared.opened(run)
    rows = (await shared.held(run)).values()
    row = next(row for row in rows if row.kind == "listitem")
    for collision, more in (("copy", 1), ("replace", 0)):
        count = sum(len(one["items"]) for one in (await site_truth(shared, run.source_id))["lists"])
        restore = await shared.restore(
            run, items=[opened.key(row)], place="original", collision=collision
        )
        assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
        after = await site_truth(shared, run.source_id)
        assert sum(len(one["items"]) for one in after["lists"]) == count + more


async def test_a_library_into_another_site(shared: Ground) -> None:
    run, before = await a_site(shared)
    session = await shared.back_up()
    team_site = shared.cloud.world["teams"][0]["siteId"]
    other = await the_run(shared, session, "site", team_site)
    opened = await shared.opened(run)
    library = next(r for r in (await shared.held(run)).values() if r.name == "Verträge")
    restore = await shared.restore(
        run, folder=opened.key(library), place="original", target_object_id=other.object_id
    )
    assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
    after = await site_truth(shared, team_site)
    assert files_of(after, "Verträge") == files_of(before, "Verträge")


def words(channel: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Author, time, words, subject and images of every message, and whether it is a reply."""
    return sorted(
        (one["createdDateTime"], one["authorId"], one["content"], one["subject"] or "",
         bool(one["rootId"]), one["hosted"])
        for one in channel["messages"]
    )  # fmt: skip


async def test_a_channel_comes_back_in_a_new_private_one_with_authors_and_times(
    shared: Ground,
) -> None:
    run, before = await a_team(shared)
    opened = await shared.opened(run)
    rows = (await shared.held(run)).values()
    channel = next(row for row in rows if row.kind == "channel" and row.name == "General")
    restore = await shared.restore(run, folder=opened.key(channel), target_folder="Back")
    assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
    after = {one["name"]: one for one in (await team_truth(shared, run.source_id))["channels"]}
    original = next(one for one in before["channels"] if one["name"] == "General")
    assert words(after["General Back"]) == words(original)
    assert after["General Back"]["membership"] == "private"
    assert words(after["General"]) == words(original)
    assert [one["migrating"] for one in after.values()] == [""] * len(after)  # M35


async def test_original_channel_gets_back_only_what_is_missing(shared: Ground) -> None:
    run, before = await a_team(shared)
    await shared.cloud.in_tenant(
        "POST", "/change", json={"seed": 2, "perTeam": {"deleteMessages": 3}}
    )
    restore = await shared.restore(run, place="original")
    assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
    after = await team_truth(shared, run.source_id)
    for was, now in zip(before["channels"], after["channels"], strict=True):
        assert now["migrating"] == ""
        # A deleted message keeps its millisecond: the new one moves on by one (M34).
        assert [(a, c) for _, a, c, *_ in words(was)] == [(a, c) for _, a, c, *_ in words(now)]


async def test_m34_a_second_message_of_the_same_moment_is_none_of_the_first(
    shared: Ground,
) -> None:
    """A deleted message keeps its millisecond; what its author wrote in the next one is another."""
    team = shared.cloud.world["teams"][0]
    channel = f"/teams/{team['id']}/channels/{team['channels'][0]['id']}/messages"
    at, ids = 1_767_000_000_000, []
    for moment, text in enumerate(("first", "second", "third")):
        body = {"upn": "", "content": f"<p>{text} of one moment</p>", "at": at + moment}
        ids.append((await shared.cloud.in_tenant("POST", channel, json=body))["id"])
    run, before = await a_team(shared)
    for gone in ids[:2]:
        await shared.cloud.in_tenant("DELETE", f"{channel}/{gone}")
    for _ in range(2):  # the second restore finds everything
        restore = await shared.restore(run, place="original")
        assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
        after = await team_truth(shared, run.source_id)
        for was, now in zip(before["channels"], after["channels"], strict=True):
            assert sorted(c for _, _, c, *_ in words(was)) == sorted(
                c for _, _, c, *_ in words(now)
            )


async def test_m35_a_cancelled_import_is_closed(shared: Ground) -> None:
    run, _ = await a_team(shared)
    made = await service.start_restore(
        shared.deps, shared.scope, Wanted(run.object_id, run.snapshot or 0), requested_by="test"
    )
    task = RestoreTask(partner_id=shared.scope.partner_id, restore_id=made.restore_id)
    await restoring.plan_restore(shared.deps, task)
    await shared.cloud.fault("serverError", "messages$", times=-1, match={"method": "POST"})
    await restoring.restore_slice(shared.deps, task)
    inside = (await team_truth(shared, run.source_id))["channels"]
    assert any(one["migrating"] for one in inside)
    await service.cancel_restore(shared.deps, shared.scope, made.restore_id)
    await shared.cloud.admin("DELETE", "/faults")
    assert await restoring.seal_restore(shared.deps, task) is RestoreState.CANCELED
    inside = (await team_truth(shared, run.source_id))["channels"]
    assert not any(one["migrating"] for one in inside)


async def test_crash_between_post_and_ledger_makes_no_second_message(
    shared: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = await a_team(shared)
    opened = await shared.opened(run)
    rows = [row for row in (await shared.held(run)).values() if row.kind == "message"][:5]
    keys = [opened.key(row) for row in rows]
    made = await service.start_restore(
        shared.deps,
        shared.scope,
        Wanted(run.object_id, run.snapshot or 0, items=keys, target_folder="Once"),
        requested_by="test",
    )
    real, crashes = repository.save_entry, 1

    async def crash(tables: Any, restore_id: str, entry: Any) -> None:
        nonlocal crashes
        if entry.state is EntryState.CREATED and crashes:
            crashes -= 1
            raise ConnectionError("the worker is gone")
        await real(tables, restore_id, entry)

    monkeypatch.setattr(restoring.repository, "save_entry", crash)
    with pytest.raises(ConnectionError):
        await shared.finish(made)
    monkeypatch.undo()
    restore = await shared.finish(made)
    assert restore.entries == {"Created": 5}
    after = await team_truth(shared, run.source_id)
    new = [one for c in after["channels"] if "Once" in c["name"] for one in c["messages"]]
    assert len(new) == 5


async def test_a_reply_alone_brings_its_message_and_a_lost_author_is_named(shared: Ground) -> None:
    run, _ = await a_team(shared)
    opened = await shared.opened(run)
    reply = next(row for row in (await shared.held(run)).values() if row.kind == "reply")
    restore = await shared.restore(run, items=[opened.key(reply)], target_folder="One")
    assert restore.state is RestoreState.COMPLETED, await entries_of(shared, restore)
    after = (await team_truth(shared, run.source_id))["channels"]
    new = next(one for one in after if "One" in one["name"])
    assert sorted(bool(one["rootId"]) for one in new["messages"]) == [False, True]
    tenant = shared.cloud.server.sim.tenants[shared.cloud.tenant_id]
    row = next(row for row in (await shared.held(run)).values() if row.kind == "message")
    stored = await team_truth(shared, run.source_id)
    author = next(
        one["authorId"]
        for channel in stored["channels"]
        for one in channel["messages"]
        if row.source_id == f"channel:{channel['id']}/{one['id']}"
    )
    del tenant.users[author]
    restore = await shared.restore(run, items=[opened.key(row)], target_folder="Two")
    assert restore.state is RestoreState.FAILED
    assert [entry.error for entry in await entries_of(shared, restore)] == ["400/BadRequest"]


@pytest.mark.parametrize("kind", ["site", "team"])
async def test_a_deleted_site_or_team_is_refused_as_a_target_and_nothing_is_written(
    shared: Ground, kind: str
) -> None:
    """Known to be gone: at the start. Gone since the last look: once, before the first write."""
    session = await shared.back_up()
    source = shared.cloud.world[f"{kind}s"][0]["id"]
    run = await the_run(shared, session, kind, source)
    await shared.cloud.in_tenant("DELETE", f"/{kind}s/{source}")
    await shared.cloud.reset_stats()
    restore = await shared.restore(run, target_folder="Back")
    assert (restore.state, set(restore.entries)) == (RestoreState.FAILED, {"Pending"})
    told = await service.restore_operation(shared.deps, shared.scope, restore.restore_id)
    assert told.error is not None
    assert told.error.code == "TARGET_GONE"
    requests = (await shared.cloud.stats())["requests"]
    assert requests.pop("token", 0) <= 1
    assert list(requests.values()) == [1]  # the look itself
    await shared.back_up()  # now the discovery has seen it
    for start in (
        lambda: shared.restore(run, target_folder="Back"),
        lambda: preview(shared.deps, shared.scope, Wanted(run.object_id, 1)),
    ):
        with pytest.raises(TargetGone) as refused:
            await start()
        assert refused.value.errors[0]["pointer"] == "/target/objectId"
    export = await finish(shared, await begin(shared, run))  # what is kept can be taken away
    assert export.state is ExportState.COMPLETED
