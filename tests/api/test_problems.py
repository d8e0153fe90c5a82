"""Whatever is wrong with a request, the answer is a problem document and nothing has changed."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from functions.api import problems
from functions.api.edge import Edge
from shared.bootstrap import Deps
from tests.api.conftest import check_problem

Bearer = Callable[..., dict[str, str]]


async def test_no_token(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/customers")
    check_problem(answer, 401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_bad_token(anonymous: httpx.AsyncClient) -> None:
    headers = {"Authorization": "Bearer nonsense"}
    check_problem(await anonymous.get("/api/v1/customers", headers=headers), 401, "TOKEN_INVALID")


async def test_tenant_that_is_no_partner(anonymous: httpx.AsyncClient, bearer: Bearer) -> None:
    headers = bearer("99999999-2222-3333-4444-555555555555")
    answer = await anonymous.get("/api/v1/customers", headers=headers)
    check_problem(answer, 403, "PARTNER_UNKNOWN")


async def test_application_that_is_not_registered(
    anonymous: httpx.AsyncClient, bearer: Bearer
) -> None:
    answer = await anonymous.get("/api/v1/customers", headers=bearer(azp="stranger"))
    check_problem(answer, 403, "CLIENT_NOT_REGISTERED")


async def test_role_that_does_not_permit(anonymous: httpx.AsyncClient, bearer: Bearer) -> None:
    headers = bearer(roles=["Partner.Reader"])
    assert (await anonymous.get("/api/v1/customers", headers=headers)).status_code == 200
    answer = await anonymous.post("/api/v1/customers", headers=headers, json={"displayName": "x"})
    check_problem(answer, 403, "PERMISSION_MISSING")


async def test_unknown_member_is_named(partner: httpx.AsyncClient) -> None:
    body = {"displayName": "Contoso", "colour": "red"}
    problem = check_problem(
        await partner.post("/api/v1/customers", json=body), 400, "INVALID_INPUT"
    )
    assert problem["errors"] == [{"pointer": "#/colour", "detail": "This member is unknown here."}]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/displayName"),
        ({"displayName": ""}, "#/displayName"),
        ({"displayName": 7}, "#/displayName"),
        ({"displayName": "a\u0000b"}, "#/displayName"),
        ({"displayName": "x", "country": "Germany"}, "#/country"),
        ({"displayName": "x", "tags": ["ok", ""]}, "#/tags/1"),
        ([], "#"),
    ],
)
async def test_wrong_member_is_named(partner: httpx.AsyncClient, body: Any, pointer: str) -> None:
    problem = check_problem(
        await partner.post("/api/v1/customers", json=body), 400, "INVALID_INPUT"
    )
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("body", [b"", b"{", b'{"displayName": "x"', b"\xff\xfe", b"null"])
async def test_broken_json(partner: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await partner.post("/api/v1/customers", content=body, headers=headers)
    check_problem(answer, 400, "INVALID_INPUT")


async def test_unknown_query_parameter_is_named(partner: httpx.AsyncClient) -> None:
    problem = check_problem(await partner.get("/api/v1/customers?serach=x"), 400, "INVALID_INPUT")
    assert problem["errors"][0]["pointer"] == "#/query/serach"


@pytest.mark.parametrize(
    "query", ["maxpagesize=0", "maxpagesize=x", "orderby=secret", "state=Nowhere"]
)
async def test_wrong_query_value(partner: httpx.AsyncClient, query: str) -> None:
    check_problem(await partner.get(f"/api/v1/customers?{query}"), 400, "INVALID_INPUT")


async def test_forged_cursor(partner: httpx.AsyncClient) -> None:
    check_problem(await partner.get("/api/v1/customers?skipToken=AAAA"), 400, "BAD_CURSOR")


@pytest.mark.parametrize("path", ["", "/onboarding", "/consent"])
@pytest.mark.parametrize("some_id", ["0000000000000000", "nonsense", "'; drop"])
async def test_unknown_customer(partner: httpx.AsyncClient, path: str, some_id: str) -> None:
    check_problem(await partner.get(f"/api/v1/customers/{some_id}{path}"), 404, "NOT_FOUND")


async def test_unknown_operation(partner: httpx.AsyncClient) -> None:
    for some_id in ("x", "0000000000000000-n00000000000001234", "0000000000000000-p12345678"):
        check_problem(await partner.get(f"/api/v1/operations/{some_id}"), 404, "NOT_FOUND")


async def test_unknown_address(partner: httpx.AsyncClient) -> None:
    check_problem(await partner.get("/api/v1/nothing"), 404, "NOT_FOUND")


async def test_wrong_method(partner: httpx.AsyncClient) -> None:
    answer = await partner.delete("/api/v1/customers")
    check_problem(answer, 405, "METHOD_NOT_ALLOWED")


async def test_trace_of_the_caller_is_kept(anonymous: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = await anonymous.get("/api/v1/customers", headers=headers)
    assert answer.json()["traceId"] == trace


async def test_an_unexpected_fault_leaves_as_a_problem_and_tells_nothing(deps: Deps) -> None:
    api = FastAPI()
    problems.install(api)
    api.add_middleware(Edge)

    @api.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("the secret is Tresor")

    transport = httpx.ASGITransport(api, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://holdfast.test") as client:
        answer = await client.get("/broken")
    check_problem(answer, 500, "INTERNAL")
    assert "Tresor" not in answer.text
