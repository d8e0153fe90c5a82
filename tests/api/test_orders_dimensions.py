"""Scenario 10 with our own meters: evenings are told by dimension, once, and for all to see."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.kit import ids
from shared.marketplace import metering, usage_files
from shared.marketplace.model import CLOUDBLUE, MICROSOFT, UsageRecord, UsageStatus
from shared.usage import measuring, metered, rules
from shared.usage.days import Day
from tests.api.market import OFFER, Market
from tests.api.test_orders_metering import MPN, PRODUCT, ask, nothing_waits
from tests.api.test_orders_microsoft import rule

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("nothing_waits")]
__all__ = ["nothing_waits"]
METERED = "metered-yearly"
"""A plan of its own: what other modules have sold is not gone through."""
RESTORES = {"dimension": "restores", "meter": "Restores"}


async def plan(market: Market, *dimensions: dict[str, Any], **changed: Any) -> Any:
    """Register what a plan bills by use."""
    body = {
        "source": MICROSOFT, "offerId": OFFER, "planId": METERED, "item": "CBM-M365",
        "paymentOption": "AnnualUpfront", "seller": "Microsoft", "dimensions": dimensions,
    } | changed  # fmt: skip
    return await market.api.post("/channel-offers", json=body, headers=market.operator)


async def sold(market: Market, *dimensions: dict[str, Any]) -> str:
    """A purchase of a plan with dimensions, on a morning."""
    assert (await plan(market, *dimensions)).status_code == 200
    morning(market, 1)
    return await market.bought(30, METERED)


def morning(market: Market, days: int) -> date:
    """Six o'clock, some days later; the day."""
    now = market.deps.clock.now()
    at = datetime.combine(now.date() + timedelta(days=days), time(6), now.tzinfo)
    market.pass_time(seconds=(at - now).total_seconds())
    return market.deps.clock.now().date()


async def measured(market: Market, day: date, customer: str = "", **values: Any) -> None:
    """An evening of a customer with seats of the partner's pool."""
    pools = {pool["item"]: pool["id"] for pool in await market.pools()}
    made = Day(
        customer_id=customer or "c" * 16, customer_name="C", day=day, pools=pools,
        recorded=market.deps.clock.now(), **values,
    )  # fmt: skip
    await (await market.deps.usage()).put_days(market.scope, [made])


async def tell(market: Market) -> int:
    """What the clock does ten minutes after the hour; records that were queued."""
    queued = (await metered.tell_everywhere(market.deps)).get(market.partner_id, 0)
    await metering.submit(market.deps)
    return queued


async def told(market: Market, external: str, *names: str) -> list[tuple[Any, ...]]:
    """Members of what GET /orders/{id}/metering shows to the partner."""
    order = (await market.order(external))["id"]
    found = await market.get(f"/orders/{order}/metering", market.headers)
    return [tuple(each[name] for name in names) for each in found["value"]]


async def connected(market: Market) -> str:
    """A customer that is measured."""
    customer_id, now = ids.new_id(), market.deps.clock.now()
    made = Customer(
        partner_id=market.partner_id, customer_id=customer_id, display_name="C",
        state=CustomerState.ACTIVE, created_at=now, updated_at=now,
    )  # fmt: skip
    await customers.add(market.deps.tables, market.scope, made)
    return customer_id


async def test_scenario_10_what_an_evening_measures_is_told_in_the_hour_that_has_ended(
    market: Market,
) -> None:
    seats = {"dimension": "seats", "meter": "Assigned", "gathering": "Peak", "included": "3"}
    external = await sold(market, seats, RESTORES)
    path = f"/customers/{await connected(market)}/subscriptions"
    body = {"slot": "CBM-M365", "quantity": 5, "source": "Microsoft"}
    assert (await market.api.post(path, json=body, headers=market.headers)).status_code == 201
    day = market.deps.clock.now().date()
    rows = await market.deps.usage()
    (kept,) = await measuring.measure(market.deps, rows, market.scope, day)
    assert kept.pools == {"CBM-M365": (await market.pool())["id"]}
    assert await tell(market) == 0  # the evening is not over
    morning(market, 1)
    assert [await tell(market) for _ in range(3)] == [1, 0, 0]
    (event,) = market.sim.metering.accepted.values()
    assert (event["resourceId"], event["dimension"], event["quantity"]) == (external, "seats", 2)
    assert event["effectiveStartTime"] == f"{day + timedelta(days=1)}T05:00:00Z"
    assert await told(market, external, "dimension", "quantity", "status", "periods") == [
        ("seats", "2", "Accepted", {day.isoformat(): "2"})
    ]


async def test_scenario_10_what_is_measured_late_follows_in_a_later_hour(market: Market) -> None:
    external = await sold(market, RESTORES)
    one, other = await connected(market), await connected(market)
    day = market.deps.clock.now().date()
    await measured(market, day, one, restores=2)
    await measured(market, day, other, unread={"restores": "no answer"})
    morning(market, 1)
    assert [await tell(market), await tell(market)] == [1, 0]
    market.pass_time(hours=1)
    await measured(market, day, other, restores=3, is_late=True)
    assert [await tell(market), await tell(market)] == [1, 0]
    await measured(market, day, one, restores=1)  # less than was told: nothing is taken back
    morning(market, 1)
    assert await tell(market) == 0
    assert await told(market, external, "quantity", "status") == [
        ("2", "Accepted"), ("3", "Accepted")
    ]  # fmt: skip


