"""Writes a time zone down as iCalendar's VTIMEZONE, exact to the minute: pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from icalendar import Timezone

_DAY = timedelta(days=1)


@lru_cache(maxsize=64)
def vtimezone(key: str, first: date, last: date) -> "Timezone":
    """The zone's rules between two days: one observance per kind, with every day it began on.

    Onsets are told in the time before the change, as RFC 5545 section 3.6.5 asks.
    """
    from icalendar import Timezone, TimezoneDaylight, TimezoneStandard

    there = ZoneInfo(key)
    found: dict[tuple[timedelta, timedelta, str, bool], list[datetime]] = {}
    for moment in _onsets(there, first, last):
        before = _offset(there, moment - timedelta(minutes=1))
        after = moment.astimezone(there)
        kind = before, _offset(there, moment), after.tzname() or key, bool(after.dst())
        found.setdefault(kind, []).append((moment + before).replace(tzinfo=None))
    zone = Timezone()
    zone.add("tzid", key)
    for (before, now, name, is_daylight), onsets in found.items():
        part = TimezoneDaylight() if is_daylight else TimezoneStandard()
        part.add("dtstart", onsets[0])
        part.add("tzoffsetfrom", before)
        part.add("tzoffsetto", now)
        part.add("tzname", name)
        if len(onsets) > 1:
            part.add("rdate", onsets[1:])
        zone.add_component(part)
    return zone


def _onsets(there: ZoneInfo, first: date, last: date) -> Iterator[datetime]:
    """The beginning, and every instant at which the offset changes."""
    at = datetime.combine(first, time(), there).astimezone(UTC)
    end = datetime.combine(last, time(), UTC)
    yield at
    while at < end:
        if _offset(there, at) != _offset(there, at + _DAY):
            low, high = at, at + _DAY
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                same = _offset(there, middle) == _offset(there, low)
                low, high = (middle, high) if same else (low, middle)
            yield high
        at += _DAY


def _offset(there: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(there).utcoffset() or timedelta()
