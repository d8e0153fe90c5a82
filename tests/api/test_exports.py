"""Exports through the API: started, written, fetched by a link that ends, and who may."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from shared.export import process, repository, service
from shared.export.pieces import CONTAINER, Pieces
from shared.export.tasks import ExportTask
from shared.kit.links import read_link
from tests.api.conftest import RecordedClient, check_problem
from tests.api.vaulted import MAILS, back_up
from tests.api.world import World

EXPORTS = "/api/v1/exports"
BLOCK = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture
async def keys(two: World) -> dict[str, str]:
    return await back_up(two, two.mine, two.a.scope)


async def write(two: World, export_id: str) -> None:
    """What the process does."""
    task = ExportTask(partner_id=two.a.scope.partner_id, export_id=export_id)
    await process.plan_export(two.deps, task)
    while (await process.export_slice(two.deps, task)).outcome == "more":
        task = task.model_copy(update={"number": task.number + 1})
    await process.seal_export(two.deps, task)


async def started(two: World, api: httpx.AsyncClient, **more: Any) -> str:
    body = {"objectId": two.mine["object_id"], "snapshot": 1, **more}
    answer = await api.post(EXPORTS, json=body, headers=two.caller("daemon"))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def test_export_is_written_fetched_and_holds_every_byte(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    daemon = two.caller("daemon")
    export_id = await started(two, anonymous)
    assert durable.started[f"export:{export_id}"][0] == "export_items"
    early = await anonymous.post(f"{EXPORTS}/{export_id}/links", headers=daemon)
    check_problem(early, 409, "EXPORT_NOT_READY")
    await write(two, export_id)
    seen = (await anonymous.get(f"{EXPORTS}/{export_id}", headers=daemon)).json()
    assert (seen["state"], seen["total"], seen["failed"]) == ("Completed", 5, 0)
    operation = await anonymous.get(f"/api/v1/operations/{export_id}", headers=daemon)
    assert operation.json()["status"] == "Succeeded"
    answer = await anonymous.post(f"{EXPORTS}/{export_id}/links", headers=daemon)
    assert answer.status_code == 201, answer.text
    link = answer.json()
    async with httpx.AsyncClient(trust_env=False) as web:  # nobody has signed in
        fetched = await web.get(link["url"])
        assert fetched.status_code == 200
        assert "attachment" in fetched.headers["Content-Disposition"]
        assert (await web.put(link["url"], content=b"x", headers=BLOCK)).status_code == 403
        other = link["url"].replace("export.zip", "plan")
        assert (await web.get(other)).status_code == 403
    assert len(fetched.content) == seen["sizeBytes"]
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as archive:
        assert archive.testzip() is None
        lines = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
        held = {one["name"]: archive.read(one["path"]) for one in lines}
    assert held == {**MAILS, "a note": b"{}"}
    assert {one["path"].rpartition(".")[2] for one in lines} == {"eml", "json"}
    until = datetime.fromisoformat(link["expiresAt"])
    assert until - datetime.now(UTC) <= timedelta(hours=1)
    assert parse_qs(urlsplit(link["url"]).query)["se"] == [link["expiresAt"]]
    audit = await anonymous.get("/api/v1/audit-events", params={"action": "exports.link"},
                                headers=two.caller("administrator"))  # fmt: skip
    assert [one["target"]["id"] for one in audit.json()["value"]].count(export_id) >= 1
    assert "sig=" not in audit.text  # a link is a secret


async def test_rst_a_link_opens_nothing_once_its_hour_is_over(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    export_id = await started(two, anonymous)
    await write(two, export_id)
    export = await repository.get(two.deps.tables, two.a.scope, export_id)
    storage = two.deps.storage.in_region(export.region)
    name = Pieces(await storage.container(CONTAINER), export).file
    now = datetime.now(UTC)
    async with httpx.AsyncClient(trust_env=False) as web:
        for until, status in ((now + service.LINK_LIFE, 200), (now - timedelta(minutes=1), 403)):
            begin = until - service.LINK_LIFE
            link = await read_link(
                storage.client_of(CONTAINER), name, begin, until, file_name="x.zip"
            )
            assert (await web.get(link)).status_code == status


async def test_items_as_mbox_and_a_list_in_pages(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    daemon = two.caller("daemon")
    one = await started(two, anonymous, items=[keys["m-1"], keys["m-2"]], layout="mbox")
    two_ = await started(two, anonymous, folder=keys["F1"])
    await write(two, one)
    seen = (await anonymous.get(f"{EXPORTS}/{one}", headers=daemon)).json()
    assert (seen["state"], seen["total"], seen["layout"]) == ("Completed", 2, "mbox")
    path = f"/api/v1/customers/{two.mine['customer_id']}/exports"
    first = (await anonymous.get(path, params={"maxpagesize": 1}, headers=daemon)).json()
    found = first["value"]
    while link := first.get("nextLink"):
        first = (await anonymous.get(link, headers=daemon)).json()
        found += first["value"]
    assert {each["id"] for each in found} == {one, two_, two.mine["export_id"]}


async def test_cancel_and_a_file_that_expired(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    daemon = two.caller("daemon")
    export_id = await started(two, anonymous)
    answer = await anonymous.post(f"/api/v1/operations/{export_id}:cancel", headers=daemon)
    assert answer.status_code == 202, answer.text
    await write_until_canceled(two, export_id)
    seen = await anonymous.get(f"{EXPORTS}/{export_id}", headers=daemon)
    assert seen.json()["state"] == "Canceled"
    answer = await anonymous.post(f"{EXPORTS}/{export_id}/cancel", headers=daemon)
    check_problem(answer, 409, "EXPORT_ENDED")
    old = await started(two, anonymous)
    await write(two, old)
    past = datetime(2026, 1, 1, tzinfo=UTC)
    await repository.change(
        two.deps.tables,
        two.a.scope,
        old,
        lambda found: found.model_copy(update={"expires_at": past}),
    )
    answer = await anonymous.post(f"{EXPORTS}/{old}/links", headers=daemon)
    check_problem(answer, 410, "EXPORT_EXPIRED")


async def write_until_canceled(two: World, export_id: str) -> None:
    task = ExportTask(partner_id=two.a.scope.partner_id, export_id=export_id)
    await process.plan_export(two.deps, task)
    assert (await process.export_slice(two.deps, task)).outcome == "done"
    await process.seal_export(two.deps, task)


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"items": ["0" * 64]}, 404, "ITEM_NOT_IN_SNAPSHOT"),
        ({"items": ["../" * 20]}, 400, "INVALID_INPUT"),
        ({"layout": "pst"}, 400, "INVALID_INPUT"),
        ({"snapshot": 99}, 404, "UNKNOWN_SNAPSHOT"),
    ],
)
async def test_what_does_not_fit_is_refused_and_nothing_starts(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str],
    more: dict[str, Any], status: int, code: str,
) -> None:  # fmt: skip
    body = {"objectId": two.mine["object_id"], "snapshot": 1, **more}
    answer = await anonymous.post(EXPORTS, json=body, headers=two.caller("daemon"))
    check_problem(answer, status, code)
    assert durable.started == {}
