"""Bodies that nobody would send, at every door of the channels: answered as the protocol wants."""

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.api.market import HOOK_SECRET, YEARLY, Market, Seller

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = 60
"""Per door: thrown up first, since the world of a test belongs to its own event loop."""
TEXT = st.text(max_size=30) | st.sampled_from(
    ["", "\x00", "../x", "a/b?c#d", "💣" * 9, "' or 1 eq 1", "~", "\u2028", "%00", "x" * 300]
)
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANY = st.recursive(
    LEAF, lambda e: st.lists(e, max_size=3) | st.dictionaries(TEXT, e, max_size=3), max_leaves=8
)
TYPES = ["application/json", "text/plain", "application/xml", "multipart/form-data", "", "x"]


def near(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A good body with some members replaced, left out or added."""
    changed = st.dictionaries(st.sampled_from([*good, "novelty"]), ANY | st.just(...), max_size=3)
    return changed.map(lambda wrong: {k: v for k, v in (good | wrong).items() if v is not ...})


def thrown(good: dict[str, Any]) -> list[tuple[bytes, str]]:
    """Bodies with their content types, found by Hypothesis."""
    found: list[tuple[bytes, str]] = []

    @settings(
        max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(near(good) | ANY | st.binary(max_size=200), st.sampled_from(TYPES))
    def throw(body: Any, kind: str) -> None:
        found.append((body if isinstance(body, bytes) else _json(body), kind))

    throw()
    deep = b'{"id":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    return [*found, (deep, TYPES[0]), (b'{"id":"' + b"a" * 900_000 + b'"}', TYPES[0]), (b"", "")]


def _json(body: Any) -> bytes:
    """As JSON, also what our own writer would refuse."""
    import json

    return json.dumps(body, ensure_ascii=True).encode()


async def thrown_at(
    market: Market, path: str, good: dict[str, Any], sign: Callable[[bytes], str]
) -> list[httpx.Response]:
    """Each body with a good token, one after the other; nothing that follows may fail."""
    answers = []
    for body, kind in thrown(good):
        headers = {"Authorization": f"Bearer {sign(body)}", "Content-Type": kind}
        answers.append(await market.api.post(path, content=body, headers=headers))
    await market.processes.rest()  # raises what a process could not cope with
    return answers


@pytest.mark.parametrize("source", ["microsoft", "cloudblue"])
async def test_a_proven_marketplace_is_answered_200_whatever_it_sends(
    market: Market, source: str
) -> None:
    external = await market.bought(30)
    before = await market.pools()
    if source == "microsoft":
        good: dict[str, Any] = {
            "id": "fuzz", "action": "ChangeQuantity", "subscriptionId": external, "quantity": 31,
            "planId": YEARLY, "publisherId": "nobody", "offerId": "none", "status": "InProgress",
            "operationType": "Renew", "subscription": {"id": external}, "timeStamp": "soon",
        }  # fmt: skip
        token = market.out.token()
    else:
        good = {"id": "PR-1", "type": "purchase", "status": "pending", "asset": {"id": "AS-1"}}
        token = market.sim.cloudblue.hook_token(HOOK_SECRET)
    answers = await thrown_at(market, f"/webhooks/{source}", good, lambda _: token)
    assert {answer.status_code for answer in answers} == {200}
    parked = {order["externalId"]: order for order in await market.parked()}
    for answer in answers:
        event = answer.json()["eventId"]
        if answer.json()["isNew"] and answer.json()["state"] == "Parked":  # not understood
            assert parked[event.replace("body-", "delivery-")]["reason"]
    assert len(parked) > 10
    assert await market.pools() == before


async def test_a_seller_is_told_what_is_wrong_whatever_it_sends(market: Market) -> None:
    name = f"fuzz-{market.partner_id[:8]}"
    seller = await Seller(market, "OffMarketplace", name, "ALSO").register()
    answers = await thrown_at(market, "/webhooks/orders", seller.document(), seller.token)
    assert {answer.status_code for answer in answers} <= {200, 400, 409, 422}
    refused = [answer for answer in answers if answer.status_code == 400]
    assert len(refused) > 10
    assert {answer.json()["code"] for answer in refused} == {"INVALID_INPUT"}
    parked = {order["source"] for order in await market.parked()}
    assert name in parked
    await market.adds_up()


async def test_a_landing_with_any_token_is_a_page(market: Market) -> None:
    for token in ("", "\x00", "x" * 4000, "💣", "../..", "a\r\nX-Evil: 1", "%", "' or 1 eq 1"):
        answer = await market.api.get("/marketplace/landing", params={"token": token})
        assert answer.status_code == 410, token
        assert answer.headers["content-type"].startswith("text/html")


async def test_unproven_bodies_are_not_even_read(market: Market) -> None:
    for body, kind in thrown({"id": "x"})[:20]:
        for path in ("microsoft", "cloudblue", "orders"):
            headers = {"Content-Type": kind}
            answer = await market.api.post(f"/webhooks/{path}", content=body, headers=headers)
            assert answer.status_code == 401
    assert orjson.loads(answer.content)["code"] == "CHANNEL_TOKEN_INVALID"
