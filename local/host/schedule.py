"""When a timer is next due: an NCRONTAB expression in a time zone, summer time included. Pure."""

from datetime import UTC, datetime, timedelta, tzinfo

from local.host.ncrontab import Schedule

SECOND = timedelta(seconds=1)


def next_due(schedule: Schedule, after: datetime, zone: tzinfo = UTC) -> datetime:
    """The next occurrence strictly after `after` (aware), as an aware UTC datetime.

    In the spring gap the local time that does not exist is read with the old offset. In the autumn
    overlap a point in time runs at its first occurrence only, an interval runs through both hours
    (functions-facts.md 3.1). Raises BadSchedule when nothing is ever due again.
    """
    if zone is UTC:
        return schedule.next(after.astimezone(UTC).replace(tzinfo=None)).replace(tzinfo=UTC)
    if schedule.is_interval:
        return _next_of_interval(schedule, after, zone)
    return _next_point(schedule, after, zone)


def _next_point(schedule: Schedule, after: datetime, zone: tzinfo) -> datetime:
    wall = after.astimezone(zone).replace(tzinfo=None, fold=0)
    while True:
        wall = schedule.next(wall)
        # fold=0 means: the old offset in a gap, the first of two in an overlap
        instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if instant > after:
            return instant


def _next_of_interval(schedule: Schedule, after: datetime, zone: tzinfo) -> datetime:
    while True:
        offset = _offset(after, zone)
        wall = schedule.next(after.astimezone(UTC).replace(tzinfo=None) + offset)
        instant = (wall - offset).replace(tzinfo=UTC)
        new_offset = _offset(instant, zone)
        if new_offset == offset:
            return instant
        change = _change_between(after, instant, zone)
        change_wall = change.astimezone(UTC).replace(tzinfo=None) + offset
        if wall - change_wall < new_offset - offset:
            return instant  # inside the spring gap: read with the old offset
        # Elsewhere go on from the change, with the offset that is valid from then on.
        first = schedule.next(change.replace(tzinfo=None) + new_offset_at(change, zone) - SECOND)
        instant = (first - new_offset_at(change, zone)).replace(tzinfo=UTC)
        if _offset(instant, zone) == new_offset_at(change, zone):
            return instant
        after = change


def new_offset_at(change: datetime, zone: tzinfo) -> timedelta:
    """The offset that is valid from `change` (aware UTC) on."""
    return _offset(change, zone)


def _change_between(early: datetime, late: datetime, zone: tzinfo) -> datetime:
    """The first second with another offset than `early`, found by halving; `late` has another."""
    early = early.astimezone(UTC).replace(microsecond=0)
    before = _offset(early, zone)
    low, high = 0, int((late - early) / SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(early + middle * SECOND, zone) == before:
            low = middle
        else:
            high = middle
    return early + high * SECOND


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta(0)
