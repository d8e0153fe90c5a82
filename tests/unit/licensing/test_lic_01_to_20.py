"""One test per row, LIC 01 to 20, named by its id: on the level of rules and service."""

import asyncio
from datetime import date, timedelta

from shared.catalogue.model import Channel
from shared.licensing import reading, wishes
from shared.licensing.model import Expiration, PaymentOption
from shared.licensing.rules import dates, disconnecting
from tests.unit.licensing.world import World, refused

MARKET = {"channel": Channel.MARKETPLACE, "source": "CloudBlue"}
JAN1, DEC31 = date(2026, 1, 1), date(2026, 12, 31)


async def test_lic_01_a_pool_shows_what_is_left(world: World) -> None:
    await world.buy()
    await world.assign(30)
    await world.assign(20, customer="c2")
    [shown] = await reading.pools(world.ledgers, world.scope)
    assert (shown["total"], shown["assigned"], shown["available"]) == (100, 50, 50)
    assert shown["unit"] == "userSeats"


async def test_lic_02_only_items_of_the_channel_are_poolable(world: World) -> None:
    with refused("NOT_POOLABLE_ON_CHANNEL", "LIC-02"):
        await world.buy("OPU-STORAGE", option=PaymentOption.MONTHLY, **MARKET)
    assert not (await world.book()).pools


async def test_lic_03_only_orders_make_pools(world: World) -> None:
    """No verb but an order makes one; who may send orders is a permission of the route."""
    with refused("NO_POOL", "SVC-36"):
        await world.assign(5)
    pool = await world.buy()
    await world.assign(5)
    kinds = [event.kind for event in await world.ledgers.ledger(world.scope)]
    assert kinds == ["PoolOpened", "Assigned"]
    assert list((await world.pool(pool)).orders) == ["order1"]


async def test_lic_04_no_more_than_available(world: World) -> None:
    await world.buy(quantity=5)
    with refused("POOL_EXHAUSTED", "LIC-04"):
        await world.assign(6)
    assert (await world.pool()).available == 5
    answers = await asyncio.gather(
        world.assign(5), world.assign(5, customer="c2"), return_exceptions=True
    )
    assert sum(isinstance(answer, BaseException) for answer in answers) == 1


async def test_lic_05_only_within_the_pools_period(world: World) -> None:
    await world.buy()
    world.day(date(2027, 1, 1))
    with refused("POOL_NOT_ACTIVE", "LIC-05"):
        await world.assign(1)
    world.day(date(2025, 12, 31))
    with refused("POOL_NOT_ACTIVE", "LIC-05", first=JAN1):
        await world.assign(1)


async def test_lic_06_a_pool_runs_a_month_before_the_partner_cancels(world: World) -> None:
    await world.buy(order="o1")
    world.day(date(2026, 1, 11))
    with refused("LIC_MIN_TERM", "LIC-06", first=date(2026, 2, 1)):
        await world.order("o1", "cancel", end=date(2026, 1, 15), by_partner=True)
    await world.order("o1", "cancel", end=date(2026, 1, 15))


async def test_lic_07_31_days_at_least(world: World) -> None:
    await world.buy()
    world.day(date(2026, 3, 1))
    with refused("LIC_MIN_TERM", "LIC-07", first=date(2026, 4, 1)) as said:
        await world.assign(1, expires_on=date(2026, 3, 20))
    assert said.seen.status == 422
    assert said.seen.errors[0]["pointer"] == "/expiresOn"
    await world.assign(1, expires_on=date(2026, 4, 1))


async def test_lic_08_a_pool_that_ends_first_is_the_limit(world: World) -> None:
    await world.buy()
    world.day(date(2026, 12, 19))
    await world.assign(1)
    assert dates.expires_on(await world.sub(), await world.pool()) == DEC31
    with refused("LIC_MIN_TERM", "LIC-15", first=DEC31):
        await world.assign(1, customer="c2", expires_on=date(2026, 12, 30))
    await world.assign(1, customer="c2", expires_on=DEC31)


async def test_lic_09_one_day_left_is_enough(world: World) -> None:
    await world.buy()
    world.day(DEC31)
    await world.assign(1)
    assert dates.expires_on(await world.sub(), await world.pool()) == DEC31


async def test_lic_10_never_past_the_pool(world: World) -> None:
    await world.buy()
    with refused("EXPIRY_AFTER_POOL", "LIC-10"):
        await world.assign(1, expires_on=date(2027, 1, 15))
    await world.assign(1)
    with refused("EXPIRY_AFTER_POOL", "LIC-10"):
        await world.do(wishes.set_expiration(world.place(), expires_on=date(2027, 1, 15)))


async def test_lic_11_expiries_follow_the_pool(world: World) -> None:
    await world.buy(order="o1")
    await world.assign(1)
    await world.assign(1, customer="c2", expires_on=date(2026, 11, 30))
    await world.order("o1", "renew", end=date(2027, 12, 31))
    pool = await world.pool()
    assert dates.expires_on(await world.sub(), pool) == date(2027, 12, 31)
    assert dates.expires_on(await world.sub(customer="c2"), pool) == date(2026, 11, 30)
    await world.order("o1", "cancel", end=date(2026, 10, 31))
    pool = await world.pool()
    assert dates.expires_on(await world.sub(), pool) == date(2026, 10, 31)
    assert dates.expires_on(await world.sub(customer="c2"), pool) == date(2026, 10, 31)


