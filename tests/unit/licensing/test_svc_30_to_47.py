"""One test per row of SVC of settings and states; the catalogue's own are beside it."""

from datetime import date
from typing import Any

import pytest

from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Channel, SubscriptionType
from shared.catalogue.service import catalogue
from shared.licensing import wishes
from shared.licensing.rules import views
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Measured, Terms
from tests.unit.licensing.world import World, refused

VENDOR = {"storage": "Vendor"}


async def view(world: World, slot: str = "CBM-M365") -> dict[str, Any]:
    return views.subscription_view(await world.book(), await world.sub(slot))


async def test_svc_30_storage_where_it_is_offered(world: World) -> None:
    await world.buy("CGV")
    with refused("INVALID_INPUT", "SVC-30") as said:
        await world.assign(5, slot="CGV", settings=VENDOR)
    assert said.seen.errors[0]["pointer"] == "/settings/storage"
    offering = {
        place.service
        for place in catalogue().place_by_slot.values()
        if "storage" in catalogue_rules.part_settings(catalogue(), catalogue().part_of(place))
    }
    assert offering == {"ASM", "CBD", "CBM", "CBG", "CBI", "OPU"}


async def test_svc_31_own_storage_needs_a_profile(world: World) -> None:
    await world.buy()
    await world.buy("CBD")
    with refused("INVALID_INPUT", "SVC-31") as said:
        await world.assign(5, settings={"storage": "Own"})
    assert said.seen.errors[0]["pointer"] == "/settings/storageProfile"
    await world.assign(5, settings={"storage": "Own", "storageProfile": "main"})
    await world.assign(5, slot="CBD", settings={"storage": "Own"})
    assert (await view(world, "CBD"))["storage_configured_by_customer"]


async def test_svc_32_moving_to_own_storage_is_for_support(world: World) -> None:
    await world.buy()
    await world.assign(5, settings=VENDOR)
    own = {"storage": "Own", "storageProfile": "main"}
    with refused("STORAGE_MIGRATION_REQUIRED", "SVC-32") as said:
        await world.do(wishes.change_settings(world.place(), own))
    assert (said.seen.status, said.seen.extra["supportTicket"]) == (409, "/support/tickets")


async def test_svc_33_retention_is_bounded_by_the_purchase(world: World) -> None:
    await world.buy(entitlements={"retentionYears": 3})
    await world.buy("CBI-SEATS", entitlements={"retentionYears": 3})
    with refused("RETENTION_EXCEEDS_PURCHASE", "SVC-33") as said:
        await world.assign(5, settings={"retentionYears": 5})
    assert said.seen.status == 422
    with refused("INVALID_INPUT", "SVC-33"):
        await world.assign(5, settings={"retentionMonths": 5})
    await world.assign(5, settings={"retentionYears": 3})
    await world.assign(5, slot="CBI-SEATS", settings={"retentionMonths": 36})
    own = {"storage": "Own", "storageProfile": "x", "retentionYears": 9}
    await world.assign(5, customer="c2", settings=own)  # AMB-35


async def test_svc_34_unlimited_retention_of_dynamics(world: World) -> None:
    await world.buy("CBD")
    await world.trial("CBD", settings={"retentionUnlimited": True})
    with refused("RETENTION_EXCEEDS_PURCHASE"):
        await world.assign(5, slot="CBD", customer="c2", settings={"retentionUnlimited": True})
    await world.buy("CBM-M365")
    with refused("INVALID_INPUT", "SVC-25"):
        await world.trial("CBM-M365", settings={"retentionUnlimited": True})


async def test_svc_35_unlimited_users_are_measured(world: World) -> None:
    await world.buy(quantity=1000)
    model = {"subscriptionModel": "UnlimitedUsers"}
    with refused("INVALID_INPUT", "SVC-35") as said:
        await world.assign(900, settings=model)
    assert said.seen.errors[0]["pointer"] == "/quantity"
    await world.assign(None, settings=model, measured=Measured(protected=820))
    shown = await view(world)
    assert (shown["purchased_capacity_gb"], shown["quantity"]) == (820, 820)
    with refused("INVALID_INPUT", "SVC-35"):
        await world.do(wishes.increase(world.place(), 1))


async def test_svc_36_a_part_needs_its_pool(world: World) -> None:
    await world.buy()
    await world.assign(5)
    with refused("NO_POOL", "SVC-36") as said:
        await world.assign(5, slot="CBM-POWER", settings={"type": "PowerApps"})
    assert said.seen.status == 422


async def test_svc_37_type_and_limit(world: World) -> None:
    await world.buy("CBM-POWER")
    await world.buy("CBG-CLASSROOM-USERS")
    with refused("INVALID_INPUT", "SVC-37") as said:
        await world.assign(-1, slot="CBM-POWER", settings={"type": "PowerApps"})
    assert said.seen.errors[0]["pointer"] == "/quantity"
    with refused("INVALID_INPUT", "SVC-37") as said:
        await world.assign(5, slot="CBM-POWER")
    assert said.seen.errors[0]["pointer"] == "/settings/type"
    with refused("INVALID_INPUT", "AMB-45"):
        await world.assign(5, slot="CBG-CLASSROOM-USERS", settings={"type": "Objects"})


@pytest.mark.parametrize(
    ("slot", "module"),
    [
        ("CBG-WORKSPACE", "Google Directory"),
        ("CBI-SAAS-CAPACITY", "VMware"),
        ("TYG-ENTERPRISE", "Copilot"),
    ],
)
async def test_svc_38_to_40_settings_are_copied(world: World, slot: str, module: str) -> None:
    await world.buy(slot)
    settings = {"capacityModel": "Capacity"} if slot.startswith("CBI") else {}
    await world.assign(30, slot=slot, settings=settings)
    assert (await view(world, slot))["modules"][module] == {"quantity": 30, "settings": settings}


