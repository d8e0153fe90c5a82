"""The API's description: complete, strict, committed; and a page that needs no other host."""

import json
import re
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate

from functions.api.app import build

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def document() -> dict:  # type: ignore[type-arg]
    return build().openapi()


def test_the_committed_document_is_current(document: dict) -> None:  # type: ignore[type-arg]
    committed = json.loads((PROJECT / "docs" / "openapi.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(document)), "run `make openapi`"


def test_it_is_openapi_3_1_with_an_operation_id_everywhere(document: dict) -> None:  # type: ignore[type-arg]
    assert document["openapi"].startswith("3.1")
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", one["operationId"]) for one in operations)
    assert all(one.get("summary") for one in operations)


def test_it_is_valid(document: dict) -> None:  # type: ignore[type-arg]
    validate(document)


def _refusals(document: dict, operation: dict) -> dict:  # type: ignore[type-arg]
    """Refusals of an operation by status, references followed."""
    found = {}
    for status, answer in operation["responses"].items():
        if reference := answer.get("$ref"):
            answer = document["components"]["responses"][reference.rsplit("/", 1)[1]]
        if status >= "400":
            found[status] = answer
    return found


def test_every_refusal_is_a_problem_document_with_an_example(document: dict) -> None:  # type: ignore[type-arg]
    for path in document["paths"].values():
        for operation in path.values():
            refusals = _refusals(document, operation)
            assert {"400", "431", "500"} <= refusals.keys()
            for answer in refusals.values():
                if "text/html" in answer["content"]:
                    continue  # a page for a person in a browser
                problem = answer["content"]["application/problem+json"]
                assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert problem["example"]["code"]


def test_every_operation_tells_of_the_manners(document: dict) -> None:  # type: ignore[type-arg]
    for path in document["paths"].values():
        for method, operation in path.items():
            if "security" not in operation:
                continue
            given = {each.get("name") or each["$ref"] for each in operation["parameters"]}
            refusals = _refusals(document, operation).keys()
            assert {"401", "403", "429", "503"} <= refusals
            assert "api-version" in given
            if method == "post":
                assert "#/components/parameters/IdempotencyKey" in given
                assert {"409", "413", "422"} <= refusals
            if method in {"put", "patch", "delete"} and "If-Match" in given:
                assert {"412", "428"} <= refusals
            if method == "get":
                assert "304" in operation["responses"]
                assert "ETag" in operation["responses"]["200"]["headers"]


def test_every_body_has_an_example(document: dict) -> None:  # type: ignore[type-arg]
    for path in document["paths"].values():
        for operation in path.values():
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                for kind, content in holder.get("content", {}).items():
                    assert "example" in content or "json" not in kind or kind.endswith("jsonl")


def test_every_route_but_the_public_ones_needs_a_token(document: dict) -> None:  # type: ignore[type-arg]
    public = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if "security" not in operation
    }
    assert public == {
        "consent_callback",
        "marketplace_landing",
        "order_schema",
        "webhook_cloudblue",
        "webhook_microsoft",
        "webhook_orders",
    }


async def test_the_document_is_served(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/api/v1/openapi.json")
    assert answer.json()["info"]["title"] == "Holdfast partner API"
    again = await anonymous.get(
        "/api/v1/openapi.json", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304


async def test_the_page_loads_its_parts_from_here_alone(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/api/v1/docs")
    assert page.status_code == 200
    assert "http" not in page.text
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    parts = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert len(parts) == 3
    for part in parts:
        answer = await anonymous.get(f"/api/v1/{part}")
        assert answer.status_code == 200
        assert answer.content


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2fapp.py", "docs.html"])
async def test_nothing_else_is_served(anonymous: httpx.AsyncClient, name: str) -> None:
    assert (await anonymous.get(f"/api/v1/docs/{name}")).status_code == 404
