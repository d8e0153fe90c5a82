"""One test per row, LIC 21 to 40, named by its id: on the level of rules and service."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import pytest

from shared.billing.model import Line, Price, PriceBook
from shared.billing.rules.rating import RatingInput, rate
from shared.catalogue.model import Channel, PaymentModel
from shared.licensing import reading, wishes
from shared.licensing.ledger import Event
from shared.licensing.model import LicenceType, PaymentOption, Pool
from shared.licensing.refusals import PaymentOptionNotAllowed
from shared.licensing.rules import dates, overriding
from shared.licensing.rules.offers import Terms
from tests.unit.licensing.world import World, refused

MARKET = {"channel": Channel.MARKETPLACE, "source": "CloudBlue"}
JAN1, DEC31 = date(2026, 1, 1), date(2026, 12, 31)


SOURCES = {
    "direct prepaid": {},
    "payg": {"model": PaymentModel.PAYG},
    "marketplace": {"option": PaymentOption.MONTHLY, **MARKET},
    "off-marketplace": {"channel": Channel.OFF_MARKETPLACE},
}


@pytest.mark.parametrize("source", SOURCES)
async def test_lic_21_the_same_31_days_for_every_source(world: World, source: str) -> None:
    await world.buy(pool="p", **SOURCES[source])
    await world.assign(50, pool_id="p")
    world.day(date(2026, 1, 31))
    for wish in (
        wishes.expire(world.place()),
        wishes.reduce(world.place(), 1),
        wishes.disconnect(world.facts(), world.standing),
    ):
        with refused("LIC_MIN_TERM", first=date(2026, 2, 1)):
            await world.do(wish)
    world.day(date(2026, 2, 1))
    await world.do(wishes.reduce(world.place(), 1))
    await world.do(wishes.expire(world.place()))


async def test_lic_22_one_source_per_item(world: World) -> None:
    await world.buy()
    await world.buy(option=PaymentOption.ANNUAL_UPFRONT, **MARKET)
    await world.buy("CBM-POWER")
    await world.assign(5)
    with refused("SOURCE_ALREADY_ASSIGNED", "LIC-22"):
        await world.assign(5, source="CloudBlue")
    await world.assign(5, slot="CBM-POWER", settings={"type": "PowerApps"})
    with refused("ALREADY_ASSIGNED"):
        await world.assign(5)


async def test_lic_23_switching_the_source(world: World) -> None:
    await world.buy()
    await world.buy(option=PaymentOption.ANNUAL_UPFRONT, **MARKET)
    await world.assign(30)
    wish = wishes.switch_source(world.place(), Terms(source="CloudBlue"))
    world.day(date(2026, 1, 11))
    with refused("LIC_MIN_TERM", "LIC-23", first=date(2026, 2, 1)):
        await world.do(wish)
    world.day(date(2026, 2, 10))
    done = await world.do(wish)
    assert len(done.events) == 1
    assert (await world.pool("pool1")).available == 100
    assert (await world.pool("pool2")).available == 70
    assert dates.commitment_ends(await world.sub()) == date(2026, 3, 13)
    await world.adds_up()


async def test_lic_24_one_payment_model_per_customer(world: World) -> None:
    await world.buy()
    await world.buy("POL", model=PaymentModel.PAYG)
    await world.assign(5)
    with refused("PAYMENT_MODEL_CONFLICT", "LIC-24") as said:
        await world.assign(5, slot="POL")
    assert said.seen.status == 422
    await world.assign(5, slot="POL", customer="c2")
    world.day(date(2026, 2, 1))
    await world.do(wishes.expire(world.place()))
    await world.assign(5, slot="POL")


async def test_lic_25_a_prepaid_pool_changes_by_orders_only(world: World) -> None:
    await world.buy()
    before = await world.pool()
    await world.assign(5)
    world.day(date(2026, 3, 1))
    await world.do(wishes.reduce(world.place(), 2))
    fixed = ("total", "start", "end", "payment_option", "contract_effective", "orders")
    after = await world.pool()
    assert [getattr(after, name) for name in fixed] == [getattr(before, name) for name in fixed]


async def test_lic_26_prepaid_is_not_reduced_in_its_term(world: World) -> None:
    await world.buy(order="o1")
    with refused("PREPAID_NOT_REDUCIBLE", "LIC-26", first=date(2027, 1, 1)):
        await world.order("o1", "quantity", quantity=80)
    assert (await world.pool()).total == 100


async def test_lic_27_monthly_marketplace_pools_shrink_at_the_renewal(world: World) -> None:
    await world.buy(order="o1", option=PaymentOption.MONTHLY, end=date(2026, 1, 31), **MARKET)
    await world.assign(60, source="CloudBlue")
    await world.order("o1", "quantity", quantity=70)
    assert (await world.pool()).total == 100
    await world.order("o1", "renew", end=date(2026, 2, 28))
    assert (await world.pool()).total == 70
    await world.order("o1", "quantity", quantity=50)
    done = await world.order("o1", "renew", end=date(2026, 3, 31))
    assert done.notices[0]["kind"] == "overcommitted"
    pool = await world.pool()
    assert (pool.total, pool.assigned, pool.available) == (50, 60, -10)
    assert dates.phase(pool, JAN1) == "Overcommitted"
    with refused("POOL_OVERCOMMITTED", "AMB-08"):
        await world.assign(1, customer="c2", source="CloudBlue")
    world.day(date(2026, 2, 1))
    await world.do(wishes.reduce(world.place(), 10))
    assert dates.phase(await world.pool(), date(2026, 2, 1)) == "Active"
    await world.adds_up()


async def test_lic_28_orders_increase_at_any_time(world: World) -> None:
    await world.buy(order="o1")
    await world.order("o1", "quantity", quantity=120)
    assert (await world.pool()).total == 120


@pytest.mark.parametrize(
    ("effective", "good", "short"),
    [
        (date(2026, 2, 1), date(2027, 1, 31), date(2026, 12, 1)),
        (JAN1, DEC31, date(2026, 12, 30)),
        (date(2028, 2, 29), date(2029, 2, 28), date(2029, 2, 27)),
        (date(2027, 3, 1), date(2028, 2, 29), date(2028, 2, 28)),
    ],
)
async def test_lic_29_direct_prepaid_runs_a_year(
    world: World, effective: date, good: date, short: date
) -> None:
    with refused("TERM_TOO_SHORT", "LIC-29"):
        await world.buy(start=effective, end=short)
    await world.buy(start=effective, end=good)


@pytest.mark.parametrize("day", [date(2026, 1, 2), date(2026, 9, 30)])
async def test_lic_30_direct_prepaid_ends_with_the_contract(world: World, day: date) -> None:
    await world.buy()
    world.day(day)
    await world.assign(1)
    assert dates.expires_on(await world.sub(), await world.pool()) == DEC31


def billed(events: Sequence[Event], pools: Iterable[Pool], month: date) -> tuple[Line, ...]:
    """The lines of a month of the pay-as-you-go pools."""
    payg = {pool.pool_id: pool.item for pool in pools if pool.payment_model is PaymentModel.PAYG}
    book = PriceBook(book_id="b", currency="EUR", prices=dict.fromkeys(payg.values(), Price()))
    known_at = datetime(2027, 1, 1, tzinfo=UTC)
    return rate(RatingInput("p1", month, known_at, book, events, payg, by_pool=True)).lines


async def test_lic_31_payg_is_billed_by_what_is_assigned(world: World) -> None:
    await world.buy(quantity=None, model=PaymentModel.PAYG)
    await world.assign(40)
    events = await world.ledgers.ledger(world.scope)
    [line] = billed(events, (await world.book()).pools.values(), JAN1)
    assert (line.billed, line.customer_id, line.runs[0].events) == (40, "c1", (2,))
    assert (await reading.pools(world.ledgers, world.scope))[0]["available"] is None


async def test_lic_32_payg_is_billed_for_its_minimum_term(world: World) -> None:
    await world.buy(quantity=None, model=PaymentModel.PAYG)
    world.day(date(2026, 1, 20))
    await world.assign(7)
    world.day(date(2026, 2, 20))
    await world.do(wishes.expire(world.place()))
    events = await world.ledgers.ledger(world.scope)
    pools = (await world.book()).pools.values()
    months = [
        [line.billed for line in billed(events, pools, date(2026, month, 5))] for month in (1, 2, 3)
    ]
    assert months == [[7], [7], []]


async def test_lic_33_payg_is_direct_and_monthly_only(world: World) -> None:
    with refused("PAYMENT_OPTION_NOT_ALLOWED", "LIC-33"):
        await world.buy(model=PaymentModel.PAYG, **MARKET)
    with refused("PAYMENT_OPTION_NOT_ALLOWED"):
        await world.buy(model=PaymentModel.PAYG, option=PaymentOption.ANNUAL_UPFRONT)


async def test_mkt_02_exactly_six_combinations_are_sold(world: World) -> None:
    passed = []
    for model in PaymentModel:
        for channel in Channel:
            for option in PaymentOption:
                try:
                    await world.buy(model=model, channel=channel, option=option)
                except PaymentOptionNotAllowed:
                    continue
                passed.append((model, channel, option))
    assert len(passed) == 6


def test_lic_34_the_most_recent_prevails_inside_a_rank() -> None:
    old = overriding.Licence(LicenceType.DIRECT_POOL, date(2026, 1, 1))
    new = overriding.Licence(LicenceType.DISTRIBUTOR_POOL, date(2026, 2, 1))
    market = overriding.Licence(LicenceType.CMP, date(2025, 1, 1))
    assert overriding.effective([old, new]) == new
    assert overriding.effective([old, new, market]) == market
    assert overriding.effective([]) is None


async def test_lic_35_a_pool_does_not_displace_a_higher_rank(world: World) -> None:
    await world.buy()
    for kind, code in (
        (LicenceType.ENTERPRISE, "OVERRIDDEN_BY_ENTERPRISE"),
        (LicenceType.CMP, "OVERRIDDEN_BY_CMP"),
    ):
        await world.do(wishes.begin_override(world.facts(), "CBM-M365", kind))
        with refused(code, "LIC-35"):
            await world.assign(1)
    await world.do(wishes.end_override(world.facts(), "CBM-M365"))
    await world.assign(1)


async def test_lic_36_overridden_seats_return_by_age(world: World) -> None:
    await world.buy()
    await world.assign(50)
    await world.assign(9, customer="c2")
    world.day(date(2026, 2, 20))
    await world.do(wishes.begin_override(world.facts(), "CBM-M365", LicenceType.ENTERPRISE))
    assert (await world.pool()).available == 91
    await world.assign(30, customer="c3")
    world.day(date(2026, 3, 2))
    await world.do(wishes.begin_override(world.facts("c3"), "CBM-M365", LicenceType.CMP))
    assert (await world.sub(customer="c3")).quantity == 30
    world.day(date(2026, 3, 22))
    await world.sweep()
    assert (await world.sub(customer="c3")).quantity == 30
    world.day(date(2026, 3, 23))
    await world.sweep()
    assert (await world.sub(customer="c3")).quantity == 0
    assert (await world.pool()).available == 91
    await world.adds_up()


async def test_lic_36_consumed_fly_never_returns(world: World) -> None:
    await world.buy("FLY-OBJECTS", 1000)
    await world.assign(1000, slot="FLY-OBJECTS")
    fly = world.place("FLY-OBJECTS")
    await world.do(wishes.note_consumption(fly, 1000))
    world.day(date(2026, 3, 1))
    await world.do(wishes.begin_override(world.facts(), "FLY-OBJECTS", LicenceType.CMP))
    assert (await world.pool()).available == 0
    assert (await world.pool()).burnt == 1000


async def test_lic_37_fly_is_prepaid_only(world: World) -> None:
    with refused("PAYMENT_OPTION_NOT_ALLOWED", "LIC-37"):
        await world.buy("FLY-OBJECTS", model=PaymentModel.PAYG)


async def test_lic_38_what_fly_consumed_stays(world: World) -> None:
    await world.buy("FLY-OBJECTS", 1000)
    await world.assign(1000, slot="FLY-OBJECTS")
    await world.do(wishes.note_consumption(world.place("FLY-OBJECTS"), 400))
    world.day(date(2026, 2, 1))
    with refused("POOL_EXHAUSTED", "LIC-38"):
        await world.do(wishes.set_quantity(world.place("FLY-OBJECTS"), 399))
    await world.do(wishes.expire(world.place("FLY-OBJECTS")))
    pool = await world.pool()
    assert (pool.available, pool.burnt, pool.assigned) == (600, 400, 0)
    await world.adds_up()


async def test_lic_39_fly_orders_are_never_merged(world: World) -> None:
    for name in ("first", "second"):
        await world.buy("FLY-AVIATOR", 10, option=PaymentOption.MONTHLY, name=name, **MARKET)
        await world.buy(quantity=30, option=PaymentOption.MONTHLY, **MARKET)
    pools = (await world.book()).pools
    assert sorted(pool.name for pool in pools.values() if pool.item == "FLY-AVIATOR") == [
        "first",
        "second",
    ]
    [merged] = [pool for pool in pools.values() if pool.item == "CBM-M365"]
    assert (merged.total, len(merged.orders)) == (60, 2)


async def test_mkt_11_one_order_of_a_merged_pool_can_end(world: World) -> None:
    await world.buy(quantity=30, order="a", option=PaymentOption.MONTHLY, **MARKET)
    await world.buy(quantity=20, order="b", option=PaymentOption.MONTHLY, **MARKET)
    await world.order("a", "cancel", end=date(2026, 6, 30))
    assert (await world.pool()).total == 50
    world.day(date(2026, 7, 1))
    await world.sweep()
    pool = await world.pool()
    assert (pool.total, pool.end, list(pool.orders)) == (20, DEC31, ["b"])
    await world.adds_up()


async def test_lic_40_seats_return_while_the_pool_lives(world: World) -> None:
    await world.buy()
    await world.assign(50, expires_on=date(2026, 3, 15))
    world.day(date(2026, 3, 16))
    await world.sweep()
    assert (await world.pool()).available == 100
