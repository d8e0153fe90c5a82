"""Orders as they come in: the simulated marketplace calls the app's webhooks over real sockets.

Beside the app stands a client that runs the process of an event at once, in the same loop; the
process under the task hub is tried end to end.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import jwt
import orjson
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from functions import binding
from functions.api.app import api
from local.marketplace.deliveries import CALLER
from local.marketplace.simulator import Publisher, Server, Simulator, serve
from shared.access.model import Client, Scope
from shared.access.service import register_partner
from shared.bootstrap import Deps
from shared.kit.errors import HoldfastError
from shared.marketplace import processing
from shared.marketplace.http import Caller
from shared.marketplace.microsoft import Microsoft
from shared.marketplace.model import MICROSOFT, order_id_of
from shared.marketplace.sender import MarketplaceSender

PUBLISHER_TENANT = "99999999-2222-3333-4444-555555555555"
APP = "88888888-2222-3333-4444-555555555555"
OFFER = "holdfast-backup"
YEARLY, MONTHLY, PRIVATE, FLY = "cbm-yearly", "cbm-monthly", "cbm-yearly-x", "fly-yearly"
CLOUDBLUE_KEY, HOOK_SECRET = "ApiKeyOfARun", "the-secret-of-the-hooks-of-a-run-1"
PATIENCE_SECONDS = 240


class MarketClock:
    """The app's clock is the marketplace's: a test moves both."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    def now(self) -> datetime:
        """The simulator's instant."""
        return self._sim.clock.now()


