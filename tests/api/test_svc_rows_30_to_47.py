"""Rows of SVC through the API, by their ids: settings, parts, plans, tenants and states."""

from datetime import date
from typing import Any

import pytest

from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of

TENANT = "44444444-2222-3333-4444-555555555555"


async def edit(shop: Shop, settings: dict[str, Any], its_id: str = SLOT) -> Any:
    path = f"/api/v1/customers/{shop.customer}/subscriptions/{its_id}"
    sent = {**shop.headers, "If-Match": "*"}
    return await shop.api.patch(path, json={"settings": settings}, headers=sent)


def wrong(problem: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in problem["errors"]]


async def test_svc_30_storage_where_it_is_offered(shop: Shop) -> None:
    await shop.buy("CGV")
    answer = await shop.assign(5, slot="CGV", settings={"storage": "Vendor"})
    problem = check_problem(answer, 400, "INVALID_INPUT")
    assert wrong(problem) == ["#/settings/storage"]


async def test_svc_31_own_storage_needs_a_profile(shop: Shop) -> None:
    await shop.buy()
    await shop.buy("CBD")
    own = {"storage": "Own"}
    problem = check_problem(await shop.assign(5, settings=own), 400, "INVALID_INPUT")
    assert wrong(problem) == ["#/settings/storageProfile"]
    sub = await shop.assigned(5, slot="CBD", settings=own)
    assert sub["storageConfiguredByCustomer"] is True
    await shop.assigned(5, settings={**own, "storageProfile": "main"})


