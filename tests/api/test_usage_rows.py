"""One test per row of USG, by the row's id, as callers see it; with LIC-31, LIC-32 and MKT-15."""

import uuid
from datetime import date
from typing import Any

import pytest

from shared.access.partners import REGISTRAR
from shared.customers import repository as customers
from shared.customers.model import CustomerState
from shared.usage import keeping, service
from tests.api.conftest import RecordedClient, check_problem
from tests.api.licensing import Shop
from tests.api.usage import APRIL, MARCH, Months, protected


@pytest.fixture
def months(shop: Shop) -> Months:
    return Months(shop)


# Of a report's header nothing but the order number and the comment is edited (USG-02).
HEADER = {
    "number", "agreement", "month", "usageConfirmed", "administrator", "aggregator", "state",
    "rejectionReason", "dueOn", "isLate", "totals", "saasUsage",
}  # fmt: skip


@pytest.fixture
async def payg(months: Months) -> str:
    """An open pay-as-you-go pool."""
    return await months.shop.buy(quantity=None, paymentType="Payg", paymentOption="Monthly")


async def test_usg_01_one_report_per_month_and_a_process_that_is_started_once(
    months: Months, durable: RecordedClient
) -> None:
    await protected(months)
    await months.close()
    again = await months.close()
    listed = await months.shop.get("/usage-reports")
    assert [each["month"] for each in listed["value"]] == [MARCH]
    assert again["number"] == f"MU-{MARCH}-{months.shop.partner_id}"
    answer = await months.shop.post(f"/usage-months/{MARCH}:close")
    assert answer.status_code == 202
    instance = f"usage:{months.shop.partner_id}:{MARCH}"
    assert durable.started[instance][0] == "close_usage_month"
    assert durable.raised == [(instance, "look_again", {})]
    running = await months.shop.post("/usage-months/2026-12:close")
    check_problem(running, 409, "MONTH_RUNNING")
    [month] = (await months.shop.get("/usage-months"))["value"]
    assert (month["state"], month["snapshotDate"], month["unknown"]) == ("Closed", "2026-04-01", {})


async def test_usg_02_header_fields_and_nothing_else_is_edited(months: Months) -> None:
    await months.agree()
    report = await months.close()
    assert (report["agreement"], report["aggregator"], report["state"]) == (
        "RA-1", "Distri", "PendingReview",
    )  # fmt: skip
    changed = await months.good("PATCH", body={"purchaseOrder": "PO-7", "comment": "as agreed"})
    assert (changed["purchaseOrder"], changed["comment"]) == ("PO-7", "as agreed")
    kept = await months.good("PATCH", body={"comment": "new"})
    assert (kept["purchaseOrder"], kept["comment"]) == ("PO-7", "new")
    for name in HEADER:
        refused = await months.send("PATCH", body={name: "x"})
        assert refused.status_code == 400, (name, refused.text)
    assert await months.report() == kept
    assert kept.keys() >= HEADER


@pytest.mark.usefixtures("payg")
async def test_usg_03_current_usage_starts_at_auto_and_can_be_edited(months: Months) -> None:
    await months.agree(pointsPerUnit={"CBM-M365": "5"})
    months.shop.day(date(2026, 3, 2))
    await months.shop.assigned(118)
    [line] = (await months.close())["lines"]
    assert (line["auto"], line["current"], line["licensed"], line["points"]) == (
        118, 118, 118, "590",
    )  # fmt: skip
    edit = {"lines": [{"lineId": line["lineId"], "current": 120}]}
    [line] = (await months.good("PATCH", body=edit))["lines"]
    assert (line["auto"], line["current"], line["points"]) == (118, 120, "600")
    wrong = await months.send("PATCH", body={"lines": [{"lineId": "nothing", "current": 1}]})
    [error] = check_problem(wrong, 422, "LINE_UNKNOWN")["errors"]
    assert error["pointer"] == "#/lines/nothing"
    stale = await months.send("PATCH", body=edit, **{"If-Match": '"old"'})
    assert stale.status_code == 412


async def test_usg_04_a_product_is_added_by_hand_and_removed(months: Months) -> None:
    await months.close()
    added = await months.send("POST", "/lines", {"product": "P", "units": 2, "pointsPerUnit": "3"})
    assert added.status_code == 201, added.text
    [line] = added.json()["lines"]
    assert (line["points"], line["isManual"], line["auto"]) == ("6", True, 0)
    twice = await months.send("POST", "/lines", {"product": "P", "units": 1, "pointsPerUnit": "1"})
    check_problem(twice, 422, "LINE_UNKNOWN")
    gone = await months.good("DELETE", f"/lines/{line['lineId']}")
    assert gone["lines"] == []


