"""Scenarios 7 to 9: duplicates, disorder, forgeries, faults of the marketplace, the walk."""

import asyncio
import base64
import random
from typing import Any

import httpx
import orjson
import pytest

from shared.marketplace.model import MICROSOFT, ChannelAnswer, EventState
from tests.api.market import FLY, MONTHLY, OFFER, PUBLISHER_TENANT, YEARLY, Market
from tests.api.test_orders_microsoft import rule, walk

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def state(market: Market, external: str) -> tuple[Any, ...]:
    """What counts: the order, the pools, the length of the licence ledger."""
    order = await market.order(external)
    kept = {k: order[k] for k in ("state", "quantity", "channelQuantity", "end", "code")}
    ledger = await market.get("/ledger?maxpagesize=1000", market.headers)
    return kept, await market.pools(), len(ledger["value"])


async def test_scenario_07_five_hundred_deliveries_are_one(market: Market) -> None:
    external = await market.bought(30)
    market.out.copies = 500
    await market.change(external, quantity=45)
    assert sum(each.state == "delivered" for each in market.out.all) == 500
    market.out.copies = 1
    once = await state(market, external)
    assert once[0]["quantity"] == 45
    assert once[2] == 2  # opened, increased
    await market.adds_up()


async def test_scenario_07_every_order_of_arrival_ends_the_same(market: Market) -> None:
    """Suspend, Reinstate, a change, a renewal: held back, shuffled, doubled, then delivered."""
    ends = []
    for seed in range(3):
        external = await market.bought(100, MONTHLY, id=None)
        market.out.all.clear()
        market.out.held, market.out.copies = True, 2
        sold = market.sold(external)
        for act in ("Suspend", "Reinstate", "change", "Renew"):
            if act == "change":
                market.market.change(sold, {"quantity": 120})
            else:
                market.market.operate(sold, act)
            market.pass_time(seconds=11)  # nobody answers in time: auto-accepted
            market.market.tick()
        random.Random(seed).shuffle(market.out.all)
        market.out.held, market.out.copies = False, 1
        await market.rest()
        order = await market.order(external)
        ends.append((order["state"], order["quantity"], order["end"] == sold.end.isoformat()))
    assert ends == [("Active", 120, True)] * 3
    await market.adds_up()


WRONG_CLAIMS: list[tuple[dict[str, Any], int]] = [
    ({"aud": "another"}, 401),
    ({"exp": 1_600_000_000}, 401),
    ({"nbf": 4_000_000_000}, 401),
    ({"azp": "11111111-0000-0000-0000-000000000000"}, 403),
    ({"azp": None}, 403),
    ({"version": 1, "appid": "11111111-0000-0000-0000-000000000000"}, 403),
    ({"tid": "11111111-0000-0000-0000-000000000000"}, 403),
    ({"iss": "https://sts.windows.net/11111111-0000-0000-0000-000000000000/"}, 403),
    ({"iss": None}, 401),
]


async def test_scenario_07_a_wrong_token_changes_nothing(market: Market) -> None:
    external = await market.bought(30)
    before = await state(market, external)
    body = {"id": "forged", "action": "Unsubscribe", "subscriptionId": external}
    answered = [await market.send(body, claims=claims) for claims, _ in WRONG_CLAIMS]
    assert answered == [status for _, status in WRONG_CLAIMS]
    assert await market.deps.orders.event(MICROSOFT, "forged") is None
    assert await state(market, external) == before


async def test_scenario_07_without_a_token_nothing_is_heard(market: Market) -> None:
    body = {"id": "silent", "action": "Unsubscribe", "subscriptionId": "x"}
    for text in ("", "Bearer", "Bearer a.b.c", "Basic eDp5", f"Bearer {unsigned()}"):
        headers = {"Authorization": text}
        answer = await market.api.post("/webhooks/microsoft", json=body, headers=headers)
        assert answer.status_code == 401, text
    assert await market.deps.orders.event(MICROSOFT, "silent") is None


def unsigned() -> str:
    """A token with the algorithm "none"."""
    parts = [{"alg": "none", "typ": "JWT"}, {"tid": PUBLISHER_TENANT, "exp": 4_000_000_000}]
    texts = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in parts]
    return ".".join([*texts, ""])


