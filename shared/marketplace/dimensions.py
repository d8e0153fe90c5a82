"""Dimensions of a plan: which of our meters a marketplace bills by, and what is owed: pure.

A period is a month of the order's own term, counted from its first day (marketplace-auth.md 1.7);
in a file that is told once a month it is the calendar's.
"""

import calendar
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

STEP = Decimal("0.000001")
"""Quantities travel as doubles: nothing finer than this is told."""
ZERO = Decimal(0)


class Meter(StrEnum):
    """What an evening measures of a customer."""

    RESTORES = "Restores"
    """Restores asked for on the day."""
    STORED_GB = "StoredGb"
    """GB of 10^9 bytes in the customer's repositories."""
    PROTECTED_USERS = "ProtectedUsers"
    ASSIGNED = "Assigned"
    """Seats of the order's item."""
    CONSUMED = "Consumed"
    """What was used up or is in use of the order's item."""

    @property
    def is_of_item(self) -> bool:
        """Whether every pool item of a customer has a value of its own."""
        return self in (Meter.ASSIGNED, Meter.CONSUMED)


class Gathering(StrEnum):
    """What the days of a period come to."""

    SUM = "Sum"
    """All days together: restores, GB days, user days."""
    PEAK = "Peak"
    """The highest day."""


class Dimension(BaseModel):
    """One dimension of a plan, and what it counts of ours."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dimension: str
    """The marketplace's own id of it; at CloudBlue the item's `mpn`."""
    meter: Meter
    gathering: Gathering = Gathering.SUM
    per: Decimal = Field(default=Decimal(1), gt=0)
    """How many of ours make one unit of the dimension, e.g. 30 GB days one GB month."""
    included: Decimal = Field(default=ZERO, ge=0)
    """Units of a period that the plan's price includes."""
    included_per_seat: Decimal = Field(default=ZERO, ge=0)
    """The same for each seat that the order has."""

    def owed(self, days: Mapping[date, Decimal], seats: int | None) -> Decimal:
        """Units of a period beyond what is included; never below zero."""
        if not days:
            return ZERO
        found = sum(days.values(), ZERO) if self.gathering is Gathering.SUM else max(days.values())
        free = self.included + self.included_per_seat * (seats or 0)
        return max(ZERO, found / self.per - free).quantize(STEP, ROUND_DOWN)


def months_after(day: date, months: int) -> date:
    """The same day some months later, or the last of a shorter month."""
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def period_of(start: date, day: date) -> date:
    """First day of the month of a term that holds `day`; the term began on `start`."""
    number = (day.year - start.year) * 12 + day.month - start.month
    first = months_after(start, number)
    return first if first <= day else months_after(start, number - 1)


def period_before(start: date, first: date) -> date:
    """First day of the period before the one that begins on `first`."""
    return period_of(start, first - timedelta(days=1))
