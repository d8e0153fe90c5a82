"""What a customer costs: counted by sessions and evenings, estimated, with the margin beside it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from shared.kit import ids
from shared.protection import repository as protection
from shared.protection.model import GraphCost, ObjectRun, Session, Volume
from shared.usage.costing import TABLE
from tests.api.conftest import check_problem
from tests.api.licensing import Shop
from tests.api.test_billing import price, profile
from tests.api.usage import MARCH, Months


async def session(shop: Shop, at: datetime, **counted: object) -> None:
    customer = shop.customer
    made = Session(
        session_id=ids.newest_first(customer, ids.SESSION, at), partner_id=shop.partner_id,
        customer_id=customer, policy_id=ids.policy_id(customer), trigger="Schedule",
        created_at=at, updated_at=at, **counted,
    )  # fmt: skip
    await protection.add_session(shop.deps.tables, shop.scope, made)


async def test_costs_are_what_was_counted_by_the_published_prices(shop: Shop) -> None:
    months = Months(shop)
    await price(shop, currency="USD")
    await profile(shop)
    await shop.buy()
    counted = {
        "objects": {"Succeeded": 100}, "compute_s": 1000.5,
        "graph": GraphCost(requests=500, ru=900, throttled=2, waited_s=7),
        "volume": Volume(read=10**9, new=10**9, stored=33 * 1024 * 1024),
    }  # fmt: skip
    for day in (1, 31):
        await session(shop, datetime(2026, 3, day, 12, tzinfo=UTC), **counted)
    for outside in (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)):
        await session(shop, outside, **counted)
    shop.day(date(2026, 3, 1))
    await shop.assigned(40)
    path = f"/customers/{shop.customer}/costs/{MARCH}"
    assert (await shop.get(path))["margin"] is None  # nobody was billed yet
    await months.close()
    rows = await shop.deps.usage()
    days = await rows.days(shop.scope, date(2026, 3, 1))
    measured = [day.model_copy(update={"stored_bytes": 50 * 10**9}) for day in days]
    await rows.put_days(shop.scope, measured)
    told = await shop.get(path)
    assert told["counted"] == {
        "sessions": 2, "objects": 200, "graphRequests": 1000, "graphResourceUnits": 1800,
        "throttled": 4, "computeS": "2001.0", "storedNewBytes": 66 * 1024 * 1024,
        "storedGb": "50.000", "storedTiersGb": {"Hot": "50.000"}, "measuredDays": 31,
    }  # fmt: skip
    lines = {line["name"]: (line["used"], line["amount"]) for line in told["lines"]}
    assert lines == {
        "storedGb": ("50.000", "0.9200"), "storedCoolGb": ("0", "0.0000"),
        "storedColdGb": ("0", "0.0000"), "storedArchiveGb": ("0", "0.0000"),
        "blobWrites": ("803", "0.0052"),
        "tableRequests": ("2400", "0.0001"), "computeSeconds": ("2001.0", "0.1041"),
        "graphRequests": ("1000", "0.0000"),
    }  # fmt: skip
    assert told["total"] == "1.0294"
    assert Decimal(told["margin"]) == Decimal("128.00") - Decimal("1.0294")
    assert (told["isEstimate"], told["currency"]) == (True, "USD")
    prices = await shop.get("/cost-prices")
    assert prices["asOf"] == told["asOf"]
    assert prices["prices"]["storedGb"]["price"] == "0.0184"
    assert all(each["source"] and not each["verified"] for each in prices["prices"].values())
    tiers = {"Hot": 20 * 10**9, "Archive": 30 * 10**9}
    moved = [day.model_copy(update={"stored_tiers": tiers}) for day in measured]
    await rows.put_days(shop.scope, moved)
    told = await shop.get(path)
    assert told["counted"]["storedTiersGb"] == {"Archive": "30.000", "Hot": "20.000"}
    lines = {line["name"]: (line["used"], line["amount"]) for line in told["lines"]}
    assert (lines["storedGb"], lines["storedArchiveGb"]) == (
        ("20.000", "0.3680"), ("30.000", "0.0297"),
    )  # fmt: skip
    unknown = f"/api/v1/customers/{ids.new_id()}/costs/{MARCH}"
    check_problem(await shop.api.get(unknown, headers=shop.headers), 404, "NOT_FOUND")


async def test_prices_of_the_operators_own_agreement_take_the_place(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = TABLE.read_text().replace('currency = "USD"', 'currency = "EUR"')
    own = own.replace('price = "0.0184"', 'price = "0.01"').replace("verified = false", "")
    own = own.replace("[prices.storedGb]", "[prices.storedGb]\nverified = true")

    async def asked(table: str) -> httpx.Response:
        settings = shop.deps.settings.model_copy(update={"cost_table": table})
        monkeypatch.setattr(shop.deps, "settings", settings)
        return await shop.api.get("/api/v1/cost-prices", headers=shop.headers)

    told = (await asked(own)).json()
    stored = told["prices"]["storedGb"]
    assert (told["currency"], stored["price"], stored["verified"]) == ("EUR", "0.01", True)
    months = Months(shop)
    await months.close()
    cost = await shop.get(f"/customers/{shop.customer}/costs/{MARCH}")
    assert cost["currency"] == "EUR"
    for wrong, reason in (
        ("no table", "line 1"),
        ('name = "x"', "prices: Field required"),
        (own.replace("prices.storedGb", "prices.storedGB"), "storedGB"),
    ):
        problem = check_problem(await asked(wrong), 503, "COST_TABLE_INVALID")
        assert any(reason in each for each in problem["reasons"]), problem


def test_time_behind_a_throttle_is_not_work() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    run = ObjectRun(
        session_id="s", object_id="o", workload="mailbox", source_id="m", display_name="m",
        address="m", started_at=at, ended_at=at + timedelta(seconds=90),
        graph=GraphCost(waited_s=30),
    )  # fmt: skip
    assert run.compute_s == 60
    assert run.model_copy(update={"ended_at": None}).compute_s == 0
