"""What keeps vaults, through the API over the real engine: retention, holds, erasure, checks."""

import json
from datetime import timedelta

import pytest

from shared.audit.signing import is_signed
from shared.keeping import rounds, verifying
from shared.keeping.tasks import RoundTask
from shared.kit import ids
from shared.protection import changes, repository
from shared.protection.discovery import discover
from shared.restore import repository as restores
from shared.restore.model import Entry, Restore, Target
from tests.api.conftest import check_problem
from tests.api.plant import Json, Plant, certificates, cloud, credential, plant, size

__all__ = ["certificates", "cloud", "credential", "plant", "size"]


async def nights(plant: Plant, count: int, step: int = 1) -> None:
    """Rounds through the default repository, a night's step apart, as their process does them."""
    for _ in range(count):
        plant.cloud.clock.simulator.advance(step * 86_400)
        night = plant.cloud.clock.now().date().isoformat()
        tasks = await rounds.list_vaults(plant.deps, night)
        mine = [one for one in tasks if one.customer_id == plant.customer.customer_id]
        for task in mine:
            await one_round(plant, task)


async def one_round(plant: Plant, task: RoundTask) -> None:
    batches = await rounds.open_round(plant.deps, task)
    for batch in batches:
        await rounds.keep_objects(plant.deps, batch)
        await rounds.keep_objects(plant.deps, batch)  # an activity may run twice
    if batches:
        await rounds.close_round(plant.deps, task)


async def selected(plant: Plant, number: int = 0) -> Json:
    """A policy of one person's mailbox, run once; the object."""
    await discover(plant.deps, plant.customer)
    row = await plant.object_of(plant.people[number])
    made = await plant.policy(backupType="SelectedItems", include=[row["id"]])
    await plant.run(made["id"])
    return {"object": row["id"], "policy": made["id"]}


async def points(plant: Plant, object_id: str) -> list[int]:
    found = await plant.get(f"/api/v1/objects/{object_id}/snapshots")
    return [one["n"] for one in found["value"]]


async def records(plant: Plant) -> list[str]:
    """Names of the records that are really stored."""
    (vault,) = [
        blobs
        for name, blobs in plant.deps.storage.containers.items()  # type: ignore[attr-defined]
        if name.startswith("vault-")
    ]
    return [one.name async for one in vault.list("o/") if one.name.endswith(".hfs")]


async def test_bkp_23_after_366_days_a_point_is_refused_at_once_and_then_deleted(
    plant: Plant,
) -> None:
    made = await selected(plant)
    plant.cloud.clock.simulator.advance(366 * 86_400)
    assert await points(plant, made["object"]) == []
    refused = await plant.api.get(f"/api/v1/objects/{made['object']}/snapshots/1")
    check_problem(refused, 410, "SNAPSHOT_EXPIRED")
    await nights(plant, 9)
    assert len(await records(plant)) == 1  # the head of an enabled policy's object (V61)
    for policy in (made["policy"], plant.policy_id):
        await plant.api.post(f"/api/v1/policies/{policy}:disable")
    await nights(plant, 12)
    assert await records(plant) == []
    found = (await plant.get(plant.path("/rounds")))["value"]
    assert 9 < len(found) <= 21  # once it is empty there is nothing to keep
    assert sum(one["deleted"] for one in found) >= 2
    assert all(one["findings"] == [] and one["alarms"] == [] for one in found), found
    assert all(one["endedAt"] and one["done"] == one["objects"] for one in found)


async def test_bkp_23_unlimited_retention_keeps(plant: Plant) -> None:
    made = await selected(plant)
    await plant.edit(made["policy"], retentionYears=0)
    await nights(plant, 1)  # a longer promise reaches what exists (V55)
    plant.cloud.clock.simulator.advance(40 * 366 * 86_400)
    await nights(plant, 9)
    assert await points(plant, made["object"]) == [1]
    assert len(await records(plant)) == 1
    kept = await plant.get(f"/api/v1/objects/{made['object']}/snapshots/1")
    assert (kept["expiresAt"], kept["held"]) == (None, False)