async def test_usg_05_06_07_the_sample_sums(months: Months) -> None:
    """604 software points, 165 SaaS points of the three sample customers, commitment 200."""
    await months.agree(commitments=[{"points": "200", "since": "2026-01"}])
    for users in (14, 21, 31):
        await protected(months, users)
    report = await months.close()
    assert sorted(line["points"] for line in report["saasUsage"]) == ["35.0", "52.5", "77.5"]
    for product, units, ppu in (("A", 1, "11"), ("B", 118, "5"), ("C", 1, "3")):
        body = {"product": product, "units": units, "pointsPerUnit": ppu}
        report = await months.good("POST", "/lines", body)
    sums = {name: float(value) for name, value in report["totals"].items()}
    assert sums == {
        "software": 604, "saas": 165, "reported": 769, "minimumCommit": 200, "subtotal": 769,
        "enforcement": 0, "overage": 569, "total": 769,
    }  # fmt: skip


async def test_usg_07_what_is_missing_to_the_commitment_is_enforced(months: Months) -> None:
    await months.agree(commitments=[{"points": "200", "since": "2026-01"}])
    await months.close()
    body = {"product": "A", "units": 150, "pointsPerUnit": "1"}
    sums = (await months.good("POST", "/lines", body))["totals"]
    assert [float(sums[each]) for each in ("reported", "enforcement", "overage", "total")] == [
        150, 50, 0, 200,
    ]  # fmt: skip


async def test_usg_08_reports_that_wait_and_no_saas_section_without_saas(months: Months) -> None:
    report = await months.close()
    assert report["saasUsage"] is None
    await protected(months)
    assert (await months.close(APRIL))["saasUsage"] is not None
    await months.good("POST", ":submit")
    await months.good("POST", ":confirm")
    waiting = await months.shop.get("/usage-reports?needsAction=true")
    assert [each["month"] for each in waiting["value"]] == [APRIL]


async def test_usg_09_19_two_steps_back_between_them_and_read_only_after(months: Months) -> None:
    await months.close()
    early = await months.send("POST", ":confirm")
    check_problem(early, 409, "REPORT_LOCKED")
    saved = await months.good("POST", ":submit")
    assert (saved["state"], saved["usageConfirmed"]) == ("Saved", False)
    check_problem(await months.send("PATCH", body={"comment": "x"}), 409, "REPORT_LOCKED")
    assert (await months.good("POST", ":back"))["state"] == "PendingReview"
    await months.good("PATCH", body={"comment": "x"})
    await months.good("POST", ":submit")
    sent = await months.good("POST", ":confirm")
    assert (sent["state"], sent["usageConfirmed"]) == ("SubmittedToAggregator", True)
    assert sent["confirmedBy"]
    assert sent["confirmedAt"].startswith("2026-04-01")
    for method, path, body in (
        ("PATCH", "", {"comment": "y"}),
        ("POST", "/lines", {"product": "P", "units": 1, "pointsPerUnit": "1"}),
        ("POST", ":back", None),
    ):
        check_problem(await months.send(method, path, body), 409, "REPORT_LOCKED")


async def test_usg_10_20_two_late_months_suspend_and_handing_in_releases(months: Months) -> None:
    shop = months.shop
    await shop.buy()
    await months.close(MARCH)
    await months.close(APRIL)
    shop.day(date(2026, 5, 1))
    assert await keeping.keep_deadlines(shop.deps) == 0
    [march, april] = (await shop.get("/usage-reports"))["value"]
    assert (march["isLate"], april["isLate"]) == (True, False)  # one month: a warning
    await shop.assigned(1)
    shop.day(date(2026, 6, 1))
    assert await keeping.keep_deadlines(shop.deps) >= 1
    refused = await shop.verb("increase", {"quantity": 1})
    check_problem(refused, 403, "LICENSE_MANAGEMENT_SUSPENDED")
    for month in (MARCH, APRIL):
        await months.good("POST", ":submit", month=month)
        await months.good("POST", ":confirm", month=month)
    assert (await shop.verb("increase", {"quantity": 1})).status_code == 200


async def test_usg_11_a_rejection_is_seen_edited_and_sent_again(months: Months) -> None:
    await months.close()
    await months.good("POST", ":submit")
    await months.good("POST", ":confirm")
    assert await months.waiting() == [MARCH]
    answer = await months.operate("reject", {"reason": "wrong order number"})
    assert answer.status_code == 200, answer.text
    report = await months.report()
    assert (report["state"], report["rejectionReason"]) == ("Rejected", "wrong order number")
    assert report["needsAction"]
    assert await months.waiting() == []
    await months.good("PATCH", body={"purchaseOrder": "PO-8"})
    await months.good("POST", ":submit")
    assert (await months.good("POST", ":confirm"))["rejectionReason"] == ""
    assert (await months.operate("accept")).json()["state"] == "Accepted"


