"""Turns a stored event into iCalendar text (RFC 5545): pure, one file per event or series.

A series is one master with its rule, an `EXDATE` per cancelled day and one more `VEVENT` per
changed day. Times keep the zone the event was made in, so that clock changes move nothing.
"""

import html
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from shared.microsoft365 import zones
from shared.microsoft365.calendar_json import day_of, zone_of
from shared.microsoft365.calendar_rows import wall
from shared.microsoft365.event_attachments import decoded, loads
from shared.microsoft365.ics_zones import vtimezone

if TYPE_CHECKING:
    from icalendar import Calendar, Event

PRODUCT = "-//Holdfast//Backup//EN"
# Clock changes of an endless series are written down for so long; readers know the zones anyway.
ENDLESS = timedelta(days=10 * 366)
_SHOWN_AS = {"free": "TRANSPARENT"}
_CLASSES = {"personal": "PRIVATE", "private": "PRIVATE", "confidential": "CONFIDENTIAL"}
_PRIORITIES = {"high": 1, "low": 9}
_ROLES = {
    "required": "REQ-PARTICIPANT",
    "optional": "OPT-PARTICIPANT",
    "resource": "NON-PARTICIPANT",
}
_ANSWERS = {
    "accepted": "ACCEPTED", "organizer": "ACCEPTED", "declined": "DECLINED",
    "tentativelyAccepted": "TENTATIVE",
}  # fmt: skip
_FREQUENCIES = {
    "daily": "DAILY", "weekly": "WEEKLY", "absoluteMonthly": "MONTHLY",
    "relativeMonthly": "MONTHLY",
    "absoluteYearly": "YEARLY", "relativeYearly": "YEARLY",
}  # fmt: skip
_PLACES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
# Characters no line of text may hold (RFC 5545 3.1), line ends aside.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Json = Mapping[str, Any]


def event_to_ics(stored: bytes) -> bytes:
    """A stored event (the JSON of a row of kind `event`) as an iCalendar file.

    Raises ValueError for bytes that are no stored event.
    """
    from icalendar import Calendar

    event = loads(stored)
    where, _ = zone_of(event)
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    _add_zone(calendar, event, where)
    calendar.add_component(_component(event, event, where))
    for one in event.get("exceptionOccurrences") or []:
        calendar.add_component(_component(one, event, where))
    text: bytes = calendar.to_ical()
    return text


def _add_zone(calendar: "Calendar", event: Json, where: str) -> None:
    there = zones.zone(where)
    if event.get("isAllDay") or there is None or there.key == zones.UTC:
        return
    first = wall(event["start"]["dateTime"]).date()
    span = (event.get("recurrence") or {}).get("range") or {}
    last = first + (ENDLESS if event.get("recurrence") else timedelta(days=366))
    if span.get("type") == "endDate":
        last = max(first, date.fromisoformat(span["endDate"])) + timedelta(days=366)
    begins = first.replace(month=1, day=1)
    calendar.add_component(vtimezone(there.key, begins, last))


def _component(one: Json, series: Json, where: str) -> "Event":
    """The master, a single event, or a changed day (`one` is not `series`)."""
    from icalendar import Event

    found = Event()
    found.add("uid", series.get("iCalUId") or series["id"])
    found.add("dtstamp", _instant(one.get("lastModifiedDateTime")))
    for name, member in (("created", "createdDateTime"), ("last-modified", "lastModifiedDateTime")):
        if one.get(member):
            found.add(name, _instant(one[member]))
    found.add("dtstart", _moment(one, "start", where))
    found.add("dtend", _moment(one, "end", where))
    if one is not series:
        day = day_of(one, where)
        if day is not None:
            found.add("recurrence-id", _on_day(series, day, where))
    elif series.get("recurrence"):
        found.add("rrule", _rule(series, where))
        for text in series.get("cancelledOccurrences") or []:
            found.add("exdate", _on_day(series, text.rpartition(".")[2], where))
    _add_words(found, one)
    _add_people(found, one)
    _add_alarm(found, one)
    _add_attachments(found, one)
    return found


def _add_words(found: "Event", one: Json) -> None:
    found.add("summary", _text(one.get("subject")))
    body = one.get("body") or {}
    content = _text(body.get("content"))
    if str(body.get("contentType")).lower() == "html":
        found.add("description", _plain(content))
        found.add("x-alt-desc", content, parameters={"FMTTYPE": "text/html"})
    elif content:
        found.add("description", content)
    place = _text((one.get("location") or {}).get("displayName"))
    if place:
        found.add("location", place)
    if one.get("categories"):
        found.add("categories", [_text(word) for word in one["categories"]])
    found.add("transp", _SHOWN_AS.get(str(one.get("showAs")), "OPAQUE"))
    found.add("class", _CLASSES.get(str(one.get("sensitivity")), "PUBLIC"))
    if one.get("importance") in _PRIORITIES:
        found.add("priority", _PRIORITIES[one["importance"]])
    tentative = "TENTATIVE" if one.get("showAs") == "tentative" else "CONFIRMED"
    found.add("status", "CANCELLED" if one.get("isCancelled") else tentative)
    joined = (one.get("onlineMeeting") or {}).get("joinUrl") or one.get("onlineMeetingUrl")
    if joined:
        found.add("url", _text(joined))


