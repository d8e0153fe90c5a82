"""CloudBlue, signed documents and metering by dimension, through host, task hub and clocks."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shared.access.model import Scope
from shared.bootstrap import Deps
from shared.marketplace.model import order_id_of
from shared.usage.days import Day
from tests.e2e.scene import Json, Scene

PATIENCE_SECONDS = 150
LOOK_EVERY_SECONDS = 0.3
CLOCK_SECONDS = 30
PRODUCT, MPN, OFFER, PLAN = "PRD-e2e", "SEAT-e2e", "channels", "metered"


class Seller:
    """A distributor: signs documents with a key that the operator has registered."""

    def __init__(self, scene: Scene, channel: str, source: str) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        self.scene, self.channel, self.source, self.sequence = scene, channel, source, 0
        pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        body = {"source": source, "name": source, "channel": channel, "publicKey": pem.decode()}
        self.key_id = scene.partner.post("/channel-keys", body)["id"]

    def document(self, order: str, **changed: Any) -> Json:
        """A good document; its sequence grows."""
        self.sequence += 1
        today = datetime.now(UTC).date()
        good = {
            "documentId": f"doc-{uuid.uuid4()}", "orderId": order, "sequence": self.sequence,
            "issuedAt": "2026-01-01T00:00:00Z", "channel": self.channel, "item": "INS-M365",
            "partnerTenantId": self.scene.registrations.partner_tenant_id, "quantity": 50,
            "paymentOption": "AnnualUpfront", "contractEffective": today.isoformat(),
            "end": (today + timedelta(days=400)).isoformat(),
        }  # fmt: skip
        return good | changed

    def send(self, document: Json, **changed: Any) -> httpx.Response:
        """Deliver it, signed."""
        body, now = orjson.dumps(document), int(time.time())
        claims = {
            "aud": self.scene.stack.urls.api, "iat": now, "exp": now + 300,
            "sha256": hashlib.sha256(body).hexdigest(),
        } | changed  # fmt: skip
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        token = jwt.encode(claims, pem, "EdDSA", headers={"kid": self.key_id})
        return hook(self.scene, "orders", body, token)


def hook(scene: Scene, channel: str, body: bytes, token: str) -> httpx.Response:
    """A delivery at a door of the channels."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"{scene.stack.urls.api}/api/v1/webhooks/{channel}"
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=60)


