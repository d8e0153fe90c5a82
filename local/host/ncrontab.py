"""NCRONTAB expressions: parsing them and finding the next matching second. Pure, no zone, no clock.

Follows functions-facts.md 3.1: six fields with seconds (five: seconds 0), reversed ranges are
swapped, day 7 does not exist, and day-of-month AND day-of-week must both match.
"""

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from typing import NamedTuple

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


class BadSchedule(ValueError):
    """The expression is not NCRONTAB, or nothing ever matches it."""


class Field(NamedTuple):
    """One field's name, its bounds (both inclusive) and the English names it accepts."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, DAYS),
)


@dataclass(frozen=True)
class Schedule:
    """A parsed expression: for each field the values that match, ascending."""

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    is_interval: bool
    """One of second, minute, hour holds `*`, `-` or `/`: matters at the end of summer time."""
    warnings: tuple[str, ...] = ()
    """What is legal but probably not meant, a sentence each."""

    def matches(self, moment: datetime) -> bool:
        """Whether this wall-clock second is one of the schedule's."""
        return (
            moment.microsecond == 0
            and moment.second in self.seconds
            and moment.minute in self.minutes
            and moment.hour in self.hours
            and self._matches_day(moment)
        )

    def next(self, after: datetime) -> datetime:
        """The first matching wall-clock second strictly after `after` (naive).

        Raises BadSchedule when there is none before the year 10000.
        """
        first = after.replace(microsecond=0) + timedelta(seconds=1)
        for day in self._days_from(first):
            if day.date() > first.date():
                return day.replace(
                    hour=self.hours[0], minute=self.minutes[0], second=self.seconds[0]
                )
            found = self._first_time(first)
            if found is not None:
                return found
        raise BadSchedule(f"the schedule '{self.text}' never occurs before the year {MAXYEAR + 1}")

    def _days_from(self, first: datetime) -> Iterator[datetime]:
        for year in range(first.year, MAXYEAR + 1):
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                last = monthrange(year, month)[1]
                for number in self.days:
                    if number > last:
                        break
                    day = datetime(year, month, number, tzinfo=first.tzinfo)
                    if day.date() >= first.date() and self._matches_day(day):
                        yield day

    def _matches_day(self, day: datetime) -> bool:
        return (
            day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 in self.weekdays
        )

    def _first_time(self, start: datetime) -> datetime | None:
        """The first matching time of day at or after `start`, on the same day."""
        for hour in self.hours[bisect_left(self.hours, start.hour) :]:
            later_hour = hour > start.hour
            low_minute = 0 if later_hour else start.minute
            for minute in self.minutes[bisect_left(self.minutes, low_minute) :]:
                low_second = 0 if later_hour or minute > start.minute else start.second
                for second in self.seconds[bisect_left(self.seconds, low_second) :][:1]:
                    return start.replace(hour=hour, minute=minute, second=second)
        return None


def parse(text: str) -> Schedule:
    """Read an expression of five or six fields; raises BadSchedule saying what is wrong."""
    if re.fullmatch(r"\s*(\d+\.)?\d{1,2}:\d{2}:\d{2}\s*", text):
        raise BadSchedule(
            f"'{text}' is an interval (hh:mm:ss), which only App Service plans run: use NCRONTAB"
        )
    parts = text.split()
    if len(parts) not in (5, 6):
        raise BadSchedule(f"'{text}' has {len(parts)} fields, NCRONTAB has six (or five)")
    time_parts = parts[:3] if len(parts) == 6 else parts[:2]
    full = parts if len(parts) == 6 else ["0", *parts]
    warnings: list[str] = []
    values = [
        _parse_field(field, part, text, warnings) for field, part in zip(FIELDS, full, strict=True)
    ]
    if "*" not in (full[3][:1], full[5][:1]):
        warnings.append(
            "day of month and day of week are both set: both must match (in Unix cron either)"
        )
    seconds, minutes, hours, days, months, weekdays = values
    is_interval = any(sign in part for part in time_parts for sign in "*-/")
    return Schedule(
        text, seconds, minutes, hours, days, months, weekdays, is_interval, tuple(warnings)
    )


def _parse_field(field: Field, part: str, text: str, warnings: list[str]) -> tuple[int, ...]:
    chosen: set[int] = set()
    for item in part.split(","):
        low, high, step = _parse_item(field, item, text)
        if low > high:
            warnings.append(f"{field.name} '{item}' is reversed and means {high}-{low}")
            low, high = high, low
        if low < field.low or high > field.high:
            raise BadSchedule(
                f"'{text}': {field.name} '{item}' is outside {field.low} to {field.high}"
                + (" (Sunday is 0)" if field.name == "day of week" and high == 7 else "")
            )
        chosen.update(range(low, high + 1, max(step, 1)))
    return tuple(sorted(chosen))


def _parse_item(field: Field, item: str, text: str) -> tuple[int, int, int]:
    """One element of a list as (first, last, step)."""
    body, slash, step_text = item.partition("/")
    if slash and not step_text.isdecimal():
        raise BadSchedule(f"'{text}': {field.name} '{item}' has no number after the /")
    step = int(step_text) if slash else 1
    if body == "*":
        return field.low, field.high, step
    first, dash, last = body.partition("-")
    low = _parse_value(field, first, text)
    if dash:
        return low, _parse_value(field, last, text), step
    return low, field.high if slash else low, step


def _parse_value(field: Field, word: str, text: str) -> int:
    if word.isascii() and word.isdecimal():
        return int(word)
    if word:
        for index, name in enumerate(field.names):
            if name.lower().startswith(word.lower()):
                return index + field.low
    raise BadSchedule(f"'{text}': '{word}' is not a {field.name} (L, W, # and ? are not supported)")
