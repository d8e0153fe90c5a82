"""A customer's own recovery key through the API: vaults that are read without us (V3, V7, V8)."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.protection import repositories
from shared.vault.copying import copy_container
from tests.api.conftest import check_problem
from tests.api.plant import Json, Plant, certificates, cloud, credential, plant, size
from tests.api.test_access_users import role_of, user_of
from tests.api.test_bkp_keeping import nights, selected
from tests.api.world import World
from tests.unit.vault.copies import reader, recovery

__all__ = ["certificates", "cloud", "credential", "plant", "size"]
PRIVATE, PUBLIC = recovery()


def pem_of(key: Any) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode())


async def give(plant: Plant, pem: str = PUBLIC.decode()) -> Json:
    """PUT a key with the newest ETag."""
    address = plant.path("/recovery-key")
    seen = {"If-Match": (await plant.api.get(address)).headers["ETag"]}
    answer = await plant.api.put(address, json={"publicKey": pem}, headers=seen)
    assert answer.status_code == 200, answer.text
    given: Json = answer.json()
    return given


def vault_of(plant: Plant) -> Any:
    """The blobs of the customer's only vault."""
    stored = plant.deps.storage.containers  # type: ignore[attr-defined]
    (vault,) = [blobs for name, blobs in stored.items() if name.startswith("vault-")]
    return vault


async def read_alone(plant: Plant, to: Path) -> None:
    """The stand-alone reader opens a copy with the private half and finds nothing wrong."""
    await copy_container(vault_of(plant), to / "copy")
    (to / "recovery.pem").write_bytes(PRIVATE)
    checked = reader("verify", to / "copy", "--key", to / "recovery.pem", "--deep")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    listed = reader("list", to / "copy", "--key", to / "recovery.pem")
    assert plant.people[0]["upn"].lower() in listed.stdout.lower(), listed.stdout


async def test_v7_a_key_given_before_the_first_backup_opens_the_vault_without_us(
    plant: Plant, tmp_path: Path
) -> None:
    none = await plant.get(plant.path("/recovery-key"))
    assert (none["hasOwnKey"], none["fingerprint"], none["publicKey"]) == (False, None, None)
    assert [one["isCurrent"] for one in none["repositories"]] == [None]
    given = await give(plant)
    assert given["hasOwnKey"]
    assert given["publicKey"] == PUBLIC.decode().strip()
    assert given["bits"] == 3072
    await selected(plant)
    (one,) = (await plant.get(plant.path("/recovery-key")))["repositories"]
    assert (one["isCurrent"], one["fingerprint"]) == (True, given["fingerprint"])
    await read_alone(plant, tmp_path)


async def test_v7_a_key_given_later_opens_what_was_there_already_and_every_new_repository(
    plant: Plant, tmp_path: Path
) -> None:
    await selected(plant)
    vault = vault_of(plant)
    before = {found.name: await vault.get(found.name) async for found in vault.list()}
    (sealed,) = (await plant.get(plant.path("/recovery-key")))["repositories"]
    assert sealed["fingerprint"]
    assert not sealed["isCurrent"]
    given = await give(plant)
    (one,) = given["repositories"]
    assert (one["isCurrent"], one["fingerprint"]) == (True, given["fingerprint"])
    after = {found.name: await vault.get(found.name) async for found in vault.list()}
    assert after.keys() - before.keys() == {"keys/t/0001-0002.json", "repo/0002.json"}
    assert all(after[name] == data for name, data in before.items())  # nothing is encrypted anew
    assert json.loads(after["repo/0002.json"])["recovery"] == "customer"
    again = await give(plant)  # the same key once more changes nothing
    assert again == given
    assert {found.name async for found in vault.list()} == after.keys()
    await read_alone(plant, tmp_path)
    body = {"name": "London", "region": "uksouth"}
    assert (await plant.api.post(plant.path("/repositories"), json=body)).status_code == 201
    shown = (await plant.get(plant.path("/recovery-key")))["repositories"]
    assert [each["isCurrent"] for each in shown] == [True, True]


async def test_v8_the_nights_take_up_a_key_that_a_crash_left_behind(plant: Plant) -> None:
    await selected(plant)
    given = await give(plant)
    vault = vault_of(plant)
    for name in ("keys/t/0001-0002.json", "repo/0002.json"):  # as if we had died before them
        await vault.delete(name)
    (one,) = (await plant.get(plant.path("/recovery-key")))["repositories"]
    assert one["isCurrent"] is False
    await nights(plant, 1)
    (one,) = (await plant.get(plant.path("/recovery-key")))["repositories"]
    assert (one["isCurrent"], one["fingerprint"]) == (True, given["fingerprint"])


