"""A purchase from the landing page to the last day, through the local host and its task hub."""

import time
from typing import Any

import httpx
import pytest

from shared.bootstrap import Deps
from shared.catalogue.model import Channel
from shared.licensing.model import PaymentOption
from shared.marketplace.model import Offer, Sale
from tests.e2e.scene import Scene

PATIENCE_SECONDS = 60
LOOK_EVERY_SECONDS = 0.2


class Bazaar:
    """The marketplace's admin side, and the app's side of what was bought there."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._sim = httpx.Client(base_url=scene.stack.urls.marketplace, trust_env=False, timeout=30)

    def sim(self, verb: str, **body: Any) -> Any:
        """One word to the marketplace."""
        answer = self._sim.post(f"/_sim/{verb}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def state(self) -> Any:
        """Everything there is to see."""
        return self._sim.get("/_sim/state").json()

    def order(self, external: str) -> Any:
        """The order as the partner reads it; None while there is none."""
        orders = self.scene.partner.all("/orders")
        return next((each for each in orders if each["externalId"] == external), None)

    def until(self, external: str, **wanted: Any) -> Any:
        """Wait until the order is so."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            order = self.order(external)
            if order and all(order[name] == value for name, value in wanted.items()):
                return order
            time.sleep(LOOK_EVERY_SECONDS)
        raise AssertionError((wanted, order, self.state()["deliveries"][-3:]))

    def close(self) -> None:
        """End the connections."""
        self._sim.close()


@pytest.fixture
def bazaar(scene: Scene) -> Any:
    async def register(deps: Deps) -> None:
        sale = Sale(
            item="INS-M365", channel=Channel.MARKETPLACE, source="Microsoft",
            payment_option=PaymentOption.ANNUAL_UPFRONT,
        )  # fmt: skip
        await deps.orders.save_offer(
            Offer(source="microsoft", offer_id="offer", plan_id="plan", sale=sale)
        )

    scene.with_storage(register)
    found = Bazaar(scene)
    yield found
    found.close()


def test_a_purchase_lives_from_its_landing_to_its_last_day(scene: Scene, bazaar: Bazaar) -> None:
    tenant = scene.registrations.partner_tenant_id
    sold = bazaar.sim("purchase", offerId="offer", planId="plan", quantity=30, tenantId=tenant)
    external = sold["subscription"]["id"]
    page = f"{scene.stack.urls.api}/api/v1/marketplace/landing"
    landed = httpx.get(page, params={"token": sold["token"]}, trust_env=False, timeout=30)
    assert landed.status_code == 200, landed.text
    order = bazaar.until(external, state="Active", quantity=30)
    bazaar.sim("webhook", copies=40, version=1)
    bazaar.sim("change", id=external, quantity=45)
    bazaar.until(external, quantity=45)
    bazaar.sim("webhook", copies=1, version=2)
    bazaar.sim("operate", id=external, action="Suspend")
    bazaar.until(external, state="Suspended")
    bazaar.sim("operate", id=external, action="Reinstate")
    bazaar.until(external, state="Active")
    bazaar.sim("operate", id=external, action="Unsubscribe")
    bazaar.until(external, state="Cancelled", quantity=45)
    told = scene.partner.get(f"/orders/{order['id']}/explain")
    assert [each["what"] for each in told["entries"]].count("answered") == 2
    actions = [each["action"] for each in told["deliveries"]]
    assert actions == ["Landing", "ChangeQuantity", "Suspend", "Reinstate", "Unsubscribe"]
    delivered = bazaar.state()["deliveries"]
    assert len(delivered) == 43
    assert {each["state"] for each in delivered} == {"delivered"}
    pools = [pool for pool in scene.partner.all("/pools") if pool["item"] == "INS-M365"]
    assert [pool["total"] for pool in pools] == [45]


def test_a_marketplace_that_fails_is_asked_again(scene: Scene, bazaar: Bazaar) -> None:
    tenant = scene.registrations.partner_tenant_id
    sold = bazaar.sim("purchase", offerId="offer", planId="plan", quantity=3, tenantId=tenant)
    bazaar.sim("faults", method="GET", path="/subscriptions/[^/]+$", status=500, times=2)
    page = f"{scene.stack.urls.api}/api/v1/marketplace/landing"
    landed = httpx.get(page, params={"token": sold["token"]}, trust_env=False, timeout=30)
    assert landed.status_code == 200, landed.text
    bazaar.until(sold["subscription"]["id"], state="Active", quantity=3)
