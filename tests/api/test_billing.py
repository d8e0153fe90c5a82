"""Resale through the API: prices in versions, invoices as bytes, late data, what-if in money."""

import asyncio
import hashlib
import uuid
from datetime import date
from typing import Any

import httpx
import pytest

from shared.access.partners import REGISTRAR
from shared.billing.model import CustomerInvoice
from shared.licensing.ledger import Event, Move
from shared.usage import keeping
from tests.api.conftest import check_problem
from tests.api.licensing import Shop
from tests.api.usage import APRIL, MARCH, Months
from tests.ledgers import plant

PRICES = {
    "CBM-M365": {"unitPrice": "3.20"},
    "CMG": {"tiers": [{"upTo": 10, "unitPrice": "2"}, {"unitPrice": "1.5"}], "included": 2},
}


@pytest.fixture
def months(shop: Shop) -> Months:
    return Months(shop)


async def price(shop: Shop, book: str = "standard", **changed: Any) -> dict[str, Any]:
    body = {
        "name": "Standard", "currency": "EUR", "validFrom": "2026-01", "prices": PRICES, **changed,
    }  # fmt: skip
    answer = await shop.post(f"/price-books/{book}/versions", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def profile(shop: Shop, name: str = "default", book: str = "standard") -> None:
    body = {"name": "Default", "bookId": book, "issuer": "MSP Ltd", "footer": "Thank you"}
    answer = await shop.api.put(f"/api/v1/billing-profiles/{name}", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text


async def sold(months: Months, seats: int = 40) -> Shop:
    """A partner with prices and a customer that holds prepaid seats from February on."""
    shop = months.shop
    await price(shop)
    await profile(shop)
    await shop.buy()
    shop.day(date(2026, 2, 1))
    await shop.assigned(seats)
    return shop


async def report(shop: Shop, month: str = MARCH) -> dict[str, Any]:
    found: dict[str, Any] = await shop.get(f"/customers/{shop.customer}/billing-reports/{month}")
    return found


async def test_a_customer_is_billed_by_the_prices_valid_in_the_month(months: Months) -> None:
    shop = await sold(months)
    await price(shop, validFrom=APRIL, prices=PRICES | {"CBM-M365": {"unitPrice": "4"}})
    await months.close()
    told = await report(shop)
    [line] = told["lines"]
    assert (line["billed"], line["amount"], line["steps"][0]["unitPrice"]) == (
        "40",
        "128.00",
        "3.20",
    )
    assert (told["total"], told["currency"], told["issuer"]) == ("128.00", "EUR", "MSP Ltd")
    assert told["priceBook"] == "standard/1"
    await months.close(APRIL)
    assert (await report(shop, APRIL))["total"] == "160.00"
    [summary] = (await shop.get(f"/billing-reports/{MARCH}"))["value"]
    assert (summary["digest"], summary["total"]) == (told["digest"], "128.00")
    path = f"/customers/{shop.customer}/billing-reports/{MARCH}/lines/{line['lineId']}/explain"
    why = await shop.get(path)
    assert why["arithmetic"] == "40 × 3.2 = 128.00 EUR"
    assert why["events"][0]["kind"] == "Assigned"


async def test_the_invoice_is_kept_byte_for_byte(months: Months) -> None:
    shop = await sold(months)
    await months.close()
    path = f"/api/v1/customers/{shop.customer}/billing-reports/{MARCH}/document"
    first = await shop.api.get(path, headers=shop.headers)
    assert first.headers["ETag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'
    invoice = CustomerInvoice.model_validate_json(first.content)
    assert invoice.content == first.content
    # Other prices, another profile, a second close and a look back change nothing.
    await price(shop, validFrom="2026-01", prices=PRICES | {"CBM-M365": {"unitPrice": "9"}})
    await months.close()
    assert await keeping.amend_partner(shop.deps, shop.scope) == 0
    assert (await shop.api.get(path, headers=shop.headers)).content == first.content


async def test_late_data_is_billed_in_the_next_month(months: Months) -> None:
    shop = await sold(months)
    await months.close()
    shop.day(date(2026, 4, 2))
    [pool] = (await shop.get("/pools"))["value"]
    held = f"sub~{shop.customer}~CBM-M365"
    late = Event(
        kind="Increased", subject=held, effective=date(2026, 3, 10),
        moves=(Move(source=f"pool~{pool['id']}", target=held, quantity=5, pool=pool["id"],
                    lot=date(2026, 3, 10)),),
    )  # fmt: skip
    await plant(shop.deps, shop.scope, late)
    shop.day(date(2026, 4, 3))
    assert await keeping.amend_partner(shop.deps, shop.scope) == 1
    assert (await report(shop))["total"] == "128.00"
    await months.close(APRIL)
    april = await report(shop, APRIL)
    [adjusted] = april["adjustments"]
    assert (adjusted["amount"], adjusted["month"], adjusted["currency"]) == ("16.00", MARCH, "EUR")
    assert (april["subtotal"], april["adjusted"], april["total"]) == ("144.00", "16.00", "160.00")


async def test_an_item_without_a_price_is_named_and_billed_once_it_has_one(
    months: Months,
) -> None:
    shop = months.shop
    await price(shop, prices={"Flex": {"unitPrice": "1"}})
    await profile(shop)
    await shop.buy()
    shop.day(date(2026, 3, 1))
    await shop.assigned(3)
    shop.day(date(2026, 4, 1))
    told = await keeping.close_month(shop.deps, shop.scope, MARCH)
    assert told == {"state": "Unpriced", "items": ["CBM-M365"]}
    missing = await shop.api.get(f"/api/v1/billing-reports/{MARCH}", headers=shop.headers)
    check_problem(missing, 404, "NOT_FOUND")
    [held] = (await shop.get("/usage-months"))["value"]
    assert (held["state"], held["unpriced"]) == ("Unpriced", ["CBM-M365"])
    assert (held["snapshotDate"], held["unknown"]) == ("2026-04-01", {})
    await price(shop)
    await months.close()
    assert (await report(shop))["total"] == "9.60"
    [done] = (await shop.get("/usage-months"))["value"]
    assert (done["state"], done["unpriced"]) == ("Closed", [])


async def test_a_month_that_is_billed_is_not_shown_as_unpriced(months: Months) -> None:
    """A process that died between the invoices and its note."""
    shop = await sold(months)
    await months.close()
    rows = await shop.deps.usage()
    await rows.note_unpriced(shop.scope, MARCH, ["CBM-M365"])
    [month] = (await shop.get("/usage-months"))["value"]
    assert (month["state"], month["unpriced"]) == ("Closed", [])
    await months.close()
    assert await rows.unpriced(shop.scope) == {}


async def test_cus_16_reports_need_recipients_and_a_profile(months: Months) -> None:
    shop = await sold(months)
    path = f"/api/v1/customers/{shop.customer}/billing"
    unsaid = (await shop.api.get(path, headers=shop.headers)).headers["ETag"]

    async def put(**body: Any) -> Any:
        return await shop.api.put(path, json=body, headers=shop.headers | {"If-Match": unsaid})

    wanting = {"sendBillingReports": True}
    [error] = check_problem(await put(**wanting), 400, "RECIPIENTS_REQUIRED")["errors"]
    assert error["pointer"] == "#/recipients"
    wanting |= {"recipients": ["a@c.example"]}  # type: ignore[dict-item]
    [error] = check_problem(await put(**wanting), 400, "RECIPIENTS_REQUIRED")["errors"]
    assert error["pointer"] == "#/profileId"
    check_problem(await put(**wanting, profileId="none"), 422, "PROFILE_UNKNOWN")
    await price(shop, "special", prices=PRICES | {"CBM-M365": {"unitPrice": "1"}})
    await profile(shop, "gold", "special")
    assert (await put(**wanting, profileId="gold")).status_code == 200
    assert (await shop.get(f"/customers/{shop.customer}/billing"))["profileId"] == "gold"
    await months.close()
    assert (await report(shop))["total"] == "40.00"


async def test_profiles_agreements_and_billing_are_changed_as_they_were_read(
    months: Months,
) -> None:
    shop = months.shop
    await price(shop)
    for address, headers, body, other, is_made in (
        (f"/usage-agreements/RA-1?partnerId={shop.partner_id}", shop.operator,
         {"aggregator": "A", "validFrom": "2026-01-01"}, {"aggregator": "B"}, True),
        ("/billing-profiles/gold", shop.headers,
         {"name": "Gold", "bookId": "standard"}, {"name": "G"}, True),
        (f"/customers/{shop.customer}/billing", shop.headers,
         {"recipients": ["a@c.example"]}, {"recipients": ["b@c.example"]}, False),
    ):  # fmt: skip
        path = f"/api/v1{address}"

        async def put(
            tag: str | None, body: Any, path: str = path, headers: dict[str, str] = headers
        ) -> httpx.Response:
            tagged = headers | ({"If-Match": tag} if tag else {})
            return await shop.api.put(path, json=body, headers=tagged)

        read = await shop.api.get(path, headers=headers)
        if is_made:  # nothing is there: it is made, not replaced
            check_problem(read, 404, "NOT_FOUND")
            check_problem(await put("*", body), 412, "PRECONDITION_FAILED")
            made = await put(None, body)
        else:  # it has its defaults before anybody wrote it
            check_problem(await put(None, body), 428, "PRECONDITION_REQUIRED")
            made = await put(read.headers["ETag"], body)
        assert made.status_code == 200, made.text
        read = await shop.api.get(path, headers=headers)
        assert (read.headers["ETag"], read.json()) == (made.headers["ETag"], made.json())
        check_problem(await put(None, body), 428, "PRECONDITION_REQUIRED")
        both = await asyncio.gather(*(put(read.headers["ETag"], body | other) for _ in range(2)))
        assert sorted(each.status_code for each in both) == [200, 412]
        assert (await put("*", body)).status_code == 200
        assert (await shop.api.get(path, headers=headers)).json() == read.json()


async def test_books_keep_their_currency_and_their_versions(months: Months) -> None:
    shop = months.shop
    await price(shop)
    made = await price(shop, name="New", validFrom="2026-06")
    assert made["version"] == 2
    body = {"name": "S", "currency": "CHF", "validFrom": "2026-01", "prices": PRICES}
    answer = await shop.post("/price-books/standard/versions", body)
    check_problem(answer, 422, "CURRENCY_FIXED")
    tiers = [{"upTo": 10, "unitPrice": "1"}, {"upTo": 5, "unitPrice": "1"}]
    wrong = body | {"currency": "EUR", "prices": {"CMG": {"tiers": tiers}}}
    answer = await shop.post("/price-books/standard/versions", wrong)
    check_problem(answer, 422, "TIERS_UNORDERED")
    found = (await shop.get("/price-books/standard/versions"))["value"]
    assert [(each["version"], each["name"]) for each in found] == [(1, "Standard"), (2, "New")]
    [newest] = (await shop.get("/price-books"))["value"]
    assert newest["prices"]["CMG"]["tiers"][0] == {"upTo": 10, "unitPrice": "2"}
    answer = await shop.api.put(
        "/api/v1/billing-profiles/x", json={"name": "X", "bookId": "none"}, headers=shop.headers
    )
    check_problem(answer, 422, "PROFILE_UNKNOWN")


async def test_what_if_40_users_move_to_another_plan_or_source_or_price(months: Months) -> None:
    shop = await sold(months)
    await price(shop, prices=PRICES | {"CBE": {"unitPrice": "2"}})
    old = (await shop.get("/pools"))["value"][0]["id"]
    plan = await shop.buy("CBE")
    source = await shop.buy(channel="Marketplace", source="CloudBlue")
    shop.day(date(2026, 3, 20))

    async def ask(*changes: dict[str, Any]) -> dict[str, Any]:
        question = {"month": MARCH, "priceBook": "standard", "changes": list(changes)}
        answer = await shop.post("/billing:simulate", question)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    move = {"kind": "moveSeats", "customerId": shop.customer, "fromPool": old, "quantity": 40,
            "on": "2026-03-01"}  # fmt: skip
    told = await ask(move | {"toPool": plan})
    assert (told["nowTotal"], told["thenTotal"], told["amount"]) == ("128.00", "80.00", "-48.00")
    assert len(told["differences"]) == 2
    # Another source of the same item costs the customer the same.
    assert (await ask(move | {"toPool": source}))["differences"] == []
    told = await ask({"kind": "changePrice", "item": "CBM-M365", "price": {"unitPrice": "3"}})
    assert (told["amount"], told["currency"]) == ("-8.00", "EUR")
    far = {"month": MARCH, "priceBook": "none", "changes": [move | {"toPool": plan}]}
    check_problem(await shop.post("/billing:simulate", far), 404, "NOT_FOUND")


async def test_prices_are_for_those_who_manage_billing(months: Months, bearer: Any) -> None:
    shop = await sold(months)
    await months.close()
    client = str(uuid.uuid4())
    await shop.deps.clients.save_client(
        shop.scope, REGISTRAR, client, None, name="Reader", permissions=[]
    )
    reader = bearer(shop.tenant, azp=client)
    for path in ("price-books", f"billing-reports/{MARCH}", "billing-profiles"):
        answer = await shop.api.get(f"/api/v1/{path}", headers=reader)
        check_problem(answer, 403, "PERMISSION_MISSING")