async def test_scenario_10_a_month_of_the_term_has_its_own_included_units(market: Market) -> None:
    external = await sold(market, RESTORES | {"included": "4", "includedPerSeat": "0.1"})
    first = market.deps.clock.now().date()
    told_by_day = []
    for number, restores in ((0, 6), (1, 2), (40, 8)):  # 7 are free: 30 seats, and 4
        day = first + timedelta(days=number)
        await measured(market, day, restores=restores)
        morning(market, (day + timedelta(days=1) - market.deps.clock.now().date()).days)
        await tell(market)
        told_by_day.append([q for (q,) in await told(market, external, "quantity")])
    assert told_by_day == [[], ["1"], ["1", "1"]]


async def test_scenario_10_what_the_marketplace_holds_instead_is_made_up_for(
    market: Market,
) -> None:
    """A run died after sending; meanwhile more was measured for the same hour."""
    external = await sold(market, RESTORES)
    day = market.deps.clock.now().date()
    await measured(market, day, restores=5)
    morning(market, 1)
    hour = metering.whole_hour(market.deps.clock.now()) - timedelta(hours=1)
    sent = UsageRecord(
        source=MICROSOFT, external_id=external, plan_id=METERED, dimension="restores",
        hour=hour, quantity=Decimal(2),
    )  # fmt: skip
    await market.deps.channels.microsoft().report_usage([sent])
    assert await tell(market) == 1
    await measured(market, day + timedelta(days=1), restores=1)
    morning(market, 1)
    assert await tell(market) == 1
    shown = await told(market, external, "quantity", "counted", "status")
    assert shown == [("5", "2", "Mismatch"), ("4", None, "Accepted")]  # 6 in all
    total = sum(each["quantity"] for each in market.sim.metering.accepted.values())
    assert total == 6


async def test_scenario_10_refused_units_are_told_anew_when_the_operator_says_so(
    market: Market,
) -> None:
    external = await sold(market, RESTORES)
    await measured(market, market.deps.clock.now().date(), restores=5)
    morning(market, 1)
    market.sim.metering.dimensions = {"something else"}
    assert await tell(market) == 1
    shown = await told(market, external, "channelStatus", "status", "isDropped")
    assert shown == [("InvalidDimension", "Rejected", False)]
    market.sim.metering.dimensions = set()
    morning(market, 1)
    assert await tell(market) == 0  # nobody has said so
    path = f"/orders/{(await market.order(external))['id']}/metering:retry"
    assert (await market.api.post(path, headers=market.headers)).status_code == 403
    answers = [await market.api.post(path, headers=market.operator) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"records": 1}, {"records": 0}]
    morning(market, 1)
    assert await tell(market) == 1
    assert ("5", "Accepted") in await told(market, external, "quantity", "status")


async def test_scenario_10_a_suspended_order_waits_and_a_cancelled_one_is_told_until_its_end(
    market: Market,
) -> None:
    external = await sold(market, RESTORES)
    await measured(market, market.deps.clock.now().date(), restores=5)
    await market.operate(external, "Suspend")
    day = morning(market, 1)
    assert await tell(market) == 1
    assert await told(market, external, "status", "channelStatus") == [
        ("Held", "ResourceNotActive")
    ]  # fmt: skip
    await market.operate(external, "Reinstate")
    assert await tell(market) == 0
    assert await told(market, external, "status") == [("Accepted",)]
    await measured(market, day, restores=2)
    await measured(market, day + timedelta(days=1), restores=9)  # the day it ends
    morning(market, 1)
    await market.operate(external, "Unsubscribe")
    assert await tell(market) == 1
    shown = await told(market, external, "quantity", "status", "hour")
    assert shown[-1] == ("2", "Accepted", f"{day}T23:00:00Z")


@pytest.mark.parametrize(
    ("changed", "word", "status"),
    [
        ({}, "Accepted", UsageStatus.ACCEPTED),
        ({"hours": 26}, "Expired", UsageStatus.EXPIRED),
        ({"hours": -2}, "BadArgument", UsageStatus.REJECTED),
        ({"plan_id": ""}, "BadArgument", UsageStatus.REJECTED),
        ({"quantity": Decimal(0)}, "InvalidQuantity", UsageStatus.REJECTED),
        ({"dimension": "nonsense"}, "InvalidDimension", UsageStatus.REJECTED),
        ({"external_id": "nobody"}, "ResourceNotFound", UsageStatus.REJECTED),
        ({"external_id": "foreign"}, "ResourceNotAuthorized", UsageStatus.REJECTED),
        ({"external_id": "new"}, "ResourceNotActive", UsageStatus.REJECTED),
        ({"errors": 1}, "Error", UsageStatus.RETRY),
    ],
)
async def test_scenario_10_every_status_of_the_metering_is_understood(
    market: Market, changed: dict[str, Any], word: str, status: UsageStatus
) -> None:
    external, meter = await market.bought(30), market.sim.metering
    await market.buy(5, id="foreign")
    await market.buy(5, id="new")  # never activated
    meter.foreign, meter.dimensions = {"foreign"}, {"restores"}
    meter.errors_left = changed.get("errors", 0)
    at = market.deps.clock.now() - timedelta(hours=changed.get("hours", 1))
    good: dict[str, Any] = {
        "source": MICROSOFT, "external_id": external, "plan_id": METERED, "dimension": "restores",
        "hour": metering.whole_hour(at), "quantity": Decimal(1),
    }  # fmt: skip
    sent = good | {k: v for k, v in changed.items() if k in good}
    (result,) = await market.deps.channels.microsoft().report_usage(
        [UsageRecord.model_validate(sent)]
    )
    assert (result.channel_status, result.status) == (word, status)