async def test_scenario_07_tokens_of_both_versions_and_a_rolled_key(market: Market) -> None:
    external = await market.bought(30)
    market.out.version = 1
    await market.change(external, quantity=31)
    market.out.version = 2
    market.sim.signer.rotate()
    await market.change(external, quantity=32)
    assert (await market.pool())["total"] == 32


async def test_scenario_07_a_true_token_does_not_make_a_body_true(market: Market) -> None:
    """Forged bodies under good tokens: the marketplace is asked, and says otherwise."""
    external = await market.bought(30)
    before = (await state(market, external))[:2]
    for number, action in enumerate(("Unsubscribe", "Suspend", "Renew", "ChangeQuantity")):
        body = {
            "id": f"forged-{external}-{number}", "action": action, "subscriptionId": external,
            "quantity": 1_000_000, "planId": YEARLY, "status": "Succeeded",
        }  # fmt: skip
        assert await market.send(body) == 200
    assert (await state(market, external))[:2] == before
    unknown = {"id": f"f-{external}", "action": "Renew", "subscriptionId": f"no-{external}"}
    assert await market.send(unknown) == 200
    (parked,) = await market.parked(f"no-{external}")
    assert parked["code"] == "SUBSCRIPTION_UNKNOWN"


async def test_scenario_07_an_old_body_replayed_is_a_duplicate(market: Market) -> None:
    external = await market.bought(30)
    made = await market.operate(external, "Suspend")
    old = market.out.all[-1].body
    await market.operate(external, "Reinstate")
    before = await state(market, external)
    assert await market.send(old) == 200
    assert await state(market, external) == before
    event = await market.deps.orders.event(MICROSOFT, made.id)
    assert event is not None
    assert event.state is EventState.APPLIED


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_scenario_08_an_operation_that_cannot_be_read(market: Market, status: int) -> None:
    """Auto-accepted meanwhile: the subscription itself is the truth."""
    external = await market.bought(30)
    market.sim.rules.append(rule("GET", "/operations/", status))
    market.out.held = True
    market.market.change(market.sold(external), {"quantity": 45})
    market.pass_time(seconds=11)
    market.market.tick()
    market.out.held = False
    await market.rest()
    assert (await market.pool())["total"] == 45


@pytest.mark.parametrize(
    ("method", "path", "status", "times"),
    [
        ("GET", "/operations/", 500, 3),
        ("PATCH", "/operations/", 500, 2),
        ("PATCH", "/operations/", 400, 1),
        ("PATCH", "/operations/", 409, 1),
        ("GET", "/subscriptions/[^/]+$", 503, 3),
        ("POST", "/activate$", 429, 1),
    ],
)
async def test_scenario_08_faults_of_the_marketplace_are_waited_for(
    market: Market, method: str, path: str, status: int, times: int
) -> None:
    external = await market.bought(30)
    market.sim.rules.append(rule(method, path, status, times))
    market.out.held = True
    made = market.market.change(market.sold(external), {"quantity": 45})
    market.out.held = False
    await market.rest()
    market.pass_time(seconds=11)
    market.market.tick()
    await walk(market)
    assert made.status == "Succeeded"
    assert (await market.pool())["total"] == 45


@pytest.mark.parametrize("status", [400, 409])
async def test_scenario_08_an_answer_that_is_refused_is_given_again_while_the_change_waits(
    market: Market, status: int
) -> None:
    """Nothing but our answer could finish it: no time passes at the marketplace."""
    external = await market.bought(30)
    market.sim.rules.append(rule("PATCH", "/operations/", status, 1))
    made = await market.change(external, quantity=45)
    assert made.status == "Succeeded"
    assert (await market.pool())["total"] == 45
    told = (await market.explained(external))["entries"]
    assert [line["what"] for line in told].count("answered") == 1


async def test_scenario_08_an_answer_that_comes_too_late_is_no_fault(market: Market) -> None:
    """Auto-accepted between our reading and our answer: what stands now is read and applied."""
    external = await market.bought(30)
    adapter = market.deps.channels.microsoft()
    answer = adapter.answer

    async def late(given: ChannelAnswer) -> bool:
        market.pass_time(seconds=11)
        market.market.tick()
        return await answer(given)

    adapter.answer = late  # type: ignore[method-assign, assignment]
    await market.change(external, quantity=45)
    assert (await market.pool())["total"] == 45
    told = (await market.explained(external))["entries"]
    [said] = [line["said"] for line in told if line["what"] == "answered"]
    assert said.endswith("settled otherwise")


