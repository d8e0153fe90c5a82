"""Time as licences meet it: ends of months and years, leap days, the 1st at 00:00 UTC, jumps."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.catalogue.model import PaymentModel
from shared.licensing import wishes
from shared.licensing.rules import dates, telling
from tests.unit.licensing.test_lic_21_to_40 import billed
from tests.unit.licensing.world import World, refused


@pytest.mark.parametrize(
    ("assigned", "free"),
    [
        (date(2028, 2, 29), date(2028, 3, 31)),  # from a leap day
        (date(2027, 1, 31), date(2027, 3, 3)),  # from a month's end
        (date(2026, 12, 31), date(2027, 1, 31)),  # over a year's end
        (date(2026, 12, 1), date(2027, 1, 1)),  # to the 1st of January
    ],
)
async def test_lic_07_31_days_over_every_kind_of_end(assigned: date, free: date) -> None:
    world = World(assigned)
    await world.buy(start=assigned, end=assigned + timedelta(days=400))
    await world.assign(5)
    world.day(free - timedelta(days=1))
    with refused("LIC_MIN_TERM", first=free):
        await world.do(wishes.expire(world.place()))
    world.day(free)
    await world.do(wishes.expire(world.place()))
    assert (await world.sub()).ended_on == free
    await world.adds_up()


@pytest.mark.parametrize(
    "last", [date(2026, 12, 31), date(2028, 2, 29), date(2027, 2, 28), date(2026, 6, 30)]
)
async def test_amb_50_usable_until_midnight_and_over_at_00_00_of_the_1st(last: date) -> None:
    """Whether or not a sweep has come by: the clock decides, to the second."""
    began = last - timedelta(days=90)
    world = World(began)
    await world.buy(start=began, end=last + timedelta(days=300))
    await world.assign(5, expires_on=last)
    midnight = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    for now, state in (
        (midnight - timedelta(microseconds=1), "Active"),
        (midnight, "Expired"),
    ):
        world.clock.advance(now - world.clock.now())
        book = await world.book()
        assert dates.state_on(await world.sub(), await world.pool(), book.day) == state
    await world.sweep()
    sub = await world.sub()
    assert (sub.ended_on, sub.quantity) == (last, 0)
    events = await world.ledgers.ledger(world.scope)
    assert events[-1].effective == midnight.date()
    assert (await world.sweep()).events == 0


async def test_24_3_at_midnight_pools_end_first_and_the_closed_month_does_not_change(
    world: World,
) -> None:
    """00:05 of the 1st: pool, expiry, release; what January costs is as it was at its end."""
    monthly = {"model": PaymentModel.PAYG, "end": date(2026, 1, 31)}
    await world.buy("POL", order="jan", **monthly)  # type: ignore[arg-type]
    await world.buy()
    await world.assign(5, slot="POL", payment_model=PaymentModel.PAYG)
    await world.assign(9, customer="c2", expires_on=date(2026, 2, 1))
    pools, closing = (await world.book()).pools.values(), date(2026, 1, 5)
    told = billed(await world.ledgers.ledger(world.scope), pools, closing)
    world.day(date(2026, 2, 1))
    swept = await world.sweep()
    events = await world.ledgers.ledger(world.scope)
    assert [event.kind for event in events[-swept.events :]] == ["PoolEnded", "Expired"]
    assert billed(events, (await world.book()).pools.values(), closing) == told
    assert (await world.sub(customer="c2")).quantity == 9
    world.day(date(2026, 2, 2))
    await world.sweep()
    assert (await world.sub(customer="c2")).quantity == 0
    await world.adds_up()


async def test_a_clock_that_jumps_ahead_and_back(world: World) -> None:
    """What ended stays ended, nothing is undone or done twice, the chain's times never fall."""
    await world.buy()
    await world.assign(5, expires_on=date(2026, 3, 31))
    await world.assign(7, customer="c2")
    world.day(date(2026, 6, 1))  # four months too far
    await world.sweep()
    assert (await world.sub()).ended_on == date(2026, 3, 31)
    world.day(date(2026, 2, 10))  # and back
    before = await world.book()
    assert (await world.sweep()).events == 0
    assert (await world.book()).subs == before.subs
    with refused("SUBSCRIPTION_EXPIRED"):
        await world.do(wishes.increase(world.place(), 1))
    await world.do(wishes.increase(world.place(customer="c2"), 3))
    await world.assign(2)  # assigned anew under the right time
    for day in (date(2026, 6, 1), date(2027, 1, 1)):
        world.day(day)
        await world.sweep()
        assert (await world.sweep()).events == 0
        await world.adds_up()
    recorded = [event.recorded for event in await world.ledgers.ledger(world.scope)]
    assert recorded == sorted(recorded, key=lambda at: at or datetime.min.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (date(2028, 3, 1), [date(2028, 1, 31), date(2028, 2, 23), date(2028, 2, 29)]),
        (date(2027, 3, 1), [date(2027, 1, 30), date(2027, 2, 22), date(2027, 2, 28)]),
        (date(2027, 1, 1), [date(2026, 12, 2), date(2026, 12, 25), date(2026, 12, 31)]),
    ],
)
async def test_ntf_20_days_before_an_end_are_days_of_the_calendar(
    last: date, told: list[date]
) -> None:
    began = last - timedelta(days=60)
    world = World(began)
    await world.buy(start=began, end=last + timedelta(days=400))
    await world.assign(5, expires_on=last)
    seen = {}
    for days in range(62):
        world.day(began + timedelta(days=days))
        for each in telling.found(await world.book()):
            if each.kind == "expiring":
                seen.setdefault(each.key, (each.due_on, began + timedelta(days=days)))
    assert sorted(seen.values()) == [(day, day) for day in told]


async def test_pools_begin_at_midnight_of_their_day(world: World) -> None:
    world.day(date(2028, 2, 28))
    await world.buy(start=date(2028, 2, 29), end=date(2029, 2, 28))
    with refused("POOL_NOT_ACTIVE"):
        await world.assign(5)
    world.clock.advance(timedelta(hours=23, minutes=59, seconds=59))
    with refused("POOL_NOT_ACTIVE"):
        await world.assign(5)
    world.clock.advance(timedelta(seconds=1))
    await world.assign(5)
    await world.sweep()
    assert (await world.pool()).recorded_phase == "Active"
    await world.adds_up()
