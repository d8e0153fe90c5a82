"""Rows of SVC through the API, by their ids: the catalogue, add-ons, types and seats."""

from datetime import date
from typing import Any

import pytest

from shared.customers import connecting, licences
from shared.customers.tenant_licences import TenantLicences, TenantUnreadable
from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of

TENANT = "44444444-2222-3333-4444-555555555555"


async def add_ons(shop: Shop) -> dict[str, str]:
    found = (await shop.get(f"/customers/{shop.customer}/add-ons"))["value"]
    return {each["code"]: each["state"] for each in found}


async def set_add_on(shop: Shop, code: str, verb: str) -> Any:
    return await shop.post(f"/customers/{shop.customer}/add-ons/{code}:{verb}")


async def test_svc_01_every_service_with_group_parts_and_flags(shop: Shop) -> None:
    found = await shop.get("/catalogue")
    services = {each["code"]: each for each in found["services"]}
    assert len(services) == 28 + 1  # 4.1, Cloud Archiving and Veeam's among them
    groups = {each["code"] for each in found["groups"]}
    assert {each["group"] for each in services.values()} <= groups
    assert {part["code"] for part in services["CBM"]["parts"]} >= {"microsoft365", "powerPlatform"}
    assert services["RSK"]["addOn"] is True
    assert services["CIN"]["legacy"] is True
    direct = [item for item in found["poolItems"] if "Direct" in item["channels"]]
    market = [item for item in found["poolItems"] if "Marketplace" in item["channels"]]
    assert (len(direct), len(market)) == (34, 14)  # Insights has two items, listed as one


@pytest.mark.parametrize("slot", ["WSM", "WSO", "BSL", "UDM", "ASM-SAAS-CAPACITY"])
async def test_svc_02_no_premium_under_customer_management(shop: Shop, slot: str) -> None:
    await shop.buy(slot)
    shop.customer = await shop.add_customer(management_mode="Customer")
    told = await shop.preview("assign", slot=slot, source="Direct", quantity=1)
    assert (told["refusal"]["code"], told["refusal"]["status"], told["refusal"]["rule"]) == (
        "PREMIUM_NOT_AVAILABLE", 422, "SVC-02",
    )  # fmt: skip
    check_problem(await shop.assign(1, slot=slot), 422, "PREMIUM_NOT_AVAILABLE")


