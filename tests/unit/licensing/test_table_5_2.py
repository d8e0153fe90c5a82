"""The decision table 5.2: one test per cell, named by operation and column."""

from collections.abc import Awaitable, Callable
from datetime import date

import pytest

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing import wishes
from shared.licensing.model import Expiration, LicenceType, PaymentOption
from shared.licensing.refusals import Refusal
from shared.licensing.rules import dates
from shared.licensing.rules.adjusting import Need
from shared.licensing.rules.offers import Terms
from shared.licensing.service import adjust
from tests.unit.licensing.world import World

KEY = "sub~c1~CBM-M365"
# Column -> pool's last day, day of the assignment, day of the operation.
YOUNG = (date(2026, 12, 31), date(2026, 3, 1), date(2026, 3, 11))
SHORT = (date(2026, 3, 20), date(2026, 3, 1), date(2026, 3, 11))
OLD = (date(2026, 12, 31), date(2026, 3, 1), date(2026, 4, 1))
OVER = (date(2026, 3, 20), date(2026, 3, 1), date(2026, 3, 21))
COLUMNS = {"young": YOUNG, "short": SHORT, "old": OLD, "over": OVER}
LOCKED = {"young": "LIC_MIN_TERM", "short": "LIC_MIN_TERM", "old": "", "over": ""}
Operation = Callable[[World], Awaitable[object]]


async def prepared(column: str, *, assigned: bool = True) -> World:
    """30 seats of a marketplace pool of 100, on the day of the column; the pool may be over."""
    end, first, now = COLUMNS[column]
    world = World(first)
    term = {"start": date(2026, 2, 1), "channel": Channel.MARKETPLACE, "source": "CloudBlue"}
    await world.buy(
        quantity=100, pool="pool", order="o", end=end, option=PaymentOption.ANNUAL_UPFRONT, **term
    )
    await world.buy(pool="other", source="Direct")
    await world.buy(pool="payg", quantity=None, model=PaymentModel.PAYG)
    if assigned:
        await world.assign(30, pool_id="pool")
    world.day(now)
    return world


async def told(world: World, operation: Operation) -> str:
    """The code of the refusal, or "" when it was allowed; the books add up either way."""
    before = await world.book()
    try:
        await operation(world)
    except Refusal as refusal:
        assert await world.book() == before
        return refusal.code
    await world.adds_up()
    return ""


def wish(make: Callable[[World], wishes.Wish]) -> Operation:
    return lambda world: world.do(make(world))


@pytest.mark.parametrize(
    ("column", "code"),
    [("young", ""), ("short", ""), ("old", ""), ("over", "POOL_NOT_ACTIVE")],
)
async def test_assign_new(column: str, code: str) -> None:
    world = await prepared(column, assigned=False)
    assert await told(world, lambda w: w.assign(100, pool_id="pool")) == code
    if not code:
        last = dates.expires_on(await world.sub(), await world.pool("pool"))
        assert last == COLUMNS[column][0]


@pytest.mark.parametrize(
    ("column", "code"),
    [("young", ""), ("short", ""), ("old", ""), ("over", "SUBSCRIPTION_EXPIRED")],
)
async def test_increase(column: str, code: str) -> None:
    world = await prepared(column)
    operation = wish(lambda w: wishes.increase(w.place(), 70))
    assert await told(world, operation) == code
    if not code:
        assert (await world.sub()).quantity == 100


@pytest.mark.parametrize(
    ("column", "code", "first"),
    [
        ("young", "LIC_MIN_TERM", date(2026, 4, 1)),
        ("short", "LIC_MIN_TERM", None),  # it ends with its pool
        ("old", "", None),
        ("over", "SUBSCRIPTION_EXPIRED", None),
    ],
)
async def test_reduce(column: str, code: str, first: date | None) -> None:
    world = await prepared(column)
    preview = await world.preview(wishes.reduce(world.place(), 10))
    assert preview.allowed == (code == "")
    assert getattr(preview.refusal, "first_allowed", None) == first
    assert await told(world, wish(lambda w: wishes.reduce(w.place(), 10))) == code


async def test_reduce_old_down_to_locked_lots() -> None:
    world = await prepared("old")
    await world.do(wishes.increase(world.place(), 5))
    assert await told(world, wish(lambda w: wishes.set_quantity(w.place(), 4))) == "LIC_MIN_TERM"
    assert await told(world, wish(lambda w: wishes.set_quantity(w.place(), 5))) == ""


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("young", "LIC_MIN_TERM"),
        ("short", "LIC_MIN_TERM"),
        ("old", ""),
        ("over", "SUBSCRIPTION_EXPIRED"),
    ],
)
async def test_expire_now(column: str, code: str) -> None:
    world = await prepared(column)
    assert await told(world, wish(lambda w: wishes.expire(w.place()))) == code
    assert (await world.pool("pool")).available == (100 if not code else 70)


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (
            "young",
            [date(2026, 4, 1), date(2026, 12, 31)],
            [date(2026, 3, 31), date(2027, 1, 1)],
        ),
        ("short", [date(2026, 3, 20)], [date(2026, 3, 19), date(2026, 3, 21)]),
        ("old", [date(2026, 4, 1), date(2026, 12, 31)], [date(2026, 3, 31), date(2027, 1, 1)]),
        ("over", [], [date(2026, 3, 21), date(2026, 3, 20)]),
    ],
)
async def test_set_date(column: str, good: list[date], bad: list[date]) -> None:
    world = await prepared(column)
    for day in good:
        chosen = wish(lambda w, d=day: wishes.set_expiration(w.place(), expires_on=d))
        assert await told(world, chosen) == ""
        assert (await world.sub()).expires_on == day
    for day in bad:
        chosen = wish(lambda w, d=day: wishes.set_expiration(w.place(), expires_on=d))
        assert await told(world, chosen) != ""


