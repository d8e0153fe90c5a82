"""A stored event as iCalendar text (RFC 5545): one file per event or series.

Times are told in UTC; a series keeps its hour over clock changes, so it is told in its own zone.
The zone of a series has to be known by name here, else the event stays JSON (`CannotTell`).
"""

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from holdfast_vault.cards import lines, text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_FREQUENCIES = {
    "daily": "DAILY", "weekly": "WEEKLY",
    "absoluteMonthly": "MONTHLY", "relativeMonthly": "MONTHLY",
    "absoluteYearly": "YEARLY", "relativeYearly": "YEARLY",
}  # fmt: skip
_PLACES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
# Outlook's names of the zones most people live in; IANA names are taken as they are.
_WINDOWS = {
    "AUS Eastern Standard Time": "Australia/Sydney",
    "Arab Standard Time": "Asia/Riyadh",
    "Arabian Standard Time": "Asia/Dubai",
    "Argentina Standard Time": "America/Buenos_Aires",
    "Atlantic Standard Time": "America/Halifax",
    "Central America Standard Time": "America/Guatemala",
    "Central Europe Standard Time": "Europe/Budapest",
    "Central European Standard Time": "Europe/Warsaw",
    "Central Standard Time": "America/Chicago",
    "China Standard Time": "Asia/Shanghai",
    "E. Africa Standard Time": "Africa/Nairobi",
    "E. South America Standard Time": "America/Sao_Paulo",
    "Eastern Standard Time": "America/New_York",
    "Egypt Standard Time": "Africa/Cairo",
    "FLE Standard Time": "Europe/Kiev",
    "GMT Standard Time": "Europe/London",
    "GTB Standard Time": "Europe/Bucharest",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "Hawaiian Standard Time": "Pacific/Honolulu",
    "India Standard Time": "Asia/Calcutta",
    "Israel Standard Time": "Asia/Jerusalem",
    "Korea Standard Time": "Asia/Seoul",
    "Mountain Standard Time": "America/Denver",
    "New Zealand Standard Time": "Pacific/Auckland",
    "Pacific Standard Time": "America/Los_Angeles",
    "Romance Standard Time": "Europe/Paris",
    "Russian Standard Time": "Europe/Moscow",
    "SA Pacific Standard Time": "America/Bogota",
    "SE Asia Standard Time": "Asia/Bangkok",
    "Singapore Standard Time": "Asia/Singapore",
    "South Africa Standard Time": "Africa/Johannesburg",
    "Tokyo Standard Time": "Asia/Tokyo",
    "Turkey Standard Time": "Europe/Istanbul",
    "US Mountain Standard Time": "America/Phoenix",
    "UTC": "UTC",
    "W. Europe Standard Time": "Europe/Berlin",
}

Json = dict[str, Any]


class CannotTell(ValueError):
    """The event cannot be told as iCalendar without guessing."""


def event_to_ics(event: Json) -> bytes:
    """A stored event as an iCalendar file; `CannotTell` for one that has to stay JSON."""
    try:
        zone = _zone(event)
        found = ["BEGIN:VCALENDAR", "PRODID:-//Holdfast//Reader//EN", "VERSION:2.0"]
        found += _component(event, event, zone)
        for one in event.get("exceptionOccurrences") or []:
            found += _component(one, event, zone)
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as wrong:
        raise CannotTell(str(wrong)) from wrong
    return lines([*found, "END:VCALENDAR"])


def _zone(event: Json) -> "ZoneInfo | None":
    """The zone of a series; None for a single event, which is told in UTC."""
    if not event.get("recurrence") or event.get("isAllDay"):
        return None
    # Needed for series only; not every machine has a table of zones.
    from zoneinfo import ZoneInfo

    span = event["recurrence"].get("range") or {}
    name = event.get("originalStartTimeZone") or span.get("recurrenceTimeZone") or "UTC"
    return ZoneInfo(_WINDOWS.get(name, name))