async def test_scenario_08_our_app_is_down_for_hours(market: Market) -> None:
    """For seven the marketplace repeats; after nine the walk repairs."""
    external = await market.bought(30)
    url, market.out.url = market.out.url, "http://127.0.0.1:9/nobody"
    market.market.change(market.sold(external), {"quantity": 45})
    await until_tried(market, 1)
    market.pass_time(hours=7)
    market.out.url = url
    await market.rest()
    assert (await market.pool())["total"] == 45
    market.out.url = "http://127.0.0.1:9/nobody"
    market.market.change(market.sold(external), {"quantity": 50})
    await until_tried(market, 1)
    market.pass_time(hours=9)
    await market.rest()
    assert market.out.all[-1].state == "given up"
    found = await walk(market)
    assert len(found.started) >= 1
    assert (await market.pool())["total"] == 50


async def until_tried(market: Market, times: int) -> None:
    """Wait for the first attempts of the newest delivery."""
    for _ in range(1000):
        if market.out.all[-1].tries >= times:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was tried")


async def test_scenario_09_the_walk_reads_every_page_and_stops_at_nothing(market: Market) -> None:
    strangers = [f"55555555-2222-3333-4444-{number:012d}" for number in range(3)]
    bought = [await market.buy(5, tenantId=tenant) for tenant in strangers]
    broken = ["nonsense", {"id": None}, {"id": "x", "term": "y"}]
    market.market.broken_rows = broken * 80  # they come first: what is good is on the last page
    found = await walk(market)
    assert market.sim.calls["GET subscriptions"] == 3
    assert (found.seen, len(found.unreadable)) == (243, 240)
    for external in bought:
        (parked,) = await market.parked(external)
        assert parked["code"] == "PARTNER_UNKNOWN"


async def test_scenario_09_a_subscription_unknown_here_is_adopted(market: Market) -> None:
    external = await market.buy(30)
    sold = market.sold(external)
    market.market.activate(sold, {"planId": YEARLY, "quantity": 30})
    await walk(market)
    entries = (await market.explained(external))["deliveries"]
    assert [each["action"] for each in entries] == ["Adopted"]
    assert (await market.pool())["total"] == 30
    assert (await walk(market)).started == []  # nothing differs any more


async def test_scenario_09_a_channel_that_is_down_is_named(market: Market) -> None:
    market.sim.rules.append(rule("GET", "/saas/subscriptions$", 500))
    found = await walk(market)
    assert [each.split(":")[0] for each in found.failed] == ["microsoft"]


