"""A mailbox with its calendars and contacts: protected, browsed, searched and brought back."""

import asyncio
from typing import Any

import orjson
import pytest

from shared.protection import browsing, finding
from shared.protection.browsing import ItemFilter
from shared.protection.model import ObjectRun, SessionState
from shared.restore.model import RestoreState
from tests.contract.engine.conftest import Ground


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 3, "mails": 4, "files": 2, "seed": 7, "events": 28, "contacts": 14}


def mailbox_of(ground: Ground, number: int = 0) -> dict[str, Any]:
    return ground.cloud.user(number)


async def protected(ground: Ground, number: int = 0) -> tuple[ObjectRun, dict[str, Any]]:
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    user = mailbox_of(ground, number)
    return (await ground.runs(session))["mailbox", user["id"]], user


async def differences(ground: Ground, run: ObjectRun, truth: dict[str, Any]) -> list[str]:
    """What a snapshot says of events and contacts otherwise than the mailbox; empty = equal."""
    rows = await ground.held(run)
    opened = await ground.opened(run)
    wrong: list[str] = []
    for kind, list_name, place, fields in (
        ("event", "events", "calendar", ("subject",)),
        ("contact", "contacts", "folder", ("displayName",)),
    ):
        mine = {i: row for i, row in rows.items() if row.kind == kind}
        wanted = {one["id"]: one for one in truth[list_name]}
        wrong += [f"missing {kind} {i}" for i in wanted.keys() - mine.keys()]
        wrong += [f"surplus {kind} {i}" for i in mine.keys() - wanted.keys()]
        for i in wanted.keys() & mine.keys():
            stored = orjson.loads(b"".join([p async for p in opened.snapshot.content(mine[i])]))
            wrong += [f"{f} of {i}" for f in fields if stored[f] != wanted[i][f]]
            if rows[str(mine[i].parent)].name != wanted[i][place]:
                wrong.append(f"place of {i}")
            if (
                kind == "event"
                and len(stored.get("exceptionOccurrences", [])) != (wanted[i]["exceptions"])
            ):
                wrong.append(f"days of {i}")
    return wrong


async def test_first_copy_and_a_day_of_changes_equal_the_mailbox(ground: Ground) -> None:
    run, user = await protected(ground)
    assert await differences(ground, run, await ground.cloud.truth(user)) == []
    verbs = {
        "newEvents": 3, "editEvents": 3, "exceptEvents": 2, "moveEvents": 2, "deleteEvents": 2,
        "newContacts": 2, "editContacts": 2, "moveContacts": 2, "deleteContacts": 2, "newMails": 1,
    }  # fmt: skip
    await ground.cloud.in_tenant("POST", "/change", json={"seed": 3, "perUser": verbs})
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    again = (await ground.runs(session))["mailbox", user["id"]]
    assert await differences(ground, again, await ground.cloud.truth(user)) == []
    assert again.counts.gone == 4
    assert again.counts.protected == 3 + 3 + 2 + 2 + 2 + 2 + 2 + 1


@pytest.mark.parametrize("items", [3])
async def test_tiny_slices_change_nothing(ground: Ground, items: int) -> None:
    session = await ground.back_up(items=items)
    assert session.state is SessionState.SUCCESS, session
    user = mailbox_of(ground)
    run = (await ground.runs(session))["mailbox", user["id"]]
    assert await differences(ground, run, await ground.cloud.truth(user)) == []
    quiet = await ground.back_up()
    assert (await ground.runs(quiet))["mailbox", user["id"]].root == run.root


async def test_a_removed_calendar_and_folder_take_their_items_along(ground: Ground) -> None:
    await protected(ground)
    person = ground.cloud.server.sim.tenants[ground.cloud.tenant_id].find_user(
        mailbox_of(ground)["id"]
    )
    calendar = next(p for p in person.calendars.places.values() if p.number > 1 and p.things)
    folder = next(p for p in person.contacts.places.values() if p.name == "Kunden")
    person.calendars.purge_place(calendar)
    person.contacts.purge_place(folder)
    session = await ground.back_up()
    run = (await ground.runs(session))["mailbox", mailbox_of(ground)["id"]]
    truth = await ground.cloud.truth(mailbox_of(ground))
    assert await differences(ground, run, truth) == []
    rows = (await ground.held(run)).values()
    names = {row.name for row in rows if row.kind in {"calendar", "contactfolder"}}
    assert names == {"Calendar", "Contacts", "Feiertage & Geburtstage"}
    assert "Kunden" in {row.name for row in rows if row.kind == "folder"}  # of mail: untouched