async def test_usg_12_a_customer_deleted_in_the_month_is_billed(months: Months) -> None:
    shop = months.shop
    shop.day(date(2026, 3, 1))
    customer = await protected(months, 14)
    await months.measure(date(2026, 3, 1), date(2026, 3, 9))
    held = await customers.get(shop.deps.tables, shop.scope, customer)
    gone = held.model_copy(update={"state": CustomerState.DISCONNECTED})
    await customers.save(shop.deps.tables, shop.scope, gone)
    [line] = (await months.close())["saasUsage"]
    assert (line["units"], line["points"], line["isDeleted"]) == (14, "35.0", True)


async def test_usg_13_saas_lines_have_all_columns_and_explain_themselves(months: Months) -> None:
    for name in ("A", "B", "C"):
        await protected(months, 2, external_id=f"crm-{name}", activation_at=None)
    lines = (await months.close())["saasUsage"]
    assert len(lines) == 3
    assert {line["crmId"] for line in lines} == {"crm-A", "crm-B", "crm-C"}
    assert {(line["product"], line["unit"], line["pointsPerUnit"]) for line in lines} == {
        ("Flex", "User", "2.5")
    }
    told = await months.shop.get(f"/usage-reports/{MARCH}/lines/{lines[0]['lineId']}/explain")
    assert [each["name"] for each in told["objects"]] == ["User 0", "User 1"]
    assert all("kept in the enabled policy" in each["reason"] for each in told["objects"])
    assert any("highest daily value" in sentence for sentence in told["sentences"])
    assert told["inputHash"] == (await months.shop.get("/usage-months"))["value"][0]["inputHash"]


@pytest.mark.parametrize(("counting", "units"), [("Peak", 12), ("LastDay", 10)])
async def test_usg_14_amb_23_ten_users_and_twelve_on_one_day(
    months: Months, counting: str, units: int
) -> None:
    shop = months.shop
    await months.agree(counting=counting)
    shop.day(date(2026, 3, 1))
    customer = await protected(months, 10)
    await months.measure(date(2026, 3, 1), date(2026, 3, 8))
    await months.protect(customer, 12, since=10)
    await months.measure(date(2026, 3, 9), date(2026, 3, 9))
    objects = shop.deps.tables["Objects"]
    async for row in objects.query(customer):
        if row.values["owner_id"] in {"u10", "u11"}:
            await objects.delete(row.partition, row.key)
    [line] = (await months.close())["saasUsage"]
    assert line["units"] == units


async def test_usg_15_rpt_05_the_picture_of_the_first_and_today(months: Months) -> None:
    shop = months.shop
    pool = await shop.buy()
    shop.day(date(2026, 2, 3))
    await shop.assigned(40)
    shop.day(date(2026, 3, 1))
    assert await keeping.take_pictures(shop.deps, "2026-02") == 0
    shop.day(date(2026, 3, 6))
    await shop.verb("increase", {"quantity": 5})
    kept = await shop.get("/subscription-usage?date=2026-03-01")
    [held] = kept["value"]
    assert held == {
        "customerId": shop.customer, "slot": "CBM-M365", "item": "CBM-M365", "poolId": pool,
        "source": "Direct", "paymentType": "Prepaid", "assigned": 40, "consumed": 0,
        "assignedOn": "2026-02-03", "expiresOn": "2026-12-31",
    }  # fmt: skip
    assert (kept["usageMonth"], kept["snapshotDate"], kept["isLive"]) == (
        "2026-02", "2026-03-01", False,
    )  # fmt: skip
    today = await shop.get("/subscription-usage")
    assert (today["isLive"], today["value"][0]["assigned"]) == (True, 45)
    for day in ("2026-03-02", "2026-04-01", "0001-01-01"):
        answer = await shop.api.get(f"/api/v1/subscription-usage?date={day}", headers=shop.headers)
        check_problem(answer, 404, "NOT_FOUND")


