"""Files of usage: header, lines and totals, details alone, FOCUS columns; never a formula."""

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import openpyxl
import pytest

from functions.api import xlsx_files
from shared.usage.exporting import FOCUS_COLUMNS, SAAS_COLUMNS
from tests.api.licensing import Shop
from tests.api.test_billing import price, profile
from tests.api.usage import MARCH, Months, protected

EVIL = '=HYPERLINK("http://evil.example")'


@pytest.fixture
def months(shop: Shop) -> Months:
    return Months(shop)


async def asked(shop: Shop, path: str) -> httpx.Response:
    answer = await shop.api.get(f"/api/v1{path}", headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return answer


def table(answer: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode())))


def sheet(answer: httpx.Response) -> list[list[Any]]:
    assert answer.headers["content-type"] == xlsx_files.MEDIA_TYPE
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    return [[cell.value for cell in row] for row in book.worksheets[0].iter_rows()]


async def three(months: Months) -> None:
    for users, name in ((14, "A"), (21, "B"), (31, EVIL)):
        customer = await protected(months, users, external_id=f"crm{users}")
        table_ = months.deps.tables["Customers"]
        row = await table_.get(months.shop.partner_id, customer)
        row.values["display_name"] = name
        await table_.replace(row)


async def test_rpt_27_header_lines_and_totals_are_in_the_file(months: Months) -> None:
    shop = months.shop
    await three(months)
    await months.close()
    await months.good("POST", "/lines", {"product": EVIL, "units": 1, "pointsPerUnit": "11"})
    await months.good("PATCH", body={"purchaseOrder": "@SUM(A1)"})
    await months.good("POST", ":submit")
    answer = await asked(shop, f"/usage-reports/{MARCH}/export")
    rows = table(answer)
    assert "usage-2026-03.csv" in answer.headers["content-disposition"]
    assert rows[5][:3] == ["Header", "Purchase order", "'@SUM(A1)"]
    parts = [row[0] for row in rows]
    assert (parts.count("Line"), parts.count("SaaS"), parts.count("Total")) == (1, 3, 8)
    assert rows[-1][1:2] + rows[-1][-1:] == ["total", "176.0"]
    assert ["Header", "Status", "Saved"] in [row[:3] for row in rows]
    assert all(not cell.startswith(("=", "@")) for row in rows for cell in row)
    book = sheet(await asked(shop, f"/usage-reports/{MARCH}/export?format=xlsx"))
    assert [len(book), book[-1][-1]] == [len(rows), 176]
    [line] = [row for row in book if row[0] == "Line"]
    assert line[2] == EVIL  # text in a cell of its own type, not a formula
    raw = openpyxl.load_workbook(
        io.BytesIO((await asked(shop, f"/usage-reports/{MARCH}/export?format=xlsx")).content)
    )
    assert {c.data_type for row in raw.worksheets[0].iter_rows() for c in row} <= {"s", "n"}


async def test_rpt_26_details_only_has_no_sums(months: Months) -> None:
    shop = months.shop
    await three(months)
    await months.close()
    path = f"/usage-reports/{MARCH}/saas-export"
    only = table(await asked(shop, f"{path}?detailsOnly=true"))
    assert tuple(only[0]) == SAAS_COLUMNS
    assert sorted(row[6] for row in only[1:]) == ["14", "21", "31"]
    assert sorted(row[8] for row in only[1:]) == ["35.0", "52.5", "77.5"]
    full = table(await asked(shop, path))
    assert len(full) == 1 + 1 + 3 * 3 + 1
    assert full[-1][0] == "Total"
    assert full[-1][6:] == ["66", "", "165.0"]
    sums = table(await asked(shop, f"{path}?details=false&counts=false"))
    assert [row[1] for row in sums[1:-1]] == [f"Subtotal {EVIL}", "Subtotal A", "Subtotal B"]
    book = sheet(await asked(shop, f"{path}?format=xlsx&detailsOnly=true"))
    assert [len(book), sum(row[8] for row in book[1:])] == [4, 165]


async def test_charges_have_focus_columns(months: Months) -> None:
    shop = months.shop
    await price(shop)
    await profile(shop)
    await shop.buy()
    shop.day(date(2026, 3, 1))
    await shop.assigned(40)
    await months.close()
    rows = table(await asked(shop, f"/billing-reports/{MARCH}/focus"))
    assert tuple(rows[0]) == FOCUS_COLUMNS
    [charge] = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert (charge["BilledCost"], charge["BillingCurrency"]) == ("128.00", "EUR")
    assert (charge["ChargePeriodStart"], charge["ChargePeriodEnd"]) == (
        "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z",
    )  # fmt: skip
    assert (charge["ConsumedQuantity"], charge["ConsumedUnit"]) == ("40", "Seats")
    assert (charge["SubAccountId"], charge["ChargeCategory"]) == (shop.customer, "Usage")
    total = (await shop.get(f"/billing-reports/{MARCH}"))["value"][0]["total"]
    assert Decimal(charge["BilledCost"]) == Decimal(total)
    path = f"/customers/{shop.customer}/billing-reports/{MARCH}/lines/{charge['x_LineId']}/explain"
    assert (await shop.get(path))["line"]["amount"] == charge["BilledCost"]
