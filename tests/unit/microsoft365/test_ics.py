"""iCalendar text of stored events, read back by other libraries: every day at its time."""

import base64
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import vobject
from dateutil import rrule, tz
from hypothesis import given, settings
from hypothesis import strategies as st

from local.microsoft365 import recurrence as outlook
from shared.microsoft365.ics import event_to_ics

BERLIN = "W. Europe Standard Time"
ZONES = {
    BERLIN: "Europe/Berlin",
    "Eastern Standard Time": "America/New_York",
    "AUS Eastern Standard Time": "Australia/Sydney",
    "UTC": "UTC",
    "Europe/London": "Europe/London",
}
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def event(start: datetime, where: str = "UTC", minutes: int = 60, **more: Any) -> dict[str, Any]:
    """An event as it is stored; `start` is a wall-clock time in `where`."""
    there = ZoneInfo(ZONES[where])
    at = start.replace(tzinfo=there).astimezone(UTC)
    end = at + timedelta(minutes=minutes)
    return {
        "id": "AAkAL1", "iCalUId": "040000008200E00074C5B7101A82E008", "subject": "Jour fixe",
        "type": "singleInstance", "isAllDay": False, "originalStartTimeZone": where,
        "lastModifiedDateTime": "2026-01-02T03:04:05Z", "createdDateTime": "2026-01-01T00:00:00Z",
        "start": {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"},
        "end": {"dateTime": f"{end:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"},
        "body": {"contentType": "text", "content": ""}, "attendees": [], **more,
    }  # fmt: skip


def read(stored: dict[str, Any]) -> Any:
    """The first VEVENT, as vobject reads it."""
    return read_all(stored)[0]


def read_all(stored: dict[str, Any]) -> list[Any]:
    return list(vobject.readOne(event_to_ics(json.dumps(stored).encode()).decode()).vevent_list)


def zone_in(made: bytes) -> Any:
    """The VTIMEZONE of the text itself, as dateutil reads it; vobject remembers older ones."""
    text = made.decode().replace("\r\n ", "")
    begin, end = text.index("BEGIN:VTIMEZONE"), text.index("END:VTIMEZONE")
    return tz.tzical(io.StringIO(text[begin:end] + "END:VTIMEZONE\r\n")).get()


@st.composite
def patterns(draw: st.DrawFn) -> dict[str, Any]:
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True))
    kind = draw(st.sampled_from(sorted(outlook.FREQUENCIES)))
    pattern: dict[str, Any] = {"type": kind, "interval": draw(st.integers(1, 3))}
    if kind == "weekly":
        first = draw(st.sampled_from(["sunday", "monday"]))
        pattern |= {"daysOfWeek": days, "firstDayOfWeek": first}
    elif kind.startswith("relative"):
        at = draw(st.sampled_from(sorted(outlook.PLACES)))
        pattern |= {"daysOfWeek": days, "index": at}
    elif kind.startswith("absolute"):
        pattern["dayOfMonth"] = draw(st.integers(1, 31))
    if kind.endswith("Yearly"):
        pattern["month"] = draw(st.sampled_from([1, 3, 5, 7, 8, 10, 12]))
    return pattern


@settings(max_examples=80, deadline=None)
@given(
    pattern=patterns(),
    where=st.sampled_from(sorted(ZONES)),
    begin=st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001
    ends=st.sampled_from(["numbered", "endDate", "noEnd"]),
)
def test_a_series_takes_place_when_outlook_says(
    pattern: dict[str, Any], where: str, begin: datetime, ends: str
) -> None:
    """The rule, expanded by dateutil, gives the days the simulated Outlook gives."""
    begin = begin.replace(hour=9 + begin.hour % 8, minute=0, second=0, microsecond=0)
    until = begin + timedelta(days=1500)
    span: dict[str, Any] = {"type": ends, "startDate": begin.date().isoformat()}
    if ends == "numbered":
        span["numberOfOccurrences"] = 7
    elif ends == "endDate":
        span["endDate"] = (begin + timedelta(days=400)).date().isoformat()
    recurrence = {"pattern": pattern, "range": {**span, "recurrenceTimeZone": where}}
    found = outlook.starts(recurrence, begin, until)
    if not found:
        return
    first = found[0]
    recurrence["range"]["startDate"] = first.date().isoformat()
    wanted = outlook.starts(recurrence, first, until)
    stored = event(first, where, type="seriesMaster", recurrence=recurrence)
    read_back = read(stored)
    start = read_back.dtstart.value
    rule = rrule.rrulestr(read_back.rrule.value, dtstart=start)
    given = rule.between(start, until.replace(tzinfo=start.tzinfo), inc=True)
    assert [moment.replace(tzinfo=None) for moment in given] == wanted
    if where != "UTC":
        there = zone_in(event_to_ics(json.dumps(stored).encode()))
        for moment in wanted:
            said = moment.replace(tzinfo=ZoneInfo(ZONES[where]))
            assert moment.replace(tzinfo=there).utcoffset() == said.utcoffset()


