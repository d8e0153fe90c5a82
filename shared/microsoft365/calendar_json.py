"""Builds the requests with which an event is made again, so that nobody is mailed: pure.

Rule: microsoft365.md M33. Attendees would be invited, an online meeting would be made anew: both
are told in the text instead.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.microsoft365 import zones
from shared.microsoft365.calendar_rows import wall
from shared.microsoft365.mail_rows import without_nothing

# What a person sets, and what does not reach anybody else.
SETTABLE = (
    "subject", "isAllDay", "location", "locations", "importance", "sensitivity", "showAs",
    "categories", "isReminderOn", "reminderMinutesBeforeStart", "allowNewTimeProposals",
    "hideAttendees",
)  # fmt: skip
# Of a single day only what Outlook lets differ from the series.
OF_A_DAY = (
    "subject", "location", "locations", "importance", "showAs", "isReminderOn",
    "reminderMinutesBeforeStart",
)  # fmt: skip

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventPlan:
    """What to send, in this order: the event, its changed days, its cancelled days."""

    event: Json
    changed: list[tuple[str, Json]] = field(default_factory=list)
    """Day of the series (ISO date in its own zone) and what is different on it."""
    cancelled: list[str] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(stored: Mapping[str, Any]) -> EventPlan:
    """How to make a stored event again."""
    where, known = zone_of(stored)
    event = {name: stored[name] for name in SETTABLE if stored.get(name) is not None}
    event["start"], event["end"] = _times(stored, where)
    notes = [] if known else ["time_zone_unknown"]
    event["body"], told = _body(stored)
    notes += told
    # Nobody is asked to answer, and no meeting is opened.
    event |= {"responseRequested": False, "isOnlineMeeting": False}
    if stored.get("recurrence"):
        event["recurrence"] = _recurrence(stored, where, event["start"]["dateTime"][:10])
    changed = []
    for one in stored.get("exceptionOccurrences") or []:
        day = day_of(one, where)
        if day is None:
            notes.append("exception_without_day")
        else:
            changed.append((day, _day(one, stored, where)))
    cancelled = [text.rpartition(".")[2] for text in stored.get("cancelledOccurrences") or []]
    return EventPlan(event, changed, cancelled, list(stored.get("attachments") or []), notes)


def zone_of(stored: Mapping[str, Any]) -> tuple[str, bool]:
    """The zone an event lives in, and whether it is known; UTC when it is not."""
    span = (stored.get("recurrence") or {}).get("range") or {}
    name = stored.get("originalStartTimeZone") or span.get("recurrenceTimeZone") or zones.UTC
    known = zones.zone(name) is not None
    return (name if known else zones.UTC), known


def _times(stored: Mapping[str, Any], where: str) -> tuple[Json, Json]:
    begin, end = wall(stored["start"]["dateTime"]), wall(stored["end"]["dateTime"])
    if not stored.get("isAllDay"):
        # A series keeps its hour of the day over clock changes only in its own zone.
        begin, end = zones.local(begin, where), zones.local(end, where)
    return _time(begin, where), _time(end, where)


def _time(moment: datetime, where: str) -> Json:
    return {"dateTime": moment.isoformat(), "timeZone": where}


def _recurrence(stored: Mapping[str, Any], where: str, first: str) -> Json:
    recurrence = stored["recurrence"]
    span = {**(recurrence.get("range") or {}), "recurrenceTimeZone": where}
    span["startDate"] = span.get("startDate") or first
    if span.get("type") != "endDate":
        span.pop("endDate", None)
    if span.get("type") != "numbered":
        span.pop("numberOfOccurrences", None)
    return {"pattern": recurrence["pattern"], "range": span}


def day_of(one: Mapping[str, Any], where: str) -> str | None:
    """Which day of its series an occurrence stands for, in the zone of the series."""
    if one.get("occurrenceId"):
        return str(one["occurrenceId"]).rpartition(".")[2]
    if one.get("originalStart"):
        return zones.local(wall(one["originalStart"]), where).date().isoformat()
    if one.get("type") == "occurrence" and one.get("start"):
        return zones.local(wall(one["start"]["dateTime"]), where).date().isoformat()
    return None


def _day(one: Mapping[str, Any], series: Mapping[str, Any], where: str) -> Json:
    begin, end = _times(one, where)
    patch: Json = {"start": begin, "end": end}
    for name in OF_A_DAY:
        if name in one and one[name] != series.get(name) and one[name] is not None:
            patch[name] = one[name]
    if (one.get("body") or {}) != (series.get("body") or {}):
        patch["body"], _ = _body({**one, "attendees": one.get("attendees") or []})
    return patch


def _body(stored: Mapping[str, Any]) -> tuple[Json, list[str]]:
    """The text, with whoever took part and where they met written below it."""
    body = stored.get("body") or {}
    kind = str(body.get("contentType") or "text").lower()
    text = str(body.get("content") or "")
    lines, notes = [], []
    people = [_person(one) for one in stored.get("attendees") or []]
    if people:
        organizer = _name(stored.get("organizer") or {})
        lines += [f"Organiser: {organizer}"] if organizer else []
        lines += [f"Attendee: {one}" for one in people]
        notes.append("attendees_in_text")
    joined = (stored.get("onlineMeeting") or {}).get("joinUrl") or stored.get("onlineMeetingUrl")
    if joined:
        lines.append(f"Online meeting: {joined}")
        notes.append("online_meeting_in_text")
    if lines and kind == "html":
        told = "<hr>" + "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        head, end, tail = text.rpartition("</body>")
        text = head + told + end + tail if end else text + told
    elif lines:
        text = "\n".join([text, "", *lines]) if text else "\n".join(lines)
    return {"contentType": kind, "content": text}, notes


def _name(recipient: Mapping[str, Any]) -> str:
    found = recipient.get("emailAddress") or {}
    name, address = found.get("name") or "", found.get("address") or ""
    return f"{name} <{address}>" if name and address and name != address else address or name


def _person(attendee: Mapping[str, Any]) -> str:
    said = (attendee.get("status") or {}).get("response")
    more = [attendee.get("type"), said if said not in (None, "none") else None]
    return f"{_name(attendee)} ({', '.join(one for one in more if one)})"


def same_event(found: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Collision key of section 9 without the iCalUId: subject, kind, start, end, recurrence."""

    def key(one: Mapping[str, Any]) -> tuple[Any, ...]:
        recurrence = one.get("recurrence") or {}
        return (
            one.get("subject") or "",
            bool(one.get("recurrence")),
            str((one.get("start") or {}).get("dateTime"))[:19],
            str((one.get("end") or {}).get("dateTime"))[:19],
            without_nothing(recurrence.get("pattern") or {}),
        )

    return key(found) == key(stored)
