"""One test per row, LIC 21 to 40, through the API: sources, models, orders, overrides, Fly.

LIC-31 to 33 are about the bill and are proved with it.
"""

from datetime import date
from typing import Any

import pytest

from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of, refused

DEC31 = "2026-12-31"
MARKET = {"channel": "Marketplace", "source": "CloudBlue"}
PAYG = {"paymentType": "Payg", "paymentOption": "Monthly"}
SOURCES: dict[str, dict[str, Any]] = {
    "direct prepaid": {},
    "payg": {**PAYG, "quantity": None},
    "marketplace": {"paymentOption": "Monthly", **MARKET},
    "off-marketplace": {"channel": "OffMarketplace", "source": "Reselling Ltd"},
}


@pytest.mark.parametrize("source", SOURCES)
async def test_lic_21_the_same_31_days_for_every_source(shop: Shop, source: str) -> None:
    pool = await shop.buy(**SOURCES[source])
    await shop.assigned(50, poolId=pool)
    shop.day(date(2026, 1, 31))
    first = "2026-02-01"
    refused(await shop.verb("expire"), 409, "LIC_MIN_TERM", "LIC-14", first)
    answer = await shop.verb("reduce", {"quantity": 1})
    refused(answer, 409, "LIC_MIN_TERM", "LIC-17", first)
    refused(await shop.disconnect(), 409, "LIC_MIN_TERM", "LIC-20", first)
    shop.day(date(2026, 2, 1))
    assert code_of(await shop.verb("reduce", {"quantity": 1})) == ""
    assert code_of(await shop.disconnect()) == ""
    assert (await shop.sub())["state"] == "Expired"


async def test_lic_22_one_source_for_each_item(shop: Shop) -> None:
    await shop.buy()
    other = await shop.buy(**MARKET)
    await shop.buy(item="CBM-POWER")
    await shop.assigned(5)
    answer = await shop.assign(1, poolId=other)
    problem = refused(answer, 409, "SOURCE_ALREADY_ASSIGNED", "LIC-22", "2027-01-01")
    assert problem["errors"][0]["pointer"] == "#/source"
    await shop.assigned(5, slot="CBM-POWER", settings={"type": "PowerApps"})


async def test_lic_23_switching_the_source(shop: Shop) -> None:
    old, new = await shop.buy(), await shop.buy(**MARKET)
    await shop.assigned(30)
    shop.day(date(2026, 1, 11))
    to = {"source": "CloudBlue"}
    before = await shop.state()
    answer = await shop.verb("switchSource", to)
    refused(answer, 409, "LIC_MIN_TERM", "LIC-23", "2026-02-01")
    assert await shop.state() == before
    shop.day(date(2026, 2, 10))
    answer = await shop.verb("switchSource", to)
    assert len(answer.json()["events"]) == 1
    sub = answer.json()["subscription"]
    assert (sub["poolId"], sub["commitmentEndsOn"]) == (new, "2026-03-13")
    assert [(await shop.pool(each))["available"] for each in (old, new)] == [100, 70]
    await shop.adds_up()


async def test_lic_24_one_payment_model_per_customer(shop: Shop) -> None:
    await shop.buy()
    await shop.buy(item="POL", **PAYG)
    await shop.assigned(5)
    answer = await shop.assign(5, slot="POL")
    problem = refused(answer, 422, "PAYMENT_MODEL_CONFLICT", "LIC-24", "2027-01-01")
    assert problem["errors"][0]["pointer"] == "#/paymentType"
    first, shop.customer = shop.customer, await shop.add_customer()
    await shop.assigned(5, slot="POL")  # another customer may differ
    shop.customer = first
    shop.day(date(2026, 2, 1))
    await shop.verb("expire")
    await shop.assigned(5, slot="POL")


async def test_lic_25_a_prepaid_pool_changes_by_orders_only(shop: Shop) -> None:
    pool = await shop.buy()
    fixed = ("total", "start", "end", "paymentOption", "paymentType", "orders", "name")
    before = await shop.pool(pool)
    path = f"/api/v1/pools/{pool}"
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await shop.api.request(method, path, json={"total": 1}, headers=shop.headers)
        assert answer.status_code == 405, answer.text
    await shop.assigned(5)
    shop.day(date(2026, 3, 1))
    await shop.verb("reduce", {"quantity": 2})
    after = await shop.pool(pool)
    assert [after[name] for name in fixed] == [before[name] for name in fixed]