@pytest.mark.parametrize(
    ("column", "code"),
    [("young", "LIC_MIN_TERM"), ("short", "LIC_MIN_TERM"), ("old", ""), ("over", "")],
)
async def test_change_source(column: str, code: str) -> None:
    world = await prepared(column)
    operation = wish(lambda w: wishes.switch_source(w.place(), Terms(pool_id="other")))
    assert await told(world, operation) == code
    if not code:
        sub = await world.sub()
        assert (sub.pool_id, sub.quantity, sub.assigned_on) == ("other", 30, COLUMNS[column][2])


@pytest.mark.parametrize(
    ("column", "code"),
    [("young", "LIC_MIN_TERM"), ("short", "LIC_MIN_TERM"), ("old", ""), ("over", "")],
)
async def test_change_payment_model(column: str, code: str) -> None:
    world = await prepared(column)
    operation = wish(lambda w: wishes.switch_source(w.place(), Terms(pool_id="payg")))
    assert await told(world, operation) == code
    if not code:
        assert (await world.sub()).payment_model == "Payg"


@pytest.mark.parametrize("column", ["old", "over"])
async def test_change_payment_model_not_beside_another_of_the_old(column: str) -> None:
    world = await prepared(column)
    await world.buy("POL", pool="pol")
    await world.assign(1, slot="POL", pool_id="pol")
    operation = wish(lambda w: wishes.switch_source(w.place(), Terms(pool_id="payg")))
    assert await told(world, operation) == "PAYMENT_MODEL_CONFLICT"


@pytest.mark.parametrize(
    ("column", "code"),
    [("young", "LIC_MIN_TERM"), ("short", "LIC_MIN_TERM"), ("old", ""), ("over", "")],
)
async def test_disconnect(column: str, code: str) -> None:
    world = await prepared(column)
    assert await told(world, wish(lambda w: wishes.disconnect(w.facts(), w.standing))) == code


@pytest.mark.parametrize(
    ("column", "now", "pending"), [("young", 30, 20), ("short", 30, 20), ("old", 20, None)]
)
async def test_auto_decrease(column: str, now: int, pending: int | None) -> None:
    world = await prepared(column)
    await adjust(world.ledgers, world.scope, [Need(KEY, 20)])
    sub = await world.sub()
    assert (sub.quantity, sub.pending_decrease) == (now, pending)
    if column == "young":
        world.day(date(2026, 4, 1))
        await world.sweep()
        assert (await world.sub()).quantity == 20
    if column == "short":  # lapses with the pool
        world.day(date(2026, 4, 1))
        await world.sweep()
        sub = await world.sub()
        assert (sub.state, sub.pending_decrease) == ("Expired", None)
    await world.adds_up()


async def test_auto_decrease_over_has_no_effect() -> None:
    world = await prepared("over")
    assert not (await adjust(world.ledgers, world.scope, [Need(KEY, 20)])).events


@pytest.mark.parametrize(
    ("column", "left", "later"), [("young", 70, 100), ("short", 70, 100), ("old", 100, 100)]
)
async def test_override(column: str, left: int, later: int) -> None:
    world = await prepared(column)
    await world.do(wishes.begin_override(world.facts(), "CBM-M365", LicenceType.ENTERPRISE))
    assert (await world.sub()).state == "Superseded"
    assert (await world.pool("pool")).available == left
    world.day(date(2026, 4, 1))
    await world.sweep()
    pool = await world.pool("pool")
    assert pool.available == later
    if column == "short":  # the pool is gone: what returned to it can be given to nobody
        assert dates.free(pool, date(2026, 4, 1)) == 0
    await world.adds_up()


async def test_override_over() -> None:
    world = await prepared("over")
    await world.do(wishes.begin_override(world.facts(), "CBM-M365", LicenceType.CMP))
    assert "CBM-M365" in (await world.book()).guards["c1"].overrides


@pytest.mark.parametrize("column", ["young", "short", "old"])
async def test_distributor_order_cancelled(column: str) -> None:
    world = await prepared(column)
    last = date(2026, 3, 15) if column != "old" else date(2026, 4, 2)
    await world.order("o", "cancel", end=last)
    assert dates.expires_on(await world.sub(), await world.pool("pool")) == last


async def test_distributor_order_cancelled_over_has_no_effect() -> None:
    world = await prepared("over")
    assert not (await world.order("o", "cancel", end=date(2026, 3, 25))).events


@pytest.mark.parametrize("column", ["young", "short", "old"])
@pytest.mark.parametrize("option", PaymentOption)
async def test_prepaid_pool_reduction(column: str, option: PaymentOption) -> None:
    end, first, now = COLUMNS[column]
    world = World(first)
    term = {"start": date(2026, 2, 1), "channel": Channel.MARKETPLACE, "source": "CloudBlue"}
    await world.buy(pool="pool", order="o", end=end, option=option, **term)
    await world.assign(30, pool_id="pool")
    world.day(now)

    async def reduced(w: World) -> object:
        return await w.order("o", "quantity", quantity=80)

    if option is PaymentOption.MONTHLY:
        assert await told(world, reduced) == ""
        assert (await world.pool("pool")).orders["o"].reduce_to == 80
    else:
        assert await told(world, reduced) == "PREPAID_NOT_REDUCIBLE"
    assert (await world.pool("pool")).total == 100


async def test_set_to_same_as_pool_again() -> None:
    world = await prepared("old")
    await world.do(wishes.set_expiration(world.place(), expires_on=date(2026, 5, 1)))
    await world.do(wishes.set_expiration(world.place(), Expiration.SAME_AS_POOL))
    assert (await world.sub()).expires_on is None
