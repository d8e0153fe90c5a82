"""The audit trail through the API: one line per change and refusal, found, exported, verified."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.access.model import Client
from shared.access.service import register_partner
from shared.audit import verify
from shared.audit.repository import AuditTables
from shared.bootstrap import Deps
from tests.api.conftest import OTHER_TENANT, PARTNER_TENANT, check_problem

Bearer = Callable[..., dict[str, str]]
Json = dict[str, Any]
URL = "/api/v1/audit-events"


async def newest(partner: httpx.AsyncClient, **query: str) -> Json:
    answer = await partner.get(URL, params={"maxpagesize": "1", **query})
    assert answer.status_code == 200, answer.text
    line: Json = answer.json()["value"][0]
    return line


async def test_a_change_is_one_line(partner: httpx.AsyncClient) -> None:
    sent = {"User-Agent": "psa/2.1", "X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    made = await partner.post("/api/v1/customers", json={"displayName": "Audited"}, headers=sent)
    customer = made.json()["id"]
    line = await newest(partner, customerId=customer)
    assert line["action"] == "customers.create"
    assert line["target"] == {"kind": "customers", "id": customer}
    assert (line["outcome"], line["code"], line["before"]) == ("done", None, None)
    assert len(line["after"]) == 64
    assert line["actor"]["kind"] == "application"
    assert line["actor"]["tenantId"] == PARTNER_TENANT
    assert line["source"] == {
        "address": "203.0.113.7",
        "agent": "psa/2.1",
        "traceId": made.headers["x-request-id"],
    }
    assert line["details"]["members"] == "displayName"
    lines = (await partner.get(URL, params={"customerId": customer})).json()["value"]
    assert len(lines) == 1


async def test_a_later_change_says_before_and_after(
    partner: httpx.AsyncClient, customer_id: str
) -> None:
    address = f"/api/v1/customers/{customer_id}"
    etag = (await partner.get(address)).headers["ETag"]
    created = await newest(partner, customerId=customer_id)
    answer = await partner.patch(
        address, json={"displayName": "Renamed"}, headers={"If-Match": etag}
    )
    assert answer.status_code == 200, answer.text
    line = await newest(partner, customerId=customer_id)
    assert line["action"] == "customers.edit"
    assert line["before"] == created["after"]
    assert line["after"] not in {None, line["before"]}


async def test_refusals_are_lines_and_reads_are_not(
    partner: httpx.AsyncClient, bearer: Bearer, customer_id: str
) -> None:
    before = await newest(partner)
    assert (await partner.get(f"/api/v1/customers/{customer_id}")).status_code == 200
    assert (await newest(partner))["seq"] == before["seq"]
    reader = bearer(roles=["Partner.Reader"])
    answer = await partner.post("/api/v1/customers", json={"displayName": "x"}, headers=reader)
    assert answer.status_code == 403
    line = await newest(partner)
    assert (line["outcome"], line["code"]) == ("refused", answer.json()["code"])
    assert line["action"] == "customers.create"
    await partner.get("/api/v1/customers/0000000000000000")
    line = await newest(partner)
    assert (line["outcome"], line["code"]) == ("refused", "NOT_FOUND")
    assert line["target"]["id"] == "0000000000000000"
    assert line["seq"] == before["seq"] + 2


async def test_a_repeat_has_no_line_of_its_own(partner: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "audit-repeat"}
    body = {"displayName": "Audited once"}
    for _ in range(2):
        made = await partner.post("/api/v1/customers", json=body, headers=key)
    found = (await partner.get(URL, params={"customerId": made.json()["id"]})).json()["value"]
    assert len(found) == 1


async def test_lists_filter_and_page(partner: httpx.AsyncClient, bearer: Bearer) -> None:
    ids = []
    for number in range(3):
        body = {"displayName": f"Listed {number}"}
        ids.append((await partner.post("/api/v1/customers", json=body)).json()["id"])
    link: str | None = f"{URL}?action=customers.create&outcome=done&maxpagesize=2"
    seen: list[str] = []
    while link and len(seen) < 3:
        page = (await partner.get(link)).json()
        seen += [line["target"]["id"] for line in page["value"]]
        if link := page.get("nextLink"):
            foreign = await partner.get(link, headers=bearer(OTHER_TENANT))
            check_problem(foreign, 400, "BAD_CURSOR")
    assert seen[:3] == ids[::-1]
    future = await partner.get(URL, params={"from": "2999-01-01T00:00:00Z"})
    assert future.json() == {"value": []}
    check_problem(await partner.get(URL, params={"from": "yesterday"}), 400, "INVALID_INPUT")
    check_problem(await partner.get(URL, params={"who": "me"}), 400, "INVALID_INPUT")


async def test_the_export_and_a_checkpoint_pass_the_offline_check_and_an_edit_does_not(
    deps: Deps, partner: httpx.AsyncClient, tmp_path: Path, customer_id: str
) -> None:
    partner_id = (await partner.get("/api/v1/partners/me")).json()["partnerId"]
    await (await deps.trail()).checkpoint(partner_id)
    online = (await partner.get(f"{URL}/verify")).json()
    assert (online["ok"], online["findings"]) == (True, [])
    exported = await partner.get(f"{URL}:export")
    assert exported.headers["Content-Type"].startswith("application/jsonl")
    signed = (await partner.get(f"{URL}/checkpoints")).json()
    file, key, mark = tmp_path / "trail.jsonl", tmp_path / "key.pem", tmp_path / "mark.json"
    file.write_bytes(exported.content)
    key.write_text(signed["publicKeyPem"])
    mark.write_text(signed["value"][0])
    command = [str(file), "--whole", "--checkpoint", str(mark), "--public-key", str(key)]
    out = io.StringIO()
    assert verify.main(command, out) == verify.GOOD, out.getvalue()
    file.write_bytes(exported.content.replace(b"customers.create", b"customers.delete", 1))
    assert verify.main(command, io.StringIO()) == verify.TOUCHED
    after = int(online["last"]) - 1
    rest = await partner.get(f"{URL}:export", params={"after": after})
    assert len(rest.content.splitlines()) >= 1


async def test_a_limited_caller_sees_lines_of_its_customers_only(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str, bearer: Bearer
) -> None:
    await partner.post("/api/v1/customers", json={"displayName": "Somebody else's"})
    limited = Client("limited", customers=frozenset({customer_id}))
    await register_partner(deps, PARTNER_TENANT, "Partner", [limited])
    headers = bearer(azp="limited")
    answer = await partner.get(URL, headers=headers)
    if answer.status_code == 200:
        assert {line["customerId"] for line in answer.json()["value"]} == {customer_id}
    answer = await partner.get(f"{URL}:export", headers=headers)
    assert answer.status_code == 403


async def test_without_a_trail_nothing_is_changed(
    deps: Deps, partner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ServiceRequestError("no route to storage")

    with monkeypatch.context() as storage:
        storage.setattr(AuditTables, "month", broken)
        answer = await partner.post("/api/v1/customers", json={"displayName": "Unwritten"})
        check_problem(answer, 503, "AUDIT_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0
        assert (await partner.get("/api/v1/customers")).status_code == 200
    found = await partner.get("/api/v1/customers", params={"search": "Unwritten"})
    assert found.json()["value"] == []
