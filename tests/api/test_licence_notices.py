"""Notices of licences: who is told what, when, and once (NTF-20, 24.3 ExpiryNotices)."""

from datetime import date
from typing import Any

import pytest

from shared.access.model import Client, Scope
from shared.customers import nightly
from shared.licensing import brake, noticing, standings
from shared.licensing.model import Standing
from shared.licensing.refusals import MassChange
from shared.licensing.repository import TABLE
from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop

ENDS = date(2026, 12, 31)


async def told(shop: Shop, query: str = "") -> list[dict[str, Any]]:
    value: list[dict[str, Any]] = (await shop.get(f"/notices{query}"))["value"]
    return value


async def night(shop: Shop, day: date) -> int:
    """The clock of that morning for the shop; how much is new."""
    shop.day(day)
    table, now = shop.deps.tables[TABLE], shop.clock.now()
    return await noticing.note_all(shop.deps.ledgers, table, shop.scope, now)


async def test_ntf_20_one_notice_each_at_30_7_and_1_days(shop: Shop) -> None:
    pool = await shop.buy()
    await shop.assigned(30, expiresOn="2026-06-30")
    for day in range(1, 31):
        await night(shop, date(2026, 5, day))
        await night(shop, date(2026, 6, day))
    found = await told(shop)
    near = [(each["dueOn"], each["what"]["daysBefore"]) for each in found]
    assert near == [("2026-06-29", 1), ("2026-06-23", 7), ("2026-05-31", 30)]
    assert {each["kind"] for each in found} == {"expiring"}
    assert {(each["subscriptionId"], each["customerId"]) for each in found} == {
        (SLOT, shop.customer)
    }
    assert {each["topic"] for each in found} == {"LicenceChange"}
    assert await night(shop, date(2026, 12, 1)) == 1
    assert (await told(shop))[0]["poolId"] == pool


