"""Lines of usage reports explain themselves, whatever they were made of (USG-03 to USG-06)."""

from datetime import date
from typing import Any

import pytest

from tests.api.conftest import check_problem
from tests.api.licensing import Shop
from tests.api.usage import MARCH, Months, protected


@pytest.fixture
def months(shop: Shop) -> Months:
    return Months(shop)


async def explained(shop: Shop, line: str) -> dict[str, Any]:
    found: dict[str, Any] = await shop.get(f"/usage-reports/{MARCH}/lines/{line}/explain")
    return found


async def test_usg_03_05_a_products_line_is_told_by_its_parts(months: Months) -> None:
    shop = months.shop
    await months.agree(pointsPerUnit={"CBM-M365": "5"})
    pool = await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    shop.day(date(2026, 3, 2))
    await shop.assigned(40)
    second = await shop.add_customer()
    body = {"slot": "CBM-M365", "quantity": 20, "source": "Direct"}
    assert (await shop.post(f"/customers/{second}/subscriptions", body)).status_code == 201
    [line] = (await months.close())["lines"]
    assert (await explained(shop, line["lineId"]))["arithmetic"] in {
        "40 + 20 = 60; 60 × 5 = 300 points", "20 + 40 = 60; 60 × 5 = 300 points",
    }  # fmt: skip
    edit = {"lines": [{"lineId": line["lineId"], "current": 70}]}
    await months.good("PATCH", body=edit)
    told = await explained(shop, line["lineId"])
    assert told["arithmetic"].endswith("70 × 5 = 350 points")
    assert "Together 60; set to 70 by hand (USG-03)." in told["sentences"]
    assert {event["kind"] for event in told["events"]} == {"Assigned"}
    assert {"USG-03", "LIC-31", "AMB-23"} <= set(told["rules"])
    parts = {each["customerId"]: each for each in told["parts"]}
    assert {who: int(each["billed"]) for who, each in parts.items()} == {
        shop.customer: 40, second: 20,
    }  # fmt: skip
    # Each part goes on to its own events and days.
    part = parts[second]
    assert part["poolId"] == pool
    deeper = await explained(shop, part["lineId"])
    assert (deeper["arithmetic"], deeper["parts"]) == ("20 × 5 = 100 points", [])
    assert [run["quantity"] for run in deeper["runs"]] == ["20"]


async def test_usg_04_06_manual_and_saas_lines_are_told_in_points(months: Months) -> None:
    shop = months.shop
    await protected(months, 31)
    report = await months.close()
    [saas] = report["saasUsage"]
    assert (await explained(shop, saas["lineId"]))["arithmetic"] == "31 × 2.5 = 77.5 points"
    body = {"product": "P", "units": 2, "pointsPerUnit": "3"}
    [manual] = (await months.good("POST", "/lines", body))["lines"]
    told = await explained(shop, manual["lineId"])
    assert told["sentences"] == ["2 units were added by hand (USG-04)."]
    assert (told["arithmetic"], told["events"], told["parts"]) == ("2 × 3 = 6 points", [], [])
    address = f"/api/v1/usage-reports/{MARCH}/lines/nothing/explain"
    check_problem(await shop.api.get(address, headers=shop.headers), 404, "NOT_FOUND")