async def test_lic_26_prepaid_is_not_reduced_in_its_term(shop: Shop) -> None:
    pool = await shop.buy()
    answer = await shop.change_order("quantity", quantity=80)
    problem = refused(answer, 409, "PREPAID_NOT_REDUCIBLE", "LIC-26", "2027-01-01")
    assert problem["errors"][0]["pointer"] == "#/quantity"
    assert (await shop.pool(pool))["total"] == 100


async def test_lic_27_monthly_marketplace_pools_shrink_at_the_renewal(shop: Shop) -> None:
    pool = await shop.buy(paymentOption="Monthly", end="2026-01-31", **MARKET)
    await shop.assigned(60, poolId=pool)

    async def renewed(quantity: int, end: str) -> dict[str, Any]:
        await shop.change_order("quantity", quantity=quantity)
        answer = await shop.change_order("renew", end=end)
        return {**answer.json()["pool"], "notices": answer.json()["notices"]}

    await shop.change_order("quantity", quantity=70)
    assert (await shop.pool(pool))["total"] == 100
    assert (await renewed(70, "2026-02-28"))["total"] == 70
    found = await renewed(50, "2026-03-31")
    assert (found["total"], found["available"], found["phase"]) == (50, -10, "Overcommitted")
    assert found["notices"][0]["kind"] == "overcommitted"
    kinds = {each["kind"]: each for each in (await shop.get("/licence-attention"))["value"]}
    assert (kinds["overcommitted"]["quantity"], kinds["overcommitted"]["rule"]) == (10, "AMB-08")
    first, shop.customer = shop.customer, await shop.add_customer()
    refused(await shop.assign(1, poolId=pool), 409, "POOL_OVERCOMMITTED", "AMB-08")
    shop.customer = first
    shop.day(date(2026, 2, 1))
    await shop.verb("reduce", {"quantity": 10})
    assert (await shop.pool(pool))["phase"] == "Active"
    await shop.adds_up()


async def test_lic_28_orders_increase_at_any_time(shop: Shop) -> None:
    pool = await shop.buy()
    shop.day(date(2026, 11, 30))
    answer = await shop.change_order("quantity", quantity=120)
    assert answer.json()["pool"]["total"] == 120
    assert (await shop.pool(pool))["available"] == 120


async def test_lic_29_direct_prepaid_runs_a_year(shop: Shop) -> None:
    body = {"orderId": "o", "item": SLOT, "quantity": 5, "contractEffective": "2026-02-01"}
    answer = await shop.operate("/pools", {**body, "end": "2026-12-01"})
    problem = refused(answer, 422, "TERM_TOO_SHORT", "LIC-29")
    assert problem["errors"][0]["pointer"] == "#/end"
    assert (await shop.operate("/pools", {**body, "end": "2027-01-31"})).status_code == 201


async def test_lic_30_direct_prepaid_ends_with_the_contract(shop: Shop) -> None:
    await shop.buy()
    for day in (date(2026, 1, 2), date(2026, 9, 30)):
        shop.day(day)
        shop.customer = await shop.add_customer()
        sub = await shop.assigned(1)
        assert (sub["assignedOn"], sub["expiresOn"]) == (str(day), DEC31)


async def effective(shop: Shop) -> list[tuple[str, str | None]]:
    """Licence type and pooled subscription of what counts."""
    found = (await shop.get(f"/customers/{shop.customer}/effective-licences"))["value"]
    return [(each["licenceType"], each["subscriptionId"]) for each in found]


