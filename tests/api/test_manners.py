"""Every route behaves the same: repeats, conditions, limits, ids, versions (docs/api.md)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from functions.api import limits, versions
from functions.api.app import build
from functions.api.versions import Deprecation
from shared.bootstrap import Deps
from shared.kit.tables import Row
from tests.api.conftest import OTHER_TENANT, check_problem

Bearer = Callable[..., dict[str, str]]
BODY = {"displayName": "Repeated"}
KEY = {"Idempotency-Key": '"2f0e5a70-6d0f-4f2e-9c0e-0d5c2f0f9a11"'}
URL = "/api/v1/customers"


async def count(partner: httpx.AsyncClient, name: str) -> int:
    return len((await partner.get(URL, params={"search": name})).json()["value"])


async def test_a_repeat_gets_the_first_answer_and_makes_nothing(
    partner: httpx.AsyncClient, bearer: Bearer
) -> None:
    key = {"Idempotency-Key": "repeat-1"}
    first = await partner.post(URL, json={"displayName": "Once only"}, headers=key)
    again = await partner.post(URL, json={"displayName": "Once only"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    for name in ("Location", "ETag", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await count(partner, "Once only") == 1
    other = bearer(OTHER_TENANT) | key
    foreign = await partner.post(URL, json={"displayName": "Once only"}, headers=other)
    assert foreign.json()["id"] != first.json()["id"]


async def test_a_key_belongs_to_one_request(partner: httpx.AsyncClient) -> None:
    await partner.post(URL, json=BODY, headers=KEY)
    answer = await partner.post(URL, json=BODY | {"country": "DE"}, headers=KEY)
    check_problem(answer, 422, "IDEMPOTENCY_KEY_REUSED")
    answer = await partner.post(URL, json=BODY, headers={"Idempotency-Key": "a b"})
    check_problem(answer, 400, "IDEMPOTENCY_KEY_INVALID")


async def test_of_two_at_once_one_runs(partner: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "at-once"}
    body = {"displayName": "Twice at once"}
    answers = await asyncio.gather(*(partner.post(URL, json=body, headers=key) for _ in range(4)))
    made = [answer for answer in answers if answer.status_code == 201]
    assert made
    for answer in answers:
        if answer.status_code != 201:
            check_problem(answer, 409, "IDEMPOTENCY_IN_FLIGHT")
            assert int(answer.headers["Retry-After"]) >= 1
    assert await count(partner, "Twice at once") == 1


async def test_a_refused_request_may_be_repeated_with_its_key(
    partner: httpx.AsyncClient, customer_id: str
) -> None:
    key = {"Idempotency-Key": "refused"}
    address = f"{URL}/{customer_id}/onboarding:cancel"
    for _ in range(2):
        answer = await partner.post(address, headers=key)
        assert answer.status_code == 404
        assert "Idempotency-Replayed" not in answer.headers


async def test_a_stored_answer_cannot_be_read_in_the_table(
    deps: Deps, partner: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "sealed"}
    made = await partner.post(URL, json={"displayName": "Unreadable"}, headers=key)
    partner_id = (await partner.get("/api/v1/partners/me")).json()["partnerId"]
    rows: list[Row] = [row async for row in deps.tables["Idempotency"].query(partner_id)]
    assert rows
    assert all("Unreadable" not in str(row.values) for row in rows)
    assert all(made.json()["id"] not in str(row.values.get("body")) for row in rows)


def routes(api: FastAPI) -> list[Any]:
    return [
        route
        for route in iter_route_contexts(api.routes)
        if isinstance(route.original_route, APIRoute)
    ]


def test_every_change_of_something_that_is_there_asks_for_if_match() -> None:
    document = build().openapi()
    missing = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            given = {each.get("name") for each in operation["parameters"]}
            if method in {"put", "patch", "delete"} and "If-Match" not in given:
                missing.append(f"{method} {path}")
    # Switches and whole settings: what is sent last stands, whatever stood before.
    assert set(missing) == {
        "delete /api/v1/contexts/current",
    }


async def test_every_read_has_a_strong_etag(partner: httpx.AsyncClient, customer_id: str) -> None:
    paths = ("", f"/{customer_id}", f"/{customer_id}/consent")
    for address in (*(URL + path for path in paths), "/api/v1/partners/me"):
        read = await partner.get(address)
        etag = read.headers["ETag"]
        assert etag.startswith('"')
        assert read.headers["Cache-Control"] == "private, no-cache"
        again = await partner.get(address, headers={"If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
        other = await partner.get(address, headers={"If-None-Match": '"other"'})
        assert other.status_code == 200
    answer = await partner.get(URL, headers={"If-None-Match": "no quotes"})
    check_problem(answer, 400, "INVALID_INPUT")


async def test_request_ids_come_back(partner: httpx.AsyncClient) -> None:
    ids = {"x-request-id": "mine-1", "client-request-id": "mine-2"}
    answer = await partner.get(URL, headers=ids)
    assert {name: answer.headers[name] for name in ids} == ids
    answer = await partner.get(URL + "?nonsense=1", headers={"x-request-id": "a\tb"})
    problem = check_problem(answer, 400, "INVALID_INPUT")
    assert answer.headers["x-request-id"] == problem["traceId"]


@pytest.mark.parametrize("version", ["2026-11-02", "1", "2026-13-01", "latest"])
async def test_an_unknown_version_names_the_known(partner: httpx.AsyncClient, version: str) -> None:
    answer = await partner.get(URL, params={"api-version": version})
    problem = check_problem(answer, 400, "API_VERSION_UNSUPPORTED")
    assert problem["supported"] == list(versions.SUPPORTED)


async def test_the_version_stays_in_next_links(partner: httpx.AsyncClient) -> None:
    for number in range(3):
        await partner.post(URL, json={"displayName": f"Versioned {number}"})
    query = {"api-version": versions.DEFAULT, "maxpagesize": "1", "search": "versioned"}
    page = (await partner.get(URL, params=query)).json()
    assert f"api-version={versions.DEFAULT}" in page["nextLink"]
    assert (await partner.get(page["nextLink"])).status_code == 200


def test_deprecation_is_told_in_headers() -> None:
    at = datetime(2027, 1, 1, tzinfo=UTC)
    known = {"customers_list": Deprecation(at, at + timedelta(days=365), "https://x.example/")}
    assert versions.headers("customers_get", None, known) == {}
    assert versions.headers("customers_list", None, known) == {
        "Deprecation": "@1798761600",
        "Sunset": "Sat, 01 Jan 2028 00:00:00 GMT",
        "Link": '<https://x.example/>; rel="deprecation"',
    }


@pytest.fixture
async def small_quota(deps: Deps) -> AsyncIterator[None]:
    kept = deps.limiter._policy
    deps.limiter._policy = type(kept)(quota=3, window_seconds=601)
    yield
    deps.limiter._policy = kept


async def test_over_the_quota_is_429(
    small_quota: None, partner: httpx.AsyncClient, bearer: Bearer
) -> None:
    answers = [await partner.get(URL) for _ in range(9)]
    refused = answers[-1]
    check_problem(refused, 429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["Retry-After"]) <= 601
    assert refused.headers["RateLimit-Policy"] == '"burst";q=3;w=601'
    assert refused.headers["RateLimit"].startswith('"burst";r=0;t=')
    other = await partner.get(URL, headers=bearer(OTHER_TENANT))
    assert other.status_code == 200


async def test_every_answer_is_safe_to_show(anonymous: httpx.AsyncClient) -> None:
    for path in ("/api/v1/openapi.json", "/api/v1/docs", "/api/v1/nothing", URL):
        answer = await anonymous.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert answer.headers["x-request-id"]


async def test_ten_megabytes_are_refused(partner: httpx.AsyncClient) -> None:
    answer = await partner.post(URL, content=b"x" * 10_000_000)
    check_problem(answer, 413, "BODY_TOO_LARGE")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    check_problem(await partner.post(URL, content=endless()), 413, "BODY_TOO_LARGE")


async def test_a_flood_of_headers_is_refused(partner: httpx.AsyncClient) -> None:
    many = {f"x-{number}": "1" for number in range(limits.MAX_HEADERS + 1)}
    check_problem(await partner.get(URL, headers=many), 431, "HEADERS_TOO_LARGE")
    answer = await partner.get(URL, headers={"x-large": "x" * limits.MAX_HEADER_BYTES})
    check_problem(answer, 431, "HEADERS_TOO_LARGE")
    check_problem(await partner.get(f"{URL}?search={'x' * 9000}"), 414, "ADDRESS_TOO_LONG")
    answer = await partner.post(URL, json=BODY, headers={"Content-Length": "many"})
    check_problem(answer, 400, "INVALID_INPUT")