def test_a_series_keeps_its_hour_over_clock_changes() -> None:
    """The text's own VTIMEZONE, without any database of zones, moves the instant by an hour."""
    first = datetime.fromisoformat("2026-03-23T09:00")
    weekly = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]}
    span = {"type": "numbered", "numberOfOccurrences": 2, "startDate": "2026-03-23"}
    stored = event(
        first, BERLIN, type="seriesMaster", recurrence={"pattern": weekly, "range": span}
    )
    there = zone_in(event_to_ics(json.dumps(stored).encode()))
    days = [first.replace(tzinfo=there), (first + timedelta(days=7)).replace(tzinfo=there)]
    assert [day.astimezone(UTC).hour for day in days] == [8, 7]


def test_changed_and_cancelled_days_are_in_the_same_file() -> None:
    first = datetime.fromisoformat("2026-03-23T09:00")
    weekly = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]}
    span = {"type": "noEnd", "startDate": "2026-03-23"}
    moved = event(datetime.fromisoformat("2026-03-31T11:00"), BERLIN, subject="verschoben")
    moved |= {"type": "exception", "occurrenceId": "OID.x.2026-03-30"}
    stored = event(
        first,
        BERLIN,
        type="seriesMaster",
        recurrence={"pattern": weekly, "range": span},
        exceptionOccurrences=[moved],
        cancelledOccurrences=["OID.x.2026-04-06"],
    )
    master, changed = read_all(stored)
    made = event_to_ics(json.dumps(stored).encode())
    assert b"EXDATE;TZID=Europe/Berlin:20260406T090000\r\n" in made
    assert b"RECURRENCE-ID;TZID=Europe/Berlin:20260330T090000\r\n" in made
    assert b"DTSTART;TZID=Europe/Berlin:20260331T110000\r\n" in made
    assert changed.uid.value == master.uid.value
    assert changed.summary.value == "verschoben"


def test_a_whole_day_is_a_date_in_every_zone() -> None:
    stored = event(datetime.fromisoformat("2026-05-01"), isAllDay=True, minutes=24 * 60)
    stored["originalStartTimeZone"] = "AUS Eastern Standard Time"
    found = read(stored)
    assert found.dtstart.value == date(2026, 5, 1)
    assert found.dtend.value == date(2026, 5, 2)


def test_people_alarms_files_and_the_rest_are_kept() -> None:
    anna = {"emailAddress": {"name": 'Anna "A" Müller; x', "address": "anna@x.example"}}
    grace = {
        "type": "optional", "status": {"response": "tentativelyAccepted"},
        "emailAddress": {"name": "Grace", "address": "grace@x.example"},
    }  # fmt: skip
    found = read(
        event(
            datetime.fromisoformat("2026-05-01T10:00"),
            organizer=anna,
            attendees=[grace],
            isReminderOn=True,
            reminderMinutesBeforeStart=20,
            showAs="free",
            sensitivity="private",
            categories=["Blau, hell", "b"],
            importance="high",
            location={"displayName": "Zürich; HB, Gleis 3"},
            body={"contentType": "html", "content": "<p>Größe &amp; Maße</p><p>zwei</p>"},
            attachments=[{"name": "a.bin", "contentType": "x/y", "contentBytes": "AAEC"}],
        )
    )
    assert found.organizer.value == "mailto:anna@x.example"
    attendee = found.attendee
    assert attendee.value == "mailto:grace@x.example"
    assert attendee.params["PARTSTAT"] == ["TENTATIVE"]
    assert attendee.params["ROLE"] == ["OPT-PARTICIPANT"]
    assert found.valarm.trigger.value == timedelta(minutes=-20)
    assert found.location.value == "Zürich; HB, Gleis 3"
    assert found.description.value == "Größe & Maße\nzwei"
    assert found.transp.value == "TRANSPARENT"
    assert found.contents["class"][0].value == "PRIVATE"
    assert found.priority.value == "1"
    assert found.attach.params["FILENAME"] == ["a.bin"]
    assert base64.b64decode(found.attach.value) == b"\x00\x01\x02"


@settings(max_examples=60, deadline=None)
@given(subject=st.text(max_size=200), place=st.text(max_size=60), text=st.text(max_size=300))
def test_any_text_makes_lines_of_75_octets_that_say_the_same(
    subject: str, place: str, text: str
) -> None:
    stored = event(datetime.fromisoformat("2026-05-01T10:00"), subject=subject)
    stored |= {"location": {"displayName": place}, "body": {"contentType": "text", "content": text}}
    try:
        raw = json.dumps(stored, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no text, and orjson would not have stored it
    made = event_to_ics(raw)
    assert all(len(line) <= 75 for line in made.split(b"\r\n"))
    assert b"\x00" not in made
    lines = [line for line in made.replace(b"\r\n ", b"").split(b"\r\n") if line]
    assert [line for line in lines if line.startswith(b"BEGIN:VEVENT")] == [b"BEGIN:VEVENT"]
    assert event_to_ics(raw) == made


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        event_to_ics(b"no json")
