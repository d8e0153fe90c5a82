"""A worker dies after the work and before its answer is stored: the repeat makes nothing twice."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.kit import idempotency
from shared.kit.idempotency import IdempotencyStore
from tests.api.world import World

V1 = "/api/v1"
PERSON = {"email": "twice@a.example", "firstName": "Kim", "lastName": "Keen"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/customers", {"displayName": "Once"}),
        ("/roles", {"name": "Once", "permissions": []}),
        ("/users", PERSON),
        ("/customer-groups", {"name": "Once", "customerIds": []}),
    ],
)
async def test_a_repeat_finds_what_the_first_attempt_made(
    anonymous: httpx.AsyncClient,
    two: World,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: dict[str, Any],
) -> None:
    if path == "/users":
        body = body | {"roleIds": [two.a.made["role_id"]]}
    sent = two.caller("administrator") | {"Idempotency-Key": "one-job"}

    async def died(*_: object) -> None:
        raise OSError("the worker is gone")

    with monkeypatch.context() as crash:
        crash.setattr(IdempotencyStore, "finish", died)
        first = await anonymous.post(V1 + path, json=body, headers=sent)
    assert first.status_code == 201, first.text
    monkeypatch.setattr(idempotency, "STALE_AFTER", timedelta(0))
    again = await anonymous.post(V1 + path, json=body, headers=sent)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    if path == "/customers":
        other = sent | {"Idempotency-Key": "another-job"}
        fresh = await anonymous.post(V1 + path, json=body, headers=other)
        assert fresh.json()["id"] != first.json()["id"]