BAD_BODIES = {
    "empty": b"",
    "no json": b"{oops",
    "a list": b"[1,2]",
    "no subscription": b'{"action":"Renew"}',
    "no action": b'{"subscriptionId":"x"}',
    "numbers": b'{"subscriptionId":7,"action":{}}',
    "nested": b'{"subscriptionId":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "huge quantity": b'{"subscriptionId":"s","action":"Renew","quantity":' + b"9" * 400 + b"}",
    "nul": b'{"subscriptionId":"\\u0000","action":"\\u0000",' + b'"x":"\x00"}',
    "half a character": b'{"subscriptionId":"\\ud800","action":"Renew"}',
    "not utf-8": b"\xff\xfe\xfa",
    "long": b'{"subscriptionId":"s","action":"' + b"a" * 900_000 + b'"}',
    "wide": b'{"subscriptionId":"s","action":"' + ("\U0001f600" * 100_000).encode() + b'"}',
}


async def test_bad_bodies_are_parked_and_shown_never_an_error(market: Market) -> None:
    ids = {}
    for name, body in BAD_BODIES.items():
        answer, again = await posted(market, body), await posted(market, body)
        assert (answer.status_code, again.status_code) == (200, 200), name
        assert again.json()["isNew"] is False, name
        ids[name] = answer.json()["eventId"].replace("body-", "delivery-")
    shown = {order["externalId"]: order for order in await market.parked()}
    assert [name for name, its_id in ids.items() if its_id not in shown] == []
    wrong = [n for n, i in ids.items() if "not understood" not in shown[i]["reason"]]
    assert wrong == []
    assert {shown[its_id]["code"] for its_id in ids.values()} == {"MALFORMED"}
    told = await market.explained(ids["long"])
    assert told["deliveries"][0]["body"].startswith('{"subscriptionId":"s"')


async def test_a_body_over_the_limit_and_a_wrong_content_type(market: Market) -> None:
    assert (await posted(market, b"x" * 2_000_000)).status_code == 413
    body = orjson.dumps({"subscriptionId": "y", "action": "Renew", "id": "ct"})
    assert (await posted(market, body, "text/plain")).status_code == 200


async def posted(
    market: Market, body: bytes, content_type: str = "application/json"
) -> httpx.Response:
    """A delivery with a good token."""
    headers = {"Authorization": f"Bearer {market.out.token()}", "Content-Type": content_type}
    answer = await market.api.post("/webhooks/microsoft", content=body, headers=headers)
    await market.processes.rest()
    return answer


async def test_an_unknown_publisher_is_parked_and_of_a_known_order_not_believed(
    market: Market,
) -> None:
    external = await market.bought(30)
    before = await state(market, external)
    strange = {"publisherId": "somebody", "offerId": "theirs", "planId": "none", "quantity": 9}
    lie = {"id": f"p-{external}", "action": "ChangePlan", "subscriptionId": external, **strange}
    assert await market.send(lie) == 200
    assert await state(market, external) == before
    other = {"id": f"q-{external}", "action": "Renew", "subscriptionId": f"t-{external}", **strange}
    assert await market.send(other) == 200
    (parked,) = await market.parked(f"t-{external}")
    assert (parked["code"], parked["state"]) == ("SUBSCRIPTION_UNKNOWN", "Parked")
    told = (await market.explained(f"t-{external}"))["deliveries"]
    assert [each["eventId"] for each in told] == [f"q-{external}"]


async def test_an_unknown_plan_is_parked_until_it_is_registered(market: Market) -> None:
    external = await market.buy(30, "new-plan")
    assert (await market.land()).status_code == 200
    (parked,) = await market.parked(external)
    assert parked["code"] == "PLAN_UNKNOWN"
    assert "new-plan" in parked["reason"]
    assert market.sold(external).state == "PendingFulfillmentStart"  # nothing is billed
    await market.offer("microsoft", OFFER, "new-plan", "CBM-M365", "AnnualUpfront")
    await market.api.post(f"/orders/{parked['id']}:retry", headers=market.headers)
    await market.processes.rest()
    assert (await market.order(external))["state"] == "Active"
    assert (await market.order(external))["code"] is None


async def test_an_order_that_lives_is_listed_while_an_event_of_it_is_parked(
    market: Market,
) -> None:
    """The plan changes to another item while seats are given: a person has to decide."""
    external = await market.bought(30)
    path = await market.give(5)
    market.market.plans[OFFER, FLY] = type(market.sold(external).plan)(FLY)
    market.out.held = True
    market.market.change(market.sold(external), {"planId": FLY})
    market.pass_time(seconds=11)  # auto-accepted before we could refuse
    market.market.tick()
    market.out.held = False
    await market.rest()
    for status in ("Parked", "parked", "PARKED"):
        listed = (await market.get(f"/orders?status={status}", market.headers))["value"]
        assert [(o["externalId"], o["state"], o["code"], o["isParked"]) for o in listed] == [
            (external, "Active", "PLAN_CHANGE_NEEDS_DECISION", True)
        ], status
    assert "5 of CBM-M365 are assigned" in listed[0]["reason"]
    active = (await market.get("/orders?status=active", market.headers))["value"]
    assert [order["externalId"] for order in active] == [external]  # it still is that, too
    answer = await market.api.get("/orders?status=nonsense", headers=market.headers)
    assert answer.status_code == 400
    market.market.change(market.sold(external), {"planId": YEARLY})  # the customer takes it back
    market.pass_time(seconds=11)
    await market.rest()
    await market.api.post(f"/orders/{listed[0]['id']}:retry", headers=market.headers)
    await market.processes.rest()
    order = await market.order(external)
    assert (order["state"], order["code"], order["isParked"]) == ("Active", None, False)
    assert (await market.get("/orders?status=parked", market.headers))["value"] == []
    assert (await market.get(path, market.headers))["quantity"] == 5
