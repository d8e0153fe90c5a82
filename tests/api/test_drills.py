"""Restore drills through the API: on demand, signed, visible when they fail."""

from typing import Any

import httpx
import pytest

from shared.audit.signing import is_signed
from shared.drills import process, repository, service
from shared.drills.model import DrillState
from shared.drills.tasks import DrillTask
from shared.protection import repository as protection
from shared.vault.format.primitives import unb64u
from tests.api.conftest import RecordedClient, check_problem
from tests.api.vaulted import MAILS, back_up
from tests.api.world import World


@pytest.fixture
async def keys(two: World) -> dict[str, str]:
    return await back_up(two, two.mine, two.a.scope)


async def run(two: World, drill_id: str) -> DrillState:
    """What the process does, every activity twice."""
    task = DrillTask(partner_id=two.a.scope.partner_id, drill_id=drill_id)
    plan = await process.plan_drill(two.deps, task)
    assert await process.plan_drill(two.deps, task) == plan
    for object_id in plan.objects:
        for _ in range(2):
            await process.drill_object(two.deps, task.model_copy(update={"object_id": object_id}))
    state = await process.seal_drill(two.deps, task)
    assert await process.seal_drill(two.deps, task) is state
    return state


async def drilled(two: World, api: httpx.AsyncClient) -> dict[str, Any]:
    path = f"/api/v1/customers/{two.mine['customer_id']}/drills"
    answer = await api.post(path, headers=two.caller("daemon"))
    assert answer.status_code == 202, answer.text
    await run(two, answer.json()["id"])
    found: dict[str, Any] = (
        await api.get(f"/api/v1/drills/{answer.json()['id']}", headers=two.caller("daemon"))
    ).json()
    return found


async def coverage(two: World, api: httpx.AsyncClient) -> dict[str, Any]:
    path = f"/api/v1/customers/{two.mine['customer_id']}/coverage"
    found: dict[str, Any] = (await api.get(path, headers=two.caller("daemon"))).json()
    return found


async def test_drill_reads_items_back_and_its_report_is_signed(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    found = await drilled(two, anonymous)
    assert durable.started[f"drill:{found['id']}"][0] == "restore_drill"
    assert (found["state"], found["objects"], found["failed"]) == ("Passed", 1, 0)
    assert found["items"] == found["workloads"]["mailbox"] == 5
    assert found["bytes"] == sum(map(len, MAILS.values())) + len(b"{}")
    signed = found["report"]
    pem, signature = signed["publicKey"].encode(), unb64u(signed["signature"])
    assert is_signed(pem, process.canonical(signed["report"]), signature)
    (seen,) = signed["report"]["objects"]
    assert {one["itemKey"] for one in seen["items"]} <= set(keys.values())
    assert seen["root"]
    changed = {**signed["report"], "state": "Failed"}
    assert not is_signed(pem, process.canonical(changed), signature)
    assert (await coverage(two, anonymous))["lastDrill"]["state"] == "Passed"
    path = f"/api/v1/customers/{two.mine['customer_id']}/drills"
    listed = await anonymous.get(path, headers=two.caller("groupUser"))
    assert found["id"] in [one["id"] for one in listed.json()["value"]]


async def test_drill_that_fails_names_the_item_and_shows_in_the_coverage(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    from shared.customers import repository as customers
    from shared.protection.repositories import repository_of

    found = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
    stores = await two.deps.vault_stores(repository_of(found), region=found.region or "")
    packs = [blob async for blob in stores.vault.list("o/") if "/p/" in blob.name]
    data = bytearray(await stores.vault.get(packs[0].name))
    data[len(data) // 3] ^= 1
    await stores.vault.put(packs[0].name, bytes(data), create_only=False)
    drill = await drilled(two, anonymous)
    assert (drill["state"], drill["failed"]) == ("Failed", 1)
    errors = [one["error"] for one in drill["report"]["report"]["objects"][0]["items"]]
    assert sorted(filter(None, errors)) == ["VAULT_DAMAGED"]
    seen = await coverage(two, anonymous)
    assert (seen["healthy"], seen["lastDrill"]["state"]) == (False, "Failed")


async def test_second_drill_waits_for_the_first_and_rights_are_asked(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/drills"
    answer = await anonymous.post(path, headers=two.caller("customerAdmin"))
    check_problem(answer, 403, "PERMISSION_MISSING")
    await anonymous.post(path, headers=two.caller("daemon"))
    answer = await anonymous.post(path, headers=two.caller("daemon"))
    check_problem(answer, 409, "DRILL_RUNNING")
    assert len(durable.started) == 1


async def test_drill_that_writes_asks_for_the_right_to_restore(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient, keys: dict[str, str]
) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/drills"
    admin = two.caller("administrator")  # may start drills, restores nothing (RST-02)
    answer = await anonymous.post(path, json={"mode": "scratch"}, headers=admin)
    check_problem(answer, 403, "PERMISSION_MISSING")
    answer = await anonymous.post(path, json={"mode": "deep"}, headers=admin)
    check_problem(answer, 400, "INVALID_INPUT")
    assert durable.started == {}
    answer = await anonymous.post(path, json={"mode": "scratch"}, headers=two.caller("daemon"))
    assert answer.status_code == 202, answer.text
    seen = answer.json()
    assert (seen["mode"], seen["restored"], seen["leftBehind"]) == ("scratch", 0, 0)


async def test_every_active_customer_is_due_once_a_month(two: World) -> None:
    partners = [two.a.scope.partner_id]

    async def due() -> list[str]:
        return [one.drill_id async for one in service.due_drills(two.deps, partners, bool)]

    first = await due()
    assert len(first) == 2
    assert await due() == first  # a repeated tick, and one after a crash, find the same
    mine = next(one for one in first if one.startswith(two.mine["customer_id"]))
    assert await run(two, mine) is DrillState.EMPTY  # nothing has been backed up yet
    assert await due() == [one for one in first if one != mine]
    none = [one async for one in service.due_drills(two.deps, partners, lambda _: False)]
    assert none == []


async def test_object_that_cannot_be_opened_fails_the_drill(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    found = await protection.get_object(two.deps.tables, two.a.scope, two.mine["object_id"])
    assert found.last_point is not None
    point = found.last_point.model_copy(update={"n": 7})
    await protection.save_object(
        two.deps.tables, two.a.scope, found.model_copy(update={"last_point": point})
    )
    drill = await drilled(two, anonymous)
    assert drill["state"] == "Failed"
    (seen,) = await repository.list_sampled(two.deps.tables, drill["id"])
    assert [check.error for check in seen.checks] == ["UNKNOWN_SNAPSHOT"]
