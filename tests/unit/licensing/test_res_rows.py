"""Tier 2: rows of RES that licensing decides, LIC-56, MKT-19, and sagas that are cut off."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from shared.kit.errors import HoldfastError
from shared.licensing import passing, reading, wishes
from shared.licensing.model import Standing
from shared.licensing.repository import Command
from shared.licensing.rules import billing
from shared.licensing.rules.orders import OrderChange
from shared.licensing.rules.tier2 import Passing
from tests.unit.licensing.world import World, refused

RESELLER = Standing(tier2_enabled=True, is_reseller=True)
BOSS = Command("reseller", "boss")


async def chain(world: World, quantity: int = 40) -> World:
    """A pool of 100 of which the partner below gets some."""
    await world.buy(pool="pool", order="o")
    below = world.other("msp1")
    await give(world, quantity)
    return below


async def give(world: World, quantity: int, name: str = "t1", *, back: bool = False) -> Any:
    move = passing.take_back if back else passing.pass_on
    seats = Passing(name, "pool", "msp1", quantity)
    return await move(world.ledgers, world.scope, BOSS, RESELLER, seats)


async def add_up(above: World, below: World) -> None:
    await above.adds_up()
    await below.adds_up()
    pool, child = await above.pool("pool"), await below.pool("pool-t2")
    assert child.total == pool.passed_on
    assert not pool.transfers


async def test_res_03_a_reseller_sees_total_passed_on_and_left(world: World) -> None:
    await chain(world)
    [shown] = await reading.pools(world.ledgers, world.scope)
    assert (shown["total"], shown["passed_on"], shown["available"]) == (100, 40, 60)


async def test_res_04_passing_on(world: World) -> None:
    below = await chain(world)
    assert (await world.pool("pool")).available == 60
    assert (await below.pool("pool-t2")).available == 40
    with refused("POOL_EXHAUSTED"):
        await give(world, 61, "t2")
    await give(world, 60, "t3")
    await add_up(world, below)


async def test_res_05_assigning_below_leaves_the_reseller_alone(world: World) -> None:
    below = await chain(world)
    before = await world.pool("pool")
    await below.assign(10)
    assert await world.pool("pool") == before
    assert (await below.pool("pool-t2")).available == 30


async def test_res_06_tier_2_is_off_until_enabled(world: World) -> None:
    await world.buy(pool="pool")
    seats = Passing("t", "pool", "msp1", 1)
    for standing, code in ((Standing(is_reseller=True), "TIER2_NOT_ENABLED"),
                           (Standing(tier2_enabled=True), "FORBIDDEN")):  # fmt: skip
        with refused(code) as said:
            await passing.pass_on(world.ledgers, world.scope, BOSS, standing, seats)
        assert said.seen.status == 403


async def test_res_07_and_mkt_19_the_reseller_pays_for_all(world: World) -> None:
    below = await chain(world)
    await below.assign(10)
    assert billing.reseller_lines((await world.book()).pools.values()) == [("pool", 100)]
    assert billing.reseller_lines((await below.book()).pools.values()) == []


async def test_res_08_a_child_inherits_and_never_outlives(world: World) -> None:
    below = await chain(world)
    parent, child = await world.pool("pool"), await below.pool("pool-t2")
    same = ("item", "source", "payment_model", "payment_option", "channel", "end")
    assert [getattr(child, n) for n in same] == [getattr(parent, n) for n in same]
    await below.assign(5)

    async def order(action: Any, end: date) -> None:
        command = Command("orders", f"{action}{end}")
        change = OrderChange("o", action, end=end)
        await passing.apply_order(world.ledgers, world.scope, command, change)

    await order("renew", date(2027, 12, 31))
    assert (await below.pool("pool-t2")).end == date(2027, 12, 31)
    await order("cancel", date(2026, 5, 31))
    assert (await below.pool("pool-t2")).end == date(2026, 5, 31)
    await add_up(world, below)


async def test_res_09_only_free_seats_are_taken_back(world: World) -> None:
    below = await chain(world)
    await below.assign(30)
    with refused("POOL_EXHAUSTED", "RES-09") as said:
        await give(world, 20, "t2", back=True)
    assert said.seen.status == 409
    await add_up(world, below)
    await give(world, 10, "t3", back=True)
    assert (await world.pool("pool")).available == 70
    await add_up(world, below)


async def test_res_10_each_partition_is_closed_to_the_other(world: World) -> None:
    below = await chain(world)
    await below.assign(10, customer="c9")
    assert not (await world.book()).subs
    events = await world.ledgers.ledger(world.scope)
    assert not any("~c9~" in key for event in events for key in event.touches)


async def test_lic_56_a_partner_has_what_it_was_given(world: World) -> None:
    below = await chain(world)
    with refused("POOL_EXHAUSTED", "LIC-04") as said:
        await below.assign(41)
    assert said.seen.status == 409


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("crash_after", [1, 2, 3])
async def test_a_transfer_that_is_cut_off_is_carried_on(
    world: World, crash_after: int, back: bool
) -> None:
    """The process dies after any of its commits; the same transfer sent again ends it."""
    below = await chain(world)
    batch: Callable[..., Any] = world.table.batch
    written = 0

    async def dying(changes: Any) -> None:
        nonlocal written
        await batch(changes)
        written += 1
        if written == crash_after:
            raise ConnectionResetError

    world.table.batch = dying  # type: ignore[method-assign]
    with pytest.raises(ConnectionResetError):
        await give(world, 5, "t9", back=back)
    world.table.batch = batch  # type: ignore[method-assign]
    pool, child = await world.pool("pool"), await below.pool("pool-t2")
    assert child.total <= pool.passed_on
    open_ones = await passing.unfinished(world.ledgers, world.scope)
    assert len(open_ones) == (1 if crash_after < 3 else 0)
    await give(world, 5, "t9", back=back)
    await give(world, 5, "t9", back=back)
    assert (await below.pool("pool-t2")).total == (35 if back else 45)
    await add_up(world, below)


async def test_seats_that_arrive_too_late_come_home(world: World) -> None:
    """Cut off after they had left; the pool ends; the clock brings them home."""
    below = await chain(world)
    await cut_off(world, after=1)
    world.day(date(2027, 1, 1))
    assert (await world.pool("pool")).passed_on == 45
    assert await passing.finish_all(world.ledgers, world.scope) == 1
    assert (await world.pool("pool")).available == 60
    await add_up(world, below)
    with refused("FORBIDDEN"):
        await give(world, 5, "t9")


async def test_a_partition_out_of_reach_leaves_them_under_way_for_the_clock(world: World) -> None:
    """Nothing is known of the other side, so nothing is undone."""
    below = await chain(world)
    batch: Callable[..., Any] = world.table.batch

    class Closed(HoldfastError):
        code, status = "CLOSED", 409

    async def refusing(changes: Any) -> None:
        if changes[0][1].partition == "msp1":
            raise Closed
        await batch(changes)

    world.table.batch = refusing  # type: ignore[method-assign]
    with pytest.raises(Closed):
        await give(world, 5, "t9")
    world.table.batch = batch  # type: ignore[method-assign]
    assert (await world.pool("pool")).passed_on == 45
    assert await passing.finish_all(world.ledgers, world.scope) == 1
    assert (await below.pool("pool-t2")).total == 45
    await add_up(world, below)
    assert await passing.finish_all(world.ledgers, world.scope) == 0


async def test_a_return_refused_is_refused_for_whoever_carries_it_on(world: World) -> None:
    """In use when asked, free a moment later: the clock does not find another answer."""
    below = await chain(world)
    await below.assign(30)
    await cut_off(world, after=2, back=True, quantity=20)
    world.day(date(2026, 2, 1))
    await below.do(wishes.expire(below.place()))
    assert await passing.finish_all(world.ledgers, world.scope) == 1
    assert (await below.pool("pool-t2")).total == 40
    await add_up(world, below)


async def test_res_08_an_order_cut_off_on_its_way_is_followed_by_the_clock(world: World) -> None:
    below = await chain(world)
    change = OrderChange("o", "renew", end=date(2027, 12, 31))
    with pytest.raises(ConnectionResetError):
        await dying(world, 1, passing.apply_order(world.ledgers, world.scope, BOSS, change))
    assert (await below.pool("pool-t2")).end == date(2026, 12, 31)
    assert await passing.finish_all(world.ledgers, world.scope) == 1
    assert (await below.pool("pool-t2")).end == date(2027, 12, 31)
    await add_up(world, below)


async def dying(world: World, after: int, work: Any) -> None:
    """The process dies after so many commits of the work."""
    batch: Callable[..., Any] = world.table.batch
    written = 0

    async def counted(changes: Any) -> None:
        nonlocal written
        await batch(changes)
        written += 1
        if written == after:
            raise ConnectionResetError

    world.table.batch = counted  # type: ignore[method-assign]
    try:
        await work
    finally:
        world.table.batch = batch  # type: ignore[method-assign]


async def cut_off(world: World, *, after: int, back: bool = False, quantity: int = 5) -> None:
    with pytest.raises(ConnectionResetError):
        await dying(world, after, give(world, quantity, "t9", back=back))


async def test_what_was_received_is_not_passed_on(world: World) -> None:
    below = await chain(world)
    seats = Passing("t5", "pool-t2", "msp2", 1)
    with refused("FORBIDDEN", "RES-05"):
        await passing.pass_on(below.ledgers, below.scope, BOSS, RESELLER, seats)