async def test_v58_a_held_object_does_not_expire_until_the_hold_is_lifted(plant: Plant) -> None:
    made = await selected(plant)
    address = f"/api/v1/objects/{made['object']}/hold"
    placed = await plant.api.put(address, json={"reason": "case 7"})
    assert placed.status_code == 200, placed.text
    assert (await plant.api.put(address, json={"reason": "case 7"})).json() == placed.json()
    assert (await plant.api.get(address)).headers["ETag"] == placed.headers["ETag"]
    (listed,) = (await plant.get(plant.path("/holds")))["value"]
    assert (listed["objectId"], listed["reason"]) == (made["object"], "case 7")
    assert (await plant.get(f"/api/v1/objects/{made['object']}/snapshots/1"))["held"]
    for policy in (made["policy"], plant.policy_id):
        await plant.api.post(f"/api/v1/policies/{policy}:disable")
    plant.cloud.clock.simulator.advance(400 * 86_400)
    await nights(plant, 8)
    assert await points(plant, made["object"]) == [1]
    assert (await plant.api.get(f"/api/v1/objects/{made['object']}/snapshots/1")).status_code == 200
    check_problem(await plant.api.delete(address), 428, "PRECONDITION_REQUIRED")
    seen = {"If-Match": placed.headers["ETag"]}
    assert (await plant.api.delete(address, headers=seen)).status_code == 204
    check_problem(await plant.api.delete(address, headers=seen), 404, "NOT_FOUND")
    assert await points(plant, made["object"]) == []
    await nights(plant, 12)
    assert await records(plant) == []


async def test_v58_a_hold_is_changed_on_its_current_state_only(plant: Plant) -> None:
    made = await selected(plant)
    address = f"/api/v1/objects/{made['object']}/hold"
    check_problem(await plant.api.get(address), 404, "NOT_FOUND")
    early = {"If-Match": '"anything"'}
    body = {"reason": "case 7"}
    check_problem(
        await plant.api.put(address, json=body, headers=early), 412, "PRECONDITION_FAILED"
    )
    check_problem(await plant.api.get(address), 404, "NOT_FOUND")
    first = await plant.api.put(address, json=body)
    other = {"reason": "case 9"}
    check_problem(await plant.api.put(address, json=other), 428, "PRECONDITION_REQUIRED")
    seen = {"If-Match": first.headers["ETag"]}
    changed = await plant.api.put(address, json=other, headers=seen)
    assert changed.json() == first.json() | {"reason": "case 9"}
    late = await plant.api.put(address, json={"reason": "case 10"}, headers=seen)
    check_problem(late, 412, "PRECONDITION_FAILED")
    check_problem(await plant.api.delete(address, headers=seen), 412, "PRECONDITION_FAILED")
    assert (await plant.get(address))["reason"] == "case 9"
    for wrong in ({}, {"reason": ""}, {"reason": "x" * 201}, {"reason": 7}, {"why": "x"}):
        problem = check_problem(await plant.api.put(address, json=wrong), 400, "INVALID_INPUT")
        assert {one["pointer"] for one in problem["errors"]} <= {"#/reason", "#/why"}
    assert (await plant.get(address))["reason"] == "case 9"