async def test_offers_with_nonsense_for_dimensions_are_refused(market: Market) -> None:
    wrong: list[list[dict[str, Any]]] = [
        [RESTORES, RESTORES],
        [RESTORES | {"meter": "Moon"}],
        [RESTORES | {"per": "0"}],
        [RESTORES | {"included": "-1"}],
        [RESTORES | {"included": "NaN"}],
        [{"dimension": f"d{number}", "meter": "Restores"} for number in range(31)],
    ]
    answers = [await plan(market, *dimensions) for dimensions in wrong]
    assert [answer.status_code for answer in answers] == [400] * len(wrong)
    assert (await plan(market, RESTORES | {"per": "30"})).json()["dimensions"][0]["per"] == "30"


async def test_cloudblue_gets_the_closed_month_as_one_workbook(market: Market) -> None:
    dimension = {"dimension": "GB-MONTH", "meter": "StoredGb", "per": "2"}
    given = {"source": CLOUDBLUE, "offerId": PRODUCT, "planId": MPN, "paymentOption": "Monthly"}
    assert (await plan(market, dimension, **given)).status_code == 200
    goods = {"productId": PRODUCT, "mpn": MPN, "tenantId": market.tenant, "quantity": 40}
    external = (await ask(market, "purchase", **goods)).asset.id
    day = market.deps.clock.now().date()
    month = rules.month_of(day)
    await measured(market, day, stored_bytes=7 * 10**9, protected_users=0, restores=0)
    first = rules.first_of(rules.month_after(month))
    morning(market, (first - day).days)
    mine = f"{month}~{market.partner_id}~{PRODUCT}~0"
    assert mine not in await metered.send_files(market.deps)  # the month is not closed
    noted = {"state": "Closed"}
    await (await market.deps.usage()).note_once(market.scope, f"month~{month}", noted)
    market.sim.cloudblue.reads_at_once = False
    await metered.send_files(market.deps)
    again = await metered.send_files(market.deps)
    (sent,) = market.sim.cloudblue.files.values()
    assert again[mine] == f"Waiting {sent['id']}"
    assert (sent["name"], sent["product"]) == (mine, {"id": PRODUCT})
    (row,) = sent["rows"]
    told_row = [row[name] for name in ("asset_search_value", "item_search_value", "quantity")]
    assert told_row == [external, "GB-MONTH", 3.5]
    ends = [row[name] for name in ("start_time_utc", "end_time_utc")]
    assert ends == [f"{month}-01T00:00:00Z", f"{first}T00:00:00Z"]
    steps = []
    for status in ("", "accepted", "closed"):
        sent["status"] = status or sent["status"]
        await usage_files.follow(market.deps)
        order = await market.order(external, CLOUDBLUE)
        since = f"?since={month}-01"
        shown = (await market.get(f"/orders/{order['id']}/metering{since}", market.headers))[
            "value"
        ]
        steps += [(each["status"], each["channelStatus"], each["reference"]) for each in shown]
    assert steps == [
        ("Waiting", "pending", sent["id"]),  # read, and submitted
        ("Accepted", "accepted", sent["id"]),
        ("Accepted", "accepted", sent["id"]),  # settled: nobody asks any more
    ]


async def test_cloudblue_says_why_a_workbook_was_rejected(market: Market) -> None:
    hour = datetime.combine(date(2026, 5, 1), time(), market.deps.clock.now().tzinfo)
    record = UsageRecord(
        source=CLOUDBLUE, external_id="AS-r", plan_id=MPN, dimension="x", hour=hour,
        quantity=Decimal(1),
    )  # fmt: skip
    name = f"2026-05~{market.partner_id}"
    await usage_files.submit_month(market.deps, name, [record], PRODUCT)
    (sent,) = market.sim.cloudblue.files.values()
    market.sim.rules.append(rule("GET", f"/usage/files/{sent['id']}$", 500))
    assert await usage_files.follow(market.deps) == {}  # the next hour asks again
    sent |= {"status": "rejected", "error": "no such item"}
    assert await usage_files.follow(market.deps) == {name: "Rejected"}
    (kept,) = await metering.results(market.deps, "AS-r")
    assert (kept.status, kept.said) == (UsageStatus.REJECTED, "no such item")
