"""Scenario 10 (metering) and CloudBlue Connect: requests, call-backs, usage files."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jwt
import pytest
import pytest_asyncio

from shared.marketplace import metering, usage_files
from shared.marketplace.model import CLOUDBLUE, MICROSOFT, UsageRecord, UsageStatus
from shared.marketplace.usage_files import UsageFileUnclear
from tests.api.market import HOOK_SECRET, Market
from tests.api.test_orders_microsoft import rule, walk

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRODUCT, MPN = "PRD-1", "CBM-SEAT"


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def nothing_waits(market: Market) -> None:
    """The storage is shared: what tests before have queued is none of ours."""
    table = market.deps.tables["Marketplace"]
    for row in [row async for row in table.query("usage~microsoft")]:
        await table.delete(row.partition, row.key)


def record(market: Market, external: str, *, hours: float = 0, **changed: Any) -> UsageRecord:
    """Usage of a subscription some hours ago."""
    good = {
        "source": MICROSOFT, "external_id": external, "plan_id": "cbm-yearly",
        "dimension": "restores", "quantity": Decimal("1.5"),
        "hour": market.deps.clock.now() - timedelta(hours=hours),
    }  # fmt: skip
    return UsageRecord.model_validate(good | changed)


def metered(market: Market, external: str) -> list[float]:
    """What the marketplace has accepted, by hour."""
    taken = market.sim.metering.accepted
    found = [(hour, event) for (its, _, hour), event in taken.items() if its == external]
    return [event["quantity"] for _, event in sorted(found, key=lambda each: each[0])]


async def test_scenario_10_hours_that_are_over_are_sent_in_batches_of_25(market: Market) -> None:
    external = await market.bought(30)
    for number in range(26):
        told = record(market, external, hours=1, dimension=f"d{number}")
        assert await metering.queue(market.deps, told) is True
    assert await metering.queue(market.deps, told) is False  # once per hour and dimension
    assert await metering.queue(market.deps, record(market, external)) is True
    assert await metering.submit(market.deps) == {"Accepted": 26}
    assert market.sim.calls["POST batchUsageEvent"] == 2
    assert len(metered(market, external)) == 26  # the hour that still runs waits
    assert await metering.submit(market.deps) == {}
    assert await metering.queue(market.deps, told) is False  # was reported: never again
    market.pass_time(hours=1)
    assert await metering.submit(market.deps) == {"Accepted": 1}
    with pytest.raises(ValueError, match="above zero"):
        await metering.queue(market.deps, record(market, external, quantity=Decimal(0)))


async def test_scenario_10_more_than_25_are_refused_by_the_marketplace(market: Market) -> None:
    external = await market.bought(30)
    records = [record(market, external, hours=1, dimension=f"d{n}") for n in range(26)]
    with pytest.raises(Exception, match="1 to 25"):
        await market.deps.channels.microsoft().report_usage(records)


async def test_scenario_10_a_duplicate_is_fine_when_it_is_the_same(market: Market) -> None:
    external = await market.bought(30)
    same, other = (record(market, external, hours=1, dimension=each) for each in ("same", "other"))
    adapter = market.deps.channels.microsoft()
    await adapter.report_usage([same, other.model_copy(update={"quantity": Decimal(7)})])
    for each in (same, other):  # the run before died after sending
        await metering.queue(market.deps, each)
    assert await metering.submit(market.deps) == {"Accepted": 1, "Mismatch": 1}
    kept = {one.record.dimension: one for one in await metering.results(market.deps, external)}
    assert kept["same"].status is UsageStatus.ACCEPTED
    assert "7" in kept["other"].said
    (notice,) = await differences(market, external)
    what = notice["what"]
    assert (what["dimension"], what["sent"], what["counted"]) == ("other", "1.5", "7.0")


async def test_scenario_10_an_outage_of_hours_loses_no_unit(market: Market) -> None:
    external = await market.bought(30)
    for hours in (30, 28, 2, 1):
        await metering.queue(market.deps, record(market, external, hours=hours))
    market.sim.rules.append(rule("POST", "/batchUsageEvent$", 503))
    with pytest.raises(Exception, match="503"):
        await metering.submit(market.deps)  # everything still waits
    assert metered(market, external) == []
    assert await metering.submit(market.deps) == {"Accepted": 2}
    assert metered(market, external) == [1.5, 4.5]  # too late by a day: added to the last hour
    states = [one.status for one in await metering.results(market.deps, external)]
    assert states.count(UsageStatus.EXPIRED) == 2


async def test_scenario_10_errors_are_asked_again_and_refusals_are_not(market: Market) -> None:
    external = await market.bought(30)
    await metering.queue(market.deps, record(market, external, hours=1))
    market.sim.metering.errors_left = 1
    assert await metering.submit(market.deps) == {"Retry": 1}
    assert await metering.submit(market.deps) == {"Accepted": 1}
    market.sim.metering.dimensions = {"restores"}
    await metering.queue(market.deps, record(market, external, hours=1, dimension="nonsense"))
    await metering.queue(market.deps, record(market, "nobody", hours=1))
    assert await metering.submit(market.deps) == {"Rejected": 2}
    (kept,) = await metering.results(market.deps, "nobody")
    assert kept.channel_status == "ResourceNotFound"
    assert await metering.submit(market.deps) == {}


async def test_scenario_10_suspended_waits_and_unsubscribed_is_still_told(
    market: Market,
) -> None:
    external = await market.bought(30)
    market.pass_time(hours=2)
    await market.operate(external, "Suspend")
    await metering.queue(market.deps, record(market, external, hours=1))
    assert await metering.submit(market.deps) == {"Held": 1}
    assert metered(market, external) == []
    assert await metering.results(market.deps, external) == []  # nothing is final
    await market.operate(external, "Reinstate")
    assert await metering.submit(market.deps) == {"Accepted": 1}
    await metering.queue(market.deps, record(market, external, hours=1, dimension="late"))
    await market.operate(external, "Unsubscribe")
    assert await metering.submit(market.deps) == {"Accepted": 1}


async def test_scenario_10_what_is_held_keeps_nobody_else_waiting(market: Market) -> None:
    held, other = await market.bought(30), await market.bought(20)
    await market.operate(held, "Suspend")
    for number in range(26):  # more than a batch, and older than what follows
        told = record(market, held, hours=2, dimension=f"d{number}")
        await metering.queue(market.deps, told)
    await metering.queue(market.deps, record(market, other, hours=1))
    assert await metering.submit(market.deps) == {"Held": 26, "Accepted": 1}
    assert await metering.submit(market.deps) == {"Held": 26}


async def test_scenario_10_hours_are_utc_and_what_is_counted_otherwise_is_told(
    market: Market,
) -> None:
    summer = datetime(2026, 10, 25, 2, 30, tzinfo=UTC)  # the night the clocks go back
    assert metering.whole_hour(summer) == datetime(2026, 10, 25, 2, tzinfo=UTC)
    external = await market.bought(30)
    tenth = record(market, external, hours=1, quantity=Decimal("0.1") + Decimal("0.2"))
    await metering.queue(market.deps, tenth)
    await metering.submit(market.deps)
    await market.deps.channels.microsoft().report_usage([tenth])
    assert metered(market, external) == [0.3]
    market.sim.metering.mismatched.add(external)
    (said,) = await metering.find_mismatches(market.deps)
    assert external in said


async def differences(market: Market, external: str) -> list[dict[str, Any]]:
    """Notices the partner reads about the metering of a subscription."""
    noted = (await market.get("/notices", market.headers))["value"]
    found = [each for each in noted if each["kind"] == "meteringDiffers"]
    return [each for each in found if each["what"]["subscription"] == external]


async def test_what_is_counted_otherwise_is_a_notice_once(market: Market) -> None:
    external = await market.bought(30)
    order = await market.order(external)
    await metering.queue(market.deps, record(market, external, hours=1))
    await metering.submit(market.deps)
    market.sim.metering.mismatched.add(external)
    await market.deps.channels.microsoft().report_usage([record(market, external, hours=2)])
    for _ in range(3):  # each day that looks back on the same days
        assert len(await metering.find_mismatches(market.deps)) == 2
    told = await differences(market, external)
    assert len(told) == 2
    assert {each["topic"] for each in told} == {"LicenceChange"}
    assert {each["rule"] for each in told} == {"marketplace-auth 1.7"}
    assert {each["customerId"] for each in told} == {order["customerId"]}
    assert {each["what"]["orderId"] for each in told} == {order["id"]}
    assert {(each["what"]["sent"], each["what"]["counted"]) for each in told} == {("1.5", "0")}


async def test_a_difference_of_nobodys_order_is_named_and_stops_nothing(market: Market) -> None:
    external = await market.bought(30)
    await market.deps.channels.microsoft().report_usage([record(market, external, hours=1)])
    meter = market.sim.metering
    ((_, dimension, hour), event) = next(iter(meter.accepted.items()))
    # Of a subscription that we have never seen, and listed before ours.
    meter.accepted = {("nobody", dimension, hour): event, **meter.accepted}
    meter.mismatched |= {external, "nobody"}
    assert len(await metering.find_mismatches(market.deps)) == 2
    assert len(await differences(market, external)) == 1


async def hook(market: Market, request: dict[str, Any], secret: str = HOOK_SECRET) -> int:
    """A call-back of Connect."""
    token = market.sim.cloudblue.hook_token(secret)
    answer = await market.api.post(
        "/webhooks/cloudblue", json=request, headers={"Authorization": f"Bearer {token}"}
    )
    await market.processes.rest()
    return answer.status_code


async def ask(market: Market, kind: str, **given: Any) -> Any:
    """A request that Connect tells of; how it ended."""
    made = market.sim.cloudblue.ask(kind, given)
    assert await hook(market, made.shown()) == 200
    return made


async def test_cloudblue_requests_move_the_pool(market: Market) -> None:
    await market.offer(CLOUDBLUE, PRODUCT, MPN, "CBM-M365", "Monthly")
    goods = {"productId": PRODUCT, "mpn": MPN, "tenantId": market.tenant, "quantity": 40}
    bought = await ask(market, "purchase", **goods)
    external = bought.asset.id
    steps: list[tuple[str, dict[str, Any], str, int]] = [
        ("change", {"quantity": 60}, "Active", 60),
        ("suspend", {}, "Suspended", 60),
        ("resume", {}, "Active", 60),
        ("change", {"quantity": 50}, "ChangeScheduled", 60),
    ]
    assert (bought.status, (await market.pool())["total"]) == ("approved", 40)
    for kind, given, state, total in steps:
        made = await ask(market, kind, assetId=external, **given)
        order = await market.order(external, CLOUDBLUE)
        found = (made.status, order["state"], (await market.pool())["total"])
        assert found == ("approved", state, total)
    market.pass_time(days=27)
    for _ in range(5):  # no renewal is told: the term rolls on by itself
        market.pass_time(days=1)
        await walk(market)
    order = await market.order(external, CLOUDBLUE)
    assert (order["state"], (await market.pool())["total"]) == ("Active", 50)
    await ask(market, "cancel", assetId=external)
    assert (await market.order(external, CLOUDBLUE))["state"] == "Cancelled"
    await market.adds_up()


async def test_cloudblue_fails_inquires_and_parks(market: Market) -> None:
    await market.offer(CLOUDBLUE, PRODUCT, MPN, "CBM-M365", "AnnualUpfront")
    goods = {"productId": PRODUCT, "mpn": MPN, "tenantId": market.tenant, "quantity": 40}
    yearly = await ask(market, "purchase", **goods, params={"term_unit": "P1Y"})
    less = await ask(market, "change", assetId=yearly.asset.id, quantity=20)
    assert (less.status, (await market.pool())["total"]) == ("failed", 40)
    assert "stays 40" in less.reason
    unclear = await ask(market, "purchase", **{**goods, "tenantId": ""})
    assert unclear.status == "inquiring"
    odd = market.sim.cloudblue.ask("purchase", goods)
    vars(odd)["quantity"] = "unlimited"
    assert await hook(market, odd.shown()) == 200
    assert (odd.status, (await market.pool())["total"]) == ("inquiring", 40)
    unknown = await ask(market, "purchase", **{**goods, "mpn": "other"})
    assert unknown.status == "pending"  # it waits until a person has registered the plan
    (parked,) = await market.parked(unknown.asset.id)
    assert parked["code"] == "PLAN_UNKNOWN"


async def test_cloudblue_a_lost_or_forged_call_back_is_harmless(market: Market) -> None:
    await market.offer(CLOUDBLUE, PRODUCT, MPN, "CBM-M365", "Monthly")
    goods = {"productId": PRODUCT, "mpn": MPN, "tenantId": market.tenant, "quantity": 7}
    made = market.sim.cloudblue.ask("purchase", goods)
    assert await hook(market, made.shown(), "another-secret-of-somebody-else-12") == 401
    assert await market.pools() == []
    await walk(market)  # polling finds what no call-back has told
    assert (made.status, (await market.pool())["total"]) == ("approved", 7)
    assert (
        await hook(market, {"id": "PR-x", "type": "cancel", "asset": {"id": made.asset.id}}) == 200
    )
    assert await hook(market, {"nonsense": 1}) == 200
    odd = {"id": None, "type": "cancel", "asset": {"id": made.asset.id}}
    assert await hook(market, odd) == 200  # kept under its own digest, never as "None"
    (parked,) = [each for each in await market.parked() if "'id' is not a text" in each["reason"]]
    assert parked["code"] == "MALFORMED"
    assert (await market.order(made.asset.id, CLOUDBLUE))["state"] == "Active"


async def test_cloudblue_forged_expired_and_replayed_call_backs_change_nothing(
    market: Market,
) -> None:
    await market.offer(CLOUDBLUE, PRODUCT, MPN, "CBM-M365", "Monthly")
    goods = {"productId": PRODUCT, "mpn": MPN, "tenantId": market.tenant, "quantity": 40}
    external = (await ask(market, "purchase", **goods)).asset.id
    halted = await ask(market, "suspend", assetId=external)
    await ask(market, "resume", assetId=external)
    before = (await market.explained(external, CLOUDBLUE), await market.pools())
    forged = {"id": "PR-forged", "type": "cancel", "asset": {"id": external}}
    now = int(time.time())
    tokens = [
        jwt.encode({"exp": now - 3600}, HOOK_SECRET, "HS256"),
        jwt.encode({"iat": now}, HOOK_SECRET, "HS256"),  # without an end
        jwt.encode({"exp": now + 300}, "x" * 40, "HS256"),
        jwt.encode({"exp": now + 300}, "", "none"),
        "x",
    ]
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await market.api.post("/webhooks/cloudblue", json=forged, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "CHANNEL_TOKEN_INVALID")
    assert await market.deps.orders.event(CLOUDBLUE, "PR-forged") is None
    assert await hook(market, halted.shown()) == 200  # the old one again
    assert (await market.explained(external, CLOUDBLUE), await market.pools()) == before


async def test_cloudblue_a_month_is_one_workbook_once(market: Market) -> None:
    hour = datetime(2026, 5, 31, 23, tzinfo=UTC)
    month = f"2026-05-{market.partner_id[:6]}"
    records = [
        UsageRecord(source=CLOUDBLUE, external_id="=AS-1", plan_id=MPN, dimension=MPN,
                    hour=hour, quantity=Decimal(25)),
        UsageRecord(source=CLOUDBLUE, external_id="AS-2", plan_id=MPN, dimension=MPN,
                    hour=hour, quantity=Decimal("0.5")),
    ]  # fmt: skip
    first = await usage_files.submit_month(market.deps, month, records)
    again = await usage_files.submit_month(market.deps, month, records)
    (sent,) = market.sim.cloudblue.files.values()
    assert first == again == (UsageStatus.WAITING, sent["id"])
    assert sent["status"] == "pending"  # the other side has not decided
    assert await usage_files.follow(market.deps) == {month: "Waiting"}
    sent["status"] = "accepted"
    assert await usage_files.follow(market.deps) == {month: "Accepted"}
    assert await usage_files.follow(market.deps) == {}
    kept = await metering.results(market.deps, "AS-2")
    assert [(each.status, each.reference) for each in kept if each.reference == sent["id"]] == [
        (UsageStatus.ACCEPTED, sent["id"])
    ]
    told = [(row["asset_search_value"], row["quantity"]) for row in sent["rows"]]
    assert told == [("=AS-1", 25), ("AS-2", 0.5)]  # text stays text
    market.sim.rules.append(rule("POST", "/upload$", 500))
    with pytest.raises(Exception, match="500"):
        await usage_files.submit_month(market.deps, f"{month}-b", records)
    with pytest.raises(UsageFileUnclear):
        await usage_files.submit_month(market.deps, f"{month}-b", records)
