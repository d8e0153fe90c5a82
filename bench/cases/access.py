"""What access control costs: an authorised point read beside the same read in a bare route."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from bench.figure import Figure
from local.azurite import Azurite
from tests.entra import Entra

ROUNDS = 400
WARM_UP = 40
CHECKS = 20_000
TENANT = "11111111-2222-3333-4444-555555555555"
API = "aaaaaaaa-2222-3333-4444-555555555555"

Read = Callable[[], Awaitable[httpx.Response]]


def measure() -> list[Figure]:
    """Both apps in this process, over the same tables, request by request in turn."""
    with tempfile.TemporaryDirectory() as folder, Entra() as entra:
        azurite = Azurite(log=Path(folder) / "azurite.log")
        try:
            return asyncio.run(_measure(azurite.connection, entra))
        finally:
            azurite.stop()


async def _measure(connection: str, entra: Entra) -> list[Figure]:
    from functions.api.app import build
    from shared import bootstrap
    from shared.access.model import Caller, Scope
    from shared.access.service import identify_partner, read_token
    from shared.bootstrap import Deps, prepare
    from shared.customers.service import create_customer
    from shared.kit.config import Settings

    given = Deps(
        Settings(
            storage_connection=connection,
            authority=entra.authority,
            api_client_id=API,
            rate_quota=1_000_000,
        )
    )
    bootstrap.use(given)
    await prepare(given)
    partner = await given.partners.register(TENANT, "Bench", ["client"])
    token = entra.token(TENANT, API)
    identity = await identify_partner(given, await read_token(given, token), None)
    assert identity is not None
    caller: Caller = identity.allow("customers.read")
    customer = await create_customer(given, caller, display_name="Contoso")
    bare = _bare(lambda key: given.tables["Customers"].get(partner.partner_id, key))
    header = {"Authorization": f"Bearer {token}"}
    async with _client(build()) as ours, _client(bare) as theirs:
        path = f"/api/v1/customers/{customer.customer_id}"
        reads: list[Read] = [lambda: ours.get(path, headers=header), lambda: theirs.get(path)]
        taken = await _in_turn(reads)
    began = time.perf_counter()
    for _ in range(CHECKS):
        identity.allow("customers.read")
    check = (time.perf_counter() - began) / CHECKS
    began = time.perf_counter()
    for _ in range(ROUNDS):
        await given.grants.known(Scope(partner.partner_id))
    stamp = (time.perf_counter() - began) / ROUNDS
    await given.close()
    own, peer = (statistics.median(times) * 1000 for times in taken)
    return [
        Figure("authorised point read, p50", own, "ms", f"bare FastAPI route: {peer:.2f} ms"),
        Figure("authorised point read / bare route", own / peer, "×", "", 2.0),
        Figure("permission check", check * 1000, "ms", "", 0.2),
        Figure("grants with their stamp", stamp * 1000, "ms", "one table read"),
    ]


def _bare(read: Callable[[str], Awaitable[Any]]) -> FastAPI:
    app = FastAPI()

    @app.get("/api/v1/customers/{customer_id}")
    async def get(customer_id: str) -> dict[str, Any]:
        return dict((await read(customer_id)).values)

    return app


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench.test")


async def _in_turn(reads: list[Read]) -> list[list[float]]:
    taken: list[list[float]] = [[] for _ in reads]
    for round_ in range(ROUNDS + WARM_UP):
        for times, read in zip(taken, reads, strict=True):
            began = time.perf_counter()
            answer = await read()
            assert answer.status_code == 200, answer.text
            if round_ >= WARM_UP:
                times.append(time.perf_counter() - began)
    return taken