async def test_usg_16_lic_31_the_peak_of_a_payg_pool_is_billed(months: Months, payg: str) -> None:
    shop = months.shop
    await months.agree(pointsPerUnit={"CBM-M365": "2"})
    shop.day(date(2026, 2, 1))
    await shop.assigned(40)
    shop.day(date(2026, 3, 15))
    assert (await shop.verb("reduce", {"quantity": 10})).status_code == 200
    [line] = (await months.close())["lines"]
    assert (line["auto"], line["product"]) == (40, "CBM-M365")
    shop.day(date(2026, 4, 2))
    question = {"month": APRIL, "changes": [
        {"kind": "changeSeats", "customerId": shop.customer, "pool": payg, "by": 5,
         "on": "2026-04-10"}]}  # fmt: skip
    answer = await shop.post("/usage:simulate", question)
    assert answer.status_code == 200, answer.text
    [difference] = answer.json()["differences"]
    assert (difference["now"]["billed"], difference["then"]["billed"]) == ("30", "35")
    assert (answer.json()["currency"], float(difference["amount"])) == ("points", 10)


@pytest.mark.usefixtures("payg")
async def test_lic_32_a_term_of_31_days_is_in_both_months(months: Months) -> None:
    shop = months.shop
    shop.day(date(2026, 1, 20))
    await shop.assigned(7)
    shop.day(date(2026, 2, 19))
    early = await shop.verb("expire")
    assert early.status_code == 409
    shop.day(date(2026, 2, 20))
    assert (await shop.verb("expire")).status_code == 200
    told = [
        [line["auto"] for line in (await months.close(month))["lines"]]
        for month in ("2026-01", "2026-02", "2026-03")
    ]
    assert told == [[7], [7], []]


async def test_mkt_15_one_line_for_the_pool_of_25_through_may(months: Months, payg: str) -> None:
    shop = months.shop
    shop.day(date(2026, 4, 2))
    await shop.assigned(25)
    await months.close("2026-05")
    rows = await shop.deps.usage()
    rated = await service.invoice(rows, shop.scope, "2026-05")
    assert [(line.pool_id, int(line.billed)) for line in rated.lines] == [(payg, 25)]
    told = await shop.get(f"/usage-reports/2026-05/lines/{rated.lines[0].line_id}/explain")
    assert told["line"]["poolId"] == payg
    assert [event["kind"] for event in told["events"]] == ["Assigned"]


@pytest.mark.usefixtures("payg")
async def test_usg_17_18_previous_month_and_the_commitment_of_each_month(months: Months) -> None:
    shop = months.shop
    await months.agree(
        commitments=[{"points": "10", "since": "2026-01"}, {"points": "99", "since": "2026-05"}]
    )
    shop.day(date(2026, 3, 2))
    await shop.assigned(100)
    [line] = (await months.close(MARCH))["lines"]
    edit = {"lines": [{"lineId": line["lineId"], "current": 103}]}
    assert (await months.good("PATCH", body=edit))["lines"][0]["current"] == 103
    april = await months.close(APRIL)
    assert april["lines"][0]["previous"] == 103  # what was reported, not what was measured
    may = await months.close("2026-05")
    assert (april["totals"]["minimumCommit"], may["totals"]["minimumCommit"]) == ("10", "99")
    assert (await months.report(APRIL))["totals"]["minimumCommit"] == "10"
    [told] = (await shop.get("/usage-agreements"))["value"]
    assert (told["number"], len(told["commitments"])) == ("RA-1", 2)


async def test_usg_21_confirming_needs_the_commercial_permission(
    months: Months, bearer: Any
) -> None:
    shop = months.shop
    await months.close()
    client = str(uuid.uuid4())
    await shop.deps.clients.save_client(
        shop.scope, REGISTRAR, client, None, name="Reader", permissions=[]
    )
    reader = bearer(shop.tenant, azp=client)
    shown = await shop.api.get(f"/api/v1/usage-reports/{MARCH}", headers=reader)
    assert shown.status_code == 200, shown.text
    for verb in (":submit", ":confirm", ":back"):
        answer = await shop.api.post(
            f"/api/v1/usage-reports/{MARCH}{verb}",
            headers=reader | {"If-Match": shown.headers["ETag"]},
        )
        check_problem(answer, 403, "PERMISSION_MISSING")


async def test_a_month_is_held_up_named_accepted_and_closed(months: Months) -> None:
    shop = months.shop
    shop.day(date(2026, 3, 31))
    dark = await shop.add_customer(tenant_id=str(uuid.uuid4()))
    shop.day(date(2026, 4, 1))
    told = await keeping.close_month(shop.deps, shop.scope, MARCH)
    assert told["state"] == "Blocked"
    [month] = (await shop.get("/usage-months"))["value"]
    assert month["state"] == "Blocked"
    assert month["unknown"][dark]["licensedAccounts"].startswith("2026-03-31: USAGE_UNREAD")
    path = f"/usage-months/{MARCH}/customers/{dark}:acceptUnknown"
    assert (await shop.post(path)).status_code == 204
    check_problem(await shop.post(path), 404, "NOT_FOUND")
    assert (await months.close())["state"] == "PendingReview"
