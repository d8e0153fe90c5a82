"""How long the marketplace waits for our answer to a webhook: p50 and p95, one after the other."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import orjson

from bench.figure import Figure
from local.azurite import Azurite
from tests.entra import Entra

ROUNDS = 200
WARM_UP = 10
API = "aaaaaaaa-2222-3333-4444-555555555555"


def measure() -> list[Figure]:
    """New events and repeated ones, verified and kept over real sockets and tables."""
    with tempfile.TemporaryDirectory() as folder, Entra() as entra:
        azurite = Azurite(log=Path(folder) / "azurite.log")
        try:
            return asyncio.run(_measure(azurite.connection, entra))
        finally:
            azurite.stop()


async def _measure(connection: str, entra: Entra) -> list[Figure]:
    from shared import bootstrap
    from shared.bootstrap import Deps, prepare
    from shared.kit.config import Settings
    from tests.api.market import Market, opened

    configuration = Settings(
        storage_connection=connection,
        authority=entra.authority,
        api_client_id=API,
        rate_quota=1_000_000,
    )
    given = Deps(configuration)
    bootstrap.use(given)
    await prepare(given)

    def bearer(tenant: str, **claims: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {entra.token(tenant, API, **claims)}"}

    async def timed(market: Market, names: list[str]) -> list[float]:
        spent = []
        headers = {"Authorization": f"Bearer {market.out.token()}"}
        for name in names:
            body = orjson.dumps({"id": name, "action": "Renew", "subscriptionId": "s"})
            begun = time.perf_counter()
            answer: httpx.Response = await market.api.post(
                "/webhooks/microsoft", content=body, headers=headers
            )
            spent.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 200, answer.text
        return spent[WARM_UP:]

    async with opened(given, bearer) as market:
        market.processes.is_down = True  # only the door is measured
        names = [f"event-{number}" for number in range(ROUNDS + WARM_UP)]
        new, again = await timed(market, names), await timed(market, names)
    await given.close()
    p95 = statistics.quantiles(new, n=20)[-1]
    return [
        Figure("webhook: p50 to answer, new event", statistics.median(new), "ms"),
        Figure("webhook: p95 to answer, new event", p95, "ms", f"{ROUNDS} events", 1000),
        Figure("webhook: p95 to answer, repeated", statistics.quantiles(again, n=20)[-1], "ms"),
    ]
