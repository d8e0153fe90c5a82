"""Rows of SEC about stored data, through the API over the real engine (features.md 15)."""

from pathlib import Path
from typing import Any

import httpx

from shared.protection.process import list_group, plan_session
from shared.protection.tasks import SessionTask
from tests.api.conftest import check_problem
from tests.api.plant import Plant, certificates, cloud, credential, plant, size
from tests.api.world import World

__all__ = ["certificates", "cloud", "credential", "plant", "size"]
INFRA = Path(__file__).parents[2] / "infra" / "modules"


def vaults(plant: Plant) -> dict[str, Any]:
    """Containers of backed-up data and of what is in progress."""
    stored = plant.deps.storage.containers  # type: ignore[attr-defined]
    return {
        name: blobs for name, blobs in stored.items() if name.startswith(("vault-", "control-"))
    }


async def test_sec_05_nothing_of_a_mail_or_a_person_stands_in_a_stored_blob(plant: Plant) -> None:
    await plant.run(plant.policy_id)
    row = await plant.object_of(plant.people[0])
    items = (await plant.get(f"/api/v1/objects/{row['id']}/snapshots/1/items"))["value"]
    named = {plant.people[0]["upn"], plant.people[0]["id"], row["displayName"], row["address"]}
    named |= {one["name"] for one in items if len(one["name"]) > 5}
    assert len(named) > 4
    blobs = 0
    for container in vaults(plant).values():
        async for found in container.list():
            blobs += 1
            stored = found.name.encode() + await container.get(found.name)
            for text in named:
                assert text.encode() not in stored, (found.name, text)
    assert blobs > 10


async def test_sec_02_two_customers_have_two_containers_and_no_path_in_common(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    anonymous.headers.update(two.caller("administrator"))
    containers = set()
    for whose in (two.mine, two.hidden):
        path = f"/api/v1/customers/{whose['customer_id']}/repositories"
        (one,) = (await anonymous.get(path)).json()["value"]
        containers.add(one["container"])
        read = await anonymous.get(f"/api/v1/repositories/{one['id']}")
        assert read.json()["container"] == one["container"]
    assert len(containers) == 2
    foreign = await anonymous.get(f"/api/v1/repositories/{two.theirs['customer_id']}-vdefault")
    check_problem(foreign, 404, "NOT_FOUND")


def test_sec_03_04_and_05_storage_is_local_redundant_closed_and_encrypted_in_transit() -> None:
    """What is deployed: LRS unless overridden, TLS 1.2, no key, no anonymous access."""
    for name in ("vaultstorage", "platformstorage", "hoststorage"):
        text = (INFRA / f"{name}.bicep").read_text()
        assert "zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'" in text, name
        for setting in (
            "supportsHttpsTrafficOnly: true",
            "minimumTlsVersion: 'TLS1_2'",
            "allowSharedKeyAccess: false",
            "allowBlobPublicAccess: false",
        ):
            assert setting in text, (name, setting)


async def test_bkp_28_a_backup_that_failed_shows_its_reason_per_object_and_person(
    plant: Plant,
) -> None:
    from shared.protection import engine

    await plant.run(plant.policy_id)
    answer = await plant.api.post(f"/api/v1/policies/{plant.policy_id}/sessions")
    job = SessionTask(partner_id=plant.scope.partner_id, session_id=str(answer.json()["id"]))
    await plan_session(plant.deps, job)
    first = (await list_group(plant.deps, job, 0))[0]
    await engine.fail_object(plant.deps, first, "its disk burnt")
    await plant.process(job.session_id)
    (lost,) = (await plant.get(plant.path("/coverage/objects"), protected="false", maxpagesize=1))[
        "value"
    ]
    rows = (await plant.get(plant.path("/coverage/objects"), protected="false"))["value"]
    found = {one["objectId"]: one for one in rows}
    assert lost["objectId"] in found
    assert found[first.object_id]["reason"] == "LastBackupFailed"
    assert found[first.object_id]["detail"] == "its disk burnt"
    assert found[first.object_id]["lastPointAt"]  # what was there stays
    report = await plant.get(plant.path("/coverage"))
    assert report["reasons"]["LastBackupFailed"] == 1
    assert report["protectedUsers"] == report["licensedUsers"] - 1
    assert report["healthy"] is False
