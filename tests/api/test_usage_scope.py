"""Who sees what of subscription and monthly usage: sources, permissions, customer groups."""

import csv
import io
import uuid
from datetime import date
from typing import Any

import pytest

from shared.access.partners import REGISTRAR
from shared.customers.model import Service
from shared.usage import keeping
from tests.api.conftest import check_problem
from tests.api.licensing import SLOT, Shop
from tests.api.test_billing import price, profile
from tests.api.usage import MARCH, Months, protected


@pytest.fixture
def months(shop: Shop) -> Months:
    return Months(shop)


async def client(shop: Shop, bearer: Any, *permissions: str, customer: str = "") -> dict[str, str]:
    """Headers of an application with these permissions, perhaps for one customer alone."""
    name = str(uuid.uuid4())
    only = frozenset({customer}) if customer else None
    await shop.deps.clients.save_client(
        shop.scope, REGISTRAR, name, None, name="C", permissions=permissions, customers=only
    )
    found: dict[str, str] = bearer(shop.tenant, azp=name)
    return found


async def second(shop: Shop, source: str, **changed: Any) -> str:
    """Another customer with the same item from another source."""
    customer = await shop.add_customer(**changed)
    body = {"slot": SLOT, "quantity": 7, "source": source}
    answer = await shop.post(f"/customers/{customer}/subscriptions", body)
    assert answer.status_code == 201, answer.text
    return customer


async def test_rpt_04_current_usage_history_and_customer_usage_name_their_source(
    months: Months,
) -> None:
    shop = months.shop
    await shop.buy()
    await shop.buy(channel="Marketplace", source="CloudBlue")
    shop.day(date(2026, 2, 3))
    await shop.assigned(40)
    other = await second(shop, "CloudBlue")
    pools = (await shop.get("/pools"))["value"]
    current = (await shop.get("/subscriptions"))["value"]
    usage = (await shop.get("/subscription-usage"))["value"]
    assert sorted(each["source"] for each in pools) == ["CloudBlue", "Direct"]
    for rows in (current, usage):
        assert {each["customerId"]: each["source"] for each in rows} == {
            shop.customer: "Direct", other: "CloudBlue",
        }  # fmt: skip
    [filtered] = (await shop.get("/subscriptions?source=CloudBlue"))["value"]
    assert filtered["customerId"] == other
    for customer, source in ((shop.customer, "Direct"), (other, "CloudBlue")):
        told = (await shop.get(f"/customers/{customer}/licence-history"))["value"]
        [entry] = [each for each in told if "source" in each["after"]]
        assert (entry["action"], entry["after"]["source"]) == ("Assigned", source)
        assert entry["actor"]


async def test_rpt_06_reports_need_their_permission_and_show_customers_in_scope(
    months: Months, bearer: Any
) -> None:
    shop = months.shop
    await shop.buy()
    shop.day(date(2026, 2, 3))
    await shop.assigned(40)
    other = await second(shop, "Direct")
    shop.day(date(2026, 3, 1))
    assert await keeping.take_pictures(shop.deps, "2026-02") == 0
    limited = await client(shop, bearer, customer=other)
    for query in ("", "?date=2026-03-01"):
        answer = await shop.api.get(f"/api/v1/subscription-usage{query}", headers=limited)
        assert [each["customerId"] for each in answer.json()["value"]] == [other]
    answer = await shop.api.get(f"/api/v1/billing-reports/{MARCH}", headers=limited)
    check_problem(answer, 403, "PERMISSION_MISSING")
    for path in ("usage-reports", f"usage-reports/{MARCH}", "usage-months", "usage-agreements"):
        answer = await shop.api.get(f"/api/v1/{path}", headers=limited)
        check_problem(answer, 403, "WHOLE_PARTNER_ONLY")  # the business of all customers


async def test_rpt_28_a_role_for_some_customers_reads_of_these_alone(
    months: Months, bearer: Any
) -> None:
    shop = months.shop
    await price(shop, prices={SLOT: {"unitPrice": "2"}})
    await profile(shop)
    await shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")
    shop.day(date(2026, 3, 1))
    await shop.assigned(40)
    other = await second(shop, "Direct", services=[Service.EXCHANGE])
    await months.protect(other, 2)
    first = await protected(months, 3)
    report = await months.close()
    assert len(report["saasUsage"]) == 2
    limited = await client(shop, bearer, "BillingManagement", customer=other)

    async def read(path: str) -> Any:
        answer = await shop.api.get(f"/api/v1{path}", headers=limited)
        assert answer.status_code == 200, answer.text
        return answer

    billed = (await read(f"/billing-reports/{MARCH}")).json()["value"]
    assert [(each["customerId"], each["total"]) for each in billed] == [(other, "14.00")]
    for path, column, total in (
        (f"/billing-reports/{MARCH}/focus", "SubAccountId", 1),
        (f"/usage-reports/{MARCH}/saas-export?detailsOnly=true", "Reported units", 1),
    ):
        rows = list(csv.DictReader(io.StringIO((await read(path)).text)))
        assert len(rows) == total
        assert rows[0][column] == (other if column == "SubAccountId" else "2")
    sums = (await read(f"/usage-reports/{MARCH}/saas-export")).text.splitlines()
    assert sums[-1].endswith(",2,,5.0")
    assert (await read("/usage-adjustments")).json()["value"] == []
    # Lines explain themselves to those who see their customer.
    lines = {each["customerId"]: each["lineId"] for each in report["saasUsage"]}
    base = f"/usage-reports/{MARCH}/lines"
    assert (await read(f"{base}/{lines[other]}/explain")).json()["line"]["billed"] == "2"
    for hidden in (lines[first], SLOT):
        answer = await shop.api.get(f"/api/v1{base}/{hidden}/explain", headers=limited)
        check_problem(answer, 404, "NOT_FOUND")


async def test_usg_09_what_was_sent_is_read_by_the_operator_and_nothing_before(
    months: Months,
) -> None:
    shop = months.shop
    await protected(months, 31)
    await months.close()
    await months.good("POST", ":submit")
    path = f"/api/v1/usage-submissions/{MARCH}?partnerId={shop.partner_id}"
    check_problem(await shop.api.get(path, headers=shop.operator), 404, "NOT_FOUND")
    assert await months.waiting() == []
    sent = await months.good("POST", ":confirm")
    assert await months.waiting() == [MARCH]
    read = await shop.api.get(path, headers=shop.operator)
    assert read.json() == sent
    assert read.json()["totals"]["total"] == "77.5"
    for address in (path, "/api/v1/usage-submissions"):
        answer = await shop.api.get(address, headers=shop.headers)
        check_problem(answer, 403, "PERMISSION_MISSING")
