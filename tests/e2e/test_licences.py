"""Licences on the whole stack: seats that follow a tenant, and batch edits, through sockets."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.scene import Customer, Scene

SLOT = "CBM-M365"
SOLD = 200
SHOP = "CloudBlue"


def fire(scene: Scene, timer: str) -> None:
    """A timer by hand, as the Functions tools do."""
    address = f"{scene.stack.urls.api}/admin/functions/{timer}"
    assert httpx.post(address, json={"input": ""}).status_code == 202


@pytest.fixture(scope="module")
def sold(scene: Scene) -> dict[str, Any]:
    """A pool beside the seeded one, ordered by the operator for the partner."""
    me = scene.partner.get("/partners/me")["partnerId"]
    today = scene.partner.get("/licence-change")["day"]
    order = {
        "partnerId": me, "orderId": "e2e", "item": SLOT, "quantity": SOLD,
        "contractEffective": today, "end": f"{int(today[:4]) + 1}-12-31",
        "channel": "Marketplace", "source": SHOP,
    }  # fmt: skip
    pool: dict[str, Any] = scene.partner.post("/pools", order)["pool"]
    return pool


@pytest.fixture
def licence(scene: Scene, customer: Customer) -> Iterator[Any]:
    """Gives and takes licences in the tenant; at the end everybody has what they had."""
    tenant = customer.tenant["tenantId"]

    def change(user: Any, licensed: bool) -> None:
        path = f"/tenants/{tenant}/users/{user['id']}/licence"
        scene.cloud.ask("PUT", path, {"licensed": licensed})

    yield change
    for user in customer.tenant["users"]:
        change(user, user["licensed"])


@pytest.mark.usefixtures("calm", "sold")
def test_lic_43_to_46_seats_follow_the_tenant_and_a_failed_reading_changes_nothing(
    scene: Scene, customer: Customer, licence: Any
) -> None:
    """SVC-26: no number is sent; what is assigned in Microsoft 365 decides, from the first day."""
    path = f"/customers/{customer.id}/subscriptions"
    made = scene.partner.post(path, {"slot": SLOT, "source": "Direct"})["subscription"]
    assert (made["mode"], made["quantity"]) == ("AutoAdjusted", len(customer.people))
    [newcomer] = [user for user in customer.tenant["users"] if not user["licensed"]]
    licence(newcomer, True)
    fire(scene, "adjust_licences")
    one = f"{path}/{SLOT}"
    scene.partner.follow(one, lambda sub: sub["quantity"] == made["quantity"] + 1)
    # SVC-27: what the tenant bought and assigned, as it is now.
    told = scene.partner.get(f"/customers/{customer.id}/tenant-licences")
    assert told["assigned"] == len(customer.tenant["users"])
    assert [line["product"] for line in told["products"]] == ["ENTERPRISEPACK"]
    # Everybody loses the licence, but Microsoft 365 cannot be read: nothing shrinks.
    for user in customer.tenant["users"]:
        licence(user, False)
    scene.cloud.faults(
        {"match": {"path": "/users"}, "times": -1, "action": "accessDenied"},
    )
    seen = len(list(scene.partner.all("/ledger")))
    fire(scene, "adjust_licences")
    fire(scene, "expire_licences")
    asked = "/stats"
    scene.partner.follow("/catalogue", lambda _: _denied(scene.cloud.ask("GET", asked)))
    assert scene.partner.get(one)["quantity"] == made["quantity"] + 1
    assert len(list(scene.partner.all("/ledger"))) == seen
    # Read again: one is left, and inside the lock a decrease waits instead of happening (LIC-44).
    scene.cloud.calm()
    licence(customer.tenant["users"][0], True)
    fire(scene, "adjust_licences")
    waiting = scene.partner.follow(one, lambda sub: sub["pendingDecrease"] is not None)
    assert (waiting["quantity"], waiting["pendingDecrease"]) == (made["quantity"] + 1, 1)
    assert scene.partner.post("/ledger:verify")["ok"]


def _denied(stats: Any) -> bool:
    return "403" in str(stats)


def test_cus_36_a_batch_through_the_real_host(scene: Scene, sold: dict[str, Any]) -> None:
    """Four customers, one refusal; progress, results as CSV; another batch is canceled."""
    partner = scene.partner
    ids = [partner.post("/customers", {"displayName": f"Batch {n}"})["id"] for n in range(4)]
    change = {"verb": "assign", "slot": SLOT, "source": SHOP, "quantity": 60}
    body = {"customerIds": ids, "change": change}
    foreseen = partner.post("/subscriptions:previewBatch", body)["value"]
    started = partner.post("/subscriptions:batchEdit", body)
    ended = partner.follow(f"/operations/{started['id']}", _is_over)
    assert (ended["status"], ended["percentComplete"]) == ("Succeeded", 100)
    became = [each["status"] for each in ended["result"]["customers"]]
    assert became == ["Succeeded"] * 3 + ["Failed"]
    assert [each["preview"]["isAllowed"] for each in foreseen] == [True, True, True, False]
    path = f"/subscriptions/batch-edits/{started['id']}/results"
    lines = list(csv.DictReader(io.StringIO(partner.call("GET", path).text)))
    assert [line["customerId"] for line in lines] == ids
    assert lines[3]["code"] == "POOL_EXHAUSTED"
    more = {**body, "change": {"verb": "increase", "subscriptionId": SLOT, "quantity": 1}}
    second = partner.post("/subscriptions:batchEdit", more)["id"]
    answer = partner.call("POST", f"/operations/{second}:cancel")
    assert answer.status_code in {202, 409}, answer.text
    over = partner.follow(f"/operations/{second}", _is_over)
    done = sum(each["status"] == "Succeeded" for each in over["result"]["customers"])
    left = any(each["status"] == "Canceled" for each in over["result"]["customers"])
    assert over["status"] == ("Canceled" if left else "Succeeded")
    held = [partner.get(f"/customers/{each}/subscriptions/{SLOT}")["quantity"] for each in ids[:3]]
    assert sum(held) == 180 + done
    assert partner.post("/ledger:verify")["ok"]


def _is_over(operation: Any) -> bool:
    return operation["status"] in {"Succeeded", "Failed", "Canceled"}