async def test_svc_03_add_ons_take_nothing_from_a_pool(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(5)
    before = await shop.pool(pool)
    assert code_of(await set_add_on(shop, "RSK", "disable")) == ""
    assert code_of(await set_add_on(shop, "RSK", "enable")) == ""
    assert await shop.pool(pool) == before


async def test_svc_04_an_add_on_goes_with_its_last_prerequisite(shop: Shop) -> None:
    await shop.buy("BSL")
    await shop.buy()
    await shop.assigned(5, slot="BSL", expiresOn="2026-02-10")
    await shop.assigned(5, expiresOn="2026-02-20")
    for day, state in ((date(2026, 2, 11), "Enabled"), (date(2026, 2, 21), "Expired")):
        shop.day(day)
        await shop.sweep()
        assert (await add_ons(shop))["RSK"] == state


async def test_svc_05_on_once_available_and_off_until_switched_on(shop: Shop) -> None:
    await shop.buy()
    await shop.buy("BSL")
    await shop.assigned(5)
    assert await add_ons(shop) == {"RSK": "Enabled", "CMC": "Enabled"}
    await set_add_on(shop, "RSK", "disable")
    await shop.assigned(5, slot="BSL")
    assert await add_ons(shop) == {"RSK": "Disabled", "CMC": "Enabled"}


async def test_svc_06_no_add_ons_under_customer_management(shop: Shop) -> None:
    await shop.buy("POL")
    shop.customer = await shop.add_customer(management_mode="Customer")
    await shop.assigned(5, slot="POL")
    assert await add_ons(shop) == {}
    problem = check_problem(await set_add_on(shop, "CMC", "enable"), 422, "PREMIUM_NOT_AVAILABLE")
    assert problem["rule"] == "SVC-06"


async def test_svc_07_risk_management_needs_one_of_three(shop: Shop) -> None:
    await shop.buy("INS-M365")
    await shop.assigned(5, slot="INS-M365")
    problem = check_problem(await set_add_on(shop, "RSK", "enable"), 422, "PREREQUISITE_MISSING")
    assert problem["rule"] == "SVC-07"


async def test_svc_08_any_service_carries_change_communication(shop: Shop) -> None:
    problem = check_problem(await set_add_on(shop, "CMC", "enable"), 422, "PREREQUISITE_MISSING")
    assert problem["rule"] == "SVC-08"
    await shop.buy("CEN")
    await shop.assigned(5, slot="CEN")
    assert code_of(await set_add_on(shop, "CMC", "enable")) == ""
    assert (await add_ons(shop))["CMC"] == "Enabled"


@pytest.mark.parametrize("slot", ["CBX", "CBE"])
async def test_svc_09_and_10_trial_only(shop: Shop, slot: str) -> None:
    problem = check_problem(await shop.assign(5, slot=slot), 422, "TRIAL_ONLY")
    assert problem["errors"][0]["pointer"] == "#/type"
    assert (await shop.assigned(None, slot=slot, type="Trial"))["state"] == "Trial"


async def test_svc_11_cloud_management_has_six_modules(shop: Shop) -> None:
    await shop.buy("CMG")
    assert set((await shop.assigned(5, slot="CMG"))["modules"]) == {
        "Administrator", "Content Manager", "Replicator", "Deployment Manager", "Report Center",
        "Identity Manager",
    }  # fmt: skip


async def test_svc_12_a_docave_trial_has_every_module(shop: Shop) -> None:
    trial = await shop.assigned(None, slot="DAO", type="Trial")
    assert set(trial["modules"]) == {
        "Granular Backup & Restore", "Exchange Online Backup & Restore",
    }  # fmt: skip


async def test_svc_13_user_and_device_management_has_both(shop: Shop) -> None:
    await shop.buy("UDM")
    modules = (await shop.assigned(5, slot="UDM"))["modules"]
    assert set(modules) == {"User management", "Device management"}


async def test_svc_20_only_trial_or_subscription(shop: Shop) -> None:
    problem = check_problem(await shop.assign(5, type="Lease"), 400, "INVALID_INPUT")
    assert problem["errors"][0]["pointer"] == "#/type"


async def test_svc_21_source_belongs_to_subscriptions(shop: Shop) -> None:
    await shop.buy()
    path = f"/customers/{shop.customer}/subscriptions"
    for body in (
        {"slot": SLOT, "type": "Trial", "source": "Direct"},
        {"slot": SLOT, "quantity": 5},
    ):
        problem = check_problem(await shop.post(path, body), 400, "INVALID_INPUT")
        assert (problem["rule"], problem["errors"][0]["pointer"]) == ("SVC-21", "#/source")


async def test_svc_22_the_payment_type_fits_the_customer(shop: Shop) -> None:
    await shop.buy()
    await shop.buy("POL", paymentType="Payg", paymentOption="Monthly")
    await shop.assigned(5)
    answer = await shop.assign(5, slot="POL", paymentType="Payg")
    problem = check_problem(answer, 422, "PAYMENT_MODEL_CONFLICT")
    assert problem["errors"][0]["pointer"] == "#/paymentType"


async def test_svc_23_same_as_pool_without_a_choice(shop: Shop) -> None:
    pool = await shop.buy()
    sub = await shop.assigned(5)
    assert (sub["expiration"], sub["expiresOn"]) == ("SameAsPool", (await shop.pool(pool))["end"])


async def test_svc_24_the_contract_end_is_kept_and_has_no_effect(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(5, contractEndDate="2026-06-30")
    sub = await shop.sub()
    assert (sub["contractEndDate"], sub["expiresOn"]) == ("2026-06-30", "2026-12-31")


async def test_svc_25_a_trial_has_nothing_to_configure(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(None, type="Trial")
    seats = {"quantity": 9}
    check_problem(await shop.verb("setQuantity", seats), 409, "TRIAL_NOT_CONFIGURABLE")
    assert code_of(await shop.verb("convert", {"source": "Direct", "quantity": 5})) == ""
    assert (await shop.verb("setQuantity", seats)).json()["subscription"]["quantity"] == 9


@pytest.mark.parametrize(("assigned", "seats"), [(0, 1), (57, 57)])
async def test_svc_26_a_new_one_has_as_many_as_are_assigned(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, assigned: int, seats: int
) -> None:
    """What follows later is in tests/e2e/test_licences.py, against the simulated Microsoft 365."""

    async def read(*_: object) -> dict[str, int]:
        return {"Microsoft365": assigned, "Dynamics365": 0}

    monkeypatch.setattr(licences, "read_licences", read)
    await shop.buy()
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    assert (await shop.assigned(None))["quantity"] == seats


async def test_svc_27_available_and_assigned_with_details(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/v1/customers/{shop.customer}/tenant-licences"
    answer = await shop.api.get(path, headers=shop.headers)
    check_problem(answer, 409, "CUSTOMER_NOT_CONNECTED")
    lines = [
        {"product": "FLOW_FREE", "available": 9, "assigned": 3, "counts": False},
        {"product": "SPE_E3", "available": 100, "assigned": 57, "counts": True},
    ]

    async def read(*_: object) -> TenantLicences:
        return TenantLicences(100, {"Microsoft365": 57, "Dynamics365": 0}, lines)

    monkeypatch.setattr(connecting, "read_details", read)
    shop.customer = await shop.add_customer(tenant_id=TENANT)
    base = f"/customers/{shop.customer}/tenant-licences"
    found = await shop.get(base)
    assert (found["available"], found["assigned"], found["products"]) == (100, 57, lines)
    text = (await shop.api.get(f"/api/v1{base}/export", headers=shop.headers)).text
    assert text.splitlines() == [
        "product,available,assigned,counts", "FLOW_FREE,9,3,False", "SPE_E3,100,57,True",
    ]  # fmt: skip

    async def broken(*_: object) -> TenantLicences:
        raise TenantUnreadable("Microsoft 365 said: no.")

    monkeypatch.setattr(connecting, "read_details", broken)
    answer = await shop.api.get(f"/api/v1{base}", headers=shop.headers)
    check_problem(answer, 503, "TENANT_UNREADABLE")
