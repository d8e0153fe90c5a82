"""The simulated marketplace is like the real one where the app depends on it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import jwt
import pytest

from local.marketplace.deliveries import CALLER
from local.marketplace.simulator import Publisher, Server, running

TENANT, APP = "99999999-2222-3333-4444-555555555555", "88888888-2222-3333-4444-555555555555"
VERSION = {"api-version": "2018-08-31"}


class Shop:
    """A publisher with a session and a good token."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.server, self._session = server, session
        claims = {"aud": CALLER, "azp": APP, "tid": TENANT}
        self.token = server.sim.signer.sign(claims, 3600)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Status and body."""
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        where = path if path.startswith("http") else f"{self.server.http}{path}"
        query = VERSION if path.startswith("/api/") else None
        async with self._session.request(
            method, where, json=body, headers=sent, params=query
        ) as got:
            return got.status, await got.json() if await got.read() else None


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with running(Publisher(TENANT, APP, "")) as server, aiohttp.ClientSession() as session:
        yield Shop(server, session)


async def bought(shop: Shop) -> str:
    asked = {"offerId": "o", "planId": "p", "quantity": 5, "tenantId": TENANT}
    _, made = await shop.call("POST", "/_sim/purchase", asked)
    return str(made["subscription"]["id"])


@pytest.mark.parametrize(("version", "path"), [(1, ""), (2, "/v2.0")])
async def test_tokens_are_issued_as_the_metadata_says(shop: Shop, version: int, path: str) -> None:
    where = f"/{TENANT}{path}/.well-known/openid-configuration"
    _, told = await shop.call("GET", where)
    token = shop.server.sim.deliveries.token(version=version)
    _, keys = await shop.call("GET", told["jwks_uri"])
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(jwt.PyJWK(each) for each in keys["keys"] if each["kid"] == kid)
    claims = jwt.decode(token, key, ["RS256"], audience=APP, issuer=told["issuer"])
    assert claims["azp" if version == 2 else "appid"] == CALLER


async def test_calls_need_a_token_and_a_version(shop: Shop) -> None:
    good, shop.token = shop.token, "x.y.z"
    assert (await shop.call("GET", "/api/saas/subscriptions"))[0] == 401
    shop.token = shop.server.sim.signer.sign({"aud": CALLER, "azp": "other"}, 3600)
    assert (await shop.call("GET", "/api/saas/subscriptions"))[0] == 403
    shop.token = good
    assert (await shop.call("GET", f"{shop.server.http}/api/saas/subscriptions"))[0] == 400
    assert await shop.call("GET", "/api/saas/subscriptions") == (200, None)


async def test_a_subscription_is_activated_once_and_ends_for_good(shop: Shop) -> None:
    path = f"/api/saas/subscriptions/{await bought(shop)}"
    wrong, right = {"planId": "p", "quantity": 6}, {"planId": "p", "quantity": 5}
    told = [(await shop.call("POST", f"{path}/activate", b))[0] for b in (wrong, right, right)]
    assert told == [400, 200, 400]
    both = {"planId": "p", "quantity": 9}
    assert (await shop.call("PATCH", path, both))[0] == 400
    assert (await shop.call("PATCH", path, {"quantity": 9}))[0] == 202
    assert (await shop.call("PATCH", path, {"quantity": 8}))[0] == 409
    assert (await shop.call("DELETE", path))[0] == 202
    assert (await shop.call("POST", f"{path}/activate", right))[0] == 404
    assert (await shop.call("DELETE", path))[0] == 400
    _, shown = await shop.call("GET", path)
    assert shown["saasSubscriptionStatus"] == "Unsubscribed"


async def test_what_nobody_answers_is_accepted_after_ten_seconds(shop: Shop) -> None:
    external = await bought(shop)
    path = f"/api/saas/subscriptions/{external}"
    await shop.call("POST", f"{path}/activate", {"planId": "p", "quantity": 5})
    _, made = await shop.call("POST", "/_sim/change", {"id": external, "quantity": 7})
    where = f"{path}/operations/{made['id']}"
    await shop.call("POST", "/_sim/clock", {"seconds": 9})
    assert (await shop.call("GET", where))[1]["status"] == "InProgress"
    await shop.call("POST", "/_sim/clock", {"seconds": 2})
    assert (await shop.call("GET", where))[1]["status"] == "Succeeded"
    assert (await shop.call("GET", path))[1]["quantity"] == 7
    assert (await shop.call("PATCH", where, {"status": "Failure"}))[0] == 409


async def test_lists_come_in_pages_of_a_hundred(shop: Shop) -> None:
    for _ in range(101):
        await bought(shop)
    _, first = await shop.call("GET", "/api/saas/subscriptions")
    _, second = await shop.call("GET", first["@nextLink"])
    assert (len(first["subscriptions"]), len(second["subscriptions"])) == (100, 1)
    assert "@nextLink" not in second
