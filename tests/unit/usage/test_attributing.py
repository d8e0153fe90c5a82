"""Whose use a marketplace is told: each day of a customer once, by the order that carries it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing.model import Order as PoolOrder
from shared.licensing.model import PaymentOption, Pool
from shared.marketplace.dimensions import Dimension, Meter
from shared.marketplace.model import Order, OrderState
from shared.usage.attributing import Metered, attributed, owing
from shared.usage.days import Day

DAY, NEXT = date(2026, 3, 10), date(2026, 3, 11)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
RESTORES = Dimension(dimension="restores", meter=Meter.RESTORES)
SEATS = Dimension(dimension="seats", meter=Meter.ASSIGNED)
STORED = Dimension(dimension="gb", meter=Meter.STORED_GB)


def metered(name: str, *dimensions: Dimension, age: int = 0, **changed: Any) -> Metered:
    order = Order(
        order_id=name, source="microsoft", external_id=name, state=OrderState.ACTIVE,
        item="CBM-M365", quantity=30, start=date(2026, 3, 1), end=date(2027, 2, 28),
        created_at=NOW + timedelta(hours=age), updated_at=NOW,
    )  # fmt: skip
    return Metered(order.model_copy(update=changed), dimensions or (RESTORES,))


def pool(name: str, *orders: str) -> dict[str, Pool]:
    end = date(2027, 2, 28)
    made = Pool(
        pool_id=name, item="CBM-M365", channel=Channel.MARKETPLACE, source="M",
        payment_model=PaymentModel.PREPAID, payment_option=PaymentOption.MONTHLY,
        start=date(2026, 3, 1), end=end, contract_effective=date(2026, 3, 1),
        orders={each: PoolOrder(quantity=30, end=end) for each in orders},
    )  # fmt: skip
    return {name: made}


def measured(customer: str = "c", pool_id: str = "p", day: date = DAY, **changed: Any) -> Day:
    good: dict[str, Any] = {
        "customer_id": customer, "customer_name": customer, "day": day, "recorded": NOW,
        "assigned": {"CBM-M365": 5}, "pools": {"CBM-M365": pool_id} if pool_id else {},
        "restores": 2, "stored_bytes": 3 * 10**9, "protected_users": 4,
    }  # fmt: skip
    return Day.model_validate(good | changed)


def told(orders: list[Metered], days: list[Day], pools: dict[str, Pool]) -> dict[str, int]:
    found = attributed(orders, days, pools)
    return {name: int(sum(by_day.values())) for (name, _), by_day in found.items()}


def test_the_order_that_carries_the_pool_tells_all_its_customers() -> None:
    one, two = metered("one"), metered("two", age=1)
    days = [measured("a"), measured("b"), measured("else", "other pool"), measured("none", "")]
    assert told([two, one], days, pool("p", "one", "two")) == {"one": 4}  # merged: never twice


def test_a_customer_that_an_order_was_made_for_is_that_orders_alone() -> None:
    pooled, bound = metered("pooled"), metered("bound", age=1, customer_id="a")
    days = [measured("a"), measured("b")]
    assert told([pooled, bound], days, pool("p", "pooled", "bound")) == {"bound": 2, "pooled": 2}


def test_a_customer_with_seats_of_two_pools_is_told_once() -> None:
    one, two = metered("one", RESTORES, SEATS), metered("two", RESTORES, age=1)
    day = measured(pools={"CBM-M365": "p", "FLY": "q"})
    found = attributed([one, two], [day], pool("p", "one") | pool("q", "two"))
    assert found == {
        ("one", "restores"): {DAY: Decimal(2)}, ("one", "seats"): {DAY: Decimal(5)}
    }  # fmt: skip


def test_after_the_end_of_the_first_order_the_next_one_carries_the_pool() -> None:
    ended = {"state": OrderState.CANCELLED, "end": NEXT}  # the last day is not metered
    one, two = metered("one", **ended), metered("two", age=1)
    days = [measured(), measured(day=NEXT)]
    found = attributed([one, two], days, pool("p", "one", "two"))
    assert found == {
        ("one", "restores"): {DAY: Decimal(2)},
        ("two", "restores"): {NEXT: Decimal(2)},
    }


def test_what_could_not_be_read_is_not_counted_as_nothing() -> None:
    one = metered("one", STORED)
    days = [measured("a"), measured("b", stored_bytes=None, unread={"storedBytes": "x"})]
    assert attributed([one], days, pool("p", "one")) == {("one", "gb"): {DAY: Decimal(3)}}


def test_only_what_was_not_told_is_owed_and_nothing_is_taken_back() -> None:
    order, periods = metered("one").order, [(date(2026, 3, 1), date(2026, 3, 31))]
    values = {DAY: Decimal(2), NEXT: Decimal(3)}
    key = ("restores", date(2026, 3, 1))
    missing = [
        owing(order, RESTORES, values, periods, {key: Decimal(units)})
        for units in ("0", "2", "5", "9")
    ]
    first = date(2026, 3, 1)
    assert missing == [{first: Decimal(5)}, {first: Decimal(3)}, {}, {}]
