"""The API's description: complete, strict, committed; and a page that needs no other host."""

import json
import re
from pathlib import Path

import httpx
import pytest

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


def test_every_refusal_is_a_problem_document(document: dict) -> None:  # type: ignore[type-arg]
    for path in document["paths"].values():
        for operation in path.values():
            for status in ("4XX", "5XX"):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"]


def test_every_route_but_the_public_ones_needs_a_token(document: dict) -> None:  # type: ignore[type-arg]
    public = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if "security" not in operation
    }
    assert public == {"consent_callback"}


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
