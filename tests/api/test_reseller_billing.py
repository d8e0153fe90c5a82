"""Agreements, and what a reseller owes for a pool that it passed on, as both sides read it."""

from datetime import date

from shared.usage import service
from tests.api.licensing import Shop
from tests.api.test_reseller_rows import Chain
from tests.api.usage import APRIL, MARCH, Months


async def test_mkt_14_number_aggregator_and_minimum_commitment_are_read(shop: Shop) -> None:
    other = await Shop(shop.deps, shop.api, shop._bearer).open()
    shop.deps.clock = shop.clock  # one clock for both
    months = Months(shop)
    assert (await shop.get("/usage-agreements"))["value"] == []
    wanted = {"commitments": [{"points": "200", "since": "2026-01"}], "pointsPerUnit": {"CMG": "3"}}
    await months.agree(**wanted)
    [agreement] = (await shop.get("/usage-agreements"))["value"]
    assert (agreement["number"], agreement["aggregator"]) == ("RA-1", "Distri")
    assert agreement["commitments"] == wanted["commitments"]
    assert agreement["pointsPerUnit"] == {"CMG": "3"}  # the product mix
    assert (agreement["validFrom"], agreement["validTo"]) == ("2026-01-01", None)
    report = await months.close()
    shown = (report["agreement"], report["aggregator"], report["totals"]["minimumCommit"])
    assert shown == ("RA-1", "Distri", "200")
    assert (await other.get("/usage-agreements"))["value"] == []
    own = await shop.api.put(
        f"/api/v1/usage-agreements/RA-1?partnerId={shop.partner_id}",
        json={"aggregator": "Mine", "validFrom": "2026-01-01"},
        headers=shop.headers,
    )
    assert own.status_code == 403  # by the operator only
    assert (await shop.get("/usage-agreements"))["value"] == [agreement]


async def resold(shop: Shop) -> tuple[Chain, Shop, str]:
    """A pay-as-you-go pool and a partner below."""
    chain = await Chain(shop).open()
    chain.pool = await shop.buy("CMG", quantity=None, paymentType="Payg", paymentOption="Monthly")
    return chain, *await chain.joined()


async def reported(shop: Shop, month: str) -> list[tuple[str, int]]:
    return [(each["product"], each["auto"]) for each in (await Months(shop).close(month))["lines"]]


async def test_mkt_19_what_is_passed_on_is_billed_above_and_not_below(shop: Shop) -> None:
    chain, below, one = await resold(shop)
    shop.day(date(2026, 3, 2))
    assert (await chain.pass_on(one, 10)).status_code == 200
    shop.day(date(2026, 3, 3))
    await below.assigned(4, slot="CMG")  # whatever of it is used below
    assert await reported(shop, MARCH) == [("CMG", 10)]
    assert await reported(below, MARCH) == []
    rows = await shop.deps.usage()
    [line] = (await service.invoice(rows, shop.scope, MARCH)).lines
    assert (line.pool_id, line.customer_id, int(line.billed)) == (chain.pool, "", 10)
    why = await shop.get(f"/usage-reports/{MARCH}/lines/{line.line_id}/explain")
    assert [event["kind"] for event in why["events"]] == ["PassedOn"]
    assert {"MKT-19", "RES-07"} <= set(why["rules"])


async def test_mkt_19_what_came_back_is_billed_no_longer(shop: Shop) -> None:
    chain, below, one = await resold(shop)
    shop.day(date(2026, 3, 2))
    await chain.pass_on(one, 10)
    shop.day(date(2026, 3, 20))
    assert (await chain.take_back(one, 7)).status_code == 200
    assert await reported(shop, MARCH) == [("CMG", 10)]  # the peak of the month
    assert await reported(shop, APRIL) == [("CMG", 3)]
    assert await reported(below, APRIL) == []