async def test_lic_12_the_default_is_same_as_pool(world: World) -> None:
    await world.buy()
    await world.assign(1)
    assert (await world.sub()).expiration is Expiration.SAME_AS_POOL
    await world.assign(1, customer="c2", expiration=Expiration.SPECIFIED_DATE)
    assert (await world.sub(customer="c2")).expires_on == date(2026, 2, 1)
    world.day(date(2026, 12, 20))
    await world.assign(1, customer="c3", expiration=Expiration.SPECIFIED_DATE)
    assert (await world.sub(customer="c3")).expires_on == DEC31


async def test_lic_13_an_edit_never_moves_the_first_day(world: World) -> None:
    await world.buy()
    await world.assign(10)
    world.day(date(2026, 1, 21))
    await world.do(wishes.increase(world.place(), 5))
    await world.do(wishes.set_expiration(world.place(), Expiration.SPECIFIED_DATE))
    sub = await world.sub()
    assert sub.assigned_on == JAN1
    assert dates.commitment_ends(sub) == sub.expires_on == date(2026, 2, 1)


async def test_lic_14_expire_now_after_the_commitment(world: World) -> None:
    await world.buy()
    await world.assign(50)
    world.day(date(2026, 1, 11))
    with refused("LIC_MIN_TERM", "LIC-14", first=date(2026, 2, 1)) as said:
        await world.do(wishes.expire(world.place()))
    assert said.seen.status == 409
    world.day(date(2026, 2, 1))
    await world.do(wishes.expire(world.place()))
    assert (await world.sub()).state == "Expired"
    assert (await world.pool()).available == 100
    await world.adds_up()


async def test_lic_15_bounds_of_a_chosen_day(world: World) -> None:
    await world.buy()
    world.day(date(2026, 3, 1))
    await world.assign(1)
    for good in (date(2026, 4, 1), DEC31):
        await world.do(wishes.set_expiration(world.place(), expires_on=good))
    with refused("LIC_MIN_TERM"):
        await world.do(wishes.set_expiration(world.place(), expires_on=date(2026, 3, 31)))
    with refused("EXPIRY_AFTER_POOL"):
        await world.do(wishes.set_expiration(world.place(), expires_on=date(2027, 1, 1)))
    world.day(date(2026, 6, 1))
    await world.do(wishes.set_expiration(world.place(), expires_on=date(2026, 6, 1)))
    with refused("EXPIRY_IN_PAST", "LIC-15", first=date(2026, 6, 1)):
        await world.do(wishes.set_expiration(world.place(), expires_on=date(2026, 5, 31)))


async def test_lic_16_a_trial_has_no_expiration(world: World) -> None:
    with refused("INVALID_INPUT", "LIC-16") as said:
        await world.trial(expiration=Expiration.SAME_AS_POOL)
    assert [error["pointer"] for error in said.seen.errors] == ["/expiration"]


async def test_lic_17_no_reduction_within_31_days(world: World) -> None:
    await world.buy()
    await world.assign(50)
    world.day(date(2026, 1, 31))
    with refused("LIC_MIN_TERM", "LIC-17", first=date(2026, 2, 1)):
        await world.do(wishes.set_quantity(world.place(), 40))
    world.day(date(2026, 2, 1))
    await world.do(wishes.set_quantity(world.place(), 40))
    assert (await world.pool()).available == 60


async def test_lic_18_each_increase_has_its_own_lock(world: World) -> None:
    await world.buy()
    await world.assign(50)
    world.day(JAN1 + timedelta(days=40))
    await world.do(wishes.increase(world.place(), 20))
    world.day(JAN1 + timedelta(days=45))
    with refused("LIC_MIN_TERM", "LIC-18", first=JAN1 + timedelta(days=71)) as said:
        await world.do(wishes.set_quantity(world.place(), 10))
    assert said.seen.extra["minimumQuantity"] == 20
    await world.do(wishes.set_quantity(world.place(), 20))
    assert (await world.sub()).lots == {JAN1 + timedelta(days=40): 20}


async def test_lic_19_increase_at_any_time(world: World) -> None:
    await world.buy(quantity=60)
    await world.assign(50)
    world.day(date(2026, 1, 6))
    await world.do(wishes.increase(world.place(), 10))
    assert (await world.sub()).quantity == 60
    with refused("POOL_EXHAUSTED", "LIC-04"):
        await world.do(wishes.increase(world.place(), 1))


async def test_lic_20_no_disconnect_inside_any_commitment(world: World) -> None:
    await world.buy()
    await world.buy("POL")
    await world.assign(5)
    world.day(date(2026, 4, 6))
    await world.assign(5, slot="POL")
    world.day(date(2026, 4, 11))
    with refused("LIC_MIN_TERM", "LIC-20", first=date(2026, 5, 7)) as said:
        disconnecting.check_disconnect(await world.book(), "c1")
    assert said.seen.extra["subscription"] == "POL"
    world.day(date(2026, 5, 7))
    await world.do(wishes.disconnect(world.facts(), world.standing))
    assert {sub.state for sub in (await world.book()).subs.values()} == {"Expired"}
    await world.adds_up()
