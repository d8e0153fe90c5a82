"""Restores through the API: who may, what is told before and after (RST)."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.api.security import CONTEXT_HEADER
from shared.kit import ids
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.model import Restored
from shared.protection.changes import change_object
from shared.protection.model import ProtectedObject
from shared.restore import process, repository
from shared.restore.model import Collision, Restore
from shared.restore.tasks import RestoreTask
from shared.vault.model import Row
from tests.api.conftest import RecordedClient, check_problem
from tests.api.vaulted import MAILS, back_up
from tests.api.world import START, World

RESTORES = "/api/v1/restores"
Headers = dict[str, str]


class Shelf:
    """A target that keeps what it is given and refuses one item."""

    def __init__(self, refused: str = "") -> None:
        self.held: dict[str, bytes] = {}
        self._refused = refused

    async def ensure_folder(self, path: Sequence[str], kind: str = "") -> str:
        return "/".join(path)

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        if row.source_id == self._refused:
            raise ItemFailed("ErrorX", 400)
        self.held[f"{folder_id}/{row.name}"] = b"".join([part async for part in content])
        return Restored(row.source_id, "created")


@pytest.fixture
async def keys(two: World) -> dict[str, str]:
    """Partner A's first customer has a restore point; item keys by name."""
    return await back_up(two, two.mine, two.a.scope)


def wanted(two: World, **more: Any) -> dict[str, Any]:
    return {"objectId": two.mine["object_id"], "snapshot": 1, **more}


async def in_context(two: World, api: httpx.AsyncClient) -> Headers:
    headers = two.caller("administrator")
    body = {"customerId": two.mine["customer_id"]}
    opened = await api.post("/api/v1/contexts", json=body, headers=headers)
    assert opened.status_code == 201, opened.text
    return headers | {CONTEXT_HEADER: opened.json()["id"]}


async def run(two: World, restore_id: str, shelf: Shelf) -> None:
    """What the process does, into a shelf."""
    task = RestoreTask(partner_id=two.a.scope.partner_id, restore_id=restore_id)
    await process.plan_restore(two.deps, task)
    while (await process.restore_slice(two.deps, task, shelf)).outcome == "more":
        pass
    await process.seal_restore(two.deps, task)


