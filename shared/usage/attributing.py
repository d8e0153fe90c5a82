"""Whose use it is: which order tells a marketplace what a day has measured; pure.

A customer that an order was made for is that order's; anybody else is of the order that carries
the pool its seats are from. What is counted for one order is not counted for a second one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from shared.licensing.model import Pool
from shared.marketplace.dimensions import STEP, Dimension, Meter
from shared.marketplace.model import Order, OrderState
from shared.usage.days import GB, Day

ONE_DAY = timedelta(days=1)
ENDED = frozenset({OrderState.CANCELLED, OrderState.ENDED})
BEGUN = ENDED | {
    OrderState.ACTIVE, OrderState.SUSPENDED, OrderState.CHANGE_SCHEDULED, OrderState.CHANGE_REFUSED
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metered:
    """An order on a plan with dimensions."""

    order: Order
    dimensions: tuple[Dimension, ...]

    @property
    def last(self) -> date | None:
        """Last day that is metered of an order that has ended: a cancelled one's is not."""
        end = self.order.end
        if end is None or self.order.state not in ENDED:
            return None
        return end - ONE_DAY if self.order.state is OrderState.CANCELLED else end

    @property
    def first(self) -> date | None:
        """First day that is metered; what its months are counted from."""
        return self.order.anchor or self.order.start

    def runs_on(self, day: date) -> bool:
        """Whether something of it may still be told after this day."""
        return self.last is None or self.last >= day - 2 * ONE_DAY


def attributed(
    orders: Sequence[Metered], days: Iterable[Day], pools: Mapping[str, Pool]
) -> dict[tuple[str, str], dict[date, Decimal]]:
    """Order and dimension -> what it counts by day."""
    ranked = sorted(
        orders,
        key=lambda one: (one.order.customer_id is None, one.order.created_at, one.order.order_id),
    )
    carriers = {pool_id: _carriers(pool, ranked) for pool_id, pool in pools.items()}
    found: dict[tuple[str, str], dict[date, Decimal]] = {}
    for day in days:
        taken: set[tuple[Meter, str]] = set()
        for one in ranked:
            if not _covers(one, day, carriers):
                continue
            item = one.order.item or ""
            claims = {(d.meter, item if d.meter.is_of_item else "") for d in one.dimensions}
            for dimension in one.dimensions:
                claim = (dimension.meter, item if dimension.meter.is_of_item else "")
                value = value_of(day, dimension.meter, item)
                if claim in taken or value is None:
                    continue
                by_day = found.setdefault((one.order.order_id, dimension.dimension), {})
                by_day[day.day] = by_day.get(day.day, Decimal(0)) + value
            taken |= claims
    return found


def value_of(day: Day, meter: Meter, item: str) -> Decimal | None:
    """What a day counts; None for what could not be read."""
    match meter:
        case Meter.RESTORES:
            found = day.restores
        case Meter.PROTECTED_USERS:
            found = day.protected_users
        case Meter.ASSIGNED:
            found = day.assigned.get(item, 0)
        case Meter.CONSUMED:
            found = day.consumed.get(item, 0)
        case _:
            return None if day.stored_bytes is None else Decimal(day.stored_bytes) / GB
    return None if found is None else Decimal(found)


def owing(
    order: Order,
    dimension: Dimension,
    values: Mapping[date, Decimal],
    periods: Sequence[tuple[date, date]],
    told: Mapping[tuple[str, date], Decimal],
) -> dict[date, Decimal]:
    """First day of a period -> units that are still to be told of it."""
    found = {}
    for first, last in periods:
        of_period = {day: value for day, value in values.items() if first <= day <= last}
        owed = dimension.owed(of_period, order.quantity)
        missing = owed - told.get((dimension.dimension, first), Decimal(0))
        if missing >= STEP:
            found[first] = missing
    return found


def _runs(one: Metered, day: date) -> bool:
    return one.first is not None and one.first <= day and (one.last is None or day <= one.last)


def _covers(one: Metered, day: Day, carriers: Mapping[str, Sequence[Metered]]) -> bool:
    if not _runs(one, day.day):
        return False
    if one.order.customer_id is not None:
        return one.order.customer_id == day.customer_id
    for pool_id in set(day.pools.values()):
        carrying = next((o for o in carriers.get(pool_id, ()) if _runs(o, day.day)), None)
        if carrying is one:
            return True
    return False


def _carriers(pool: Pool, ranked: Sequence[Metered]) -> list[Metered]:
    """Orders that tell for a pool: the first of them that runs on a day does."""
    return [
        one
        for one in ranked
        if one.order.licence_order in pool.orders and one.order.customer_id is None
    ]