def sim(scene: Scene, verb: str, **body: Any) -> Json:
    """One word to the marketplaces."""
    url = f"{scene.stack.urls.marketplace}/_sim/{verb}"
    answer = httpx.post(url, json=body, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def state(scene: Scene) -> Json:
    """What the marketplaces have."""
    url = f"{scene.stack.urls.marketplace}/_sim/state"
    return dict(httpx.get(url, trust_env=False, timeout=60).json())


def fire(scene: Scene, timer: str) -> None:
    """A timer by hand."""
    url = f"{scene.stack.urls.api}/admin/functions/{timer}"
    assert httpx.post(url, json={"input": ""}, trust_env=False, timeout=60).status_code == 202


def until(seen: Callable[[], Any]) -> Any:
    """The first thing seen that is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := seen()):
        assert time.monotonic() < end
        time.sleep(LOOK_EVERY_SECONDS)
    return found


def order(scene: Scene, source: str, external: str, *states: str) -> Json:
    """An order, once it has one of the states."""

    def look() -> Json | None:
        answer = scene.partner.call("GET", f"/orders/{order_id_of(source, external)}")
        found: Json | None = answer.json() if answer.status_code == 200 else None
        return found if found and found["state"] in states else None

    return dict(until(look))


@pytest.fixture(scope="module", autouse=True)
def plans(scene: Scene) -> Iterator[None]:
    """What the plans stand for."""
    plan = {"item": "INS-M365", "seller": "Channels", "paymentOption": "Monthly"}
    goods = {"source": "cloudblue", "offerId": PRODUCT, "planId": MPN}
    scene.partner.post("/channel-offers", plan | goods)
    meters = {"dimensions": [{"dimension": "restores", "meter": "Restores", "included": "1"}]}
    goods = {"source": "microsoft", "offerId": OFFER, "planId": PLAN}
    scene.partner.post("/channel-offers", plan | goods | meters)
    yield
    scene.partner.post("/channel-offers", plan | goods)  # nothing is metered any more


def test_mkt_10_documents_of_a_distributor_and_of_direct_sales_move_pools(scene: Scene) -> None:
    name = uuid.uuid4().hex[:8]
    distributor = Seller(scene, "OffMarketplace", f"also-{name}")
    direct = Seller(scene, "Direct", f"direct-{name}")
    first = distributor.document("po-1")
    assert [distributor.send(first).json()["isNew"] for _ in range(2)] == [True, False]
    assert distributor.send(first | {"quantity": 99}).status_code == 409
    assert distributor.send(distributor.document("po-1"), sha256="0" * 64).status_code == 401
    assert distributor.send(distributor.document("po-1"), aud="elsewhere").status_code == 401
    payg = direct.document("so-1", paymentType="Payg", paymentOption="Monthly", quantity=7)
    assert direct.send(payg).status_code == 200
    order(scene, distributor.source, "po-1", "Active")
    order(scene, direct.source, "so-1", "Active")
    second, third = distributor.document("po-1"), distributor.document("po-1", quantity=70)
    assert {distributor.send(each).status_code for each in (third, second)} == {200}
    until(lambda: order(scene, distributor.source, "po-1", "Active")["quantity"] == 70)
    today = datetime.now(UTC).date().isoformat()
    cancel = distributor.document("po-1", status="Cancelled", cancelledOn=today)
    assert distributor.send(cancel).status_code == 200
    ended = order(scene, distributor.source, "po-1", "Cancelled")
    pools = {pool["source"]: pool for pool in scene.partner.all("/pools")}
    kept = pools[distributor.source]
    assert (kept["total"], kept["end"], ended["end"]) == (70, today, today)
    assert (pools[direct.source]["total"], pools[direct.source]["paymentType"]) == (7, "Payg")


def test_issue_6_a_bad_document_is_refused_and_shown_with_its_reason(scene: Scene) -> None:
    seller = Seller(scene, "OffMarketplace", f"bad-{uuid.uuid4().hex[:8]}")
    answers = [
        seller.send(seller.document("po-2", item="")),
        seller.send(seller.document("po-3", paymentType="Payg", paymentOption="Monthly")),
    ]
    assert [answer.status_code for answer in answers] == [400, 422]
    parked = [o for o in scene.partner.all("/orders?status=parked") if o["source"] == seller.source]
    assert {each["code"] for each in parked} == {"MALFORMED", "PAYMENT_OPTION_NOT_ALLOWED"}
    assert all(each["reason"] for each in parked)


def test_mkt_10_cloudblue_requests_are_answered_and_applied(scene: Scene) -> None:
    secret = scene.registrations.partner_secret

    def ask(kind: str, **given: Any) -> Json:
        return sim(scene, "cloudblue", type=kind, **given)

    def call_back(request: Json, key: str = secret) -> int:
        token = jwt.encode({"exp": int(time.time()) + 300}, key, "HS256")
        return hook(scene, "cloudblue", orjson.dumps(request), token).status_code

    goods = {
        "productId": PRODUCT, "mpn": MPN, "quantity": 40,
        "tenantId": scene.registrations.partner_tenant_id,
    }  # fmt: skip
    bought, lost = ask("purchase", **goods), ask("purchase", **goods)
    asset, silent = bought["asset"]["id"], lost["asset"]["id"]
    assert call_back(bought, "another-secret-of-somebody-else-12") == 401
    assert call_back(bought) == 200
    order(scene, "cloudblue", asset, "Active")
    fire(scene, "reconcile_orders")  # no call-back told of the other one
    order(scene, "cloudblue", silent, "Active")
    more = ask("change", assetId=asset, quantity=60)
    assert call_back(more) == 200
    until(lambda: order(scene, "cloudblue", asset, "Active")["quantity"] == 60)
    less = ask("change", assetId=asset, quantity=50)
    assert call_back(less) == 200
    order(scene, "cloudblue", asset, "ChangeScheduled")
    gone = ask("cancel", assetId=silent)
    assert call_back(gone) == 200
    order(scene, "cloudblue", silent, "Cancelled")
    answered = {each["id"]: each["status"] for each in state(scene)["requests"]}
    wanted = [answered[each["id"]] for each in (bought, lost, more, less, gone)]
    assert wanted == ["approved"] * 5


def test_scenario_10_evenings_are_told_by_dimension_by_the_clock(scene: Scene) -> None:
    partner = scene.registrations.partner_tenant_id
    sold = sim(scene, "purchase", offerId=OFFER, planId=PLAN, quantity=5, tenantId=partner)
    external, day = sold["subscription"]["id"], datetime.now(UTC).date() - timedelta(days=1)
    began = {"startDate": f"{day}T00:00:00Z", "endDate": f"{day + timedelta(days=30)}T00:00:00Z"}
    sim(scene, "shape", id=external, members={"term": began})
    page = f"{scene.stack.urls.api}/api/v1/marketplace/landing"
    landed = httpx.get(page, params={"token": sold["token"]}, trust_env=False, timeout=60)
    assert landed.status_code == 200
    bought = order(scene, "microsoft", external, "Active")
    told = scene.partner.get(f"/orders/{bought['id']}/explain")["entries"]
    (pool,) = {each["poolId"] for each in told if each["poolId"]}

    async def measured(deps: Deps) -> None:
        made = Day(
            customer_id="m" * 16, customer_name="C", day=day, recorded=deps.clock.now(),
            pools={"INS-M365": pool}, restores=4,
        )  # fmt: skip
        await (await deps.usage()).put_days(Scope(bought["partnerId"]), [made])
        await deps.orders.table.delete("meteredDays", bought["partnerId"])

    scene.with_storage(measured)
    sim(scene, "faults")  # none of another module's, nor its days
    ahead = datetime.fromisoformat(state(scene)["now"]) - datetime.now(UTC)
    sim(scene, "clock", seconds=-ahead.total_seconds())
    path = f"/orders/{bought['id']}/metering"
    fired = [0.0]

    def accepted_by_then() -> list[Json]:
        if time.monotonic() - fired[0] > CLOCK_SECONDS:  # what was not sent, the next hour sends
            fire(scene, "submit_metering")
            fired[0] = time.monotonic()
        return [each for each in scene.partner.all(path) if each["status"] == "Accepted"]

    shown = until(accepted_by_then)
    assert [(each["dimension"], each["quantity"], each["periods"]) for each in shown] == [
        ("restores", "3", {day.isoformat(): "3"})
    ]
    accepted = [each for each in state(scene)["metered"] if each["resourceId"] == external]
    assert [each["quantity"] for each in accepted] == [3]
