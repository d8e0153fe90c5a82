"""The decision table 5.2 through the API: the cases of the rules' own table, cell by cell."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from shared.customers import licences
from tests.api.licensing import SLOT, Shop, code_of
from tests.unit.licensing import test_table_5_2 as table


def cases(test: Callable[..., Any]) -> pytest.MarkDecorator:
    """The parameters that a test of the rules is given."""
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    return pytest.mark.parametrize(*mark.args)


async def prepared(
    shop: Shop,
    column: str,
    *,
    assigned: bool = True,
    mode: str = "Manual",
    option: str = "AnnualUpfront",
) -> str:
    """30 seats of a marketplace pool of 100, on the day of the column; the pool's id."""
    end, first, now = table.COLUMNS[column]
    shop.day(first)
    pool = await shop.buy(
        channel="Marketplace",
        source="CloudBlue",
        contractEffective="2026-02-01",
        end=str(end),
        paymentOption=option,
    )
    await shop.buy()
    await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    if assigned:
        await shop.assigned(30, poolId=pool, mode=mode)
    shop.day(now)
    return pool


@pytest.fixture
async def counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What is counted in the tenant of the shop's customer."""
    found = {"Microsoft365": 30, "Dynamics365": 0}

    async def read(*_: object) -> dict[str, int]:
        return found

    monkeypatch.setattr(licences, "read_licences", read)
    shop.customer = await shop.add_customer(tenant_id="44444444-2222-3333-4444-555555555555")
    return found


async def adjusted(shop: Shop) -> list[dict[str, Any]]:
    """The subscriptions after following the tenant, as was told in advance."""
    told = await shop.preview("adjust")
    answer = await shop.post(f"/customers/{shop.customer}/subscriptions:adjust")
    assert answer.status_code == 200, answer.text
    assert len(told["effects"]) == len(answer.json()["events"])
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


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


async def test_reduce_old_down_to_locked_lots(shop: Shop) -> None:
    await prepared(shop, "old")
    await check(shop, "", "increase", {"quantity": 5})
    await check(shop, "LIC_MIN_TERM", "setQuantity", {"quantity": 4})
    await check(shop, "", "setQuantity", {"quantity": 5})


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


@pytest.mark.parametrize("column", ["old", "over"])
async def test_change_payment_model_not_beside_another_of_the_old(shop: Shop, column: str) -> None:
    await prepared(shop, column)
    await shop.buy("POL")
    await shop.assigned(1, slot="POL")
    body = {"source": "Direct", "paymentType": "Payg"}
    await check(shop, "PAYMENT_MODEL_CONFLICT", "switchSource", body)


@cases(table.test_disconnect)
async def test_disconnect(shop: Shop, column: str, code: str) -> None:
    await prepared(shop, column)
    before = await shop.state()
    told = await shop.preview("disconnect")
    assert (told["refusal"] or {}).get("code", "") == code
    answer = await shop.disconnect()
    assert code_of(answer) == code, answer.text
    if code:
        assert await shop.state() == before
        # Where the pool ends first, the commitment ends with it.
        first = "2026-04-01" if column == "young" else "2026-03-21"
        assert answer.json()["firstAllowedOn"] == first
    else:
        assert (await shop.sub())["state"] == "Expired"
    await shop.adds_up()


@cases(table.test_auto_decrease)
async def test_auto_decrease(
    shop: Shop, counted: dict[str, int], column: str, now: int, pending: int | None
) -> None:
    await prepared(shop, column, mode="AutoAdjusted")
    counted["Microsoft365"] = 20
    (sub,) = await adjusted(shop)
    assert (sub["quantity"], sub["pendingDecrease"]) == (now, pending)
    shop.day(date(2026, 4, 1))
    await shop.sweep()
    sub = await shop.sub()
    if column == "short":  # lapses with the pool
        assert (sub["state"], sub["pendingDecrease"]) == ("Expired", None)
    else:
        assert (sub["state"], sub["quantity"]) == ("Active", 20)
    await shop.adds_up()


async def test_auto_decrease_over_has_no_effect(shop: Shop, counted: dict[str, int]) -> None:
    await prepared(shop, "over", mode="AutoAdjusted")
    counted["Microsoft365"] = 20
    (sub,) = await adjusted(shop)
    assert (sub["state"], sub["endedOn"]) == ("Expired", "2026-03-20")
    kinds = [event["kind"] for event in (await shop.get("/ledger"))["value"]]
    assert "Adjusted" not in kinds
    assert "DecreaseDeferred" not in kinds


@cases(table.test_override)
async def test_override(shop: Shop, column: str, left: int, later: int) -> None:
    kind = "CMP" if column == "old" else "Enterprise"
    pool = await prepared(shop, column)
    asked = {"item": SLOT, "licenceType": kind}
    before = await shop.state()
    told = (await shop.intervene("beginOverride", ":preview", **asked)).json()
    assert told["isAllowed"]
    assert await shop.state() == before
    assert code_of(await shop.intervene("beginOverride", **asked)) == ""
    sub = await shop.sub()
    assert (sub["state"], sub["supersededBy"]) == ("Superseded", kind)
    assert (await shop.pool(pool))["available"] == left
    shop.day(date(2026, 4, 1))
    await shop.sweep()
    found = await shop.pool(pool)
    assert found["available"] == later
    if column == "short":  # the pool is gone: what returned to it can be given to nobody
        assert (found["phase"], found["free"]) == ("Ended", 0)
    await shop.adds_up()


async def test_override_over(shop: Shop) -> None:
    await prepared(shop, "over")
    answer = await shop.intervene("beginOverride", item=SLOT, licenceType="Enterprise")
    assert answer.status_code == 200, answer.text
    found = (await shop.get(f"/customers/{shop.customer}/effective-licences"))["value"]
    assert [each["licenceType"] for each in found] == ["Enterprise"]
    answer = await shop.assign(1, source="Direct", paymentType="Prepaid")
    assert code_of(answer) == "OVERRIDDEN_BY_ENTERPRISE"


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


async def test_distributor_order_cancelled_over_has_no_effect(shop: Shop) -> None:
    await prepared(shop, "over")
    before = await shop.state()
    answer = await shop.change_order("cancel", end="2026-03-25")
    assert (answer.status_code, answer.json()["events"]) == (200, []), answer.text
    assert await shop.state() == before


@pytest.mark.parametrize("column", ["young", "short", "old"])
@pytest.mark.parametrize("option", ["Monthly", "AnnualUpfront"])
async def test_prepaid_pool_reduction(shop: Shop, column: str, option: str) -> None:
    pool = await prepared(shop, column, option=option)
    monthly = option == "Monthly"
    change = {"orderId": "order1", "action": "quantity", "quantity": 80}
    assert (await shop.preview_order("changeOrder", **change))["isAllowed"] == monthly
    answer = await shop.change_order("quantity", quantity=80)
    assert code_of(answer) == ("" if monthly else "PREPAID_NOT_REDUCIBLE")
    found = await shop.pool(pool)
    assert found["total"] == 100
    assert found["orders"][0]["reduceTo"] == (80 if monthly else None)


async def test_set_to_same_as_pool_again(shop: Shop) -> None:
    await prepared(shop, "old")
    await check(shop, "", "setExpiration", {"expiresOn": "2026-05-01"})
    await check(shop, "", "setExpiration", {"expiration": "SameAsPool"})
    assert (await shop.sub(SLOT))["expiresOn"] == "2026-12-31"