def _component(one: Json, series: Json, zone: "ZoneInfo | None") -> list[str]:
    found = ["BEGIN:VEVENT", "UID:" + text(series.get("iCalUId") or series["id"])]
    changed = one.get("lastModifiedDateTime")
    found.append(
        f"DTSTAMP:{_wall(changed):%Y%m%dT%H%M%SZ}" if changed else "DTSTAMP:19700101T000000Z"
    )
    found += [_moment("DTSTART", one, "start", zone), _moment("DTEND", one, "end", zone)]
    if one is not series:
        day = str(one.get("occurrenceId") or "").rpartition(".")[2]
        if not day:
            day = _local(_wall(one["originalStart"]), zone).date().isoformat()
        found.append(_on_day("RECURRENCE-ID", series, day, zone))
    elif series.get("recurrence"):
        found.append("RRULE:" + _rule(series, zone))
        for gone in series.get("cancelledOccurrences") or []:
            found.append(_on_day("EXDATE", series, str(gone).rpartition(".")[2], zone))
    body = one.get("body") or {}
    for name, value in (
        ("SUMMARY", one.get("subject")),
        ("LOCATION", (one.get("location") or {}).get("displayName")),
        ("DESCRIPTION", one.get("bodyPreview") or body.get("content")),
    ):
        if value:
            found.append(f"{name}:{text(value)}")
    if one.get("categories"):
        found.append("CATEGORIES:" + ",".join(text(each) for each in one["categories"]))
    found += _people("ORGANIZER", [one.get("organizer") or {}])
    found += _people("ATTENDEE", one.get("attendees") or [])
    return [*found, "END:VEVENT"]


def _people(name: str, said: list[Json]) -> list[str]:
    found = []
    for one in said:
        known = one.get("emailAddress") or {}
        if known.get("address"):
            shown = " ".join(str(known.get("name") or "").replace('"', "'").split())
            address = "".join(str(known["address"]).split())
            found.append(
                f'{name};CN="{shown}":mailto:{address}' if shown else f"{name}:mailto:{address}"
            )
    return found


def _rule(series: Json, zone: "ZoneInfo | None") -> str:
    pattern = series["recurrence"]["pattern"]
    span = series["recurrence"].get("range") or {}
    kind = pattern["type"]
    rule = [f"FREQ={_FREQUENCIES[kind]}", f"INTERVAL={int(pattern.get('interval') or 1)}"]
    days = ",".join(str(day)[:2].upper() for day in pattern.get("daysOfWeek") or [])
    if kind == "weekly":
        rule += [
            f"BYDAY={days}",
            f"WKST={str(pattern.get('firstDayOfWeek') or 'sunday')[:2].upper()}",
        ]
    elif kind.startswith("relative"):
        rule += [f"BYDAY={days}", f"BYSETPOS={_PLACES[pattern.get('index') or 'first']}"]
    elif kind.startswith("absolute"):
        day = int(pattern["dayOfMonth"])
        short = ",".join(str(one) for one in range(28, day + 1))  # the last day of a short month
        rule += [f"BYMONTHDAY={short}", "BYSETPOS=-1"] if day > 28 else [f"BYMONTHDAY={day}"]
    if kind.endswith("Yearly"):
        rule.append(f"BYMONTH={int(pattern['month'])}")
    if span.get("type") == "numbered":
        rule.append(f"COUNT={int(span['numberOfOccurrences'])}")
    elif span.get("type") == "endDate":
        last = date.fromisoformat(span["endDate"])
        if series.get("isAllDay"):
            rule.append(f"UNTIL={last:%Y%m%d}")
        else:
            end = datetime.combine(last, time(23, 59, 59), zone or UTC).astimezone(UTC)
            rule.append(f"UNTIL={end:%Y%m%dT%H%M%SZ}")
    return ";".join(rule)


def _moment(name: str, one: Json, member: str, zone: "ZoneInfo | None") -> str:
    moment = _wall(one[member]["dateTime"])
    if one.get("isAllDay"):
        return f"{name};VALUE=DATE:{moment:%Y%m%d}"
    return _told(name, _local(moment, zone), zone)


def _on_day(name: str, series: Json, day: str, zone: "ZoneInfo | None") -> str:
    """When the series would have begun on a day."""
    at = date.fromisoformat(day)
    if series.get("isAllDay"):
        return f"{name};VALUE=DATE:{at:%Y%m%d}"
    first = _local(_wall(series["start"]["dateTime"]), zone)
    return _told(name, datetime.combine(at, first.time()), zone)


def _told(name: str, moment: datetime, zone: "ZoneInfo | None") -> str:
    if zone is None or zone.key == "UTC":
        return f"{name}:{moment:%Y%m%dT%H%M%SZ}"
    return f"{name};TZID={zone.key}:{moment:%Y%m%dT%H%M%S}"


def _local(moment: datetime, zone: "ZoneInfo | None") -> datetime:
    """A wall-clock time in UTC as one of the zone."""
    if zone is None:
        return moment
    return moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


def _wall(said: str) -> datetime:
    head, dot, digits = said.rstrip("Z").partition(".")
    return datetime.fromisoformat(head + (dot + digits[:6] if digits else ""))