async def test_v68_an_erasure_needs_two_persons_and_ends_with_a_certificate(plant: Plant) -> None:
    await plant.run(plant.policy_id)
    user = plant.people[0]
    mailbox = (await plant.object_of(user))["id"]
    restore_id = await restored(plant, mailbox)
    body = {"userId": user["id"], "reason": "gdpr-17"}
    asked = await plant.api.post(plant.path("/erasures"), json=body)
    assert asked.status_code == 201, asked.text
    address = f"/api/v1/erasures/{asked.json()['id']}"
    check_problem(await plant.api.post(f"{address}:approve"), 403, "SECOND_PERSON_NEEDED")
    second = plant.bearer(
        plant.partner_tenant, idtyp=None, scp="openid access_as_user", azpacr="0", azp="portal",
        oid="ann", preferred_username="ann@a.example",
    )  # fmt: skip
    hold = f"/api/v1/objects/{mailbox}/hold"
    placed = await plant.api.put(hold, json={"reason": "case 8"})
    held = await plant.api.post(f"{address}:approve", headers=second)
    check_problem(held, 409, "ERASURE_REFUSED")
    await plant.api.delete(hold, headers={"If-Match": placed.headers["ETag"]})
    approved = await plant.api.post(f"{address}:approve", headers=second)
    assert approved.status_code == 200, approved.text
    assert approved.json()["state"] == "Waiting"
    check_problem(await plant.api.put(hold, json={"reason": "late"}), 409, "HOLD_REFUSED")
    await changes.change_object(
        plant.deps.tables, plant.scope, mailbox,
        lambda row: row.model_copy(update={"display_name": "Was"}),
    )  # fmt: skip
    session = await plant.run(plant.policy_id)  # blocked at once: nothing is written to it
    row = await repository.get_object(plant.deps.tables, plant.scope, mailbox)
    assert row.display_name == "Was"  # the person is in the directory: its name comes back never
    assert not {kind for kind, n in await plant.protected(session) if n == "0"}
    await nights(plant, 2)
    done = await plant.get(address)
    assert done["state"] == "Done"
    (certificate,) = done["certificates"]
    assert {one["workload"] for one in certificate["objects"]} == {"mailbox", "drive"}
    assert all(one["absence_verified_at"] for one in certificate["objects"])
    found = await repository.get_object(plant.deps.tables, plant.scope, mailbox)
    assert (found.display_name, found.address) == ("(erased)", "")
    log = await plant.api.get(f"/api/v1/sessions/{session.session_id}/log")
    assert user["upn"] not in log.text
    (entry,) = await restores.list_entries(plant.deps.tables, restore_id)
    assert (entry.name, entry.folder, entry.size) == ("(erased)", [], 7)
    other = (await plant.object_of(plant.people[1]))["id"]
    assert await points(plant, other)  # nobody else is touched
    check_problem(await plant.api.post(f"{address}:cancel"), 409, "ERASURE_NOT_OPEN")


async def restored(plant: Plant, object_id: str) -> str:
    """A restore of one mail that was done before, with its result."""
    found = await repository.get_object(plant.deps.tables, plant.scope, object_id)
    now = plant.cloud.clock.now()
    made = Restore(
        restore_id=ids.newest_first(found.customer_id, ids.RESTORE, now),
        partner_id=found.partner_id, customer_id=found.customer_id, object_id=object_id,
        workload=found.workload, source_id=found.source_id, snapshot=1,
        target=Target(object_id=object_id, source_id=found.source_id),
        created_at=now, updated_at=now,
    )  # fmt: skip
    await restores.add(plant.deps.tables, plant.scope, made)
    entry = Entry(
        item_key="ab" * 32, source_id="m", kind="mail", name="My illness", size=7, folder=["Doctor"]
    )
    await restores.add_entries(plant.deps.tables, made.restore_id, [entry])
    return made.restore_id


@pytest.mark.parametrize("approved", [False, True])
async def test_v67_a_cancelled_erasure_leaves_everything_as_it_was(
    plant: Plant, approved: bool
) -> None:
    made = await selected(plant)
    body = {"userId": plant.people[0]["id"], "reason": "gdpr-17"}
    asked = (await plant.api.post(plant.path("/erasures"), json=body)).json()
    twice = check_problem(
        await plant.api.post(plant.path("/erasures"), json=body), 409, "ERASURE_UNDER_WAY"
    )
    assert twice["erasureId"] == asked["id"]
    if approved:
        second = plant.bearer(
            plant.partner_tenant, idtyp=None, scp="openid access_as_user", azpacr="0",
            azp="portal", oid="ann", preferred_username="ann@a.example",
        )  # fmt: skip
        answer = await plant.api.post(f"/api/v1/erasures/{asked['id']}:approve", headers=second)
        assert answer.json()["state"] == "Waiting", answer.text
    cancelled = await plant.api.post(f"/api/v1/erasures/{asked['id']}:cancel")
    assert cancelled.json()["state"] == "Cancelled"
    await nights(plant, 2)
    assert await points(plant, made["object"]) == [1]
    nobody = await plant.api.post(plant.path("/erasures"), json={**body, "userId": "nobody"})
    problem = check_problem(nobody, 422, "NOTHING_TO_ERASE")
    assert [one["pointer"] for one in problem["errors"]] == ["#/userId"]


async def verified(plant: Plant, object_id: str) -> Json:
    """A verification from the request to its report, as its process does it."""
    answer = await plant.api.post(f"/api/v1/objects/{object_id}/snapshots/1:verify")
    assert answer.status_code == 202, answer.text
    name = answer.json()["id"]
    assert plant.durable.started[f"verify:{name}"][0] == "verify_snapshot"
    part = 0
    while await verifying.check_part(plant.deps, plant.scope, name, part):
        part += 1
    await verifying.seal(plant.deps, plant.scope, name, None)
    return await plant.get(f"/api/v1/verifications/{name}")


