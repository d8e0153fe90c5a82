"""NCRONTAB: what is read, what is refused, what comes next (functions-facts.md 3.1)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.ncrontab import FIELDS, BadSchedule, Schedule, parse
from local.host.schedule import next_due

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 */5 * * * *", "2026-11-22T10:01:00", "2026-11-22T10:05:00"),
        ("0 */5 * * * *", "2026-11-22T10:05:00", "2026-11-22T10:10:00"),
        ("*/5 * * * *", "2026-11-22T10:01:30", "2026-11-22T10:05:00"),
        ("* * * * * *", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("30 15 4 * * *", "2026-11-22T04:15:30", "2026-11-23T04:15:30"),
        ("0 0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 9 * * Mon-Fri", "2026-11-20T09:00:00", "2026-11-23T09:00:00"),
        ("0 0 9 * * fri", "2026-11-22T09:00:00", "2026-11-27T09:00:00"),
        ("0 0 0 1 Jan,jul *", "2026-02-01T00:00:00", "2026-07-01T00:00:00"),
        ("0 0 0 1 J *", "2026-02-01T00:00:00", "2027-01-01T00:00:00"),  # first month by prefix
        ("0 0 0 1 Ma *", "2026-01-02T00:00:00", "2026-03-01T00:00:00"),
        ("0 0 0 13 * 5", "2026-01-01T00:00:00", "2026-02-13T00:00:00"),  # both days must match
        ("0 50/3 * * * *", "2026-01-01T00:00:00", "2026-01-01T00:50:00"),
        ("0 50/3 * * * *", "2026-01-01T00:56:00", "2026-01-01T00:59:00"),
        ("0 10-20/5 * * * *", "2026-01-01T00:15:00", "2026-01-01T00:20:00"),
        ("0 0 22-4 * * *", "2026-01-01T00:00:00", "2026-01-01T04:00:00"),  # swapped, no wrap
        ("0 0 0 * * 0", "2026-11-22T00:00:00", "2026-11-29T00:00:00"),
        ("0 0 0 31 * *", "2026-01-31T00:00:00", "2026-03-31T00:00:00"),
    ],
)
def test_next_occurrence(expression: str, after: str, expected: str) -> None:
    assert parse(expression).next(at(after)) == at(expected)


@pytest.mark.parametrize(
    "expression",
    [
        "", "* * * *", "* * * * * * *", "60 * * * * *", "0 60 * * * *", "0 0 24 * * *",
        "0 0 0 0 * *", "0 0 0 32 * *", "0 0 0 1 13 *", "0 0 0 1 0 *", "0 0 0 * * 7",
        "0 0 0 L * *", "0 0 0 15W * *", "0 0 0 * * 5#3", "0 0 0 ? * *", "0 0 0 * * Someday",
        "0 0 x * * *", "0 1,,2 * * * *", "0 */ * * * *", "0 */x * * * *", "0 -5 * * * *",
        "0 /5 * * * *", "0 5- * * * *", "Mon * * * * *", "00:05:00", "1.02:00:00",
    ],
)  # fmt: skip
def test_refused(expression: str) -> None:
    with pytest.raises(BadSchedule):
        parse(expression)


def test_a_schedule_that_never_occurs_is_an_error() -> None:
    with pytest.raises(BadSchedule, match="never occurs"):
        parse("0 0 0 30 2 *").next(at("2026-01-01T00:00:00"))


def test_what_is_legal_but_probably_not_meant_is_said() -> None:
    assert parse("0 0 22-4 * * *").warnings
    assert parse("0 0 0 13 * 5").warnings
    assert not parse("0 0 4-22 13 * *").warnings


def field_text(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(lambda p: f"{p[0]}-{p[1]}")
    step = st.integers(1, high)
    one = st.one_of(
        st.just("*"), number.map(str), pair,
        st.tuples(pair, step).map(lambda p: f"{p[0]}/{p[1]}"),
        step.map(lambda n: f"*/{n}"), st.tuples(number, step).map(lambda p: f"{p[0]}/{p[1]}"),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=3).map(",".join)


# Days up to 28: then every schedule occurs. Months and weekdays as they come.
EXPRESSIONS = st.tuples(
    *[field_text(f.low, 28 if f.name == "day" else f.high) for f in FIELDS]
).map(" ".join)
MOMENTS = st.datetimes(at("2000-01-01"), at("2100-01-01"))


@given(EXPRESSIONS, MOMENTS)
def test_next_is_strictly_later_and_matches(expression: str, after: datetime) -> None:
    schedule = parse(expression)
    found = schedule.next(after)
    assert found > after
    assert schedule.matches(found)


@given(EXPRESSIONS, MOMENTS)
def test_nothing_matches_between(expression: str, after: datetime) -> None:
    schedule = parse(expression)
    found = schedule.next(after)
    second = after.replace(microsecond=0) + timedelta(seconds=1)
    for _ in range(120):  # the first two minutes, second by second
        if second >= found:
            break
        assert not schedule.matches(second)
        second += timedelta(seconds=1)


def run(expression: str, zone: ZoneInfo, after: str, count: int) -> list[str]:
    """The next occurrences as local times with their offset."""
    moment, found = at(after), []
    schedule: Schedule = parse(expression)
    for _ in range(count):
        moment = next_due(schedule, moment, zone)
        found.append(moment.astimezone(zone).isoformat())
    return found


def test_dst_spring_a_time_that_does_not_exist_runs_an_hour_later() -> None:
    assert run("0 30 2 * * *", BERLIN, "2026-03-28T03:00:00+01:00", 2) == [
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_dst_spring_an_interval_goes_on_evenly() -> None:
    assert run("0 */30 * * * *", BERLIN, "2026-03-29T01:30:00+01:00", 3) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-29T04:00:00+02:00",
    ]


def test_dst_autumn_a_point_in_time_runs_once() -> None:
    assert run("0 30 1 * * *", NEW_YORK, "2026-10-31T12:00:00-04:00", 2) == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-02T01:30:00-05:00",
    ]


def test_dst_autumn_a_point_in_time_is_not_repeated_after_the_change() -> None:
    assert run("0 45 1 * * *", NEW_YORK, "2026-11-01T01:30:00-05:00", 1) == [
        "2026-11-02T01:45:00-05:00"
    ]


def test_dst_autumn_an_interval_runs_through_both_hours() -> None:
    assert run("0 */30 * * * *", NEW_YORK, "2026-11-01T00:30:00-04:00", 5) == [
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:30:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ]


def test_a_yearly_interval_crosses_changes() -> None:
    assert run("0 0 */12 1 1 *", BERLIN, "2026-06-15T00:00:00+02:00", 2) == [
        "2027-01-01T00:00:00+01:00",
        "2027-01-01T12:00:00+01:00",
    ]


@given(EXPRESSIONS, MOMENTS, st.sampled_from([BERLIN, NEW_YORK, ZoneInfo("Australia/Lord_Howe")]))
def test_next_due_is_strictly_later_in_any_zone(
    expression: str, after: datetime, zone: ZoneInfo
) -> None:
    moment = after.replace(tzinfo=UTC)
    assert next_due(parse(expression), moment, zone) > moment
