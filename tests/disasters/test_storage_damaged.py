"""Disasters of the storage itself: it has no room left, and a blob is not what it was."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import Stack
from shared.access.model import Scope
from shared.customers import repository as customers
from shared.protection import repositories
from shared.protection import repository as protection
from shared.protection.browsing import ref_of
from shared.protection.vaults import open_vault
from tests.conftest import QUICK
from tests.disasters.filling import FullDisk
from tests.disasters.mortal import until
from tests.disasters.test_storm_throttling import differences
from tests.e2e.parties import Json, TwoPartners
from tests.e2e.scene import OPERATION_OVER, Customer, Scene

WORLD = (
    *("--tenants", "1", "--users", "2", "--mails", "8", "--files", "6", "--seed", "23"),
    *("--mail-mean", "6000", "--file-mean", "9000"),
)
EXPORT_OVER = {"Completed", "CompletedWithErrors", "Failed", "Canceled"}
REFUSED_ENOUGH = 6
"""Writes without room until every hand of a backup has met the disaster."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> FullDisk:
    return FullDisk(tmp_path_factory.mktemp("disk"), of="AZURITE_ACCOUNTS")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, disk: FullDisk) -> Iterator[Scene]:
    """A system of its own, whose storage has the disk."""
    stack = Stack(tmp_path_factory.mktemp("damaged"), world=WORLD, settings=QUICK)
    stack.registrations = TwoPartners()
    with pytest.MonkeyPatch.context() as changed:
        for name, value in disk.environment.items():
            changed.setenv(name, value)
        with stack:
            running = Scene.on(stack)
            yield running
            running.close()


@pytest.fixture(scope="module")
def customer(scene: Scene) -> Customer:
    found = scene.onboarded()
    scene.let_restore(found)
    found.back_up()
    return found


def export(customer: Customer, protected: Json) -> str:
    body = {"objectId": protected["id"], "snapshot": protected["lastPoint"]["n"]}
    return str(customer.partner.post("/exports", body)["id"])


def exported(customer: Customer, export_id: str) -> Json:
    path = f"/exports/{export_id}"
    return customer.partner.follow(path, lambda found: found["state"] in EXPORT_OVER)


def verified(customer: Customer, protected: Json) -> Json:
    """The verification of an object's newest restore point."""
    path = f"/objects/{protected['id']}/snapshots/{protected['lastPoint']['n']}:verify"
    started = customer.partner.post(path)
    customer.partner.follow(
        f"/operations/{started['id']}", lambda found: found["status"] in OPERATION_OVER
    )
    return customer.partner.get(f"/verifications/{started['id']}")


def test_a_full_disk_of_the_storage_ends_in_truth_and_work_goes_on_with_room(
    customer: Customer, disk: FullDisk
) -> None:
    customer.change(1, newMails=3, newFiles=3, editFiles=1)
    mailbox = customer.object("mailbox", customer.people[0])
    with disk.full():
        before = disk.refused
        session, taken = customer.start(), export(customer, mailbox)
        until(lambda: disk.refused >= before + REFUSED_ENOUGH, "nothing was written")
        # Nobody is told of a success that has nowhere to lie.
        assert customer.partner.get(f"/sessions/{session}")["state"] != "Success"
        assert customer.partner.get(f"/exports/{taken}")["state"] not in EXPORT_OVER - {"Failed"}
    ended = customer.ended(session)
    if ended["state"] != "Success":
        assert all(run["error"] for run in ended["runs"] if run["state"] != "Succeeded"), ended
        customer.back_up()
    assert differences(customer) == []
    for protected in customer.partner.all(f"/customers/{customer.id}/objects"):
        points = list(customer.partner.all(f"/objects/{protected['id']}/snapshots"))
        numbers = [point["n"] for point in points]
        assert numbers == list(range(len(numbers), 0, -1))
        assert verified(customer, protected)["state"] == "Verified"
    if exported(customer, taken)["state"] != "Completed":
        assert exported(customer, taken)["error"]
        assert exported(customer, export(customer, mailbox))["state"] == "Completed"
    assert customer.back_up()["counts"]["protected"] == 0, "something was read twice"


