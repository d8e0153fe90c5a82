"""Logs and exports of sessions through the API: filter, time zone, CSV, ZIP of a month (BKP)."""

import csv
import io
import zipfile
from datetime import UTC, datetime

import httpx
import pytest

from shared.protection import repository, session_log
from shared.protection.log_lines import LogLine
from tests.api.conftest import check_problem
from tests.api.test_policies import sessions
from tests.api.world import World

AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
HOSTILE = '=HYPERLINK("http://evil.example";"x")'


@pytest.fixture
async def log(two: World, anonymous: httpx.AsyncClient) -> str:
    """Address of a log with 7 records; the caller is the administrator of partner A."""
    anonymous.headers.update(two.caller("administrator"))
    statuses = ["Success", "Warning", "Success", "Failed", "Success", "Success", "Success"]
    lines = [
        LogLine(key=f"{n}", at=AT, status=status, message=HOSTILE if n == 3 else f"line, {n}")
        for n, status in enumerate(statuses)
    ]
    await session_log.add(two.deps.tables, two.mine["session_id"], lines)
    return f"/api/v1/sessions/{two.mine['session_id']}/log"


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


async def test_bkp_15_records_are_filtered_by_status_over_pages(
    anonymous: httpx.AsyncClient, log: str
) -> None:
    page = (await anonymous.get(log, params={"status": "Success", "maxpagesize": 2})).json()
    found = page["value"]
    while link := page.get("nextLink"):
        page = (await anonymous.get(link)).json()
        found += page["value"]
    assert [one["message"] for one in found] == [f"line, {n}" for n in (0, 2, 4, 5, 6)]
    assert {one["status"] for one in found} == {"Success"}


async def test_bkp_15_timestamps_in_the_zone_asked_for_or_left_out(
    anonymous: httpx.AsyncClient, log: str
) -> None:
    async def first(**given: str) -> str | None:
        answer = await anonymous.get(log, params=given)
        at: str | None = answer.json()["value"][0]["at"]
        return at

    assert await first() == "2026-07-01T22:30:00Z"
    assert await first(tz="Europe/Berlin") == "2026-07-02T00:30:00+02:00"
    assert await first(timestamps="false") is None
    for wrong in ("Mars/Olympus", "Europe", "Etc/../UTC", "../etc/passwd"):
        answer = await anonymous.get(log, params={"tz": wrong})
        assert answer.status_code == 400, wrong


async def test_bkp_17_csv_has_a_header_and_a_row_per_record(
    anonymous: httpx.AsyncClient, log: str
) -> None:
    answer = await anonymous.get(f"{log}.csv", params={"tz": "Europe/Berlin"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    header, *body = rows(answer.text)
    assert header == ["at", "status", "message", "objectId"]
    assert len(body) == 7
    assert body[0][:3] == ["2026-07-02T00:30:00+02:00", "Success", "line, 0"]
    assert body[3][2] == f"'{HOSTILE}"  # text to a spreadsheet, not a formula
    bare = rows((await anonymous.get(f"{log}.csv", params={"timestamps": "false"})).text)
    assert bare[0] == ["status", "message", "objectId"]
    some = rows((await anonymous.get(f"{log}.csv", params={"status": "Failed"})).text)
    assert len(some) == 2


async def test_bkp_18_zip_of_a_month_holds_its_sessions_and_no_others(
    two: World, anonymous: httpx.AsyncClient, log: str
) -> None:
    made = await sessions(two.deps, two.a.scope, two.mine, 3)
    policy = await repository.get_policy(two.deps.tables, two.a.scope, two.mine["policy_id"])
    path = f"/api/v1/customers/{two.mine['customer_id']}/sessions:export"

    async def exported(**given: str) -> list[dict[str, str]]:
        answer = await anonymous.get(path, params=given)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            (name,) = archive.namelist()
            assert name == f"sessions-{two.mine['customer_id']}-{given['month']}.csv"
            return list(csv.DictReader(io.StringIO(archive.read(name).decode())))

    found = await exported(month="2026-02")
    assert [one["sessionId"] for one in found] == made
    assert found[0]["policyName"] == policy.name
    assert (found[0]["startedAt"], found[0]["durationSeconds"]) == ("2026-02-01T01:00:00Z", "3600")
    assert [one["sessionId"] for one in await exported(month="2026-01")] == [two.mine["session_id"]]
    assert await exported(month="2026-03") == []
    # 01:00 in Greenwich is still January in New York
    west = await exported(month="2026-02", tz="America/New_York")
    assert [one["sessionId"] for one in west] == made[1:]
    for wrong in ("2026-13", "2026", "26-01", "2026-1"):
        answer = await anonymous.get(path, params={"month": wrong})
        check_problem(answer, 400, "INVALID_INPUT")


async def test_bkp_18_export_needs_backup_management(
    two: World, anonymous: httpx.AsyncClient, log: str
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/sessions:export?month=2026-02"
    check_problem(
        await anonymous.get(path, headers=two.caller("customerAdmin")), 403, "PERMISSION_MISSING"
    )
