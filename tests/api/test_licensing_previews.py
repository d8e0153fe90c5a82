"""What is told in advance, what the operator may do, and the end of a customer, through the API."""

from datetime import date
from typing import Any

import pytest

from shared.customers import repository as customers
from shared.kit.tables import Row
from shared.licensing.repository import TABLE
from shared.protection import repository as protection
from shared.protection.service import create_policy
from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop, code_of, refused
from tests.api.test_reseller_rows import Chain

TENANT = "55555555-2222-3333-4444-555555555555"
ORDER = {
    "orderId": "order9", "item": SLOT, "quantity": 5,
    "contractEffective": "2026-01-01", "end": "2026-12-31",
}  # fmt: skip


async def told(shop: Shop, verb: str, **body: Any) -> dict[str, Any]:
    """A preview that has changed nothing."""
    before = await shop.state()
    found = await shop.preview(verb, **body)
    assert await shop.state() == before
    return found


async def test_every_verb_of_a_customer_can_be_told_in_advance(shop: Shop) -> None:
    await shop.buy()
    await shop.buy(channel="Marketplace", source="CloudBlue")
    assert (await told(shop, "assign", slot=SLOT, source="Direct", quantity=5))["isAllowed"]
    await shop.assigned(30)
    shop.day(date(2026, 2, 2))
    for verb, body, events in (
        ("increase", {"quantity": 1}, 1),
        ("reduce", {"quantity": 1}, 1),
        ("setQuantity", {"quantity": 30}, 0),
        ("setMode", {"mode": "Manual"}, 1),
        ("setExpiration", {"expiration": "SpecifiedDate"}, 1),
        ("switchSource", {"source": "CloudBlue"}, 1),
        ("changeSettings", {"contractEndDate": "2027-01-01"}, 1),
        ("setAddOn", {"addOn": "RSK", "isEnabled": False}, 1),
        ("setHidden", {"isHidden": True}, 1),
        ("expire", {}, 1),
        ("disconnect", {}, 1),
    ):
        found = await told(shop, verb, **body)
        assert (found["isAllowed"], found["refusal"]) == (True, None), verb
        assert len(found["effects"]) >= events, verb
        assert bool(found["changes"]) == bool(events), verb
        assert bool(found["rules"]) == bool(events), verb
    found = await told(shop, "adjust")
    assert found["refusal"]["code"] == "TENANT_NOT_READ"  # it has no tenant


