"""Disaster: webhooks come many times, late and in the wrong order. The end is as once in order."""

import time
from typing import Any

import httpx
import pytest

from shared.catalogue.model import Channel
from shared.licensing.model import PaymentOption
from shared.marketplace.model import Offer, Sale
from tests.e2e.scene import Json, Scene

COPIES = 50
PATIENCE_SECONDS = 150
AUTO_ACCEPT_SECONDS = 11


def sim(scene: Scene, verb: str, **body: Any) -> Any:
    """One word to the marketplace."""
    url = f"{scene.stack.urls.marketplace}/_sim/{verb}"
    answer = httpx.post(url, json=body, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def deliveries(scene: Scene) -> list[Json]:
    url = f"{scene.stack.urls.marketplace}/_sim/state"
    return list(httpx.get(url, trust_env=False, timeout=30).json()["deliveries"])


@pytest.fixture
def offered(scene: Scene) -> Any:
    async def register(deps: Any) -> None:
        sale = Sale(
            item="INS-M365", channel=Channel.MARKETPLACE, source="Microsoft",
            payment_option=PaymentOption.ANNUAL_UPFRONT,
        )  # fmt: skip
        offer = Offer(source="microsoft", offer_id="shuffled", plan_id="plan", sale=sale)
        await deps.orders.save_offer(offer)

    scene.with_storage(register)
    yield
    sim(scene, "webhook", held=False, copies=1)


def order_of(scene: Scene, external: str, **wanted: Any) -> Json:
    """The order, once it is so."""
    end, order = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < end:
        found = [each for each in scene.partner.all("/orders") if each["externalId"] == external]
        order = found[0] if found else None
        if order and all(order[name] == value for name, value in wanted.items()):
            return order
        time.sleep(0.2)
    raise AssertionError((wanted, order, deliveries(scene)[-3:]))


@pytest.mark.usefixtures("offered")
def test_hundreds_of_webhooks_doubled_and_reversed_end_as_once_in_order(scene: Scene) -> None:
    sold = sim(
        scene, "purchase", offerId="shuffled", planId="plan", quantity=30,
        tenantId=scene.registrations.partner_tenant_id,
    )  # fmt: skip
    external = sold["subscription"]["id"]
    page = f"{scene.stack.urls.api}/api/v1/marketplace/landing"
    landed = httpx.get(page, params={"token": sold["token"]}, trust_env=False, timeout=30)
    assert landed.status_code == 200, landed.text
    order_of(scene, external, state="Active", quantity=30)
    before = len(deliveries(scene))
    sim(scene, "webhook", held=True, copies=COPIES)
    for quantity in (45, 60):
        sim(scene, "change", id=external, quantity=quantity)
        sim(scene, "clock", seconds=AUTO_ACCEPT_SECONDS)
        sim(scene, "webhook", order="reversed")  # what came before is now behind, and mixed
    sim(scene, "operate", id=external, action="Suspend")
    sim(scene, "operate", id=external, action="Reinstate")
    sim(scene, "clock", seconds=AUTO_ACCEPT_SECONDS)
    assert len(deliveries(scene)) == before + 4 * COPIES
    sim(scene, "webhook", held=False, copies=1, order="reversed")
    order = order_of(scene, external, state="Active", quantity=60, channelQuantity=60)
    end = time.monotonic() + PATIENCE_SECONDS
    while {each["state"] for each in deliveries(scene)} != {"delivered"}:
        assert time.monotonic() < end, deliveries(scene)[-3:]
        time.sleep(0.2)
    told = scene.partner.get(f"/orders/{order['id']}/explain")
    while len(told["deliveries"]) < 5:  # one that met another event of its order tries again
        assert time.monotonic() < end, told["deliveries"]
        time.sleep(0.2)
        told = scene.partner.get(f"/orders/{order['id']}/explain")
    # Each event is there once, whatever the number of its deliveries.
    actions = sorted(each["action"] for each in told["deliveries"])
    assert actions == ["ChangeQuantity", "ChangeQuantity", "Landing", "Reinstate", "Suspend"]
    written = [number for each in told["entries"] for number in each["ledgerEvents"]]
    assert len(written) == len(set(written))
    [pool_id] = {each["poolId"] for each in told["entries"] if each["poolId"]}
    [pool] = [each for each in scene.partner.all("/pools") if each["id"] == pool_id]
    assert pool["total"] == 60
    assert order_of(scene, external)["state"] == "Active"
