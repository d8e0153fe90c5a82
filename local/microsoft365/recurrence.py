"""Expands Outlook's recurrence patterns into the local starts of their occurrences."""

from datetime import datetime, time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil import rrule  # type: ignore[import-untyped]

JSON = dict[str, Any]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PLACES = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
FREQUENCIES = {
    "daily": rrule.DAILY,
    "weekly": rrule.WEEKLY,
    "absoluteMonthly": rrule.MONTHLY,
    "relativeMonthly": rrule.MONTHLY,
    "absoluteYearly": rrule.YEARLY,
    "relativeYearly": rrule.YEARLY,
}
# An endless series is expanded only as far as somebody asks, and never beyond this.
MOST = 20_000


class BadRecurrence(ValueError):
    """Outlook would refuse this pattern, range or time zone."""


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA or Windows name; BadRecurrence when there is none."""
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    try:
        return ZoneInfo(WINDOWS_TO_OLSON.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise BadRecurrence(f"The time zone '{name}' is not supported.") from problem


def starts(recurrence: JSON, first: datetime, until: datetime) -> list[datetime]:
    """Local starts of a series whose master starts at `first`, up to and including `until`."""
    pattern, span = recurrence.get("pattern") or {}, recurrence.get("range") or {}
    kind = str(pattern.get("type"))
    if kind not in FREQUENCIES or int(pattern.get("interval") or 0) < 1:
        raise BadRecurrence("The recurrence pattern is not valid.")
    ends = str(span.get("type"))
    begin = datetime.combine(datetime.fromisoformat(span["startDate"]).date(), first.time())
    options: JSON = {"dtstart": begin, "interval": int(pattern["interval"]), "until": until}
    if ends == "numbered":
        options |= {"count": int(span["numberOfOccurrences"])}
        del options["until"]
    elif ends == "endDate":
        last = datetime.combine(datetime.fromisoformat(span["endDate"]).date(), time.max)
        options["until"] = min(until, last)
    elif ends != "noEnd":
        raise BadRecurrence("The recurrence range is not valid.")
    options |= _pattern(kind, pattern)
    found: list[datetime] = []
    for moment in rrule.rrule(FREQUENCIES[kind], **options):
        if moment > until or len(found) >= MOST:
            break
        found.append(moment)
    return found


def _pattern(kind: str, pattern: JSON) -> JSON:
    week = {str(day).lower() for day in pattern.get("daysOfWeek") or []}
    weekdays = [getattr(rrule, day[:2].upper()) for day in DAYS if day in week]
    found: JSON = {}
    if kind == "weekly":
        if not weekdays:
            raise BadRecurrence("A weekly pattern names days.")
        first = str(pattern.get("firstDayOfWeek") or "sunday").lower()
        found = {"byweekday": weekdays, "wkst": getattr(rrule, first[:2].upper())}
    elif kind.startswith("relative"):
        at = PLACES.get(str(pattern.get("index") or "first"))
        if at is None or not weekdays:
            raise BadRecurrence("A relative pattern names days and their place.")
        found = {"byweekday": weekdays, "bysetpos": at}
    elif kind.startswith("absolute"):
        # Outlook takes the last day of a month that is too short.
        day = int(pattern.get("dayOfMonth") or 0)
        if not 1 <= day <= 31:
            raise BadRecurrence("An absolute pattern names the day of the month.")
        found = {"bymonthday": list(range(min(day, 28), day + 1)), "bysetpos": -1}
    if kind.endswith("Yearly"):
        found["bymonth"] = int(pattern.get("month") or 0)
    return found


def local(member: JSON) -> datetime:
    """The wall-clock time of a dateTimeTimeZone."""
    text = str(member["dateTime"])
    moment = datetime.fromisoformat(text[:26].rstrip("Z"))
    return moment.replace(tzinfo=None)


def in_zone(moment: datetime, source: str, target: str) -> datetime:
    """A wall-clock time of one zone as the wall-clock time of another."""
    return moment.replace(tzinfo=zone(source)).astimezone(zone(target)).replace(tzinfo=None)
