"""Bad input on every route of policies, sessions, logs, repositories and keeping.

Each is refused with the place of the mistake, and nothing is written.
"""

from typing import Any

import httpx
import pytest

from tests.api.conftest import RecordedClient, check_problem
from tests.api.world import World

LONG = "x" * 201
NOT_A_MEMBER = {"sevrices": ["exchange"]}
POLICY: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "#/name"),
    ({"name": LONG}, "#/name"),
    ({"name": "a\nb"}, "#/name"),
    ({"name": None}, "#/name"),
    ({"name": ["P"]}, "#/name"),
    ({"backupType": "Everything"}, "#/backupType"),
    ({"services": ["exchange", "yammer"]}, "#/services/1"),
    ({"services": "exchange"}, "#/services"),
    ({"include": ["user:"]}, "#/include/0"),
    ({"include": ["robot:1"]}, "#/include/0"),
    ({"exclude": ["group:a b"]}, "#/exclude/0"),
    ({"exclude": ["user:1"] * 501}, "#/exclude"),
    ({"exclude": [7]}, "#/exclude/0"),
    ({"retentionYears": 1001}, "#/retentionYears"),
    ({"retentionYears": True}, "#/retentionYears"),
    ({"repositoryId": "x" * 65}, "#/repositoryId"),
    (NOT_A_MEMBER, "#/sevrices"),
]
LISTS: list[tuple[str, dict[str, str], str]] = [
    ("/policies", {"status": "Sleeping"}, "#/query/status/0"),
    ("/policies", {"customerId": "x" * 65}, "#/query/customerId"),
    ("/policies", {"maxpagesize": "0"}, "#/query/maxpagesize"),
    ("/policies", {"serach": "x"}, "#/query/serach"),
    ("{customer}/policies", {"maxpagesize": "1001"}, "#/query/maxpagesize"),
    ("{policy}/sessions", {"from": "2026-11-01T00:00:00"}, "#/query/from"),
    ("{policy}/sessions", {"to": "yesterday"}, "#/query/to"),
    ("{policy}/sessions", {"status": "success"}, "#/query/status/0"),
    ("{customer}/sessions", {"from": "2026-11-01"}, "#/query/from"),
    ("{customer}/sessions", {"status": "Protected"}, "#/query/status/0"),
    ("{customer}/sessions:export", {}, "#/query/month"),
    ("{customer}/sessions:export", {"month": "2026-13"}, "#/query/month"),
    ("{customer}/sessions:export", {"month": "2026-01", "tz": "Mars/Base"}, "#/query/tz"),
    ("{session}/log", {"status": "Warn"}, "#/query/status/0"),
    ("{session}/log", {"tz": "../../etc/passwd"}, "#/query/tz"),
    ("{session}/log", {"timestamps": "maybe"}, "#/query/timestamps"),
    ("{session}/log.csv", {"tz": "Nowhere"}, "#/query/tz"),
    ("{session}/objects", {"maxpagesize": "many"}, "#/query/maxpagesize"),
    ("{customer}/coverage/objects", {"protected": "perhaps"}, "#/query/protected"),
    ("{customer}/job-counts", {"month": "26-01"}, "#/query/month"),
    ("{customer}/reported-jobs", {"month": ""}, "#/query/month"),
]
JOB = {
    "service": "CBS", "jobId": "1", "name": "N", "status": "Failed",
    "startedAt": "2026-01-01T00:00:00Z",
}  # fmt: skip
POSTS: list[tuple[str, dict[str, Any], str]] = [
    ("{customer}/repositories", {"name": "", "region": "uksouth"}, "#/name"),
    ("{customer}/repositories", {"name": "R", "region": "UK South"}, "#/region"),
    ("{customer}/repositories", {"name": "R"}, "#/region"),
    ("{customer}/erasures", {"userId": "", "reason": "gdpr-17"}, "#/userId"),
    ("{customer}/erasures", {"userId": "u", "reason": "Because of Ada Lovelace"}, "#/reason"),
    ("{customer}/erasures", {"userId": "u"}, "#/reason"),
    ("{customer}/reported-jobs", {**JOB, "status": "Great"}, "#/status"),
    ("{customer}/reported-jobs", {**JOB, "jobId": "a\tb"}, "#/jobId"),
    ("{customer}/reported-jobs", {**JOB, "startedAt": "2026-01-01"}, "#/startedAt"),
    ("{customer}/reported-jobs", {**JOB, "service": "NIX"}, "#/service"),
    ("{customer}/reported-jobs", {**JOB, "endedAt": "2025-01-01T00:00:00Z"}, "#/endedAt"),
    ("{customer}/services:start", {"service": ""}, "#/service"),
    ("{customer}/services:start", {"service": "NIX"}, "#/service"),
    ("{object}/snapshots/0:verify", {}, "#/path/n"),
    ("{object}/snapshots/one:verify", {}, "#/path/n"),
]


