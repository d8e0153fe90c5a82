"""Calendars of a mailbox: what is read equals what is there, and nothing is read twice."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.microsoft365.calendar import CALENDARS, Calendars
from shared.microsoft365.calendar_restore import CalendarRestore
from shared.microsoft365.event_attachments import decoded
from tests.contract.graph.conftest import Cloud, Pass, content_of, run_pass


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 3, "mails": 2, "files": 2, "seed": 7, "events": 42, "contacts": 0}


def calendars(cloud: Cloud, number: int = 0) -> Calendars:
    return Calendars(cloud.transport(), cloud.user(number)["id"])


async def whole(cloud: Cloud, workload: Calendars, found: Pass) -> dict[str, dict[str, Any]]:
    """Stored events by id."""
    return {
        i: orjson.loads(await content_of(workload, change))
        for i, change in found.rows.items()
        if change.item["k"] == "event"
    }


def times_of(event: dict[str, Any]) -> list[str]:
    """When a stored event takes place, with its subject: of a series only what differs."""
    shown = [event, *event.get("exceptionOccurrences", [])]
    return [
        f"{one['start']['dateTime'][:19]}/{one['end']['dateTime'][:19]} {one['subject']}"
        for one in shown
    ]


async def test_first_pass_holds_every_event_series_exception_and_attachment(cloud: Cloud) -> None:
    truth = await cloud.truth(cloud.user())
    workload = calendars(cloud)
    found = await run_pass(workload)
    stored = await whole(cloud, workload, found)
    wanted = {event["id"]: event for event in truth["events"]}
    assert stored.keys() == wanted.keys()
    assert any(event["exceptions"] for event in wanted.values())
    assert any(event["attachments"] for event in wanted.values())
    for i, event in stored.items():
        row = found.rows[i].item
        assert row["p"] == wanted[i]["calendarId"]
        assert row["n"] == wanted[i]["subject"] == event["subject"]
        assert row["m"]["uid"] == wanted[i]["iCalUId"]
        assert bool(row["m"].get("series")) == wanted[i]["isSeries"]
        assert len(event.get("exceptionOccurrences", [])) == wanted[i]["exceptions"]
        assert len(event.get("cancelledOccurrences", [])) == wanted[i]["cancelled"]
        assert set(times_of(event)) <= set(wanted[i]["times"])
        contents = [decoded(one) for one in event.get("attachments", [])]
        hashes = sorted(hashlib.sha256(data or b"").hexdigest() for data in contents)
        assert hashes == wanted[i]["attachments"]
    named = {c.item["n"] for c in found.rows.values() if c.item["k"] == "calendar"}
    assert named == {one["name"] for one in truth["calendars"]}


async def test_requests_are_what_the_design_demands(cloud: Cloud) -> None:
    """One per calendar and the list; one more per series, one or two per event with files."""
    truth = await cloud.truth(cloud.user())
    workload = calendars(cloud)
    found = await run_pass(workload)
    names = len(truth["calendars"])
    assert workload._transport.use.requests == 1 + names
    await whole(cloud, workload, found)
    series = sum(event["isSeries"] for event in truth["events"])
    files = sum(bool(event["attachments"]) for event in truth["events"])
    assert workload._transport.use.requests == 1 + names + series + 2 * files
    again = calendars(cloud)
    quiet = await run_pass(again, found.cursors)
    assert again._transport.use.requests == 1 + names
    assert not [c for c in quiet.rows.values() if c.item["k"] == "event"]
    assert not quiet.removed


async def test_changes_moves_and_deletes_come_with_the_next_pass(cloud: Cloud) -> None:
    workload = calendars(cloud)
    first = await run_pass(workload)
    verbs = {"newEvents": 3, "editEvents": 2, "exceptEvents": 2, "moveEvents": 2, "deleteEvents": 3}
    body = {"seed": 5, "perUser": verbs, "users": [cloud.user()["upn"]]}
    answer = await cloud.in_tenant("POST", "/change", json=body)
    touched = {change["id"]: change["kind"] for change in answer["changes"]}
    assert len(touched) == sum(verbs.values())
    second = await run_pass(workload, first.cursors)
    removed = {(change.item["i"], change.container) for change in second.removed}
    rows = {i: c for i, c in second.rows.items() if c.item["k"] == "event"}
    assert rows.keys() == {i for i, kind in touched.items() if kind != "deleteEvents"}
    for i, kind in touched.items():
        if kind == "deleteEvents":
            assert (i, first.rows[i].container) in removed
        elif kind == "moveEvents":  # M16: gone from one calendar, there in another, the same id
            assert (i, first.rows[i].container) in removed
            assert rows[i].item["p"] != first.rows[i].item["p"]
        elif kind == "exceptEvents":
            assert workload.content_changed({**first.rows[i].item, "d": "x"}, rows[i])
            stored = orjson.loads(await content_of(workload, rows[i]))
            assert "verschoben" in [one["subject"] for one in stored["exceptionOccurrences"]]


async def test_a_removed_calendar_is_reported_once_and_for_all(cloud: Cloud) -> None:
    workload = calendars(cloud)
    first = await run_pass(workload)
    store = cloud.server.sim.tenants[cloud.tenant_id].find_user(cloud.user()["id"]).calendars
    victim = store.places[2]
    victim_id = store.place_id(victim.number)
    store.purge_place(victim)
    second = await run_pass(workload, first.cursors)
    assert [c.item for c in second.removed] == [{"i": victim_id, "k": "calendar"}]
    assert [page.container for page in second.pages if page.gone] == [victim_id]
    assert victim_id not in second.cursors
    third = await run_pass(workload, second.cursors)
    assert not third.removed
    assert not any(page.gone for page in third.pages)


async def test_calendars_of_other_people_stay_in_their_owners_mailbox(cloud: Cloud) -> None:
    store = cloud.server.sim.tenants[cloud.tenant_id].find_user(cloud.user()["id"]).calendars
    shared = store.add_place(0, "Von Grace")
    shared.extra = {"owner": {"name": "Grace", "address": "grace@partner.example"}}
    found = await run_pass(calendars(cloud))
    names = {c.item["n"] for c in found.rows.values() if c.item["k"] == "calendar"}
    assert "Von Grace" not in names
    assert names


async def test_expired_token_enumerates_that_calendar_again(cloud: Cloud) -> None:
    workload = calendars(cloud)
    first = await run_pass(workload)
    await cloud.admin("POST", "/expireDelta")
    second = await run_pass(workload, first.cursors)
    full = {page.container for page in second.pages if page.full}
    assert full == {name for name in first.cursors if name != CALENDARS}
    for i, change in second.rows.items():
        if change.item["k"] == "event":
            assert not workload.content_changed({**first.rows[i].item, "d": "x"}, change)  # M11


@pytest.mark.parametrize("action", ["switch", "unavailableEmpty"])
async def test_where_the_delta_is_not_served_the_plain_list_is(cloud: Cloud, action: str) -> None:
    """microsoft365.md section 7.3 (event page) and section 14, question 1."""
    if action == "switch":
        switches = {"switches": {"calendarEventsDelta": False}}
        await cloud.admin("POST", "/limits", json=switches)
    else:
        await cloud.fault(action, "events/delta", times=-1)
    truth = await cloud.truth(cloud.user())
    found = await run_pass(calendars(cloud))
    events = {i for i, c in found.rows.items() if c.item["k"] == "event"}
    assert events == {event["id"] for event in truth["events"]}
    per = [page for page in found.pages if page.container != CALENDARS and page.complete]
    assert all(page.full for page in per)
    assert len(per) == len(truth["calendars"])


async def test_an_attachment_that_cannot_be_opened_is_kept_by_name(cloud: Cloud) -> None:
    workload = calendars(cloud)
    found = await run_pass(workload)
    truth = {event["id"]: event for event in (await cloud.truth(cloud.user()))["events"]}
    i = next(i for i, event in truth.items() if event["attachments"])
    store = cloud.server.sim.tenants[cloud.tenant_id].find_user(cloud.user()["id"]).calendars
    big = b"\0" * 3_100_000  # more than comes with one list: read one by one
    data = {"name": "gross.bin", "contentType": "application/x", "isInline": False, "data": big}
    store.attach(store.find(i), data)
    await cloud.fault("cannotOpenAttachment", r"attachments/[^/]+/\$value", match={"nth": 1})
    event = orjson.loads(await content_of(workload, found.rows[i]))
    first, second = event["attachments"]
    assert first["unreadable"]
    assert first["contentBytes"] is None
    assert decoded(second) == big


async def test_clock_changes_keep_the_wall_clock_time(cloud: Cloud) -> None:
    """A weekly series over the end of March: what is stored names the zone it was made in."""
    user = cloud.server.sim.tenants[cloud.tenant_id].find_user(cloud.user()["id"])
    from local.microsoft365.graph_event_write import put_event

    where = "W. Europe Standard Time"
    made = put_event(
        user.calendars, user.calendars.default,
        {
            "subject": "Sommerzeit", "body": {"contentType": "text", "content": ""},
            "start": {"dateTime": "2026-03-23T09:00:00", "timeZone": where},
            "end": {"dateTime": "2026-03-23T10:00:00", "timeZone": where},
            "recurrence": {
                "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
                "range": {"type": "numbered", "numberOfOccurrences": 2, "startDate": "2026-03-23",
                          "recurrenceTimeZone": where},
            },
        },
        datetime.now(UTC),
    )  # fmt: skip
    workload = calendars(cloud)
    stored = await whole(cloud, workload, await run_pass(workload))
    event = stored[user.calendars.thing_id(made.number, 0, immutable=True)]
    assert event["start"]["dateTime"].startswith("2026-03-23T08:00:00")
    assert event["originalStartTimeZone"] == where
    assert event["recurrence"]["range"]["recurrenceTimeZone"] == where


async def test_the_simulator_counts_everybody_who_would_be_mailed(cloud: Cloud) -> None:
    """Without this the restores' zero invitations would prove nothing."""
    box = CalendarRestore(cloud.transport(restorer=True), cloud.user()["id"])
    calendar = await box.ensure_folder(["Calendar"])
    when = {"dateTime": "2026-06-01T10:00:00", "timeZone": "UTC"}
    anna = {"emailAddress": {"address": "anna@x.example"}, "type": "required"}
    body = {"subject": "x", "start": when, "end": when, "attendees": [anna]}
    reply = await box.send("POST", box.link("calendar_events", calendar=calendar), body)
    assert (await cloud.stats())["invitations"] == 1
    link = box.link("event", event=orjson.loads(reply.body)["id"])
    await box.send("PATCH", link, {"subject": "y"}, replay=True)
    assert (await cloud.stats())["invitations"] == 2
    await box.delete(link)
    assert (await cloud.stats())["invitations"] == 3
