"""Usage on the whole stack: the clocks measure, close last month and look back."""

from datetime import UTC, datetime
from typing import Any

import httpx

from shared.usage.measuring import day_of
from tests.e2e.scene import Customer, Scene


def fire(scene: Scene, timer: str) -> None:
    """A timer by hand, as the Functions tools do."""
    address = f"{scene.stack.urls.api}/admin/functions/{timer}"
    assert httpx.post(address, json={"input": ""}).status_code == 202


def month_before(day: str) -> str:
    year, month = int(day[:4]), int(day[5:7])
    return f"{year - (month == 1)}-{(month - 2) % 12 + 1:02}"


def test_usg_01_the_clocks_measure_close_and_look_back(scene: Scene, customer: Customer) -> None:
    customer.back_up()
    today = scene.partner.get("/licence-change")["day"]
    month = month_before(today)
    fire(scene, "billing_snapshot")
    fire(scene, "close_usage_months")

    def closed(found: dict[str, Any]) -> bool:
        return any(each["month"] == month and each["state"] == "Closed" for each in found["value"])

    scene.partner.follow("/usage-months", closed)
    report = scene.partner.get(f"/usage-reports/{month}")
    assert (report["state"], report["needsAction"]) == ("PendingReview", True)
    assert scene.partner.get(f"/subscription-usage?date={today[:8]}01")["usageMonth"] == month
    # A second tick finds the same process, and this evening's measurement its customers.
    fire(scene, "close_usage_months")
    fire(scene, "usage_daily")
    fire(scene, "amend_usage_months")
    fire(scene, "usage_deadline")
    users = len(customer.people)
    price = {"metric": "ProtectedUsers", "minimum": 999}
    evening = day_of(datetime.now(UTC)).isoformat()
    changes = [{"kind": "changePrice", "item": "Flex", "price": price}]
    question = {"month": evening[:7], "changes": changes}

    def measured(_: Any) -> bool:
        answer = scene.partner.post("/usage:simulate", question)
        lines = [each["now"] for each in answer["differences"]]
        return any(
            line["customerId"] == customer.id and float(line["counted"]) == users for line in lines
        )

    scene.partner.follow("/usage-months", measured)
    assert scene.partner.get("/usage-adjustments")["value"] == []