async def test_expired_tokens_remove_nothing_and_read_nothing_again(ground: Ground) -> None:
    """All parts are listed anew; mail folders say nothing about calendars, nor the reverse."""
    run, user = await protected(ground)
    await ground.cloud.admin("POST", "/expireDelta")
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    again = (await ground.runs(session))["mailbox", user["id"]]
    assert again.root == run.root
    assert again.counts.protected == again.counts.gone == 0


async def test_a_calendar_that_cannot_be_listed_loses_nothing(ground: Ground) -> None:
    """Even when the mail folders are enumerated in full in the same run (M13)."""
    run, user = await protected(ground)
    await ground.cloud.admin("POST", "/expireDelta")
    await ground.cloud.fault("serverError", "/calendars", times=-1)
    await ground.cloud.fault("serverError", "/contactFolders", times=-1)
    session = await ground.back_up()
    again = (await ground.runs(session))["mailbox", user["id"]]
    assert session.state is SessionState.WARNING
    assert again.items == run.items
    await ground.cloud.admin("DELETE", "/faults")
    healed = await ground.back_up()
    assert healed.state is SessionState.SUCCESS
    assert (await ground.runs(healed))["mailbox", user["id"]].root == run.root


async def test_browse_and_search_events_and_contacts(ground: Ground) -> None:
    run, _ = await protected(ground)
    opened = await ground.opened(run)
    top, _ = await browsing.list_items(
        opened, ItemFilter(kind="calendar"), folder=None, after="", limit=50
    )
    default = next(row for row in top if row.name == "Calendar")
    inside, _ = await browsing.list_items(
        opened, ItemFilter(kind="event"), folder=opened.key(default), after="", limit=50
    )
    assert inside
    assert all(row.parent == default.source_id for row in inside)
    wanted = ItemFilter(search="contact3@PARTNER.example")
    found, _ = await finding.search(
        ground.deps, ground.scope, ground.customer.customer_id, wanted, {}, 50
    )
    assert found
    assert {row.kind for _, row in found} == {"contact"}


def times(truth: dict[str, Any], calendars: set[str]) -> list[str]:
    """When everything in these calendars takes place."""
    return sorted(t for e in truth["events"] if e["calendar"] in calendars for t in e["times"])


def people(truth: dict[str, Any], folders: set[str]) -> list[str]:
    """Who is in these contact folders, with every member and picture."""
    return sorted(
        orjson.dumps(
            {k: v for k, v in c["body"].items() if v not in (None, "", [], {})},
            option=orjson.OPT_SORT_KEYS,
        ).decode()
        + str(c["photo"])
        for c in truth["contacts"]
        if c["folderId"] in folders
    )


async def test_whole_mailbox_comes_back_beside_the_original_and_mails_nobody(
    ground: Ground,
) -> None:
    """M33: every day of every series at its time, every contact, and zero invitations."""
    run, user = await protected(ground)
    truth = await ground.cloud.truth(user)
    assert sum(event["attendees"] for event in truth["events"])
    assert any(event["exceptions"] and event["cancelled"] for event in truth["events"])
    names = {one["name"] for one in truth["calendars"]}
    old_folders = {one["id"] for one in truth["contactFolders"]}
    await ground.cloud.reset_stats()
    restore = await ground.restore(run, target_folder="Zurück")
    assert restore.state is RestoreState.COMPLETED, restore
    after = await ground.cloud.truth(user)
    assert (await ground.cloud.stats())["invitations"] == 0
    new = {one["name"] for one in after["calendars"]} - names
    assert new == {f"Zurück - {name}" for name in names}
    assert times(after, new) == times(truth, names)
    assert times(after, names) == times(truth, names)
    new_folders = {one["id"] for one in after["contactFolders"]} - old_folders
    assert people(after, new_folders) == people(truth, old_folders)
    files = [h for e in truth["events"] for h in e["attachments"]]
    back = [h for e in after["events"] if e["calendar"] in new for h in e["attachments"]]
    assert files
    assert sorted(back) == sorted(files)
    assert not [e for e in after["events"] if e["calendar"] in new and e["attendees"]]