def damage(customer: Customer, protected: Json, kind: str) -> str:
    """Flip a byte in the middle of the largest blob of a kind that the newest point needs."""

    async def hurt(deps: Any) -> str:
        scope = Scope(customer.partner.get("/partners/me")["partnerId"])
        found = await protection.get_object(deps.tables, scope, protected["id"])
        known = await customers.get(deps.tables, scope, customer.id)
        vault = await open_vault(deps, known, found.repository_id)
        points = await (await vault.upkeep()).points(await vault.oid(ref_of(found)))
        [newest] = [one for one in points if one.n == protected["lastPoint"]["n"]]
        place = await repositories.find(deps, known, found.repository_id)
        blobs = (await deps.vault_stores(place.vault_id, region=place.region)).vault
        sizes = {name: await blobs.size(name) for name in newest.needs if f"/{kind}/" in name}
        name = max(sizes, key=lambda one: sizes[one])
        data = bytearray(await blobs.get(name))
        data[len(data) // 2] ^= 1
        await blobs.put(name, bytes(data), create_only=False)
        return name

    return str(customer.scene.with_storage(hurt))


@pytest.fixture(scope="module")
def wounds(customer: Customer) -> dict[str, str]:
    """Object id -> its damaged blob: a pack of one mailbox, a part of the base of one drive."""
    first, second = customer.people
    customer.change(2, newMails=2, newFiles=2)
    customer.back_up()  # a second pack: not everything lies in the damaged one
    mailbox, drive = customer.object("mailbox", first), customer.object("drive", second)
    return {
        mailbox["id"]: damage(customer, mailbox, "p"),
        drive["id"]: damage(customer, drive, "b"),
    }


def test_a_corrupt_blob_is_named_by_a_verification_and_by_no_other(
    customer: Customer, wounds: dict[str, str]
) -> None:
    for protected in customer.partner.all(f"/customers/{customer.id}/objects"):
        found = verified(customer, protected)
        hurt = wounds.get(protected["id"])
        assert found["state"] == ("Damaged" if hurt else "Verified"), found
        named = {one["blob"] for one in found["findings"]}
        assert named == ({hurt} if hurt else set()), found["findings"]
        assert found["report"]["signature"]


def test_what_a_corrupt_pack_held_is_listed_and_the_rest_is_restored(
    customer: Customer, wounds: dict[str, str]
) -> None:
    user = customer.people[0]
    mailbox = customer.object("mailbox", user)
    assert mailbox["id"] in wounds
    body = {
        "objectId": mailbox["id"],
        "snapshot": mailbox["lastPoint"]["n"],
        "target": {"folder": "What is whole"},
    }
    lines = customer.restore(body, expected="CompletedWithErrors")["lines"]
    lost = [line for line in lines if line["state"] == "Failed"]
    assert lost
    assert {line["error"] for line in lost} == {"VAULT_DAMAGED"}
    made = [line for line in lines if line["state"] == "Created" and line["kind"] == "mail"]
    assert made
    given = exported(customer, export(customer, mailbox))
    assert (given["state"], given["failed"]) == ("CompletedWithErrors", len(lost))


def test_the_next_backup_heals_from_the_source_what_a_corrupt_blob_held(
    customer: Customer, wounds: dict[str, str]
) -> None:
    session = customer.back_up()
    told = " ".join(
        line["message"] for line in customer.partner.all(f"/sessions/{session['id']}/log")
    )
    assert "Healed" in told  # nobody has to ask
    assert "Lost" not in told
    for object_id in wounds:
        protected = customer.partner.get(f"/objects/{object_id}")
        assert verified(customer, protected)["state"] == "Verified"
    assert differences(customer) == []
    assert customer.back_up()["counts"]["protected"] == 0