async def test_lic_34_the_most_recent_licence_counts(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(5)
    assert await effective(shop) == [("DirectPool", SLOT)]
    shop.day(date(2026, 2, 10))
    answer = await shop.intervene("beginOverride", item=SLOT, licenceType="CMP")
    assert answer.json()["value"][0]["state"] == "Superseded"
    assert await effective(shop) == [("CMP", None)]
    refused(await shop.verb("expire"), 409, "SUBSCRIPTION_SUPERSEDED", "LIC-34")
    await shop.intervene("endOverride", item=SLOT)
    assert await effective(shop) == [("DirectPool", SLOT)]
    assert (await shop.sub())["quantity"] == 5


async def test_lic_35_a_pool_does_not_displace_a_higher_rank(shop: Shop) -> None:
    await shop.buy()
    for kind, code in (
        ("Enterprise", "OVERRIDDEN_BY_ENTERPRISE"),
        ("CMP", "OVERRIDDEN_BY_CMP"),
    ):
        assert code_of(await shop.intervene("beginOverride", item=SLOT, licenceType=kind)) == ""
        refused(await shop.assign(1), 409, code, "LIC-35")
        assert await effective(shop) == [(kind, None)]
    answer = await shop.intervene("beginOverride", item=SLOT, licenceType="DirectPool")
    problem = check_problem(answer, 400, "INVALID_INPUT")
    assert problem["errors"][0]["pointer"] == "#/change/licenceType"
    await shop.intervene("endOverride", item=SLOT)
    await shop.assigned(1)


async def test_lic_36_overridden_seats_return_by_age(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(50)
    old = shop.customer
    shop.day(date(2026, 2, 20))  # day 50
    young = shop.customer = await shop.add_customer()
    await shop.assigned(30)
    shop.customer = old
    await shop.intervene("beginOverride", item=SLOT, licenceType="Enterprise")
    assert (await shop.pool(pool))["available"] == 70
    shop.customer = young
    shop.day(date(2026, 3, 2))  # day 10
    await shop.intervene("beginOverride", item=SLOT, licenceType="CMP")
    shop.day(date(2026, 3, 22))
    await shop.sweep()
    assert (await shop.pool(pool))["available"] == 70
    shop.day(date(2026, 3, 23))  # day 31
    await shop.sweep()
    assert (await shop.pool(pool))["available"] == 100
    await shop.adds_up()


async def test_lic_36_consumed_fly_never_returns(shop: Shop) -> None:
    pool = await shop.buy(item="FLY-OBJECTS", quantity=1000)
    await shop.assigned(1000, slot="FLY-OBJECTS")
    await shop.intervene("noteConsumption", subscriptionId="FLY-OBJECTS", consumed=1000)
    shop.day(date(2026, 3, 1))
    await shop.intervene("beginOverride", item="FLY-OBJECTS", licenceType="CMP")
    found = await shop.pool(pool)
    assert (found["available"], found["burnt"]) == (0, 1000)


async def test_lic_37_fly_is_prepaid_only(shop: Shop) -> None:
    body = {
        "orderId": "o", "item": "FLY-OBJECTS", "quantity": 5, **PAYG,
        "contractEffective": "2026-01-01", "end": DEC31,
    }  # fmt: skip
    answer = await shop.operate("/pools", body)
    refused(answer, 422, "PAYMENT_OPTION_NOT_ALLOWED", "LIC-37")


async def test_lic_38_what_fly_consumed_stays(shop: Shop) -> None:
    pool = await shop.buy(item="FLY-OBJECTS", quantity=1000)
    await shop.assigned(1000, slot="FLY-OBJECTS")
    fly = "FLY-OBJECTS"
    await shop.intervene("noteConsumption", subscriptionId=fly, consumed=400)
    await shop.intervene("noteConsumption", subscriptionId=fly, consumed=300)  # it never falls
    shop.day(date(2026, 2, 1))
    answer = await shop.verb("setQuantity", {"quantity": 399}, fly)
    refused(answer, 409, "POOL_EXHAUSTED", "LIC-38")
    assert code_of(await shop.verb("expire", None, fly)) == ""
    found = await shop.pool(pool)
    assert (found["available"], found["burnt"], found["assigned"]) == (600, 400, 0)
    await shop.adds_up()


async def test_lic_39_fly_orders_are_never_merged(shop: Shop) -> None:
    monthly = {"paymentOption": "Monthly", "end": "2026-01-31", **MARKET}
    for name in ("first", "second"):
        await shop.buy("FLY-AVIATOR", 10, name=name, **monthly)
        await shop.buy(quantity=30, **monthly)
    pools = (await shop.get("/pools"))["value"]
    fly = [pool["name"] for pool in pools if pool["item"] == "FLY-AVIATOR"]
    assert sorted(fly) == ["first", "second"]
    (merged,) = [pool for pool in pools if pool["item"] == SLOT]
    assert (merged["total"], len(merged["orders"])) == (60, 2)


async def test_lic_40_seats_return_while_the_pool_lives(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(50, expiresOn="2026-03-15")
    shop.day(date(2026, 3, 15))
    await shop.sweep()
    assert (await shop.pool(pool))["available"] == 50
    shop.day(date(2026, 3, 16))
    await shop.sweep()
    assert (await shop.pool(pool))["available"] == 100
    await shop.adds_up()
