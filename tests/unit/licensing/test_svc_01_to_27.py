"""One test per row of SVC that licensing decides; the catalogue's own are beside it."""

from datetime import date
from typing import Any

import pytest

from shared.catalogue.model import PaymentModel, SubscriptionType
from shared.catalogue.service import catalogue
from shared.licensing import wishes
from shared.licensing.rules import dates, views
from shared.licensing.rules.adjusting import Need
from shared.licensing.rules.offers import Measured, Terms
from shared.licensing.service import adjust
from tests.unit.licensing.world import World, refused

VENDOR = {"storage": "Vendor"}


async def view(world: World, slot: str = "CBM-M365") -> dict[str, Any]:
    return views.subscription_view(await world.book(), await world.sub(slot))


async def add_ons(world: World) -> dict[str, str]:
    return dict((await world.book()).guard("c1").add_ons)


@pytest.mark.parametrize("code", ["WSM", "WSO", "BSL", "UDM", "ASM-SAAS-CAPACITY"])
async def test_svc_02_no_premium_under_customer_management(world: World, code: str) -> None:
    await world.buy(code)
    world.mode = "Customer"
    with refused("PREMIUM_NOT_AVAILABLE", "SVC-02"):
        await world.assign(1, slot=code)
    world.mode = "Partner"
    await world.assign(1, slot=code)


async def test_svc_03_add_ons_are_free(world: World) -> None:
    await world.buy()
    await world.assign(5)
    before = (await world.book()).pools
    await world.do(wishes.set_add_on(world.facts(), world.standing, "RSK", enabled=False))
    await world.do(wishes.set_add_on(world.facts(), world.standing, "RSK", enabled=True))
    assert (await world.book()).pools == before


async def test_svc_04_an_add_on_goes_with_the_last_prerequisite(world: World) -> None:
    await world.buy("BSL")
    await world.buy()
    await world.assign(5, slot="BSL", expires_on=date(2026, 2, 10))
    await world.assign(5, expires_on=date(2026, 2, 20))
    world.day(date(2026, 2, 11))
    await world.sweep()
    assert (await add_ons(world))["RSK"] == "Enabled"
    world.day(date(2026, 2, 21))
    await world.sweep()
    assert (await add_ons(world))["RSK"] == "Expired"


async def test_svc_05_add_ons_are_on_until_switched_off(world: World) -> None:
    await world.buy()
    await world.buy("BSL")
    await world.assign(5)
    assert await add_ons(world) == {"RSK": "Enabled", "CMC": "Enabled"}
    await world.do(wishes.set_add_on(world.facts(), world.standing, "RSK", enabled=False))
    await world.assign(5, slot="BSL")
    assert await add_ons(world) == {"RSK": "Disabled", "CMC": "Enabled"}


async def test_svc_06_no_add_ons_under_customer_management(world: World) -> None:
    await world.buy()
    await world.assign(5)
    world.mode = "Customer"
    await world.do(wishes.change_management(world.facts()))
    assert await add_ons(world) == {"RSK": "Expired", "CMC": "Expired"}
    with refused("PREMIUM_NOT_AVAILABLE", "SVC-06"):
        await world.do(wishes.set_add_on(world.facts(), world.standing, "RSK", enabled=True))


async def test_svc_07_risk_management_needs_one_of_three(world: World) -> None:
    await world.buy("INS-M365")
    await world.assign(5, slot="INS-M365")
    with refused("PREREQUISITE_MISSING", "SVC-07"):
        await world.do(wishes.set_add_on(world.facts(), world.standing, "RSK", enabled=True))
    with refused("TYPE_NOT_OFFERED"):
        await world.do(wishes.set_add_on(world.facts(), world.standing, "CBM", enabled=True))


async def test_svc_08_any_service_carries_change_communication(world: World) -> None:
    with refused("PREREQUISITE_MISSING", "SVC-08"):
        await world.do(wishes.set_add_on(world.facts(), world.standing, "CMC", enabled=True))
    await world.buy("CEN")
    await world.assign(5, slot="CEN")
    await world.do(wishes.set_add_on(world.facts(), world.standing, "CMC", enabled=True))
    assert (await add_ons(world))["CMC"] == "Enabled"


