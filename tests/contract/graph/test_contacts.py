"""Contacts of a mailbox, and the mailbox as one object of mail, calendars and contacts."""

import hashlib
from typing import Any

import orjson
import pytest

from shared.microsoft365.contact_rows import DEFAULT, FOLDERS
from shared.microsoft365.contacts import Contacts
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.event_attachments import decoded
from shared.microsoft365.exchange import ExchangeMailbox
from shared.microsoft365.model import Page
from tests.contract.graph.conftest import Cloud, content_of, run_pass


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 3, "mails": 6, "files": 2, "seed": 7, "events": 8, "contacts": 25}


def contacts(cloud: Cloud) -> Contacts:
    return Contacts(cloud.transport(), cloud.user()["id"])


async def until_failure(box: ExchangeMailbox) -> tuple[list[Page], ItemFailed]:
    """The pages of a pass that fails, and how."""
    pages: list[Page] = []
    try:
        async for page in box.changes({}, set()):
            pages.append(page)  # noqa: PERF401
    except ItemFailed as failure:
        return pages, failure
    raise AssertionError("nothing failed")


async def test_first_pass_holds_every_folder_contact_and_picture(cloud: Cloud) -> None:
    truth = await cloud.truth(cloud.user())
    workload = contacts(cloud)
    found = await run_pass(workload)
    rows = {i: c for i, c in found.rows.items() if c.item["k"] == "contact"}
    wanted = {one["id"]: one for one in truth["contacts"]}
    assert rows.keys() == wanted.keys()
    folders = {i: c.item for i, c in found.rows.items() if c.item["k"] == "contactfolder"}
    assert {one["n"] for one in folders.values()} == {
        one["name"] for one in truth["contactFolders"]
    }
    nested = [one for one in truth["contactFolders"] if one["parentId"]]
    assert nested
    assert all(folders[one["id"]]["p"] == one["parentId"] for one in nested)
    pictures = 0
    for i, change in rows.items():
        stored = orjson.loads(await content_of(workload, change))
        for member, value in wanted[i]["body"].items():
            assert stored[member] == value
        assert folders[change.item["p"]]["n"] == wanted[i]["folder"]
        photo = decoded(stored["photo"]) if "photo" in stored else None
        assert (hashlib.sha256(photo).hexdigest() if photo else None) == wanted[i]["photo"]
        pictures += photo is not None
    assert pictures


async def test_a_quiet_night_costs_one_request_per_folder_and_one_for_the_list(
    cloud: Cloud,
) -> None:
    first = await run_pass(contacts(cloud))
    again = contacts(cloud)
    quiet = await run_pass(again, first.cursors)
    folders = sum(c.item["k"] == "contactfolder" for c in first.rows.values())
    assert again._transport.use.requests == 1 + folders
    assert not quiet.rows
    assert not quiet.removed


async def test_changes_moves_and_deletes(cloud: Cloud) -> None:
    workload = contacts(cloud)
    first = await run_pass(workload)
    verbs = {"newContacts": 2, "editContacts": 3, "moveContacts": 3, "deleteContacts": 2}
    body = {"seed": 4, "perUser": verbs, "users": [cloud.user()["upn"]]}
    answer = await cloud.in_tenant("POST", "/change", json=body)
    touched = {change["id"]: change["kind"] for change in answer["changes"]}
    assert len(touched) == sum(verbs.values())
    second = await run_pass(workload, first.cursors)
    removed = {(change.item["i"], change.container) for change in second.removed}
    assert second.rows.keys() == {i for i, kind in touched.items() if kind != "deleteContacts"}
    for i, kind in touched.items():
        if kind in {"deleteContacts", "moveContacts"}:
            assert (i, first.rows[i].container) in removed
        if kind == "moveContacts":
            assert second.rows[i].item["p"] != first.rows[i].item["p"]


async def test_a_removed_folder_and_an_expired_token(cloud: Cloud) -> None:
    workload = contacts(cloud)
    first = await run_pass(workload)
    store = cloud.server.sim.tenants[cloud.tenant_id].find_user(cloud.user()["id"]).contacts
    top = next(place for place in store.places.values() if place.name == "Kunden")
    gone = {
        store.place_id(top.number),
        *(store.place_id(c.number) for c in store.children(top.number)),
    }
    store.purge_place(top)
    second = await run_pass(workload, first.cursors)
    assert {page.container for page in second.pages if page.gone} == gone
    assert {c.item["i"] for c in second.removed if c.item["k"] == "contactfolder"} == gone
    await cloud.admin("POST", "/expireDelta")
    third = await run_pass(workload, second.cursors)
    assert {page.container for page in third.pages if page.full} == {FOLDERS, DEFAULT}
    assert DEFAULT in third.rows


async def test_one_mailbox_holds_mail_calendars_and_contacts(cloud: Cloud) -> None:
    truth = await cloud.truth(cloud.user())
    box = ExchangeMailbox(cloud.transport(), cloud.user()["id"])
    found = await run_pass(box)
    kinds = [change.item["k"] for change in found.rows.values()]
    assert kinds.count("mail") == len(truth["mails"])
    assert kinds.count("event") == len(truth["events"])
    assert kinds.count("contact") == len(truth["contacts"])
    parts = {cursor.get("part", "") for cursor in found.cursors.values()}
    assert parts == {"", "calendar", "contacts"}
    for change in found.rows.values():
        if change.content:
            assert await content_of(box, change)
    again = ExchangeMailbox(cloud.transport(), cloud.user()["id"])
    quiet = await run_pass(again, found.cursors)
    assert again._transport.use.requests == len(found.cursors)
    assert not {c.item["k"] for c in quiet.rows.values()} & {"mail", "event", "contact"}


async def test_cursors_of_an_older_version_are_mail(cloud: Cloud) -> None:
    old = await run_pass(cloud.mailbox(cloud.user()))
    assert all("part" not in cursor for cursor in old.cursors.values())
    found = await run_pass(ExchangeMailbox(cloud.transport(), cloud.user()["id"]), old.cursors)
    kinds = {change.item["k"] for change in found.rows.values()}
    assert {"event", "contact", "calendar", "contactfolder"} <= kinds
    assert "mail" not in kinds


async def test_a_part_that_fails_does_not_keep_the_others_back(cloud: Cloud) -> None:
    await cloud.fault("serverError", "/calendars", times=-1)
    box = ExchangeMailbox(cloud.transport(), cloud.user()["id"])
    pages, failure = await until_failure(box)
    assert failure.graph_status == 500
    seen = {change.item["k"] for page in pages for change in page.changes}
    assert {"mail", "contact"} <= seen
    assert "event" not in seen


async def test_what_the_tenant_did_not_grant_is_named_and_stays_open(cloud: Cloud) -> None:
    """M37: a tenant that consented before calendars were protected keeps its mail protected."""
    reader = cloud.registrations.reader
    path = f"/tenants/{cloud.tenant_id}/consent"
    await cloud.admin("DELETE", f"{path}?clientId={reader}")
    roles = ["Mail.Read", "MailboxSettings.Read", "User.Read.All"]
    await cloud.admin("POST", path, json={"clientId": reader, "roles": roles})
    box = ExchangeMailbox(cloud.transport(), cloud.user()["id"])
    pages, failure = await until_failure(box)
    assert failure.graph_code == "NotGranted:Calendars.Read"
    done = {page.container for page in pages if page.complete}
    assert {"calendars", "contactFolders"} == {
        page.container for page in pages
    } - done  # so the snapshot is partial