class Processes:
    """Stands where the task hub's client would be, and runs what is started at once."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.running: dict[str, asyncio.Task[None]] = {}
        self.started: list[str] = []
        self.is_down = False

    def clear(self) -> None:
        """Forget what was started."""
        self.running.clear()
        self.started.clear()
        self.is_down = False

    async def schedule_new_orchestration(
        self, name: str, *, instance_id: str, **given: dict[str, str]
    ) -> str:
        """Start it unless it is there."""
        assert name == "apply_channel_event"
        if instance_id not in self.running and not self.is_down:
            self.started.append(instance_id)
            self.running[instance_id] = asyncio.create_task(self._run(**given["input"]))
        return instance_id

    async def _run(self, source: str, event_id: str) -> None:
        for _ in range(60):
            try:
                await processing.answer_event(self._deps, source, event_id)
                await processing.settle_event(self._deps, source, event_id)
            except HoldfastError as fault:
                if fault.status < 500:
                    raise
                await asyncio.sleep(0.05)
            else:
                return
        await processing.give_up(self._deps, source, event_id, "the channel does not answer")

    async def rest(self) -> None:
        """Until everything that was started has ended; raises what went wrong."""
        while pending := [task for task in self.running.values() if not task.done()]:
            await asyncio.wait(pending, timeout=PATIENCE_SECONDS)
        for task in self.running.values():
            task.result()


class Market:
    """Words of tests: buy, change, wait, look."""

    def __init__(self, site: "Site", bearer: Any) -> None:
        self.site, self.deps, self.server = site, site.deps, site.server
        self.sim, self.processes = site.server.sim, site.processes
        self.url, self._bearer = site.url, bearer
        self.api = httpx.AsyncClient(base_url=f"{self.url}/api/v1", trust_env=False, timeout=30)
        self.tenant, self.operator_tenant = str(uuid.uuid4()), str(uuid.uuid4())
        self.market = self.sim.market
        self.out = self.sim.deliveries

    async def open(self) -> "Market":
        """A partner, the operator, and the plans that are sold."""
        await register_partner(
            self.deps, self.operator_tenant, "Operator", [Client("operator", is_operator=True)]
        )
        found = await register_partner(self.deps, self.tenant, "Partner", ["shop"])
        self.partner_id, self.scope = found.partner_id, Scope(found.partner_id)
        self.headers = self._bearer(self.tenant, azp="shop")
        self.operator = self._bearer(self.operator_tenant, azp="operator")
        for plan, item, option in (
            (YEARLY, "CBM-M365", "AnnualUpfront"),
            (PRIVATE, "CBM-M365", "AnnualUpfront"),
            (MONTHLY, "CBM-M365", "Monthly"),
            (FLY, "FLY-AVIATOR", "AnnualUpfront"),
            ("cgv-yearly", "CGV", "AnnualUpfront"),
            ("apm", "CBM-M365", "AnnualPaidMonthly"),
        ):
            await self.offer("microsoft", OFFER, plan, item, option)
        self.out.url = f"{self.url}/api/v1/webhooks/microsoft"
        return self

    async def offer(self, source: str, offer: str, plan: str, item: str, option: str) -> None:
        """Register what a plan stands for."""
        body = {
            "source": source, "offerId": offer, "planId": plan, "item": item,
            "paymentOption": option, "seller": source.title(),
        }  # fmt: skip
        answer = await self.api.post("/channel-offers", json=body, headers=self.operator)
        assert answer.status_code == 200, answer.text

    async def buy(self, quantity: int | None = 30, plan: str = YEARLY, **more: Any) -> str:
        """A purchase that has not landed yet; the subscription's id."""
        unit = "P1M" if plan == MONTHLY else "P1Y"
        asked = {
            "offerId": OFFER, "planId": plan, "quantity": quantity, "tenantId": self.tenant,
            "termUnit": unit, **more,
        }  # fmt: skip
        sold, self.token = self.market.purchase(asked)
        return sold.id

    async def land(self, token: str = "") -> httpx.Response:
        """Open the landing page as the buyer's browser does."""
        answer = await self.api.get("/marketplace/landing", params={"token": token or self.token})
        await self.processes.rest()
        return answer

    async def bought(self, quantity: int | None = 30, plan: str = YEARLY, **more: Any) -> str:
        """Bought, landed, activated."""
        external = await self.buy(quantity, plan, **more)
        assert (await self.land()).status_code == 200
        assert self.market.subscriptions[external].state == "Subscribed"
        return external

    def sold(self, external: str) -> Any:
        """The marketplace's side."""
        return self.market.subscriptions[external]

    async def rest(self) -> None:
        """Until every webhook is delivered and applied."""
        until = time.monotonic() + PATIENCE_SECONDS
        while any(each.state == "waiting" for each in self.out.all) and not self.out.held:
            waiting = [each.shown() for each in self.out.all if each.state == "waiting"]
            assert time.monotonic() < until, waiting[:5]
            await asyncio.sleep(0.02)
        await self.processes.rest()

    async def operate(self, external: str, action: str, **given: Any) -> Any:
        """An operation of the marketplace, applied."""
        made = self.market.operate(self.sold(external), action, **given)
        await self.rest()
        return made

    async def change(self, external: str, **asked: Any) -> Any:
        """A change by the customer, answered."""
        made = self.market.change(self.sold(external), asked)
        await self.rest()
        return made

    async def send(self, body: Any, **given: Any) -> int:
        """A webhook of one's own making; the status it was answered with."""
        (made,) = self.out.add(body, "", **({"claims": {"sub": "x"}} | given))
        await self.rest()
        return made.statuses[-1]

    async def order(self, external: str, source: str = MICROSOFT) -> dict[str, Any]:
        """The order as the operator reads it."""
        return dict(await self.get(f"/orders/{order_id_of(source, external)}"))

    async def explained(self, external: str, source: str = MICROSOFT) -> dict[str, Any]:
        """With everything that led there."""
        return dict(await self.get(f"/orders/{order_id_of(source, external)}/explain"))

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        """The body of a good answer, as the operator unless told otherwise."""
        answer = await self.api.get(path, headers=headers or self.operator)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def pools(self) -> list[dict[str, Any]]:
        """The partner's pools."""
        return list((await self.get("/pools", self.headers))["value"])

    async def pool(self) -> dict[str, Any]:
        """The only one."""
        (found,) = await self.pools()
        return found

    async def adds_up(self) -> None:
        """The licence ledger tells what is stored."""
        answer = await self.api.post("/ledger:verify", headers=self.headers)
        assert answer.json()["ok"], answer.text

    def pass_time(self, **given: float) -> None:
        """Let time pass for both sides."""
        self.site.passed += timedelta(**given)
        self.sim.clock.advance(timedelta(**given).total_seconds())

    async def give(self, quantity: int, source: str = "Microsoft") -> str:
        """Seats of the pool to a new customer of the partner; the subscription's path."""
        body = {"displayName": "C"}
        made = await self.api.post("/customers", json=body, headers=self.headers)
        path = f"/customers/{made.json()['id']}/subscriptions"
        seats = {"slot": "CBM-M365", "quantity": quantity, "source": source}
        given = await self.api.post(path, json=seats, headers=self.headers)
        assert (given.status_code, given.json()["subscription"]["state"]) == (201, "Active")
        return f"{path}/CBM-M365"

    async def parked(
        self, external: str = "", headers: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """GET /orders?status=Parked, all pages; the storage is shared with other tests."""
        found: list[dict[str, Any]] = []
        path = "/orders?status=Parked"
        while path:
            page = await self.get(path, headers)
            found += page["value"]
            path = page.get("nextLink", "").partition("/api/v1")[2]
        return [order for order in found if external in ("", order["externalId"])]


class Seller:
    """A distributor or our sales: signs documents with a key of its own."""

    def __init__(self, market: Market, channel: str, source: str, name: str) -> None:
        self.market, self.channel, self.source, self.name = market, channel, source, name
        self._key = ed25519.Ed25519PrivateKey.generate()
        self.sequence = 0
        self.key_id = ""

    async def register(self) -> "Seller":
        """The operator registers the public key."""
        pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        body = {
            "source": self.source, "name": self.name, "channel": self.channel,
            "publicKey": pem.decode(),
        }  # fmt: skip
        answer = await self.market.api.post(
            "/channel-keys", json=body, headers=self.market.operator
        )
        assert answer.status_code == 200, answer.text
        self.key_id = answer.json()["id"]
        return self

    def document(self, order: str = "po-1", **changed: Any) -> dict[str, Any]:
        """A good document; its sequence grows."""
        self.sequence += 1
        today = self.market.deps.clock.now().date()
        good = {
            "documentId": f"doc-{uuid.uuid4()}",
            "orderId": order,
            "sequence": self.sequence,
            "issuedAt": "2026-01-01T00:00:00Z",
            "partnerTenantId": self.market.tenant,
            "channel": self.channel,
            "item": "CBM-M365",
            "quantity": 50,
            "paymentOption": "AnnualUpfront",
            "contractEffective": today.isoformat(),
            "end": today.replace(year=today.year + 1).isoformat(),
        }
        return {k: v for k, v in (good | changed).items() if v is not None}

    def token(self, body: bytes, **changed: Any) -> str:
        """The signature over a body."""
        now = int(time.time())
        claims = {
            "aud": self.market.deps.settings.public_url,
            "iat": now,
            "exp": now + 300,
            "sha256": hashlib.sha256(body).hexdigest(),
        } | changed
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return jwt.encode(claims, pem, "EdDSA", headers={"kid": self.key_id})

    async def send(self, document: Any, **claims: Any) -> httpx.Response:
        """Deliver; everything that follows has happened."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        headers = {
            "Authorization": f"Bearer {self.token(body, **claims)}",
            "Content-Type": "application/json",
        }
        answer = await self.market.api.post("/webhooks/orders", content=body, headers=headers)
        await self.market.processes.rest()
        return answer

    async def order(self, order: str = "po-1") -> dict[str, Any]:
        """The order."""
        return await self.market.order(order, self.source)


class Site:
    """The marketplace and the app, each behind a socket; many markets may stand on it in turn."""

    def __init__(self, deps: Deps, server: Server, processes: Processes, url: str) -> None:
        self.deps, self.server, self.processes, self.url = deps, server, processes, url
        self.passed = timedelta()

    def clear(self) -> None:
        """Nothing of the market before is left: its orders, faults, processes, its time."""
        sim = self.server.sim
        sim.reset()
        sim.clock.advance(-self.passed.total_seconds())
        sim.deliveries.url = f"{self.url}/api/v1/webhooks/microsoft"
        self.passed = timedelta()
        self.processes.clear()


@asynccontextmanager
async def opened(deps: Deps, bearer: Callable[..., dict[str, str]]) -> AsyncIterator[Market]:
    """A site with one market on it, until the block ends."""
    async with built(deps) as site:
        market = Market(site, bearer)
        try:
            yield await market.open()
        finally:
            await market.api.aclose()


@asynccontextmanager
async def built(deps: Deps) -> AsyncIterator[Site]:
    """The marketplace and the app, each behind a socket, until the block ends."""
    publisher = Publisher(PUBLISHER_TENANT, APP, "", CLOUDBLUE_KEY)
    server = await serve(Simulator(publisher))
    deps.clock = MarketClock(server.sim)  # before anything is opened that keeps it
    changed = {
        "publisher_tenant_id": PUBLISHER_TENANT, "marketplace_client_id": APP,
        "cloudblue": f"{server.http}/public/v1", "cloudblue_key": CLOUDBLUE_KEY,
        "cloudblue_hook_secret": HOOK_SECRET,
    }  # fmt: skip
    given = deps.settings.model_dump(exclude={"storage_connection"}) | changed
    deps.settings = type(deps.settings)(
        **given, storage_connection=deps.settings.storage_connection
    )
    sender = MarketplaceSender(server.http, PUBLISHER_TENANT, APP, cooldown=0)

    async def headers() -> dict[str, str]:
        claims = {"aud": CALLER, "azp": APP, "tid": PUBLISHER_TENANT}
        return {"Authorization": f"Bearer {server.sim.signer.sign(claims, 3600)}"}

    adapter = Microsoft(sender, Caller(f"{server.http}/api", headers), deps.clock)
    deps.channels._made[MICROSOFT] = adapter
    processes = Processes(deps)
    token = binding._client.set(processes)
    web = uvicorn.Server(uvicorn.Config(api, port=0, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(web.serve())
    while not web.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield Site(deps, server, processes, url)
    finally:
        web.should_exit = True
        await serving
        await server.close()
        binding._client.reset(token)