@pytest.mark.parametrize("slot", ["CBX", "CBE"])
async def test_svc_09_and_10_trial_only(world: World, slot: str) -> None:
    with refused("TRIAL_ONLY", "SVC-09") as said:
        await world.assign(5, slot=slot)
    assert said.seen.status == 422
    await world.trial(slot)


async def test_svc_11_cloud_management_has_six_modules(world: World) -> None:
    await world.buy("CMG")
    await world.assign(5, slot="CMG")
    assert len((await view(world, "CMG"))["modules"]) == 6


async def test_svc_12_a_docave_trial_has_every_module(world: World) -> None:
    await world.trial("DAO")
    assert set((await view(world, "DAO"))["modules"]) == {
        "Granular Backup & Restore",
        "Exchange Online Backup & Restore",
    }
    with refused("NO_POOL", "AMB-18"):
        await world.assign(5, slot="DAO", customer="c2")


async def test_svc_13_user_and_device_management_has_both(world: World) -> None:
    await world.buy("UDM")
    await world.assign(5, slot="UDM")
    assert set((await view(world, "UDM"))["modules"]) == {"User management", "Device management"}


def test_svc_20_only_two_types() -> None:
    with pytest.raises(ValueError, match="Lease"):
        SubscriptionType("Lease")


async def test_svc_21_source_belongs_to_subscriptions(world: World) -> None:
    await world.buy()
    with refused("INVALID_INPUT", "SVC-21") as said:
        await world.trial(source="Direct")
    assert said.seen.errors[0]["pointer"] == "/source"
    with refused("INVALID_INPUT", "SVC-21") as said:
        await world.assign(5, source=None)
    assert (said.seen.status, said.seen.errors[0]["pointer"]) == (400, "/source")


async def test_svc_22_the_payment_type_fits_the_customer(world: World) -> None:
    await world.buy()
    await world.buy("POL", model=PaymentModel.PAYG)
    await world.assign(5)
    with refused("PAYMENT_MODEL_CONFLICT", "LIC-24") as said:
        await world.assign(5, slot="POL", payment_model=PaymentModel.PAYG)
    assert said.seen.errors[0]["pointer"] == "/paymentType"


async def test_svc_23_same_as_pool_without_a_choice(world: World) -> None:
    await world.buy()
    await world.assign(5)
    assert dates.expires_on(await world.sub(), await world.pool()) == date(2026, 12, 31)


async def test_svc_24_the_contract_end_has_no_effect(world: World) -> None:
    await world.buy()
    await world.assign(5, contract_end=date(2026, 6, 30))
    sub = await world.sub()
    assert sub.contract_end == date(2026, 6, 30)
    assert dates.expires_on(sub, await world.pool()) == date(2026, 12, 31)
    await world.do(wishes.change_settings(world.place(), contract_end=date(2026, 7, 1)))
    assert (await world.sub()).contract_end == date(2026, 7, 1)


async def test_svc_25_a_trial_has_nothing_to_configure(world: World) -> None:
    await world.buy()
    await world.trial()
    for wish in (
        wishes.set_quantity(world.place(), 9),
        wishes.change_settings(world.place(), VENDOR),
    ):
        with refused("TRIAL_NOT_CONFIGURABLE", "SVC-25"):
            await world.do(wish)
    await world.do(wishes.convert_trial(world.place(), Terms(source="Direct", quantity=5)))
    await world.do(wishes.set_quantity(world.place(), 9))


async def test_svc_26_seats_follow_assigned_licences(world: World) -> None:
    await world.buy(quantity=200)
    await world.assign(None, measured=Measured(assigned_licences=0))
    assert (await world.sub()).quantity == 1
    await world.assign(None, customer="c2", measured=Measured(assigned_licences=57))
    assert (await world.sub(customer="c2")).quantity == 57
    await world.assign(40, customer="c3")
    for read, has in ((0, 40), (57, 57)):
        await adjust(world.ledgers, world.scope, [Need("sub~c3~CBM-M365", read)], approved=10**9)
        assert (await world.sub(customer="c3")).quantity == has


def test_svc_27_available_and_assigned_with_details() -> None:
    lines = views.licence_details(catalogue(), {"SPE_E3": 100}, {"SPE_E3": 57, "FLOW_FREE": 3})
    assert lines == [
        {"product": "FLOW_FREE", "available": 0, "assigned": 3, "counts": False},
        {"product": "SPE_E3", "available": 100, "assigned": 57, "counts": True},
    ]