async def keys_of(ground: Ground, run: ObjectRun, kind: str) -> list[str]:
    opened = await ground.opened(run)
    return [opened.key(row) for row in (await ground.held(run)).values() if row.kind == kind]


async def test_skip_makes_nothing_twice_and_copy_does(ground: Ground) -> None:
    run, user = await protected(ground)
    truth = await ground.cloud.truth(user)
    keys = [*await keys_of(ground, run, "event"), *await keys_of(ground, run, "contact")]
    skipped = await ground.restore(run, items=keys, place="original")
    assert skipped.entries == {"Skipped": len(keys)}
    after = await ground.cloud.truth(user)
    assert len(after["events"]) == len(truth["events"])
    copied = await ground.restore(run, items=keys, place="original", collision="copy")
    assert copied.entries == {"Created": len(keys)}
    after = await ground.cloud.truth(user)
    assert len(after["events"]) == 2 * len(truth["events"])
    assert len(after["contacts"]) == 2 * len(truth["contacts"])


async def test_replace_never_loses_and_never_calls_a_meeting_off(ground: Ground) -> None:
    """M32, M33: the old meeting stays when removing it would tell its attendees it is off."""
    run, user = await protected(ground)
    truth = await ground.cloud.truth(user)
    await ground.cloud.reset_stats()
    keys = [*await keys_of(ground, run, "event"), *await keys_of(ground, run, "contact")]
    restore = await ground.restore(run, items=keys, place="original", collision="replace")
    assert restore.state is RestoreState.COMPLETED, restore
    meetings = sum(bool(event["attendees"]) for event in truth["events"])
    assert meetings
    assert restore.entries == {"Replaced": len(keys) - meetings, "Created": meetings}
    after = await ground.cloud.truth(user)
    assert (await ground.cloud.stats())["invitations"] == 0
    assert len(after["events"]) == len(truth["events"]) + meetings
    assert {e["id"] for e in truth["events"] if e["attendees"]} <= {
        e["id"] for e in after["events"]
    }
    folders = {one["id"] for one in truth["contactFolders"]}
    assert people(after, folders) == people(truth, folders)


async def test_events_and_contacts_go_to_another_user(ground: Ground) -> None:
    run, user = await protected(ground)
    session = await ground.back_up()
    other = ground.cloud.user(1)
    target = (await ground.runs(session))["mailbox", other["id"]].object_id
    truth = await ground.cloud.truth(user)
    restore = await ground.restore(run, target_folder="Von Anna", target_object_id=target)
    assert restore.state is RestoreState.COMPLETED, restore
    after = await ground.cloud.truth(other)
    new = {one["name"] for one in after["calendars"] if one["name"].startswith("Von Anna - ")}
    assert times(after, new) == times(truth, {one["name"] for one in truth["calendars"]})
    assert (await ground.cloud.truth(user))["events"] == truth["events"]


async def test_an_interrupted_restore_goes_on_without_doubles(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M36: what was made before the crash is found at the target and not made again."""
    from shared.restore import process as restoring
    from shared.restore import service
    from shared.restore.model import EntryState
    from shared.restore.service import Wanted

    run, user = await protected(ground)
    keys = [*await keys_of(ground, run, "event"), *await keys_of(ground, run, "contact")]
    made = await service.start_restore(
        ground.deps,
        ground.scope,
        Wanted(run.object_id, 1, items=keys, target_folder="Einmal"),
        requested_by="test",
    )
    real, crashes = restoring.repository.save_entry, 3

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
    await asyncio.sleep(0)
    restore = await ground.finish(made)
    assert restore.entries == {"Created": len(keys)}, restore
    truth = await ground.cloud.truth(user)
    back = [e for e in truth["events"] if e["calendar"].startswith("Einmal")]
    assert len(back) == len(await keys_of(ground, run, "event"))