async def test_svc_32_moving_to_own_storage_is_for_support(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(5, settings={"storage": "Vendor"})
    answer = await edit(shop, {"storage": "Own", "storageProfile": "main"})
    problem = check_problem(answer, 409, "STORAGE_MIGRATION_REQUIRED")
    assert problem["supportTicket"] == "/support/tickets"
    assert (await shop.sub())["settings"] == {"storage": "Vendor"}


async def test_svc_33_retention_is_bounded_by_the_purchase(shop: Shop) -> None:
    bought = {"entitlements": {"retentionYears": 3}}
    await shop.buy(**bought)
    await shop.buy("CBI-SEATS", **bought)
    answer = await shop.assign(5, settings={"retentionYears": 5})
    problem = check_problem(answer, 422, "RETENTION_EXCEEDS_PURCHASE")
    assert wrong(problem) == ["#/settings/retentionYears"]
    answer = await shop.assign(5, settings={"retentionMonths": 5})
    check_problem(answer, 400, "INVALID_INPUT")
    await shop.assigned(5, settings={"retentionYears": 3})
    await shop.assigned(5, slot="CBI-SEATS", settings={"retentionMonths": 36})


async def test_svc_34_unlimited_retention_of_dynamics(shop: Shop) -> None:
    await shop.buy("CBD")
    unlimited = {"retentionUnlimited": True}
    await shop.assigned(None, slot="CBD", type="Trial", settings=unlimited)
    shop.customer = await shop.add_customer()
    answer = await shop.assign(5, slot="CBD", settings=unlimited)
    check_problem(answer, 422, "RETENTION_EXCEEDS_PURCHASE")


async def test_svc_35_unlimited_users_are_measured(shop: Shop) -> None:
    await shop.buy(quantity=1000)
    model = {"subscriptionModel": "UnlimitedUsers"}
    problem = check_problem(await shop.assign(900, settings=model), 400, "INVALID_INPUT")
    assert (problem["rule"], wrong(problem)) == ("SVC-35", ["#/quantity"])
    await shop.assigned(None, settings=model)
    assert (await shop.intervene("noteProtected", protected=820)).status_code == 200
    sub = await shop.sub()
    assert (sub["purchasedCapacityGb"], sub["protectedCapacityGb"]) == (820, 820)


async def test_svc_36_a_part_needs_its_pool(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(5)
    answer = await shop.assign(5, slot="CBM-POWER", settings={"type": "PowerApps"})
    assert check_problem(answer, 422, "NO_POOL")["rule"] == "SVC-36"


async def test_svc_37_type_and_limit(shop: Shop) -> None:
    await shop.buy("CBM-POWER")
    await shop.buy("CBG-CLASSROOM-USERS")
    for quantity, settings, pointer in (
        (-1, {"type": "PowerApps"}, "#/quantity"),
        (5, {}, "#/settings/type"),
    ):
        answer = await shop.assign(quantity, slot="CBM-POWER", settings=settings)
        assert wrong(check_problem(answer, 400, "INVALID_INPUT")) == [pointer]
    answer = await shop.assign(5, slot="CBG-CLASSROOM-USERS", settings={"type": "Objects"})
    assert wrong(check_problem(answer, 400, "INVALID_INPUT")) == ["#/settings/type"]


@pytest.mark.parametrize(
    ("slot", "module", "settings"),
    [
        ("CBG-WORKSPACE", "Google Directory", {}),
        ("CBI-SAAS-CAPACITY", "VMware", {"capacityModel": "Capacity"}),
        ("TYG-ENTERPRISE", "Copilot", {}),
    ],
)
async def test_svc_38_to_40_one_module_s_settings_are_the_others(
    shop: Shop, slot: str, module: str, settings: dict[str, str]
) -> None:
    await shop.buy(slot)
    sub = await shop.assigned(30, slot=slot, settings=settings)
    assert sub["modules"][module] == {"quantity": 30, "settings": settings}


async def test_svc_41_salesforce_seats_are_a_running_total(shop: Shop) -> None:
    pool = await shop.buy("CBS-BACKUP")
    await shop.assigned(50, slot="CBS-BACKUP", settings={"serviceType": "Basic"})
    answer = await shop.verb("setQuantity", {"quantity": 60}, "CBS-BACKUP")
    assert answer.json()["subscription"]["quantity"] == 60
    assert (await shop.pool(pool))["available"] == 40


async def test_svc_42_fly_needs_the_name(shop: Shop) -> None:
    await shop.buy("FLY-OBJECTS", name="one")
    second = await shop.buy("FLY-OBJECTS", name="two")
    answer = await shop.assign(5, slot="FLY-OBJECTS")
    problem = check_problem(answer, 400, "AMBIGUOUS_POOL")
    assert (problem["rule"], wrong(problem)) == ("SVC-42", ["#/subscriptionName"])
    sub = await shop.assigned(5, slot="FLY-OBJECTS", subscriptionName="two")
    assert sub["poolId"] == second


async def test_svc_43_backup_mode_of_azure_security(shop: Shop) -> None:
    slot = "ASM-CAP-CAPACITY"
    await shop.buy(slot)
    answer = await shop.assign(5, slot=slot, settings={"backupMode": "GAP"})
    assert wrong(check_problem(answer, 400, "INVALID_INPUT")) == ["#/settings/backupMode"]
    sub = await shop.assigned(5, slot=slot, settings={"backupMode": "CAP"})
    assert sub["settings"] == {"backupMode": "CapGateway"}


async def test_svc_44_tenants_are_edited_apart(shop: Shop) -> None:
    await shop.buy()
    for tenant in ("t1", "t2"):
        await shop.assigned(10, tenantId=tenant)
    assert code_of(await shop.verb("increase", {"quantity": 5}, f"{SLOT}~t1")) == ""
    held = [(await shop.sub(f"{SLOT}~{tenant}"))["quantity"] for tenant in ("t1", "t2")]
    assert held == [15, 10]


async def test_svc_45_only_the_flex_plan_is_sold_and_others_are_shown(shop: Shop) -> None:
    path = f"/customers/{shop.customer}/subscriptions"
    for plan in ("Express", "Premium"):
        answer = await shop.post(path, {"slot": "VDC", "settings": {"plan": plan}})
        problem = check_problem(answer, 422, "PLAN_NOT_SELLABLE")
        assert (problem["rule"], wrong(problem)) == ("SVC-45", ["#/settings/plan"])
    body = {"slot": "VDC", "settings": {"plan": "Flex", "licenceModel": "Variable"}}
    assert code_of(await shop.post(path, body)) == ""
    # A customer from another channel: its plan is there to be read, and stays when others change.
    shop.customer = await shop.add_customer()
    change = {"verb": "recordPlan", "slot": "VDC", "settings": {"plan": "Premium"}}
    sent = {"partnerId": shop.partner_id, "customerId": shop.customer, "change": change}
    refused = await shop.api.post("/api/v1/licence-interventions", json=sent, headers=shop.headers)
    check_problem(refused, 403, "PERMISSION_MISSING")
    answer = await shop.operate("/licence-interventions", sent)
    assert answer.status_code == 200, answer.text
    assert (await shop.sub("VDC"))["settings"] == {"plan": "Premium"}
    assert (await edit(shop, {"storageRegion": "westeurope"}, "VDC")).status_code == 200
    assert (await shop.sub("VDC"))["settings"]["plan"] == "Premium"
    check_problem(await edit(shop, {"plan": "Express"}, "VDC"), 422, "PLAN_NOT_SELLABLE")
    await shop.adds_up()


async def test_svc_46_a_service_fits_its_tenant(shop: Shop) -> None:
    path = f"/customers/{shop.customer}/services"
    check_problem(await shop.post(f"{path}/CBM:authenticate", {}), 409, "CUSTOMER_NOT_CONNECTED")
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    path = f"/customers/{shop.customer}/services"
    problem = check_problem(
        await shop.post(f"{path}/CBS:authenticate", {}), 422, "TENANT_TYPE_MISMATCH"
    )
    assert problem["rule"] == "SVC-46"
    answer = await shop.post(f"{path}/CBM:authenticate", {})
    assert answer.status_code == 201, answer.text
    assert TENANT in answer.json()["link"]
    google = {"method": "googleServiceAccount"}
    check_problem(await shop.post(f"{path}/CBM:authenticate", google), 422, "METHOD_NOT_ALLOWED")
    check_problem(await shop.post(f"{path}/NONE:authenticate", {}), 404, "SERVICE_UNKNOWN")


async def test_svc_47_every_state_can_be_told_apart(shop: Shop) -> None:
    await shop.buy()
    await shop.buy("POL")
    await shop.assigned(5)
    await shop.assigned(5, slot="POL", expiresOn="2026-02-01")
    await shop.post(f"/customers/{shop.customer}/add-ons/CMC:disable")
    shop.day(date(2026, 1, 20))
    await shop.assigned(None, slot="CGV", type="Trial")
    shop.day(date(2026, 2, 2))
    path = f"/customers/{shop.customer}/services"
    states = {each["slot"]: each["state"] for each in (await shop.get(path))["value"]}
    assert states == {
        SLOT: "Active", "POL": "Expired", "CGV": "Trial", "RSK": "Enabled", "CMC": "Disabled",
    }  # fmt: skip
    await shop.post(f"{path}:hideExpired")
    assert "POL" not in {each["slot"] for each in (await shop.get(path))["value"]}