async def test_v8_a_rotated_key_is_taken_up_at_night_and_the_old_one_may_go(
    plant: Plant, tmp_path: Path
) -> None:
    made = await selected(plant)
    await give(plant)
    keys: Any = plant.deps.keys
    old = (await keys.wrap(b"q" * 32)).kid
    await keys.rotate()
    await nights(plant, 1)
    await keys.retire(old)
    items = await plant.get(f"/api/v1/objects/{made['object']}/snapshots/1/items")
    assert items["value"]
    (one,) = (await plant.get(plant.path("/recovery-key")))["repositories"]
    assert one["isCurrent"]
    await read_alone(plant, tmp_path)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ("nonsense", 422, "RECOVERY_KEY_REFUSED"),
        ("", 400, "INVALID_INPUT"),
        ("x" * 8001, 400, "INVALID_INPUT"),
        (7, 400, "INVALID_INPUT"),
        (PRIVATE.decode(), 422, "PRIVATE_KEY_SENT"),
        (pem_of(rsa.generate_private_key(65537, 2048)), 422, "RECOVERY_KEY_REFUSED"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), 422, "RECOVERY_KEY_REFUSED"),
    ],
    ids=["no pem", "empty", "too long", "number", "private", "short", "elliptic"],
)
async def test_v7_what_is_no_public_key_is_refused_and_nothing_written(
    plant: Plant, sent: Any, status: int, code: str
) -> None:
    address = plant.path("/recovery-key")
    before = await plant.api.get(address)
    seen = {"If-Match": before.headers["ETag"]}
    answer = await plant.api.put(address, json={"publicKey": sent}, headers=seen)
    problem = check_problem(answer, status, code)
    assert [each["pointer"] for each in problem["errors"]] == ["#/publicKey"]
    assert "BEGIN" not in answer.text
    assert (await plant.api.get(address)).headers["ETag"] == seen["If-Match"]
    assert await repositories.find_recovery_key(plant.deps, plant.customer) is None


async def test_v7_a_key_is_changed_on_its_current_state_only_and_leaves_a_line(
    plant: Plant,
) -> None:
    address = plant.path("/recovery-key")
    body = {"publicKey": PUBLIC.decode()}
    check_problem(await plant.api.put(address, json=body), 428, "PRECONDITION_REQUIRED")
    seen = {"If-Match": (await plant.api.get(address)).headers["ETag"]}
    given = await give(plant)
    late = await plant.api.put(address, json=body, headers=seen)
    check_problem(late, 412, "PRECONDITION_FAILED")
    found = await plant.get("/api/v1/audit-events", action="recovery.key_set", outcome="done")
    (line,) = found["value"]
    assert line["customerId"] == plant.customer.customer_id
    assert given["setBy"] == line["actor"]["subject"]


async def test_v7_an_earlier_key_goes_on_opening_what_it_opened(
    plant: Plant, tmp_path: Path
) -> None:
    await selected(plant)
    first = await give(plant)
    second = await give(plant, pem_of(rsa.generate_private_key(65537, 3072)))
    assert second["fingerprint"] != first["fingerprint"]
    (one,) = second["repositories"]
    assert (one["isCurrent"], one["fingerprint"]) == (True, second["fingerprint"])
    await read_alone(plant, tmp_path)  # what is locked cannot be taken back, and the page says so


async def test_v7_who_may_give_a_key(two: World, anonymous: httpx.AsyncClient) -> None:
    address = f"/api/v1/customers/{two.mine['customer_id']}/recovery-key"
    admin = two.caller("administrator")
    anonymous.headers.update(admin)
    basic = await role_of(anonymous, "Basic", "BackupManagement")
    await user_of(anonymous, "kim@a.example", basic)
    body = {"publicKey": PUBLIC.decode()}
    for headers in (two.user("kim", "kim@a.example"), two.caller("customerUser")):
        answer = await anonymous.put(address, json=body, headers=headers)
        assert answer.status_code == 403, answer.text
    cleo = two.caller("customerAdmin")  # the customer itself, without any flag
    seen = {"If-Match": (await anonymous.get(address, headers=cleo)).headers["ETag"]}
    answer = await anonymous.put(address, json=body, headers=cleo | seen)
    assert answer.status_code == 200, answer.text
    assert (await anonymous.get(address, headers=admin)).json()["hasOwnKey"]
