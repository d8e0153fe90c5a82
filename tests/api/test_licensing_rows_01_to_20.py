"""One test per row, LIC 01 to 20, through the API: pools, terms, lots, leaving."""

import asyncio
from datetime import date
from typing import Any

from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of, refused

DEC31 = "2026-12-31"
MARKET = {"channel": "Marketplace", "source": "CloudBlue"}


async def test_lic_01_a_pool_shows_what_is_left(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(30)
    shop.customer = await shop.add_customer()
    await shop.assigned(20)
    found = await shop.pool(pool)
    assert (found["total"], found["assigned"], found["available"]) == (100, 50, 50)
    shown = {
        "item": SLOT, "unit": "userSeats", "start": "2026-01-01", "end": DEC31,
        "channel": "Direct", "source": "Direct", "paymentType": "Prepaid",
        "paymentOption": "AnnualUpfront", "phase": "Active", "free": 50,
    }  # fmt: skip
    assert shown.items() <= found.items()
    assert [order["id"] for order in found["orders"]] == ["order1"]
    assert found["name"]
    await shop.adds_up()


async def test_lic_02_only_items_of_the_channel_are_poolable(shop: Shop) -> None:
    body = {
        "orderId": "o", "item": "OPU-STORAGE", "quantity": 5, "paymentOption": "Monthly",
        "contractEffective": "2026-01-01", "end": "2026-01-31", **MARKET,
    }  # fmt: skip
    problem = refused(await shop.operate("/pools", body), 422, "NOT_POOLABLE_ON_CHANNEL", "LIC-02")
    assert problem["errors"][0]["pointer"] == "#/item"
    assert (await shop.get("/pools"))["value"] == []


async def test_lic_03_pools_are_made_by_orders_only(shop: Shop) -> None:
    body = {
        "partnerId": shop.partner_id, "orderId": "o", "item": SLOT, "quantity": 5,
        "contractEffective": "2026-01-01", "end": DEC31,
    }  # fmt: skip
    check_problem(await shop.post("/pools", body), 403, "PERMISSION_MISSING")
    change = {"partnerId": shop.partner_id, "orderId": "o", "action": "suspend"}
    check_problem(await shop.post("/pools:changeOrder", change), 403, "PERMISSION_MISSING")
    told = {"change": {"verb": "order", **body}}
    check_problem(await shop.post("/pools:preview", told), 403, "PERMISSION_MISSING")
    assert (await shop.get("/pools"))["value"] == []


async def test_lic_04_no_more_than_available_and_nothing_changes(shop: Shop) -> None:
    pool = await shop.buy(quantity=5)
    before = await shop.state()
    problem = refused(await shop.assign(6), 409, "POOL_EXHAUSTED", "LIC-04")
    assert (problem["available"], problem["errors"][0]["pointer"]) == (5, "#/quantity")
    assert await shop.state() == before
    other = await shop.add_customer()
    body = {"slot": SLOT, "source": "Direct", "quantity": 5}
    answers = await asyncio.gather(
        shop.assign(5), shop.post(f"/customers/{other}/subscriptions", body)
    )
    assert sorted(code_of(each) for each in answers) == ["", "POOL_EXHAUSTED"]
    assert (await shop.pool(pool))["available"] == 0
    await shop.adds_up()


async def test_lic_05_only_within_the_pools_period(shop: Shop) -> None:
    await shop.buy(contractEffective="2026-02-01", end="2027-01-31")
    refused(await shop.assign(1), 409, "POOL_NOT_ACTIVE", "LIC-05", "2026-02-01")
    shop.day(date(2027, 2, 1))
    refused(await shop.assign(1), 409, "POOL_NOT_ACTIVE", "LIC-05")
    shop.day(date(2027, 1, 31))
    await shop.assigned(1)


async def test_lic_06_a_pool_runs_a_month_before_its_owner_cancels(shop: Shop) -> None:
    payg = await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    prepaid = await shop.buy(item="POL")
    shop.day(date(2026, 1, 11))
    for pool in (payg, prepaid):
        answer = await shop.post(f"/pools/{pool}:cancel", {})
        refused(answer, 409, "LIC_MIN_TERM", "LIC-06", "2026-02-01")
        told = (await shop.post(f"/pools/{pool}:previewCancel", {})).json()
        assert told["refusal"]["firstAllowedOn"] == "2026-02-01"
    shop.day(date(2026, 2, 1))
    answer = await shop.post(f"/pools/{prepaid}:cancel", {"end": "2026-06-30"})
    problem = refused(answer, 409, "PREPAID_NOT_REDUCIBLE", "LIC-26", DEC31)
    assert problem["errors"][0]["pointer"] == "#/end"
    answer = await shop.post(f"/pools/{prepaid}:cancel", {})
    assert answer.json()["pool"]["end"] == DEC31
    assert answer.json()["pool"]["orders"][0]["isCancelled"]
    assert (await shop.post(f"/pools/{payg}:previewCancel", {})).json()["isAllowed"]
    ended = (await shop.post(f"/pools/{payg}:cancel", {})).json()["pool"]
    assert ended["end"] == "2026-02-01"


async def test_lic_06_no_way_round_the_minimum_term_of_customers(shop: Shop) -> None:
    payg = await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    shop.day(date(2026, 3, 1))
    await shop.assigned(5)
    answer = await shop.post(f"/pools/{payg}:cancel", {"end": "2026-03-20"})
    refused(answer, 422, "LIC_MIN_TERM", "LIC-07", "2026-03-31")
    answer = await shop.post(f"/pools/{payg}:cancel", {"orderId": "order9"})
    assert check_problem(answer, 400, "INVALID_INPUT")["errors"][0]["pointer"] == "#/orderId"
    assert (await shop.post(f"/pools/{payg}:cancel", {})).json()["pool"]["end"] == "2026-03-31"
    assert (await shop.sub())["expiresOn"] == "2026-03-31"


async def test_lic_07_31_days_at_least(shop: Shop) -> None:
    await shop.buy()
    shop.day(date(2026, 3, 1))
    answer = await shop.assign(1, expiresOn="2026-03-20")
    problem = refused(answer, 422, "LIC_MIN_TERM", "LIC-07", "2026-04-01")
    assert problem["errors"][0]["pointer"] == "#/expiresOn"
    assert (await shop.assigned(1, expiresOn="2026-04-01"))["commitmentEndsOn"] == "2026-04-01"


async def test_lic_08_a_pool_that_ends_first_is_the_limit(shop: Shop) -> None:
    await shop.buy()
    shop.day(date(2026, 12, 19))
    answer = await shop.assign(1, expiresOn="2026-12-30")
    refused(answer, 422, "LIC_MIN_TERM", "LIC-15", DEC31)
    assert (await shop.assigned(1))["expiresOn"] == DEC31


async def test_lic_09_one_day_left_is_enough(shop: Shop) -> None:
    await shop.buy()
    shop.day(date(2026, 12, 31))
    answer = await shop.assign(1)
    assert (answer.status_code, answer.json()["subscription"]["expiresOn"]) == (201, DEC31)


async def test_lic_10_never_past_the_pool(shop: Shop) -> None:
    await shop.buy()
    answer = await shop.assign(1, expiresOn="2027-01-15")
    refused(answer, 422, "EXPIRY_AFTER_POOL", "LIC-10")
    await shop.assigned(1)
    answer = await shop.verb("setExpiration", {"expiresOn": "2027-01-15"})
    problem = refused(answer, 422, "EXPIRY_AFTER_POOL", "LIC-10")
    assert problem["errors"][0]["pointer"] == "#/expiresOn"
    assert problem["lastAllowedOn"] == DEC31


async def test_lic_11_expiries_follow_the_pool(shop: Shop) -> None:
    await shop.buy()
    same = shop.customer
    await shop.assigned(1)
    explicit = shop.customer = await shop.add_customer()
    await shop.assigned(1, expiresOn="2026-11-30")

    async def ends() -> list[str]:
        paths = [f"/customers/{each}/subscriptions/{SLOT}" for each in (same, explicit)]
        return [(await shop.get(path))["expiresOn"] for path in paths]

    await shop.change_order("renew", end="2027-12-31")
    assert await ends() == ["2027-12-31", "2026-11-30"]
    await shop.change_order("cancel", end="2026-10-31")
    assert await ends() == ["2026-10-31", "2026-10-31"]


async def test_lic_12_the_default_is_same_as_pool(shop: Shop) -> None:
    await shop.buy()

    async def ends(**terms: Any) -> str:
        shop.customer = await shop.add_customer()
        return str((await shop.assigned(1, **terms))["expiresOn"])

    assert await ends() == DEC31
    assert await ends(expiration="SpecifiedDate") == "2026-02-01"
    shop.day(date(2026, 12, 20))
    assert await ends(expiration="SpecifiedDate") == DEC31


async def test_lic_13_an_edit_never_moves_the_first_day(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(10)
    shop.day(date(2026, 1, 21))
    await shop.verb("increase", {"quantity": 5})
    await shop.verb("setExpiration", {"expiration": "SpecifiedDate"})
    sub = await shop.sub()
    assert sub["assignedOn"] == "2026-01-01"
    assert sub["commitmentEndsOn"] == sub["expiresOn"] == "2026-02-01"


async def test_lic_14_expire_now_after_the_commitment(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(50)
    shop.day(date(2026, 1, 11))
    refused(await shop.verb("expire"), 409, "LIC_MIN_TERM", "LIC-14", "2026-02-01")
    answer = await shop.verb("setExpiration", {"expiration": "ExpireNow"})
    refused(answer, 409, "LIC_MIN_TERM", "LIC-14", "2026-02-01")
    shop.day(date(2026, 2, 1))
    ended = (await shop.verb("expire")).json()["subscription"]
    assert (ended["state"], ended["endedOn"]) == ("Expired", "2026-02-01")
    assert (await shop.pool(pool))["available"] == 100
    await shop.adds_up()


async def test_lic_15_bounds_of_a_chosen_day(shop: Shop) -> None:
    await shop.buy()
    shop.day(date(2026, 3, 1))
    await shop.assigned(1)

    async def chosen(day: str) -> Any:
        return await shop.verb("setExpiration", {"expiresOn": day})

    for good in ("2026-04-01", DEC31):
        assert (await chosen(good)).json()["subscription"]["expiresOn"] == good
    refused(await chosen("2026-03-31"), 422, "LIC_MIN_TERM", "LIC-07", "2026-04-01")
    refused(await chosen("2027-01-01"), 422, "EXPIRY_AFTER_POOL", "LIC-10")
    shop.day(date(2026, 6, 1))
    assert code_of(await chosen("2026-06-01")) == ""
    refused(await chosen("2026-05-31"), 422, "EXPIRY_IN_PAST", "LIC-15", "2026-06-01")


async def test_lic_16_a_trial_has_no_expiration(shop: Shop) -> None:
    answer = await shop.assign(None, type="Trial", expiration="SameAsPool")
    problem = refused(answer, 400, "INVALID_INPUT", "LIC-16")
    assert [error["pointer"] for error in problem["errors"]] == ["#/expiration"]
    await shop.assigned(None, type="Trial")
    answer = await shop.verb("setExpiration", {"expiration": "SameAsPool"})
    refused(answer, 409, "TRIAL_NOT_CONFIGURABLE", "SVC-25")


async def test_lic_17_no_reduction_within_31_days(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(50)
    shop.day(date(2026, 1, 31))
    answer = await shop.verb("setQuantity", {"quantity": 40})
    refused(answer, 409, "LIC_MIN_TERM", "LIC-17", "2026-02-01")
    shop.day(date(2026, 2, 1))
    assert code_of(await shop.verb("setQuantity", {"quantity": 40})) == ""
    assert (await shop.pool(pool))["available"] == 60


async def test_lic_18_each_increase_has_its_own_lock(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(50)
    shop.day(date(2026, 2, 10))  # day 40
    await shop.verb("increase", {"quantity": 20})
    shop.day(date(2026, 2, 15))
    answer = await shop.verb("setQuantity", {"quantity": 10})
    problem = refused(answer, 409, "LIC_MIN_TERM", "LIC-18", "2026-03-13")
    assert problem["minimumQuantity"] == 20
    assert (await shop.sub())["unlocked"] == 50
    assert code_of(await shop.verb("setQuantity", {"quantity": 20})) == ""
    assert (await shop.sub())["lots"] == [{"day": "2026-02-10", "quantity": 20}]


async def test_lic_19_increase_at_any_time(shop: Shop) -> None:
    await shop.buy(quantity=60)
    await shop.assigned(50)
    shop.day(date(2026, 1, 6))
    answer = await shop.verb("increase", {"quantity": 10})
    assert answer.json()["subscription"]["quantity"] == 60
    answer = await shop.verb("increase", {"quantity": 1})
    refused(answer, 409, "POOL_EXHAUSTED", "LIC-04")


async def test_lic_20_no_disconnect_inside_any_commitment(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.buy(item="POL")
    await shop.assigned(5)
    shop.day(date(2026, 4, 6))
    await shop.assigned(5, slot="POL")
    shop.day(date(2026, 4, 11))
    before = await shop.state()
    told = await shop.preview("disconnect")
    assert told["refusal"]["firstAllowedOn"] == "2026-05-07"
    problem = refused(await shop.disconnect(), 409, "LIC_MIN_TERM", "LIC-20", "2026-05-07")
    assert problem["subscription"] == "POL"
    assert await shop.state() == before
    shop.day(date(2026, 5, 7))
    answer = await shop.disconnect()
    assert answer.status_code == 200, answer.text
    assert answer.json()["customer"]["state"] == "Disconnected"
    assert (await shop.pool(pool))["available"] == 100
    assert (await shop.sub())["state"] == "Expired"
    await shop.adds_up()