@pytest.fixture
def api(two: World, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """The administrator of partner A."""
    anonymous.headers.update(two.caller("administrator"))
    return anonymous


def filled(two: World, path: str) -> str:
    mine = {
        "customer": f"/customers/{two.mine['customer_id']}",
        "policy": f"/policies/{two.mine['policy_id']}",
        "session": f"/sessions/{two.mine['session_id']}",
        "object": f"/objects/{two.mine['object_id']}",
    }
    return "/api/v1" + path.format(**mine)


async def written(two: World, api: httpx.AsyncClient) -> list[str]:
    """Everything that these routes could have written."""
    lists = (
        "{customer}/policies", "{customer}/repositories", "{customer}/erasures",
        "{customer}/reported-jobs?month=2026-01", "{customer}/holds", "{customer}/sessions",
    )  # fmt: skip
    return [(await api.get(filled(two, path))).text for path in lists]


def check_place(answer: httpx.Response, pointer: str, of: object) -> None:
    problem = check_problem(answer, 400, answer.json().get("code", "INVALID_INPUT"))
    assert problem["code"] in {"INVALID_INPUT", "TIME_ZONE_UNKNOWN"}, of
    assert pointer in {each["pointer"] for each in problem["errors"]}, (of, problem["errors"])


async def test_bkp_02_to_06_a_policy_that_cannot_be_meant_is_refused_at_its_place(
    two: World, api: httpx.AsyncClient
) -> None:
    path, one = filled(two, "{customer}/policies"), filled(two, "{policy}")
    seen = {"If-Match": (await api.get(one)).headers["ETag"]}
    before = await written(two, api)
    for wrong, pointer in POLICY:
        check_place(await api.post(path, json={"name": "P", **wrong}), pointer, wrong)
        if wrong != {"name": None}:  # in a change null means: as it is
            check_place(await api.patch(one, json=wrong, headers=seen), pointer, wrong)
    check_place(await api.post(path, json={}), "#/name", "nothing")
    check_place(await api.post(path, content=b"{", headers={"Content-Type": "application/json"}),
                "#", "half a body")  # fmt: skip
    assert await written(two, api) == before
    assert (await api.get(one)).headers["ETag"] == seen["If-Match"]


async def test_bkp_12_to_18_a_list_that_cannot_be_meant_is_refused_at_its_place(
    two: World, api: httpx.AsyncClient
) -> None:
    for path, query, pointer in LISTS:
        answer = await api.get(filled(two, path), params=query)
        check_place(answer, pointer, (path, query))
    for path in ("/policies", "{policy}/sessions", "{customer}/sessions", "{session}/log"):
        answer = await api.get(filled(two, path), params={"skipToken": "nonsense"})
        check_problem(answer, 400, "BAD_CURSOR")


async def test_bkp_26_and_31_what_cannot_be_meant_is_refused_and_nothing_written(
    two: World, api: httpx.AsyncClient, durable: RecordedClient
) -> None:
    before = await written(two, api)
    for path, body, pointer in POSTS:
        answer = await api.post(filled(two, path), json=body)
        check_place(answer, pointer, (path, body))
    assert await written(two, api) == before
    assert durable.started == {}


async def test_bkp_07_an_impossible_interval_is_refused(two: World, api: httpx.AsyncClient) -> None:
    one = filled(two, "{policy}")
    before = (await api.get(one)).json()
    seen = {"If-Match": (await api.get(one)).headers["ETag"]}
    for hours in (0, -1, 8761, 1.5, "often", True):
        answer = await api.patch(one, json={"intervalHours": hours}, headers=seen)
        check_place(answer, "#/intervalHours", hours)
    assert (await api.get(one)).json() == before
