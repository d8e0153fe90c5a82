"""One test per row, LIC 41 to 59, named by its id: on the level of rules and service."""

from datetime import date

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing import reading, wishes
from shared.licensing.model import Mode, PaymentOption, Standing
from shared.licensing.rules import adjusting, dates, views
from shared.licensing.rules.adjusting import Need
from shared.licensing.rules.offers import Measured, Terms
from shared.licensing.rules.views import TenantUser
from shared.licensing.service import adjust
from tests.unit.licensing.world import World, refused

MARKET = {"channel": Channel.MARKETPLACE, "source": "CloudBlue"}
JAN1, DEC31 = date(2026, 1, 1), date(2026, 12, 31)


async def test_lic_41_automatic_is_the_default(world: World) -> None:
    await world.buy()
    await world.assign(5)
    assert (await world.sub()).mode is Mode.AUTO


async def test_lic_42_manual_stays_as_entered(world: World) -> None:
    await world.buy()
    with refused("INVALID_INPUT", "LIC-42"):
        await world.assign(None, mode=Mode.MANUAL)
    await world.assign(30, mode=Mode.MANUAL)
    await adjust(world.ledgers, world.scope, [Need("sub~c1~CBM-M365", 40)], approved=10**9)
    sub = await world.sub()
    assert (sub.quantity, views.usage(sub, 40)) == (30, "40/30")


async def test_lic_43_automatic_follows_the_licences(world: World) -> None:
    await world.buy()
    await world.assign(None, measured=Measured(assigned_licences=30))
    await adjust(world.ledgers, world.scope, [Need("sub~c1~CBM-M365", 34)])
    assert (await world.sub()).quantity == 34
    await world.buy("FLY-OBJECTS")
    with refused("AUTO_NOT_SUPPORTED", "LIC-43") as said:
        await world.assign(5, slot="FLY-OBJECTS", mode=Mode.AUTO)
    assert said.seen.status == 422
    await world.assign(5, slot="FLY-OBJECTS")
    with refused("AUTO_NOT_SUPPORTED", "LIC-43"):
        await world.do(wishes.set_mode(world.place("FLY-OBJECTS"), Mode.AUTO))


async def test_lic_44_a_decrease_in_the_lock_waits(world: World) -> None:
    await world.buy()
    await world.assign(30)
    world.day(date(2026, 1, 11))
    for _ in range(2):
        await adjust(world.ledgers, world.scope, [Need("sub~c1~CBM-M365", 25)])
    sub = await world.sub()
    assert (sub.quantity, sub.pending_decrease) == (30, 25)
    world.day(date(2026, 1, 31))
    assert not (await world.sweep()).events
    world.day(date(2026, 2, 1))
    await world.sweep()
    sub = await world.sub()
    assert (sub.quantity, sub.pending_decrease) == (25, None)
    await world.adds_up()


async def test_lic_45_an_increase_takes_what_there_is(world: World) -> None:
    await world.buy(quantity=34)
    await world.assign(30)
    done = await adjust(world.ledgers, world.scope, [Need("sub~c1~CBM-M365", 40)])
    sub = await world.sub()
    assert (sub.quantity, sub.shortfall) == (34, 6)
    assert done.notices[0]["kind"] == "shortfall"
    await world.order("order1", "quantity", quantity=50)
    await adjust(world.ledgers, world.scope, [Need("sub~c1~CBM-M365", 40)])
    sub = await world.sub()
    assert (sub.quantity, sub.shortfall) == (40, 0)


async def test_lic_46_users_are_counted_not_products(world: World) -> None:
    users = [
        TenantUser(str(n), frozenset({"SPE_E3"} if n < 7 else {"FLOW_FREE"})) for n in range(10)
    ]
    users[0] = TenantUser("0", frozenset({"SPE_E3", "EXCHANGESTANDARD"}))
    assert views.counted_licences(world.ledgers.catalogue, users, "Microsoft365") == 7


async def test_lic_47_a_cancelled_order_cuts_expiries(world: World) -> None:
    await world.buy(order="o1")
    await world.assign(5)
    await world.assign(5, customer="c2", expires_on=date(2026, 4, 1))
    done = await world.order("o1", "cancel", end=date(2026, 1, 20))
    assert done.notices[0]["kind"] == "orderCancelled"
    pool = await world.pool()
    for customer in ("c1", "c2"):
        assert dates.expires_on(await world.sub(customer=customer), pool) == date(2026, 1, 20)
    again = await world.order("o1", "cancel", end=date(2026, 1, 20))
    assert not again.events


async def test_lic_48_the_source_is_visible(world: World) -> None:
    await world.buy()
    await world.buy("POL", option=PaymentOption.MONTHLY, **MARKET)
    await world.assign(5)
    await world.assign(5, slot="POL", source="CloudBlue")
    book = await world.book()
    shown = {s.slot: views.subscription_view(book, s)["source"] for s in book.subs.values()}
    assert shown == {"CBM-M365": "Direct", "POL": "CloudBlue"}


async def test_lic_49_modifications_are_kept(world: World) -> None:
    await world.buy()
    await world.assign(50)
    await world.do(wishes.increase(world.place(), 10))
    world.day(date(2026, 3, 1))
    await world.do(wishes.expire(world.place()))
    entries = await reading.history(world.ledgers, world.scope, "c1", key="sub~c1~CBM-M365")
    assert [entry.action for entry in entries] == ["Assigned", "Increased", "Expired"]
    seen = [(entry.before.get("quantity"), entry.after.get("quantity")) for entry in entries]
    assert seen == [(None, 50), (50, 60), (60, 0)]
    assert {entry.actor for entry in entries} == {"tester"}