async def test_a_verification_reports_the_root_signed(plant: Plant) -> None:
    made = await selected(plant)
    found = await verified(plant, made["object"])
    assert found["state"] == "Verified"
    assert found["packsDone"] == found["packs"] > 0
    point = await plant.get(f"/api/v1/objects/{made['object']}/snapshots/1")
    assert found["root"] == point["root"]
    report = found["report"]
    statement = report["statement"]
    assert json.loads(statement)["root"] == point["root"]
    pem = await plant.deps.signer.public_pem()
    signature = bytes.fromhex(report["signature"])
    assert is_signed(pem, statement.encode(), signature)
    assert not is_signed(pem, statement.replace("Verified", "verified").encode(), signature)
    operation = await plant.get(f"/api/v1/operations/{found['id']}")
    assert (operation["status"], operation["percentComplete"]) == ("Succeeded", 100)


async def test_a_verification_names_the_damaged_blob_and_the_nights_find_it_too(
    plant: Plant,
) -> None:
    made = await selected(plant)
    (vault,) = [
        blobs
        for name, blobs in plant.deps.storage.containers.items()  # type: ignore[attr-defined]
        if name.startswith("vault-")
    ]
    pack = min([one.name async for one in vault.list("o/") if "/p/" in one.name])
    data = bytearray(await vault.get(pack))
    data[len(data) // 2] ^= 1
    await vault.put(pack, bytes(data), create_only=False)
    found = await verified(plant, made["object"])
    assert found["state"] == "Damaged"
    assert pack in {one["blob"] for one in found["findings"]}
    operation = await plant.get(f"/api/v1/operations/{found['id']}")
    assert (operation["status"], operation["error"]["code"]) == ("Failed", "VAULT_DAMAGED")
    await nights(plant, 7)  # its weekly turn comes within seven nights
    rounds_ = (await plant.get(plant.path("/rounds")))["value"]
    assert pack in {one["blob"] for night in rounds_ for one in night["findings"]}


async def test_a_head_that_went_back_is_an_alarm(plant: Plant) -> None:
    made = await selected(plant)
    await plant.cloud.in_tenant("POST", "/change", json={"seed": 3, "perUser": {"newMails": 2}})
    await plant.run(made["policy"])
    (vault,) = [
        blobs
        for name, blobs in plant.deps.storage.containers.items()  # type: ignore[attr-defined]
        if name.startswith("vault-")
    ]
    newest = (await records(plant))[0]
    await vault.delete(newest)
    await nights(plant, 1)
    (night,) = (await plant.get(plant.path("/rounds")))["value"]
    assert night["alarms"]
    assert night["head"]["signature"]
    assert timedelta(0) < plant.cloud.clock.now() - plant.customer.created_at


async def test_v55_a_shorter_retention_frees_nothing_early_and_a_longer_one_reaches_all(
    plant: Plant,
) -> None:
    made = await selected(plant)
    await plant.api.post(f"/api/v1/policies/{plant.policy_id}:disable")
    address = f"/api/v1/objects/{made['object']}/snapshots"

    async def years() -> list[int]:
        """Of every point, oldest first: how long it is kept."""
        found = (await plant.get(address))["value"][::-1]
        return [int(one["expiresAt"][:4]) - int(one["endedAt"][:4]) for one in found]

    await plant.cloud.in_tenant("POST", "/change", json={"seed": 3, "perUser": {"newMails": 1}})
    await plant.edit(made["policy"], retentionYears=7)
    await plant.run(made["policy"])
    assert await years() == [1, 7]
    await plant.cloud.in_tenant("POST", "/change", json={"seed": 4, "perUser": {"newMails": 1}})
    await plant.edit(made["policy"], retentionYears=2)
    await plant.run(made["policy"])
    assert await years() == [1, 7, 2]
    await nights(plant, 1)
    assert (await years())[1:] == [7, 2]  # what was promised stays
    await plant.edit(made["policy"], retentionYears=10)
    await nights(plant, 1)
    assert all(kept >= 9 for kept in await years())  # ten times 365 days
