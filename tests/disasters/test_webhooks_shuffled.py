"""Disaster: webhooks come many times, late and in the wrong order. The end is as once in order."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.catalogue.model import Channel
from shared.licensing.model import PaymentOption
from shared.marketplace.model import Offer, Sale
from tests.e2e.parties import Json
from tests.e2e.scene import Scene

COPIES = 50
PATIENCE_SECONDS = 180
ACCEPT_SECONDS = 10
LOOK_EVERY_SECONDS = 0.5


class Sim:
    """Words to the marketplace, on one connection."""

    def __init__(self, scene: Scene) -> None:
        self._wire = httpx.Client(
            base_url=f"{scene.stack.urls.marketplace}/_sim/", trust_env=False, timeout=60
        )

    def __call__(self, verb: str, **body: Any) -> Any:
        """Say it."""
        answer = self._wire.post(verb, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def deliveries(self, made: list[Json]) -> list[Json]:
        """Every webhook about these operations so far."""
        wanted = {each["id"] for each in made}
        found = self._wire.get("state").json()["deliveries"]
        return [each for each in found if each["operationId"] in wanted]

    def close(self) -> None:
        """End the connection; webhooks come as ever."""
        self("webhook", held=False, copies=1)
        self._wire.close()


@pytest.fixture
def sim(scene: Scene) -> Iterator[Sim]:
    """The marketplace, with a plan that stands for something."""

    async def register(deps: Any) -> None:
        sale = Sale(
            item="INS-M365", channel=Channel.MARKETPLACE, source="Microsoft",
            payment_option=PaymentOption.ANNUAL_UPFRONT,
        )  # fmt: skip
        offer = Offer(source="microsoft", offer_id="shuffled", plan_id="plan", sale=sale)
        await deps.orders.save_offer(offer)

    scene.with_storage(register)
    words = Sim(scene)
    words("webhook", acceptAfter=ACCEPT_SECONDS)  # who used the marketplace before may differ
    yield words
    words.close()


def order_of(scene: Scene, external: str, **wanted: Any) -> Json:
    """The order, once it is so."""
    end, order = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < end:
        found = [each for each in scene.partner.all("/orders") if each["externalId"] == external]
        order = found[0] if found else None
        if order and all(order[name] == value for name, value in wanted.items()):
            return order
        time.sleep(LOOK_EVERY_SECONDS)
    raise AssertionError((wanted, order))


def test_hundreds_of_webhooks_doubled_and_reversed_end_as_once_in_order(
    scene: Scene, sim: Sim
) -> None:
    sold = sim(
        "purchase", offerId="shuffled", planId="plan", quantity=30,
        tenantId=scene.registrations.partner_tenant_id,
    )  # fmt: skip
    external = sold["subscription"]["id"]
    page = f"{scene.stack.urls.api}/api/v1/marketplace/landing"
    landed = httpx.get(page, params={"token": sold["token"]}, trust_env=False, timeout=30)
    assert landed.status_code == 200, landed.text
    order_of(scene, external, state="Active", quantity=30)
    sim("webhook", held=True, copies=COPIES)
    made = []
    for quantity in (45, 60):
        made.append(sim("change", id=external, quantity=quantity))
        sim("clock", seconds=ACCEPT_SECONDS + 1)
        sim("webhook", order="reversed")  # what came before is now behind, and mixed
    made += [sim("operate", id=external, action=action) for action in ("Suspend", "Reinstate")]
    sim("clock", seconds=ACCEPT_SECONDS + 1)
    assert len(sim.deliveries(made)) == 4 * COPIES
    sim("webhook", held=False, copies=1, order="reversed")
    order = order_of(scene, external, state="Active", quantity=60, channelQuantity=60)
    end = time.monotonic() + PATIENCE_SECONDS
    while {each["state"] for each in sim.deliveries(made)} != {"delivered"}:
        assert time.monotonic() < end, sim.deliveries(made)[-3:]
        time.sleep(LOOK_EVERY_SECONDS)
    told = scene.partner.get(f"/orders/{order['id']}/explain")
    while len(told["deliveries"]) < 5:  # one that met another event of its order tries again
        assert time.monotonic() < end, told["deliveries"]
        time.sleep(LOOK_EVERY_SECONDS)
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