async def test_lic_50_a_trial_takes_nothing(world: World) -> None:
    await world.buy()
    before = await world.pool()
    await world.trial()
    assert await world.pool() == before
    assert (await world.sub()).state == "Trial"


async def test_lic_51_usable_until_the_end_of_the_day(world: World) -> None:
    await world.buy()
    await world.assign(5, expires_on=date(2026, 2, 10))
    world.day(date(2026, 2, 10))
    await world.sweep()
    assert (await world.sub()).state == "Active"
    world.day(date(2026, 2, 11))
    await world.sweep()
    sub = await world.sub()
    assert (sub.state, sub.ended_on) == ("Expired", date(2026, 2, 10))
    assert (await world.book()).guards["c1"].add_ons == {"RSK": "Expired", "CMC": "Expired"}


def test_lic_52_providers_edit_policies_under_the_variable_model() -> None:
    assert views.policy_editing_allowed("Variable")
    assert not views.policy_editing_allowed("Fixed")


async def test_lic_52_the_model_is_what_the_customer_has(world: World) -> None:
    assert views.licence_model(await world.book(), "c1") == "Variable"
    settings = {"plan": "Flex", "licenceModel": "Fixed"}
    await world.assign(None, slot="VDC", settings=settings)
    assert views.licence_model(await world.book(), "c1") == "Fixed"


def test_lic_53_licences_in_use_are_protected_users() -> None:
    users = {f"u{n}": True for n in range(14)} | {"shared": False}
    assert views.licences_in_use(users) == 14


def test_lic_54_change_over_the_month() -> None:
    assert views.licence_change(100, 112) == 12


async def test_lic_55_suspended_licence_management(world: World) -> None:
    await world.buy()
    await world.assign(5)
    world.standing = Standing(licence_management_suspended=True)
    place = world.place()
    for wish in (wishes.increase(place, 1), wishes.expire(place), wishes.set_quantity(place, 9)):
        with refused("LICENSE_MANAGEMENT_SUSPENDED", "LIC-55"):
            await world.do(wish)
    with refused("LICENSE_MANAGEMENT_SUSPENDED", "LIC-55"):
        await world.assign(1, customer="c2")
    world.day(date(2027, 1, 1))
    assert (await world.sweep()).events


async def test_lic_57_a_converted_trial_is_a_first_assignment(world: World) -> None:
    await world.buy()
    await world.trial()
    world.day(date(2026, 1, 20))
    await world.do(wishes.convert_trial(world.place(), Terms(source="Direct", quantity=10)))
    sub = await world.sub()
    assert (sub.assigned_on, dates.commitment_ends(sub)) == (date(2026, 1, 20), date(2026, 2, 20))
    assert (await world.pool()).available == 90
    with refused("NOT_A_TRIAL"):
        await world.do(wishes.convert_trial(world.place(), Terms(source="Direct", quantity=10)))


async def test_lic_58_say_which_pool(world: World) -> None:
    await world.buy(model=PaymentModel.PAYG)
    await world.buy(channel=Channel.OFF_MARKETPLACE)
    await world.buy()
    with refused("AMBIGUOUS_POOL", "LIC-58") as said:
        await world.assign(1, source=None)
    assert (said.seen.status, said.seen.errors[0]["pointer"]) == (400, "/source")
    with refused("AMBIGUOUS_POOL", "LIC-58") as said:
        await world.assign(1)
    assert said.seen.errors[0]["pointer"] == "/paymentType"
    await world.assign(1, payment_model=PaymentModel.PAYG)
    await world.assign(1, source="OffMarketplace", customer="c2")


async def test_lic_59_the_commitment_runs_across_renewals(world: World) -> None:
    feb = {"start": date(2026, 2, 1), "end": date(2026, 2, 28), "option": PaymentOption.MONTHLY}
    await world.buy(order="o1", **feb, **MARKET)
    await world.buy("POL", order="o2", **feb, **MARKET)
    world.day(date(2026, 2, 10))
    await world.assign(5, source="CloudBlue")
    await world.assign(5, slot="POL", source="CloudBlue")
    world.day(date(2026, 2, 28))
    await world.order("o1", "renew", end=date(2026, 3, 31))
    world.day(date(2026, 3, 12))
    await world.sweep()
    assert (await world.sub("POL")).state == "Expired"
    assert (await world.sub("POL")).ended_on == date(2026, 2, 28)
    with refused("LIC_MIN_TERM", "LIC-17", first=date(2026, 3, 13)):
        await world.do(wishes.reduce(world.place(), 1))
    world.day(date(2026, 3, 13))
    await world.do(wishes.reduce(world.place(), 1))


async def test_beyond_8_automation_stops_at_a_tenth_of_the_seats(world: World) -> None:
    await world.buy(quantity=1000)
    await world.assign(200)
    key = "sub~c1~CBM-M365"
    with refused("MASS_CHANGE_STOPPED", "beyond 8"):
        await adjust(world.ledgers, world.scope, [Need(key, 221)])
    await adjust(world.ledgers, world.scope, [Need(key, 215)])
    with refused("MASS_CHANGE_STOPPED"):  # the day's sum counts
        await adjust(world.ledgers, world.scope, [Need(key, 230)])
    await adjust(world.ledgers, world.scope, [Need(key, 230)], approved=10**9)
    assert (await world.sub()).quantity == 230


async def test_beyond_8_a_failed_reading_changes_nothing(world: World) -> None:
    await world.buy()
    await world.assign(50)
    before = await world.book()
    done = await adjust(world.ledgers, world.scope, [Need("sub~c1~CBM-M365", None)])
    assert not done.events
    assert await world.book() == before
    assert adjusting.MASS_CHANGE_SHARE == 0.10
