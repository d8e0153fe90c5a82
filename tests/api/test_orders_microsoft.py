"""Scenarios 1 to 6 of the simulated marketplace: purchase, landing, changes, ends, odd shapes."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from local.marketplace.admin import Rule
from shared.marketplace import processing, reconciling
from shared.marketplace.model import MICROSOFT
from tests.api.market import FLY, MONTHLY, OFFER, PRIVATE, Market

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def walk(market: Market) -> Any:
    """The hourly reconciliation with everything it starts."""
    found = await reconciling.walk(market.deps)
    for source, event_id in found.started:
        await processing.answer_event(market.deps, source, event_id)
        await processing.settle_event(market.deps, source, event_id)
    return found


async def test_scenario_01_purchase_lands_and_becomes_a_pool(market: Market) -> None:
    external = await market.buy(30)
    assert "+" in market.token
    assert (await market.land()).status_code == 200
    order, pool = await market.order(external), await market.pool()
    assert market.sold(external).state == "Subscribed"
    assert (order["state"], order["quantity"], order["partnerId"]) == (
        "Active", 30, market.partner_id,
    )  # fmt: skip
    assert (pool["total"], pool["item"], pool["channel"]) == (30, "CBM-M365", "Marketplace")
    assert order["end"] == pool["end"] == market.sold(external).end.isoformat()
    said = [entry["what"] for entry in (await market.explained(external))["entries"]]
    assert said == ["activated", "applied"]
    await market.adds_up()


async def test_scenario_01_the_same_landing_twice_and_an_expired_one(market: Market) -> None:
    await market.buy(30)
    first = await market.land()
    again = await market.land()  # resolve twice: the token stays good, nothing happens twice
    escaped = await market.api.get(f"/marketplace/landing?token={market.token.replace('+', '%2B')}")
    assert {first.status_code, again.status_code, escaped.status_code} == {200}
    market.pass_time(hours=25)
    late = await market.land()
    assert late.status_code == 410
    assert "Manage Account" in late.text
    assert (await market.land("<script>alert(1)</script>")).status_code == 410
    assert (await market.pool())["total"] == 30


async def test_scenario_01_activation_with_another_plan_parks_the_order(market: Market) -> None:
    external = await market.buy(30)
    market.sim.rules.append(rule("POST", "/activate$", 400))
    await market.land()
    (parked,) = await market.parked(external)
    assert (parked["externalId"], parked["code"]) == (external, "ACTIVATION_REFUSED")
    assert await market.pools() == []
    answer = await market.api.post(f"/orders/{parked['id']}:retry", headers=market.headers)
    await market.processes.rest()
    assert answer.status_code == 202
    assert (await market.pool())["total"] == 30


async def test_scenario_01_a_crash_after_activation_makes_one_licence_only(market: Market) -> None:
    external = await market.buy(30)
    market.processes.is_down = True  # the landing is kept, nothing runs
    await market.land()
    event = (await market.deps.orders.waiting(MICROSOFT))[0]
    truth = await market.deps.channels.microsoft().fetch(external)
    assert truth is not None
    await market.deps.channels.microsoft().activate(truth)  # and the worker dies here
    for _ in range(2):
        await processing.settle_event(market.deps, MICROSOFT, event.event_id)
    assert (await market.pool())["total"] == 30
    await market.adds_up()


@pytest.mark.parametrize("state", ["Subscribed", "Suspended", "Unsubscribed"])
async def test_scenario_02_manage_account_changes_nothing(market: Market, state: str) -> None:
    external = await market.bought(30)
    if state != "Subscribed":
        await market.operate(external, {"Suspended": "Suspend"}.get(state, "Unsubscribe"))
    before = await market.pools()
    answer = await market.land(market.market.token(market.sold(external)))
    assert answer.status_code == 200
    assert state in answer.text
    assert await market.pools() == before


async def test_scenario_03_a_csp_buys_for_a_customer_of_the_partner(market: Market) -> None:
    csp = "77777777-2222-3333-4444-555555555555"
    external = await market.bought(10, purchaserTenantId=csp, may=("Read",))
    order = await market.order(external)
    assert (order["partnerId"], order["state"]) == (market.partner_id, "Active")


async def test_scenario_03_the_first_claim_of_an_unknown_tenant_wins(
    market: Market, bearer: Callable[..., dict[str, str]]
) -> None:
    stranger = "66666666-2222-3333-4444-555555555555"
    external = await market.buy(10, tenantId=stranger)
    await market.land()
    (parked,) = await market.parked(external)
    assert (parked["code"], parked["partnerId"]) == ("PARTNER_UNKNOWN", None)
    assert (
        await market.parked(headers=market.headers) == []
    )  # nobody's yet: only the operator sees it
    body = {"token": market.token}
    mine = await market.api.post("/orders:claim", json=body, headers=market.headers)
    await market.processes.rest()
    theirs = await market.api.post(
        "/orders:claim", json=body, headers=bearer("22222222-2222-3333-4444-555555555555")
    )
    assert (mine.status_code, theirs.status_code) == (200, 409)
    assert theirs.headers["X-Error-Code"] == "ORDER_CLAIMED"
    assert (await market.order(external))["state"] == "Active"
    assert (await market.pool())["total"] == 10


async def test_scenario_04_quantity_up_is_accepted_and_applied(market: Market) -> None:
    external = await market.bought(30)
    made = await market.change(external, quantity=45)
    assert made.status == "Succeeded"
    assert (await market.pool())["total"] == 45
    answered = [e for e in (await market.explained(external))["entries"] if e["what"] == "answered"]
    assert [e["said"] for e in answered] == ["ChangeQuantity: accepted"]


async def test_scenario_04_a_yearly_order_is_not_reduced(market: Market) -> None:
    external = await market.bought(30)
    made = await market.change(external, quantity=20)
    assert made.status == "Failed"
    assert market.sold(external).quantity == 30
    order = await market.order(external)
    assert (order["state"], order["quantity"], order["code"]) == ("Active", 30, None)
    said = [e["said"] for e in (await market.explained(external))["entries"]]
    assert any("rejected" in each and "stays 30" in each for each in said)


async def test_scenario_04_a_refusal_that_comes_too_late_is_kept_as_over_use(
    market: Market,
) -> None:
    external = await market.bought(30)
    market.processes.is_down = True
    made = market.market.change(market.sold(external), {"quantity": 20})
    await market.rest()
    market.pass_time(seconds=11)
    market.market.tick()
    assert made.status == "Succeeded"  # nobody answered: auto-accepted
    market.processes.is_down = False
    await walk(market)
    order = await market.order(external)
    assert (order["state"], order["code"]) == ("ChangeRefused", "PREPAID_NOT_REDUCIBLE")
    assert (order["quantity"], order["channelQuantity"]) == (30, 20)
    assert (await market.pool())["total"] == 30


async def test_scenario_04_a_monthly_order_is_reduced_at_its_renewal(market: Market) -> None:
    external = await market.bought(100, MONTHLY)
    made = await market.change(external, quantity=70)
    order = await market.order(external)
    assert (made.status, order["state"], order["quantity"]) == ("Succeeded", "ChangeScheduled", 100)
    assert (await market.pool())["total"] == 100
    await market.operate(external, "Renew")
    order = await market.order(external)
    assert (order["state"], order["quantity"], (await market.pool())["total"]) == ("Active", 70, 70)


async def test_scenario_04_a_private_plan_and_a_plan_of_another_item(market: Market) -> None:
    external = await market.bought(30)
    market.market.plans[OFFER, PRIVATE] = type(market.sold(external).plan)(PRIVATE, is_private=True)
    market.market.plans[OFFER, FLY] = type(market.sold(external).plan)(FLY)
    market.market.plans[OFFER, "nobody-knows"] = type(market.sold(external).plan)("nobody-knows")
    assert (await market.change(external, planId=PRIVATE)).status == "Succeeded"
    order = await market.order(external)
    assert (order["planId"], order["quantity"]) == (PRIVATE, 30)
    assert (await market.change(external, planId="nobody-knows")).status == "Failed"
    assert (await market.change(external, planId=FLY)).status == "Succeeded"
    live = [pool for pool in await market.pools() if pool["item"] == "FLY-AVIATOR"]
    assert [pool["total"] for pool in live] == [30]
    await market.adds_up()


async def test_scenario_04_our_own_wish_and_a_revert_and_a_locked_subscription(
    market: Market,
) -> None:
    external = await market.bought(30)
    caller = market.deps.channels.microsoft()
    path = f"/saas/subscriptions/{external}"
    await caller._call("PATCH", path, json={"quantity": 31})  # Partner-initiated
    market.out.held = False
    with pytest.raises(Exception, match="locked"):
        await caller._call("PATCH", path, json={"quantity": 32})
    await market.rest()
    assert (await market.pool())["total"] == 31
    revert = await market.change(external, quantity=31)  # new value == current value
    assert revert.status == "Succeeded"
    assert (await market.pool())["total"] == 31


async def test_scenario_01_activation_of_another_plan_than_was_bought_is_refused(
    market: Market,
) -> None:
    """The marketplace shows one plan and has sold another: its 400 parks the order."""
    external = await market.buy(30)
    market.sold(external).shape = {"planId": PRIVATE}
    await market.land()
    (parked,) = await market.parked(external)
    assert parked["code"] == "ACTIVATION_REFUSED"
    assert "Plan or quantity differ" in parked["reason"]
    assert (await market.pools(), market.sold(external).state) == ([], "PendingFulfillmentStart")


async def test_scenario_04_below_the_seats_that_are_given_waits_and_is_told_as_over_use(
    market: Market,
) -> None:
    external = await market.bought(100, MONTHLY)
    path = await market.give(40)
    made = await market.change(external, quantity=20)
    assert (made.status, (await market.pool())["total"]) == ("Succeeded", 100)
    await market.operate(external, "Renew")
    order, pool = await market.order(external), await market.pool()
    assert (order["state"], order["quantity"], pool["total"]) == ("Active", 20, 20)
    assert (pool["phase"], pool["available"]) == ("Overcommitted", -20)
    assert (await market.get(path, market.headers))["quantity"] == 40  # nobody loses a seat
    noticed = (await market.get("/notices", market.headers))["value"]
    assert "overcommitted" in {each["kind"] for each in noticed}
    await market.adds_up()


async def test_scenario_05_suspended_for_30_days_ends(market: Market) -> None:
    external = await market.bought(30)
    await market.operate(external, "Suspend")
    order, pool = await market.order(external), await market.pool()
    assert (order["state"], pool["phase"]) == ("Suspended", "Suspended")
    market.pass_time(days=31)
    market.market.tick()
    await market.rest()
    order, pool = await market.order(external), await market.pool()
    assert order["state"] == "Cancelled"
    assert pool["end"] == order["end"] == market.deps.clock.now().date().isoformat()


async def test_scenario_05_reinstated_and_refused_by_delete(market: Market) -> None:
    external = await market.bought(30)
    await market.operate(external, "Suspend")
    made = await market.operate(external, "Reinstate")
    assert made.status == "Succeeded"
    assert (await market.order(external))["state"] == "Active"
    await market.operate(external, "Suspend")
    market.processes.is_down = True
    market.market.operate(market.sold(external), "Reinstate")
    await market.rest()
    await market.deps.channels.microsoft()._call("DELETE", f"/saas/subscriptions/{external}")
    market.processes.is_down = False
    await market.rest()
    await walk(market)
    assert (await market.order(external))["state"] == "Cancelled"


async def test_scenario_05_renewal_before_and_after_the_end_of_the_term(market: Market) -> None:
    external = await market.bought(30, MONTHLY)
    await market.operate(external, "Renew")
    first = (await market.pool())["end"]
    assert first == market.sold(external).end.isoformat()
    market.processes.is_down = True  # the webhook of the next renewal is lost
    market.pass_time(days=(market.sold(external).end - market.deps.clock.now().date()).days + 2)
    market.market.tick()
    await market.rest()
    market.processes.is_down = False
    await walk(market)
    order = await market.order(external)
    assert (order["state"], order["end"]) == ("Active", market.sold(external).end.isoformat())
    running = [pool for pool in await market.pools() if pool["end"] == order["end"]]
    assert [pool["total"] for pool in running] == [30]


async def test_scenario_05_without_renewal_the_term_ends_the_order(market: Market) -> None:
    external = await market.bought(30, MONTHLY, autoRenew=False)
    market.pass_time(days=40)
    market.market.tick()
    await market.rest()
    assert (await market.order(external))["state"] == "Cancelled"


@pytest.mark.parametrize("action", ["Subscribe", "Transfer", "Levitate"])
async def test_scenario_06_an_action_nobody_knows_is_answered_200_and_shown(
    market: Market, action: str
) -> None:
    external = await market.bought(30)
    before = await market.pools()
    await market.operate(external, action)
    assert market.out.all[-1].statuses == [200]
    deliveries = (await market.explained(external))["deliveries"]
    assert action in [each["action"] for each in deliveries]
    assert await market.pools() == before


@pytest.mark.parametrize(
    ("members", "total"),
    [
        ({"quantity": "20", "term": {"termUnit": "PAY"}, "novelty": {"deep": [1]}}, 20),
        ({"quantity": "", "sandboxType": "Moon"}, None),
        ({"quantity": None, "beneficiary": {"puid": None}, "autoRenew": None}, None),
    ],
)
async def test_scenario_06_odd_shapes_break_nothing(
    market: Market, members: dict[str, Any], total: int | None
) -> None:
    external = await market.buy(20)
    market.sold(external).shape = members
    assert (await market.land()).status_code == 200
    order = await market.order(external)
    if total is None:  # a prepaid pool has a size: a person has to look
        assert (order["state"], order["code"]) == ("Parked", "INVALID_INPUT")
    else:
        assert (order["state"], (await market.pool())["total"]) == ("Active", total)


async def test_scenario_06_the_bare_reinstate_of_old_samples(market: Market) -> None:
    external = await market.bought(30)
    await market.operate(external, "Suspend")
    market.out.held = True
    made = market.market.operate(market.sold(external), "Reinstate")
    market.out.all.clear()
    market.out.held = False
    body = {"subscriptionId": external, "operationType": "Reinstate"}
    assert await market.send(body) == 200
    assert made.status == "Succeeded"
    assert (await market.order(external))["state"] == "Active"


async def test_scenario_05_term_over_without_word_from_the_marketplace(market: Market) -> None:
    """The marketplace still says Subscribed with the old term: the order says that it is over."""
    external = await market.bought(30, MONTHLY)
    sold = market.sold(external)
    sold.auto_renew, sold.shape = False, {"saasSubscriptionStatus": "Subscribed"}
    market.pass_time(days=40)
    market.market.tick()
    await market.rest()
    assert (await market.order(external))["state"] == "Ended"


def rule(method: str, path: str, status: int, times: int = 1) -> Rule:
    """A scripted fault of the marketplace."""
    return Rule(method, re.compile(path), status, times)