def _add_people(found: "Event", one: Json) -> None:
    from icalendar import vCalAddress, vText

    def person(said: Json) -> Any:
        known = said.get("emailAddress") or {}
        if not known.get("address"):
            return None
        address = vCalAddress(f"mailto:{_line(known['address'])}")
        if known.get("name"):
            address.params["CN"] = vText(_parameter(known["name"]))
        return address

    people = one.get("attendees") or []
    organizer = person(one.get("organizer") or {}) if people else None
    if organizer is not None:
        found.add("organizer", organizer, encode=False)
    for said in people:
        address = person(said)
        if address is None:
            continue
        answer = (said.get("status") or {}).get("response")
        address.params["ROLE"] = vText(_ROLES.get(str(said.get("type")), "REQ-PARTICIPANT"))
        address.params["PARTSTAT"] = vText(_ANSWERS.get(str(answer), "NEEDS-ACTION"))
        found.add("attendee", address, encode=False)


def _add_alarm(found: "Event", one: Json) -> None:
    from icalendar import Alarm

    if not one.get("isReminderOn"):
        return
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", _text(one.get("subject")) or "Reminder")
    alarm.add("trigger", timedelta(minutes=-int(one.get("reminderMinutesBeforeStart") or 0)))
    found.add_component(alarm)


def _add_attachments(found: "Event", one: Json) -> None:
    from icalendar import vBinary, vText

    for attachment in one.get("attachments") or []:
        data = decoded(attachment)
        if data is None:
            continue
        inside = vBinary(data)
        inside.params["FMTTYPE"] = vText(
            _parameter(attachment.get("contentType") or "application/octet-stream")
        )
        inside.params["FILENAME"] = vText(_parameter(attachment.get("name") or "attachment"))
        found.add("attach", inside, encode=False)


def _rule(series: Json, where: str) -> dict[str, Any]:
    """Outlook's pattern and range as a recurrence rule (RFC 5545 3.3.10)."""
    recurrence = series["recurrence"]
    pattern, span = recurrence["pattern"], recurrence.get("range") or {}
    kind = pattern["type"]
    rule: dict[str, Any] = {"freq": _FREQUENCIES[kind], "interval": pattern.get("interval") or 1}
    days = [str(day)[:2].upper() for day in pattern.get("daysOfWeek") or []]
    if kind == "weekly":
        rule |= {"byday": days, "wkst": str(pattern.get("firstDayOfWeek") or "sunday")[:2].upper()}
    elif kind.startswith("relative"):
        rule |= {"byday": days, "bysetpos": _PLACES[pattern.get("index") or "first"]}
    elif kind.startswith("absolute"):
        day = int(pattern["dayOfMonth"])
        rule["bymonthday"] = day
        if day > 28:  # Outlook takes the last day of a shorter month
            rule |= {"bymonthday": list(range(28, day + 1)), "bysetpos": -1}
    if kind.endswith("Yearly"):
        rule["bymonth"] = int(pattern["month"])
    if span.get("type") == "numbered":
        rule["count"] = int(span["numberOfOccurrences"])
    elif span.get("type") == "endDate":
        rule["until"] = _until(series, date.fromisoformat(span["endDate"]), where)
    return rule


def _until(series: Json, last: date, where: str) -> date | datetime:
    if series.get("isAllDay"):
        return last
    there = zones.zone(where) or ZoneInfo(zones.UTC)
    # The rule ends at an instant in UTC (3.3.10): that of the last second of the last day.
    return datetime.combine(last, time(23, 59, 59), there).astimezone(UTC)


def _moment(one: Json, member: str, where: str) -> date | datetime:
    moment = wall(one[member]["dateTime"])
    if one.get("isAllDay"):
        return moment.date()
    return _zoned(zones.local(moment, where), where)


def _on_day(series: Json, day: str, where: str) -> date | datetime:
    """When the series would have begun on a day."""
    if series.get("isAllDay"):
        return date.fromisoformat(day)
    first = zones.local(wall(series["start"]["dateTime"]), where)
    return _zoned(datetime.combine(date.fromisoformat(day), first.time()), where)


def _zoned(moment: datetime, where: str) -> datetime:
    there = zones.zone(where)
    if there is None or there.key == zones.UTC:
        return moment.replace(tzinfo=UTC)
    return moment.replace(tzinfo=there)


def _instant(text: str | None) -> datetime:
    """An instant in UTC; the beginning of time where nobody knows, so that bytes stay equal."""
    if not text:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return wall(text).replace(microsecond=0, tzinfo=UTC)


def _text(text: Any) -> str:
    return _CONTROLS.sub("", str(text or "").replace("\r\n", "\n").replace("\r", "\n"))


def _line(text: Any) -> str:
    return " ".join(_text(text).split())


def _parameter(text: Any) -> str:
    # A quoted parameter cannot hold the quote itself (3.2).
    return _line(text).replace('"', "'")


def _plain(content: str) -> str:
    """Words of an HTML text, a line per paragraph; the text itself is kept beside it."""
    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", "", content)
    text = re.sub(r"(?i)<(br|/p|/div|/tr|hr|/h\d|/li)\b[^>]*>", "\n", text)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    return _text("\n".join(" ".join(line.split()) for line in text.splitlines())).strip()