async def test_ntf_20_days_that_were_missed_are_told_late_and_not_twice(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(30)
    shop.day(date(2026, 12, 28))  # the pool and the subscription
    assert (await noticing.note_everywhere(shop.deps))[shop.partner_id] == 2
    found = await told(shop)
    assert {(each["dueOn"], each["what"]["daysBefore"]) for each in found} == {("2026-12-24", 7)}
    assert {each["notedAt"][:10] for each in found} == {"2026-12-28"}
    assert await night(shop, date(2026, 12, 28)) == 0
    assert await night(shop, date(2026, 12, 29)) == 0
    assert await night(shop, date(2026, 12, 30)) == 2
    assert await night(shop, date(2027, 1, 1)) == 0


async def test_ntf_20_an_end_that_was_moved_is_told_again(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(30, expiresOn="2026-06-30")
    assert await night(shop, date(2026, 6, 1)) == 1
    await shop.verb("setExpiration", {"expiresOn": "2026-07-31"})
    assert await night(shop, date(2026, 6, 2)) == 0
    assert await night(shop, date(2026, 7, 1)) == 1


async def test_ntf_20_what_is_shorter_from_its_start_is_no_news(shop: Shop) -> None:
    """Taken for 12 days because the pool ends: nobody is told of 30 days."""
    await shop.buy(channel="Marketplace", source="CloudBlue", end="2026-12-31")
    shop.day(date(2026, 12, 20))
    await shop.assigned(5, source="CloudBlue")
    subs = [each for each in await told(shop) if each["subscriptionId"]]
    await night(shop, date(2026, 12, 20))
    assert subs == [each for each in await told(shop) if each["subscriptionId"]] == []
    await night(shop, date(2026, 12, 24))
    [first] = [each for each in await told(shop) if each["subscriptionId"]]
    assert first["what"]["daysBefore"] == 7


async def test_ntf_20_short_low_cancelled_and_suspended(shop: Shop) -> None:
    await shop.buy(quantity=31)
    await shop.assigned(30)
    assert await night(shop, date(2026, 2, 1)) == 1
    assert (await told(shop))[0]["kind"] == "poolLow"
    assert await night(shop, date(2026, 2, 28)) == 0
    assert await night(shop, date(2026, 3, 1)) == 1  # still, the next month
    order = {"orderId": "order1", "action": "cancel", "end": "2026-11-30"}
    assert (await shop.operate("/pools:changeOrder", order)).status_code == 200
    assert await night(shop, date(2026, 3, 2)) == 1
    assert (await told(shop))[0]["what"]["order"] == "order1"
    standing = Standing(licence_management_suspended=True)
    await standings.save(shop.deps.tables[TABLE], shop.scope, standing)
    assert await night(shop, date(2026, 3, 2)) == 1
    assert await night(shop, date(2026, 3, 31)) == 0
    assert await night(shop, date(2026, 4, 1)) == 2  # low and suspended, once in a month


async def test_notices_are_seen_as_far_as_customers_are(shop: Shop) -> None:
    await shop.buy()
    await shop.assigned(30)
    other = await shop.add_customer()
    await night(shop, date(2026, 12, 1))
    assert len(await told(shop)) == 2
    assert len(await told(shop, f"?customerId={shop.customer}")) == 1
    only = frozenset({other})
    await shop.deps.partners.register(shop.tenant, "Partner", [Client("limited", customers=only)])
    limited = shop._bearer(shop.tenant, azp="limited")
    answer = await shop.api.get("/api/v1/notices", headers=limited)
    assert answer.json()["value"] == []
    first = await shop.get("/notices?maxpagesize=1")
    rest = await shop.get(first["nextLink"].split("/api/v1")[1])
    assert len(first["value"]) == len(rest["value"]) == 1
    assert first["value"] != rest["value"]
    assert "nextLink" not in rest


async def test_a_look_without_news_reads_no_books(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.buy()
    await shop.assigned(30)
    await night(shop, date(2026, 2, 1))

    async def never(_: object) -> None:
        raise AssertionError("the whole book was read")

    monkeypatch.setattr(shop.deps.ledgers, "load_all", never)
    assert await night(shop, date(2026, 2, 2)) == 0


async def test_a_mass_change_is_told_and_can_be_dismissed(shop: Shop) -> None:
    table, now = shop.deps.tables[TABLE], shop.clock.now()
    stopped = MassChange("too much", rule="beyond 8", wouldMove=28, limit=10)
    check_problem(await shop.post("/licence-adjustment:dismiss"), 409, "NOTHING_TO_APPROVE")
    await brake.ask(table, shop.scope, stopped, now)
    [notice] = await told(shop)
    assert (notice["kind"], notice["what"]) == ("massChangeWaits", {"wouldMove": 28, "limit": 10})
    dismissed = (await shop.post("/licence-adjustment:dismiss")).json()
    assert (dismissed["state"], dismissed["dismissedBy"]) == ("Dismissed", "application:object")
    check_problem(await shop.post("/licence-adjustment:approve"), 409, "NOTHING_TO_APPROVE")
    await brake.ask(table, shop.scope, stopped, now)  # the next night, the same number
    assert (await shop.get("/licence-adjustment"))["state"] == "Dismissed"
    await nightly.adjust_approved(shop.deps)
    more = MassChange("too much", rule="beyond 8", wouldMove=29, limit=10)
    await brake.ask(table, shop.scope, more, now)
    assert (await shop.get("/licence-adjustment"))["state"] == "Waiting"
    assert (await shop.post("/licence-adjustment:approve")).json()["state"] == "Approved"
    await brake.ask(table, shop.scope, more, now)  # the night before it was carried out
    assert (await shop.get("/licence-adjustment"))["state"] == "Approved"
    fewer = MassChange("too much", rule="beyond 8", wouldMove=20, limit=10)
    await brake.ask(table, shop.scope, fewer, now)  # less than was approved needs no new word
    assert await brake.approved(table, shop.scope) == 29
    assert await brake.approved(table, Scope("nobody")) == 0