async def test_a_preview_says_what_then_happens(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(30)
    found = await told(shop, "increase", quantity=5)
    changes = {(each["row"], each["field"]): each for each in found["changes"]}
    left = changes[f"pool~{pool}", "assigned"]
    await shop.verb("increase", {"quantity": 5})
    assert left["before"] == 30
    assert left["after"] == (await shop.pool(pool))["assigned"] == 35


async def test_orders_can_be_told_in_advance(shop: Shop) -> None:
    pool = await shop.buy()
    before = await shop.state()
    assert (await shop.preview_order("order", **ORDER))["isAllowed"]
    short = await shop.preview_order("order", **{**ORDER, "end": "2026-06-30"})
    assert (short["refusal"]["code"], short["refusal"]["rule"]) == ("TERM_TOO_SHORT", "LIC-29")
    assert short["refusal"]["errors"][0]["pointer"] == "#/change/end"
    more = await shop.preview_order(
        "changeOrder", orderId="order1", action="quantity", quantity=130
    )
    assert any(each["field"] == "total" and each["after"] == 130 for each in more["changes"])
    less = await shop.preview_order("changeOrder", orderId="order1", action="quantity", quantity=80)
    assert less["refusal"]["firstAllowedOn"] == "2027-01-01"
    assert await shop.state() == before
    assert (await shop.pool(pool))["total"] == 100


async def test_transfers_can_be_told_in_advance(shop: Shop) -> None:
    chain = await Chain(shop).open()
    below, reseller = await chain.joined()

    async def foretold(verb: str, quantity: int) -> dict[str, Any]:
        before = (await shop.state(), await below.state())
        body = {"verb": verb, "resellerId": reseller, "quantity": quantity}
        answer = await shop.post(f"/pools/{chain.pool}:previewTransfer", body)
        assert answer.status_code == 200, answer.text
        assert (await shop.state(), await below.state()) == before
        found: dict[str, Any] = answer.json()
        return found

    assert (await foretold("passOn", 101))["refusal"]["code"] == "POOL_EXHAUSTED"
    assert (await foretold("takeBack", 1))["refusal"]["rule"] == "RES-09"
    assert (await foretold("passOn", 40))["isAllowed"]
    await chain.pass_on(reseller, 40)
    (pool,) = (await below.get("/pools"))["value"]
    await below.assigned(30, poolId=pool["id"])
    found = await foretold("takeBack", 11)
    assert (found["refusal"]["code"], found["refusal"]["rule"]) == ("POOL_EXHAUSTED", "RES-09")
    found = await foretold("takeBack", 10)
    changes = {each["field"]: each["after"] for each in found["changes"]}
    assert (found["isAllowed"], changes["passed_on"]) == (True, 30)
    await chain.take_back(reseller, 10)
    assert (await shop.pool(chain.pool))["passedOn"] == 30


async def test_amb_03_the_operator_ends_it_early_and_says_why(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(30)
    shop.day(date(2026, 1, 10))
    refused(await shop.verb("expire"), 409, "LIC_MIN_TERM", "LIC-14", "2026-02-01")
    body = {"partnerId": shop.partner_id, "customerId": shop.customer}
    change = {"verb": "endEarly", "subscriptionId": SLOT, "reason": "Assigned by mistake."}
    for path in ("/licence-interventions", "/licence-interventions:preview"):
        check_problem(await shop.post(path, {**body, "change": change}), 403, "PERMISSION_MISSING")
    assert (await shop.intervene("endEarly", ":preview", reason="Why not")).json()["isAllowed"]
    assert (await shop.sub())["state"] == "Active"
    answer = await shop.intervene("endEarly", reason="Assigned by mistake.")
    assert answer.json()["value"][0]["state"] == "Expired"
    assert (await shop.pool(pool))["available"] == 100
    last = (await shop.get("/ledger"))["value"][-1]
    assert (last["note"], last["rules"][0]) == ("Assigned by mistake.", "AMB-03")
    refused(await shop.intervene("endEarly", reason="Again"), 409, "SUBSCRIPTION_EXPIRED", "AMB-03")
    await shop.adds_up()


async def test_interventions_at_strangers_are_404(shop: Shop) -> None:
    other = await Shop(shop.deps, shop.api, shop._bearer).open()
    body = {"change": {"verb": "endOverride", "item": SLOT}}
    for partner, customer in (
        (shop.partner_id, other.customer),
        (other.partner_id, shop.customer),
        ("0" * 16, shop.customer),
    ):
        asked = {**body, "partnerId": partner, "customerId": customer}
        for path in ("/licence-interventions", "/licence-interventions:preview"):
            answer = await shop.operate(path, asked)
            assert answer.status_code == 404, answer.text


async def test_cus_29_a_customer_that_left_is_gone_and_its_tenant_free(shop: Shop) -> None:
    await shop.buy()
    shop.customer = await shop.add_customer(tenant_id=TENANT, services=["exchange"])
    gone = await customers.get(shop.deps.tables, shop.scope, shop.customer)
    await customers.claim_tenant(shop.deps.tables, shop.scope, gone, TENANT)
    policy = await create_policy(shop.deps, shop.scope, shop.customer, name="Nightly")
    path = f"/policies/{policy.policy_id}"
    session = (await shop.post(f"{path}/sessions")).json()["id"]
    await shop.assigned(30)
    problem = check_problem(
        await shop.post(f"/customers/{shop.customer}:disconnect", {"confirmed": False}),
        400,
        "INVALID_INPUT",
    )
    assert problem["errors"][0]["pointer"] == "#/confirmed"
    refused(await shop.disconnect(), 409, "LIC_MIN_TERM", "LIC-20", "2026-02-01")
    assert await customers.find_owner(shop.deps.tables, TENANT) is not None
    shop.day(date(2026, 2, 1))
    answer = await shop.disconnect()
    assert answer.json()["customer"]["state"] == "Disconnected", answer.text
    assert {each["state"] for each in answer.json()["services"]} == {"Expired"}
    again = await shop.disconnect()  # twice is once
    assert (again.status_code, again.json()["events"]) == (200, [])
    listed = {each["id"] for each in (await shop.get("/customers"))["value"]}
    assert shop.customer not in listed
    (found,) = (await shop.get("/customers?state=Disconnected"))["value"]
    assert found["id"] == shop.customer
    rested = await protection.get_policy(shop.deps.tables, shop.scope, policy.policy_id)
    assert not rested.enabled
    stopped = await protection.get_session(shop.deps.tables, shop.scope, session)
    assert (stopped.stop_requested, stopped.state) == (True, "Stopping")
    for verb in (":enable", "/sessions"):
        check_problem(await shop.post(f"{path}{verb}"), 409, "CUSTOMER_DISCONNECTED")
    rested = await protection.get_policy(shop.deps.tables, shop.scope, policy.policy_id)
    assert not rested.enabled
    assert await customers.find_owner(shop.deps.tables, TENANT) is None
    check_problem(await shop.assign(1), 409, "CUSTOMER_DISCONNECTED")
    entries = (await shop.get(f"/customers/{shop.customer}/licence-history"))["value"]
    assert entries[-1]["action"] in {"Expired", "AddOnSet"}
    await shop.adds_up()


@pytest.mark.parametrize("row", ["pool", "sub", "event"])
async def test_the_comparison_finds_what_was_tampered_with(shop: Shop, row: str) -> None:
    """Balances are told again from the events alone, and the chain of their hashes is checked."""
    pool = await shop.buy()
    await shop.assigned(30)
    await shop.adds_up()
    table, key = shop.deps.tables[TABLE], f"pool~{pool}"
    if row == "sub":
        key = f"sub~{shop.customer}~{SLOT}"
    if row == "event":
        key = f"event~{2:012d}"
    found = await table.get(shop.partner_id, key)
    values = dict(found.values)
    if row == "pool":
        values["assigned"] -= 1
    elif row == "sub":
        values["lots"] = {day: number + 1 for day, number in values["lots"].items()}
    else:
        values["event"] = values["event"].replace('"quantity":30', '"quantity":31')
    assert values != found.values
    await table.replace(Row(shop.partner_id, key, values, found.etag))
    told = (await shop.post("/ledger:verify")).json()
    assert told["ok"] is False
    if row == "event":
        assert told["broken"]["seq"] == 2
    else:
        assert key in told["differences"][0]
    assert code_of(await shop.post("/ledger:verify")) == ""


async def test_res_08_an_order_told_in_advance_names_the_pools_that_follow(shop: Shop) -> None:
    chain = await Chain(shop).open()
    below, reseller = await chain.joined()
    assert (await chain.pass_on(reseller, 40)).status_code == 200
    shop.day(date(2026, 3, 1))
    before = await shop.state(), await below.state()
    change = {"orderId": "order1", "action": "renew", "end": "2027-12-31"}
    told = await shop.preview_order("changeOrder", **change)
    moved = [each for each in told["changes"] if each.get("partner") == below.partner_id]
    child = (await below.get("/pools"))["value"][0]["id"]
    assert (moved[0]["row"], moved[0]["field"], moved[0]["before"], moved[0]["after"]) == (
        f"pool~{child}", "end", "2026-12-31", "2027-12-31",
    )  # fmt: skip
    assert any(below.partner_id in each for each in told["effects"])
    same = await shop.preview_order(
        "changeOrder", orderId="order1", action="quantity", quantity=120
    )
    assert not any("partner" in each for each in same["changes"])  # nothing of theirs moves
    told = (await shop.post(f"/pools/{chain.pool}:previewCancel", {})).json()
    assert told["isAllowed"], told
    assert (await shop.state(), await below.state()) == before
    payg = await shop.buy(
        item="CMG", quantity=None, paymentType="Payg", paymentOption="Monthly", end="2027-12-31"
    )
    chain.pool = payg
    assert (await chain.pass_on(reseller, 5)).status_code == 200
    shop.day(date(2026, 6, 1))
    told = (await shop.post(f"/pools/{payg}:previewCancel", {})).json()
    ends = {each["row"]: each["after"] for each in told["changes"] if each["field"] == "end"}
    assert set(ends) == {f"pool~{payg}", f"pool~{payg}-t2"}
    cancelled = await shop.post(f"/pools/{payg}:cancel", {})  # and so it comes
    assert cancelled.json()["pool"]["end"] == ends[f"pool~{payg}-t2"]
    assert (await below.pool(f"{payg}-t2"))["end"] == ends[f"pool~{payg}-t2"]