async def test_rst_01_managed_restore_runs_and_is_audited_with_both_identities(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    headers = await in_context(two, anonymous)
    answer = await anonymous.post(RESTORES, json=wanted(two), headers=headers)
    assert answer.status_code == 202, answer.text
    restore_id = answer.json()["id"]
    assert durable.started[f"restore:{restore_id}"][0] == "restore_items"
    audit = await anonymous.get(
        "/api/v1/audit-events",
        params={"action": "restores.start"},
        headers=two.caller("administrator"),
    )
    lines = audit.json()["value"]
    line = next(one for one in lines if one["target"]["id"] == restore_id)
    assert line["actor"]["name"] == "Ann Partner"
    assert line["onBehalfOf"]["kind"] == "customerUser"
    assert line["customerId"] == two.mine["customer_id"]


async def test_rst_02_without_being_admin_of_the_customer_nobody_of_the_partner_restores(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    for name in ("administrator", "groupUser"):
        for path in (RESTORES, f"{RESTORES}:preview", "/api/v1/exports"):
            answer = await anonymous.post(path, json=wanted(two), headers=two.caller(name))
            check_problem(answer, 403, "PERMISSION_MISSING")
    body = {"customerId": two.mine["customer_id"]}
    answer = await anonymous.post("/api/v1/contexts", json=body, headers=two.caller("groupUser"))
    check_problem(answer, 403, "NOT_CUSTOMER_ADMIN")
    assert durable.started == {}


async def test_rst_03_customer_admin_restores_whatever_the_self_service_flag_says(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    from shared.access.contexts import Flags
    from shared.customers import repository as customers

    found = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
    off = found.model_copy(update={"flags": Flags(self_service=False)})
    await customers.save(two.deps.tables, two.a.scope, off)
    admin = two.caller("customerAdmin")
    answer = await anonymous.post(RESTORES, json=wanted(two), headers=admin)
    assert answer.status_code == 202, answer.text
    seen = await anonymous.get(f"{RESTORES}/{answer.json()['id']}", headers=admin)
    assert seen.json()["state"] == "Queued"


async def test_rst_04_end_users_restore_their_own_mailbox_and_no_other(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    dan = two.caller("customerUser")
    eve = two.user("eve", "eve@mine.example", two.mine_tenant, roles=None)
    for path in (RESTORES, "/api/v1/exports"):
        assert (await anonymous.post(path, json=wanted(two), headers=dan)).status_code == 202
        refused = await anonymous.post(path, json=wanted(two), headers=eve)
        check_problem(refused, 404, "NOT_FOUND")  # not even that it exists
    listed = f"/api/v1/customers/{two.mine['customer_id']}"
    for what in ("restores", "exports"):
        answer = await anonymous.get(f"{listed}/{what}", headers=dan)
        assert len(answer.json()["value"]) == 1, answer.text
        assert (await anonymous.get(f"{listed}/{what}", headers=eve)).json()["value"] == []


async def test_rst_04_end_users_restore_nothing_while_self_service_is_off(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    from shared.access.contexts import Flags
    from shared.customers import repository as customers

    found = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
    off = found.model_copy(update={"flags": Flags(self_service=False)})
    await customers.save(two.deps.tables, two.a.scope, off)
    dan = two.caller("customerUser")
    for path in (RESTORES, f"{RESTORES}:preview", "/api/v1/exports"):
        answer = await anonymous.post(path, json=wanted(two), headers=dan)
        assert answer.status_code == 403, answer.text
    assert durable.started == {}


async def test_rst_05_mail_preview_needs_the_flag_and_the_permission(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    point = f"/api/v1/objects/{two.mine['object_id']}/snapshots/1/items"
    path = f"{point}/{keys['m-html']}/preview"
    for name in ("daemon", "administrator", "customerUser"):
        answer = await anonymous.get(path, headers=two.caller(name))
        check_problem(answer, 403, "PERMISSION_MISSING")
    headers = await in_context(two, anonymous)
    answer = await anonymous.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["subject"], seen["blocked"]) == ("Look", 1)
    assert seen["sender"] == [{"name": "Ada", "address": "ada@partner.example"}]
    assert seen["html"].startswith("<p>Seen <b>well</b></p>")
    for hostile in ("steal", "script", "tracker", "javascript", "onclick"):
        assert hostile not in answer.text
    assert seen["text"].startswith("Seen well")
    trail = await anonymous.get("/api/v1/audit-events", headers=two.caller("administrator"))
    line = trail.json()["value"][0]
    assert (line["action"], line["outcome"]) == ("items.preview", "done")
    assert line["target"]["id"] == keys["m-html"]
    assert "Seen" not in str(line)  # who looked, never what there was to see
    note = await anonymous.get(f"{point}/{keys['J1']}/preview", headers=headers)
    check_problem(note, 422, "NOT_A_MAIL")
    from shared.access.contexts import Flags
    from shared.customers import repository as customers

    found = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
    off = found.model_copy(update={"flags": Flags(email_previews=False)})
    await customers.save(two.deps.tables, two.a.scope, off)
    answer = await anonymous.get(path, headers=two.caller("customerAdmin"))
    check_problem(answer, 403, "CUSTOMER_FLAG_OFF")


async def test_rst_06_restores_are_counted_per_customer_and_month(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    first = await repository.get(two.deps.tables, two.a.scope, two.mine["restore_id"])
    for day in range(4):
        await another(two, first, START.replace(month=2) + timedelta(days=day))
    await another(two, first, START.replace(month=3) - timedelta(seconds=1))
    path, headers = "/api/v1/restore-statistics", two.caller("administrator")
    answer = await anonymous.get(path, params={"month": "2026-02", "months": 3}, headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    mine, hidden = two.mine["customer_id"], two.hidden["customer_id"]
    assert found["byCustomer"] == {mine: 5, hidden: 0}
    assert (found["average"], found["change"]) == ("2.50", 3)  # January: one each
    assert (found["highestCustomerId"], found["highestRestores"]) == (mine, 5)
    assert [(one["month"], one["restores"]) for one in found["history"]] == [
        ("2026-02", 5), ("2026-01", 2), ("2025-12", 0),
    ]  # fmt: skip
    limited = await anonymous.get(
        path, params={"month": "2026-02"}, headers=two.caller("limitedDaemon")
    )
    assert limited.json()["byCustomer"] == {mine: 5}


async def another(two: World, like: Restore, at: Any) -> None:
    restore_id = ids.newest_first(like.customer_id, ids.RESTORE, at)
    more = like.model_copy(update={"restore_id": restore_id, "created_at": at})
    await repository.add(two.deps.tables, two.a.scope, more)


async def test_rst_09_session_with_one_failure_of_three_names_it(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    daemon = two.caller("daemon")
    chosen = [keys[name] for name in ("m-1", "m-2", "m-3")]
    target = {"place": "folder", "folder": "=Back"}
    body = wanted(two, items=chosen, target=target)
    started = await anonymous.post(RESTORES, json=body, headers=daemon)
    path = f"{RESTORES}/{started.json()['id']}"
    await run(two, started.json()["id"], shelf := Shelf(refused="m-2"))
    seen = (await anonymous.get(path, headers=daemon)).json()
    assert seen["state"] == "CompletedWithErrors"
    assert (seen["total"], seen["entries"]) == (3, {"Created": 2, "Failed": 1})
    assert seen["target"]["folder"] == ["=Back"]
    assert seen["requestedBy"]
    assert shelf.held == {f"=Back/Inbox/{name}": MAILS[name] for name in ("m-1", "m-3")}
    items = (await anonymous.get(f"{path}/items", headers=daemon)).json()["value"]
    assert [(one["name"], one["error"]) for one in items if one["error"]] == [("m-2", "400/ErrorX")]
    table = await anonymous.get(f"{path}/items.csv", headers=daemon)
    assert table.headers["Content-Type"].startswith("text/csv")
    header, *lines = table.text.splitlines()
    assert header.startswith("itemKey,kind,name,folder")
    assert len(lines) == 3
    assert sum("400/ErrorX" in line for line in lines) == 1
    listed = f"/api/v1/customers/{two.mine['customer_id']}/restores"
    answer = await anonymous.get(listed, params={"state": "CompletedWithErrors"}, headers=daemon)
    assert [one["id"] for one in answer.json()["value"]] == [seen["id"]]
    paged = (await anonymous.get(listed, params={"maxpagesize": 1}, headers=daemon)).json()
    following = (await anonymous.get(paged["nextLink"], headers=daemon)).json()
    assert {paged["value"][0]["id"], following["value"][0]["id"]} == {
        seen["id"], two.mine["restore_id"],
    }  # fmt: skip


async def test_rst_09_canceled_between_two_items_keeps_what_is_done_and_says_so(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    daemon = two.caller("daemon")
    chosen = [keys[name] for name in ("m-1", "m-2", "m-3")]
    started = await anonymous.post(RESTORES, json=wanted(two, items=chosen), headers=daemon)
    restore_id = started.json()["id"]
    path = f"{RESTORES}/{restore_id}"

    class Cancelled(Shelf):
        """The first item brings the wish to stop."""

        async def restore(self, *given: Any) -> Restored:
            made = await super().restore(*given)
            asked = await anonymous.post(f"{path}/cancel", headers=daemon)
            assert asked.status_code == 202, asked.text
            return made

    await run(two, restore_id, shelf := Cancelled())
    seen = (await anonymous.get(path, headers=daemon)).json()
    assert seen["state"] == "Canceled"
    assert seen["entries"]["Created"] == len(shelf.held) > 0
    operation = (await anonymous.get(f"/api/v1/operations/{restore_id}", headers=daemon)).json()
    assert operation["status"] == "Canceled"
    again = await anonymous.post(f"{path}/cancel", headers=daemon)
    check_problem(again, 409, "RESTORE_ENDED")


async def test_rst_10_a_restore_leaves_the_restore_point_as_it_was(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    async def checksum() -> dict[str, str]:
        from shared.customers import repository as customers
        from shared.protection.repositories import repository_of

        found = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
        stores = await two.deps.vault_stores(repository_of(found), region=found.region or "")
        return {
            blob.name: hashlib.sha256(await stores.vault.get(blob.name)).hexdigest()
            async for blob in stores.vault.list()
        }

    daemon = two.caller("daemon")
    point = f"/api/v1/objects/{two.mine['object_id']}/snapshots/1"
    before, head = await checksum(), (await anonymous.get(point, headers=daemon)).json()
    assert before
    started = await anonymous.post(RESTORES, json=wanted(two), headers=daemon)
    await run(two, started.json()["id"], shelf := Shelf())
    assert len(shelf.held) == 5
    assert await checksum() == before
    assert (await anonymous.get(point, headers=daemon)).json() == head


async def test_rst_preview_tells_count_losses_and_time_and_starts_nothing(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    daemon = two.caller("daemon")
    body = wanted(two, items=[keys["m-1"], keys["m-2"]], target={"place": "original"})
    answer = await anonymous.post(f"{RESTORES}:preview", json=body, headers=daemon)
    assert answer.status_code == 200, answer.text
    seen = answer.json()
    assert (seen["items"], seen["bytes"]) == (2, len(MAILS["m-1"]) + len(MAILS["m-2"]))
    assert seen["collision"]["policy"] == "skip"
    assert seen["collision"]["expected"] == 2  # both are still where they go to
    assert seen["estimate"]["requests"] == 4
    losses = {one["name"]: (one["verdict"], one["items"]) for one in seen["losses"]}
    assert losses["transportHeaders"] == ("lost", 2)
    matrix = (await anonymous.get("/api/v1/fidelity", headers=daemon)).json()
    kind = next(k for k in matrix["kinds"] if (k["workload"], k["kind"]) == ("mailbox", "mail"))
    told = {one["name"]: one["why"] for one in kind["properties"]}
    assert all(told[one["name"]] == one["why"] for one in seen["losses"])
    assert durable.started == {}
    listed = f"/api/v1/customers/{two.mine['customer_id']}/restores"
    found = (await anonymous.get(listed, headers=daemon)).json()["value"]
    assert [one["id"] for one in found] == [two.mine["restore_id"]]


async def test_rst_another_tenant_needs_its_own_permission_and_a_confirmation(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    other = {"place": "folder", "folder": "Moved", "objectId": two.hidden["object_id"]}
    sure = {**other, "confirmCustomerId": two.hidden["customer_id"]}

    async def answer(target: dict[str, str], headers: Headers, way: str = "") -> httpx.Response:
        body = wanted(two, target=target)
        return await anonymous.post(f"{RESTORES}{way}", json=body, headers=headers)

    daemon = two.caller("daemon")
    for way in ("", ":preview"):
        check_problem(await answer(other, daemon, way), 422, "CONFIRMATION_MISSING")
        wrong = {**other, "confirmCustomerId": two.mine["customer_id"]}
        check_problem(await answer(wrong, daemon, way), 422, "CONFIRMATION_MISSING")
        in_place = {"place": "original", "objectId": other["objectId"],
                    "confirmCustomerId": sure["confirmCustomerId"]}  # fmt: skip
        check_problem(await answer(in_place, daemon, way), 422, "TARGET_UNFIT")
        # Somebody of the customer, or acting for it, never reaches another one.
        admin = two.caller("customerAdmin")
        check_problem(await answer(sure, admin, way), 403, "PERMISSION_MISSING")
        # Another partner's customer does not exist here.
        foreign = {**other, "objectId": two.theirs["object_id"],
                   "confirmCustomerId": two.theirs["customer_id"]}  # fmt: skip
        check_problem(await answer(foreign, daemon, way), 404, "NOT_FOUND")
    # The key sees one customer only, and was given every permission there is.
    check_problem(await answer(sure, two.caller("key")), 404, "NOT_FOUND")
    seen = (await answer(sure, daemon, ":preview")).json()
    assert seen["target"]["customerId"] == two.hidden["customer_id"]
    started = await answer(sure, daemon)
    assert started.status_code == 202, started.text
    held = await repository.get(two.deps.tables, two.a.scope, started.json()["id"])
    assert held.target.customer_id == two.hidden["customer_id"]
    assert held.customer_id == two.mine["customer_id"]


async def test_rst_a_restore_to_a_deleted_user_is_refused_before_it_starts(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    def left(found: ProtectedObject) -> ProtectedObject:
        return found.model_copy(update={"state": "user_deleted"})

    await change_object(two.deps.tables, two.a.scope, two.mine["object_id"], left)
    headers = await in_context(two, anonymous)
    listed = f"/api/v1/customers/{two.mine['customer_id']}/restores"
    before = (await anonymous.get(listed, headers=headers)).json()
    for path in (RESTORES, f"{RESTORES}:preview"):
        answer = await anonymous.post(path, json=wanted(two), headers=headers)
        problem = check_problem(answer, 422, "TARGET_GONE")
        assert [one["pointer"] for one in problem["errors"]] == ["#/target/objectId"]
        assert "Name another mailbox" in problem["detail"]
    assert durable.started == {}
    assert (await anonymous.get(listed, headers=headers)).json() == before
    export = await anonymous.post("/api/v1/exports", json=wanted(two), headers=headers)
    assert export.status_code == 202, export.text  # what is kept can still be taken away
