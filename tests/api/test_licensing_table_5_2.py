"""The decision table 5.2 through the API: the cases of the rules' own table, cell by cell."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from tests.api.licensing import SLOT, Shop, code_of
from tests.unit.licensing import test_table_5_2 as table


def cases(test: Callable[..., Any]) -> pytest.MarkDecorator:
    """The parameters that a test of the rules is given."""
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    return pytest.mark.parametrize(*mark.args)


async def prepared(shop: Shop, column: str, *, assigned: bool = True) -> str:
    """30 seats of a marketplace pool of 100, on the day of the column; the pool's id."""
    end, first, now = table.COLUMNS[column]
    shop.day(first)
    pool = await shop.buy(
        channel="Marketplace", source="CloudBlue", contractEffective="2026-02-01", end=str(end)
    )
    await shop.buy()
    await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    if assigned:
        await shop.assigned(30, poolId=pool)
    shop.day(now)
    return pool


async def check(shop: Shop, code: str, verb: str, body: Any = None) -> None:
    """The verb is answered so, its preview has said so, and a refusal changes nothing."""
    before = await shop.state()
    told = await shop.preview(verb, **(body or {}))
    assert await shop.state() == before
    assert told["isAllowed"] == (code == "")
    answer = await shop.verb(verb, body)
    assert code_of(answer) == code, answer.text
    if code:
        assert await shop.state() == before
        problem, refusal = answer.json(), told["refusal"]
        assert (refusal["code"], refusal["rule"]) == (code, problem["rule"])
        assert refusal["firstAllowedOn"] == problem.get("firstAllowedOn")
    await shop.adds_up()


@cases(table.test_assign_new)
async def test_assign_new(shop: Shop, column: str, code: str) -> None:
    pool = await prepared(shop, column, assigned=False)
    answer = await shop.assign(100, poolId=pool)
    assert code_of(answer) == code, answer.text
    if not code:
        assert (await shop.sub())["expiresOn"] == str(table.COLUMNS[column][0])


@cases(table.test_increase)
async def test_increase(shop: Shop, column: str, code: str) -> None:
    await prepared(shop, column)
    await check(shop, code, "increase", {"quantity": 70})


@cases(table.test_reduce)
async def test_reduce(shop: Shop, column: str, code: str, first: date | None) -> None:
    await prepared(shop, column)
    told = await shop.preview("reduce", quantity=10)
    assert (told["refusal"] or {}).get("firstAllowedOn") == (str(first) if first else None)
    await check(shop, code, "reduce", {"quantity": 10})


@cases(table.test_expire_now)
async def test_expire_now(shop: Shop, column: str, code: str) -> None:
    pool = await prepared(shop, column)
    await check(shop, code, "expire")
    assert (await shop.pool(pool))["available"] == (70 if code else 100)


@cases(table.test_set_date)
async def test_set_date(shop: Shop, column: str, good: list[date], bad: list[date]) -> None:
    await prepared(shop, column)
    for day in good:
        await check(shop, "", "setExpiration", {"expiresOn": str(day)})
        assert (await shop.sub())["expiresOn"] == str(day)
    for day in bad:
        assert code_of(await shop.verb("setExpiration", {"expiresOn": str(day)}))


@cases(table.test_change_source)
async def test_change_source(shop: Shop, column: str, code: str) -> None:
    await prepared(shop, column)
    await check(shop, code, "switchSource", {"source": "Direct", "paymentType": "Prepaid"})


@cases(table.test_change_payment_model)
async def test_change_payment_model(shop: Shop, column: str, code: str) -> None:
    await prepared(shop, column)
    await check(shop, code, "switchSource", {"source": "Direct", "paymentType": "Payg"})


@cases(table.test_disconnect)
async def test_disconnect(shop: Shop, column: str, code: str) -> None:
    await prepared(shop, column)
    told = await shop.preview("disconnect")
    assert (told["refusal"] or {}).get("code", "") == code
    assert (await shop.sub())["state"] == ("Active" if column != "over" else "Expired")


@pytest.mark.parametrize("column", ["young", "short", "old"])
async def test_distributor_order_cancelled(shop: Shop, column: str) -> None:
    await prepared(shop, column)
    last = "2026-03-15" if column != "old" else "2026-04-02"
    answer = await shop.operate(
        "/pools:changeOrder", {"orderId": "order1", "action": "cancel", "end": last}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["notices"][0]["kind"] == "orderCancelled"
    assert (await shop.sub())["expiresOn"] == last


@pytest.mark.parametrize("option", ["Monthly", "AnnualPaidMonthly", "AnnualUpfront"])
async def test_prepaid_pool_reduction(shop: Shop, option: str) -> None:
    pool = await shop.buy(channel="Marketplace", source="CloudBlue", paymentOption=option)
    answer = await shop.operate(
        "/pools:changeOrder", {"orderId": "order1", "action": "quantity", "quantity": 80}
    )
    assert code_of(answer) == ("" if option == "Monthly" else "PREPAID_NOT_REDUCIBLE")
    found = await shop.pool(pool)
    assert found["total"] == 100
    assert found["orders"][0]["reduceTo"] == (80 if option == "Monthly" else None)


async def test_set_to_same_as_pool_again(shop: Shop) -> None:
    await prepared(shop, "old")
    await check(shop, "", "setExpiration", {"expiresOn": "2026-05-01"})
    await check(shop, "", "setExpiration", {"expiration": "SameAsPool"})
    assert (await shop.sub(SLOT))["expiresOn"] == "2026-12-31"