async def test_svc_41_salesforce_seats_are_a_running_total(world: World) -> None:
    await world.buy("CBS-BACKUP")
    await world.assign(50, slot="CBS-BACKUP", settings={"serviceType": "Basic"})
    await world.do(wishes.set_quantity(world.place("CBS-BACKUP"), 60))
    assert (await world.sub("CBS-BACKUP")).quantity == 60
    assert (await world.pool()).available == 40


async def test_svc_42_fly_needs_the_name(world: World) -> None:
    await world.buy("FLY-OBJECTS", name="one")
    await world.buy("FLY-OBJECTS", name="two")
    with refused("AMBIGUOUS_POOL", "SVC-42") as said:
        await world.assign(5, slot="FLY-OBJECTS")
    assert (said.seen.status, said.seen.errors[0]["pointer"]) == (400, "/subscriptionName")
    await world.assign(5, slot="FLY-OBJECTS", name="two")
    assert (await world.sub("FLY-OBJECTS")).pool_id == "pool2"


async def test_svc_43_backup_mode_of_azure_security(world: World) -> None:
    await world.buy("ASM-CAP-CAPACITY")
    with refused("INVALID_INPUT", "SVC-43") as said:
        await world.assign(5, slot="ASM-CAP-CAPACITY", settings={"backupMode": "GAP"})
    assert said.seen.status == 400
    await world.assign(5, slot="ASM-CAP-CAPACITY", settings={"backupMode": "CAP"})
    assert (await world.sub("ASM-CAP-CAPACITY")).settings == {"backupMode": "CapGateway"}


async def test_svc_44_tenants_are_edited_apart(world: World) -> None:
    await world.buy()
    await world.buy(channel=Channel.OFF_MARKETPLACE)
    await world.assign(10, tenant="t1")
    with refused("SOURCE_ALREADY_ASSIGNED", "LIC-22"):
        await world.assign(10, tenant="t2", source="OffMarketplace")
    await world.assign(10, tenant="t2")
    await world.do(wishes.increase(world.place(tenant="t1"), 5))
    assert (await world.sub(tenant="t1")).quantity == 15
    assert (await world.sub(tenant="t2")).quantity == 10
    await world.adds_up()


async def test_svc_45_only_the_flex_plan_is_sold(world: World) -> None:
    with refused("PLAN_NOT_SELLABLE", "SVC-45") as said:
        await world.assign(None, slot="VDC", settings={"plan": "Express"})
    assert said.seen.status == 422
    await world.assign(None, slot="VDC", settings={"plan": "Flex", "licenceModel": "Variable"})
    assert (await world.sub("VDC")).settings["plan"] == "Flex"
    await world.adds_up()


async def test_svc_47_every_state_can_be_told_apart(world: World) -> None:
    await world.buy()
    await world.buy("POL")
    await world.assign(5)
    await world.assign(5, slot="POL", expires_on=date(2026, 2, 1))
    await world.trial("CEN")
    await world.do(wishes.set_add_on(world.facts(), world.standing, "CMC", enabled=False))
    world.day(date(2026, 1, 20))
    await world.trial("CGV")
    world.day(date(2026, 2, 2))
    await world.sweep()
    states = {line["slot"]: line["state"] for line in views.services(await world.book(), "c1")}
    assert states == {
        "CBM-M365": "Active",
        "POL": "Expired",
        "CEN": "Expired",
        "CGV": "Trial",
        "RSK": "Enabled",
        "CMC": "Disabled",
    }
    await world.do(wishes.set_hidden(world.facts(), hidden=True))
    shown = {line["slot"] for line in views.services(await world.book(), "c1")}
    assert shown == {"CBM-M365", "CGV", "RSK", "CMC"}
    await world.do(wishes.set_hidden(world.facts(), hidden=False))
    assert len(views.services(await world.book(), "c1")) == 6


async def test_bad_input_every_wrong_field_names_itself(world: World) -> None:
    terms = Terms(source="x", quantity=1, expires_on=date(2026, 3, 1), settings={"storage": "?"})
    wish = wishes.assign_seats(
        world.facts(), world.standing, Assign("CBM-M365", SubscriptionType.TRIAL, terms)
    )
    with refused("INVALID_INPUT") as said:
        await world.do(wish)
    assert [error["pointer"] for error in said.seen.errors] == [
        "/source",
        "/quantity",
        "/expiresOn",
        "/settings/storage",
    ]
    await world.buy()
    bad = {"storage": "Cloud", "retentionYears": 0, "colour": "red", "package": "Standard"}
    with refused("INVALID_INPUT") as said:
        await world.assign(5, settings=bad)
    assert {error["pointer"] for error in said.seen.errors} == {
        "/settings/storage",
        "/settings/retentionYears",
        "/settings/colour",
    }
    assert not (await world.book()).subs


async def test_gap_18_one_trial_per_service(world: World) -> None:
    await world.trial()
    world.day(date(2026, 1, 31))
    await world.sweep()
    assert (await world.sub()).state == "Expired"
    with refused("TRIAL_USED", "GAP-18"):
        await world.trial()


async def test_amb_18_legacy_services_are_not_selectable(world: World) -> None:
    with refused("TYPE_NOT_OFFERED", "AMB-18"):
        await world.assign(5, slot="CAR")
