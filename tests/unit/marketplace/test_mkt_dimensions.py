"""Dimensions of plans: months of a term, and what is owed beyond what is included."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.marketplace.dimensions import (
    Dimension,
    Gathering,
    Meter,
    months_after,
    period_before,
    period_of,
)

DAY = date(2026, 3, 1)


def dimension(**changed: Any) -> Dimension:
    return Dimension.model_validate({"dimension": "d", "meter": Meter.RESTORES} | changed)


def days(*values: str | int) -> dict[date, Decimal]:
    return {DAY + timedelta(days=n): Decimal(value) for n, value in enumerate(values)}


@pytest.mark.parametrize(
    ("changed", "values", "seats", "owed"),
    [
        ({}, (3, 0, 4), None, "7"),
        ({"included": "5"}, (3, 0, 4), None, "2"),
        ({"included": "9"}, (3, 0, 4), None, "0"),
        ({"gathering": Gathering.PEAK}, (3, 0, 4), None, "4"),
        ({"gathering": Gathering.PEAK, "included_per_seat": "1"}, (30, 33, 31), 30, "3"),
        ({"included_per_seat": "1"}, (30, 33), None, "63"),  # no seats, nothing included
        ({"per": "30"}, (100, 100), None, "6.666666"),  # never rounded up
        ({"per": "30", "included": "1"}, (100, 100), None, "5.666666"),
        ({}, (), 30, "0"),
    ],
)
def test_scenario_10_only_what_exceeds_the_included_quantity_is_owed(
    changed: dict[str, Any], values: tuple[int, ...], seats: int | None, owed: str
) -> None:
    assert dimension(**changed).owed(days(*values), seats) == Decimal(owed)


@pytest.mark.parametrize(
    ("start", "day", "first"),
    [
        (date(2026, 1, 15), date(2026, 3, 14), date(2026, 2, 15)),
        (date(2026, 1, 15), date(2026, 3, 15), date(2026, 3, 15)),
        (date(2026, 1, 31), date(2026, 2, 27), date(2026, 1, 31)),
        (date(2026, 1, 31), date(2026, 2, 28), date(2026, 2, 28)),  # a shorter month
        (date(2026, 1, 31), date(2026, 3, 30), date(2026, 2, 28)),
        (date(2024, 2, 29), date(2026, 2, 28), date(2026, 2, 28)),
        (date(2026, 1, 15), date(2026, 1, 1), date(2025, 12, 15)),
    ],
)
def test_scenario_10_months_are_anchored_at_the_first_day_of_the_term(
    start: date, day: date, first: date
) -> None:
    assert period_of(start, day) == first


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 3000))
def test_scenario_10_every_day_lies_in_one_month_of_the_term(start: date, later: int) -> None:
    day = start + timedelta(days=later)
    first = period_of(start, day)
    assert first <= day
    assert period_of(start, first) == first
    assert period_before(start, first) < first
    number = (first.year - start.year) * 12 + first.month - start.month
    assert first == months_after(start, number)
    assert day < months_after(start, number + 1)
