"""Putting the simulated marketplace together: state, gate, sockets, the delivery of webhooks."""

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from local.marketplace.admin import Admin, Rule, scripted, take
from local.marketplace.cloudblue import CloudBlue
from local.marketplace.deliveries import CALLER, Deliveries
from local.marketplace.fulfilment import Fulfilment
from local.marketplace.market import AUTO_ACCEPT, Market
from local.marketplace.metering import Metering
from local.marketplace.signin import SignIn
from local.marketplace.wire import Refused, answer, refusal
from local.microsoft365.clock import Clock
from local.microsoft365.tokens import Signer

API_VERSION = "2018-08-31"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Publisher:
    """Who sells: the tenant, the app, its certificate, and the key at CloudBlue."""

    tenant_id: str
    client_id: str
    certificate_pem: str
    cloudblue_key: str = "ApiKeyOfARun"


class Simulator:
    """Everything the handlers share; `app` is the aiohttp application."""

    def __init__(self, publisher: Publisher, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.publisher = publisher
        # Tokens live in real time: whoever checks them has no other clock.
        self.signer = Signer(Clock())
        self.rules: list[Rule] = []
        self.calls: Counter[str] = Counter()
        self.signin = SignIn(
            self.signer, publisher.tenant_id, publisher.client_id, publisher.certificate_pem
        )
        self.deliveries = Deliveries(
            self.clock, self.signer, publisher.tenant_id, publisher.client_id
        )
        self.market = Market(self.clock, self.deliveries)
        self.metering = Metering(self.market)
        self.cloudblue = CloudBlue(self.clock, publisher.cloudblue_key)
        self.deliveries.refused = self._refused
        self.app = web.Application(middlewares=[self._gate], client_max_size=64 * 1024 * 1024)
        for part in (
            Fulfilment(self.market), self.metering, self.cloudblue, Admin(self), self.signin
        ):  # fmt: skip
            self.app.router.add_routes(part.routes())

    def reset(self) -> None:
        """Forget subscriptions, operations, usage, requests, deliveries and faults."""
        market, meter = self.market, self.metering
        for kept in (market.subscriptions, market.operations, market.tokens, market.plans):
            kept.clear()
        market.broken_rows, market.auto_accept = [], AUTO_ACCEPT
        meter.accepted.clear()
        meter.dimensions, meter.mismatched, meter.errors_left = set(), set(), 0
        meter.foreign, self.cloudblue.reads_at_once = set(), True
        for things in (self.cloudblue.assets, self.cloudblue.requests, self.cloudblue.files):
            things.clear()
        self.rules.clear()
        self.calls.clear()
        out = self.deliveries
        out.all, out.held, out.copies, out.version = [], False, 1, 2

    def _refused(self, operation_id: str, status: int) -> None:
        """A 4xx answer to a webhook within ten seconds refuses the change."""
        found = self.market.operations.get(operation_id)
        if found is not None and found.status == "InProgress":
            self.market.finish(found, success=False, error=f"webhook answered {status}")

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not request.path.startswith("/_sim"):
                await self._admit(request)
            self.market.tick()
            return await handler(request)
        except Refused as fault:
            return refusal(fault)
        except (KeyError, ValueError, TypeError) as wrong:
            return answer({"code": "BadArgument", "message": repr(wrong)}, 400)

    async def _admit(self, request: web.Request) -> None:
        self.calls[f"{request.method} {request.path.split('/')[-1][:40]}"] += 1
        rule = take(self.rules, request.method, request.path)
        if rule is not None:
            await asyncio.sleep(rule.seconds)
            if rule.status:
                raise scripted(rule)
        if not request.path.startswith("/api/"):
            return
        if request.query.get("api-version") != API_VERSION:
            raise Refused(400, "api-version is needed.")
        claims = self.signer.check(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if claims is None or claims["exp"] <= Clock().seconds():
            raise Refused(401, "The token is not valid.")
        if claims.get("aud") != CALLER or claims.get("azp") != self.publisher.client_id:
            raise Refused(403, "The token is not for this publisher.")


@dataclass
class Server:
    """The running marketplace."""

    sim: Simulator
    http: str
    https: str
    runner: web.AppRunner
    work: asyncio.Task[None]

    async def close(self) -> None:
        """End listeners and deliveries."""
        self.work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.work
        await self.runner.cleanup()


async def serve(
    sim: Simulator,
    *,
    http_port: int = 0,
    https_port: int = 0,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Server:
    """Listen on the loopback; https only with a certificate. OSError for a port in use."""
    runner = web.AppRunner(sim.app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", http_port).start()
        http, https = f"http://127.0.0.1:{runner.addresses[0][1]}", ""
        if certificate and key:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(certificate, key)
            await web.TCPSite(runner, "127.0.0.1", https_port, ssl_context=tls).start()
            https = f"https://127.0.0.1:{runner.addresses[1][1]}"
    except OSError:
        await runner.cleanup()
        raise
    sim.signin.issuer = sim.deliveries.issuer = https or http
    work = asyncio.create_task(sim.deliveries.run(sim.market.tick))
    return Server(sim, http, https, runner, work)


@asynccontextmanager
async def running(publisher: Publisher, clock: Clock | None = None) -> AsyncIterator[Server]:
    """A marketplace on plain http for the time of a `with` block."""
    server = await serve(Simulator(publisher, clock))
    try:
        yield server
    finally:
        await server.close()
