"""Exports and drills from end to end: real host, real storage, links that anybody can follow."""

import hashlib
import io
import json
import zipfile

import httpx
import pytest

from tests.e2e.scene import Customer, Json

OVER = {"Completed", "CompletedWithErrors", "Failed", "Canceled"}
DRILLED = {"Passed", "Failed", "Empty", "Broken"}


@pytest.fixture(scope="module")
def protected(customer: Customer) -> Json:
    return customer.back_up()


def exported(customer: Customer, body: Json) -> zipfile.ZipFile:
    """One export from start to end, fetched by its link."""
    started = customer.partner.post("/exports", body)
    path = f"/exports/{started['id']}"
    found = customer.partner.follow(path, lambda answer: answer["state"] in OVER)
    assert found["state"] == "Completed", found
    link = customer.partner.post(f"{path}/links", {})
    with httpx.Client(trust_env=False) as web:
        fetched = web.get(link["url"])
    assert fetched.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(fetched.content))
    assert archive.testzip() is None
    return archive


def hashes(archive: zipfile.ZipFile, ending: str = "") -> list[str]:
    names = [n for n in archive.namelist() if n.startswith("items/") and not n.endswith("/")]
    return sorted(
        hashlib.sha256(archive.read(name)).hexdigest() for name in names if name.endswith(ending)
    )


def test_whole_mailbox_and_drive_leave_byte_for_byte(customer: Customer, protected: Json) -> None:
    user = customer.people[0]
    truth = customer.truth(user)
    for workload, members, ending in (("mailbox", "mails", ".eml"), ("drive", "files", "")):
        found = customer.object(workload, user)
        archive = exported(customer, {"objectId": found["id"], "snapshot": found["lastPoint"]["n"]})
        assert hashes(archive, ending) == sorted(one["sha256"] for one in truth[members])
        told = json.loads(archive.read("receipt.json"))
        assert told["receipt"]["root"] == found["lastPoint"]["root"]


def test_drill_on_demand_passes_over_every_workload(customer: Customer, protected: Json) -> None:
    started = customer.partner.post(f"/customers/{customer.id}/drills", {})
    path = f"/drills/{started['id']}"
    found = customer.partner.follow(path, lambda answer: answer["state"] in DRILLED)
    assert (found["state"], found["failed"]) == ("Passed", 0), found
    assert found["workloads"].keys() >= {"mailbox", "drive"}
    assert found["report"]["report"]["state"] == "Passed"
    seen = customer.partner.get(f"/customers/{customer.id}/coverage")
    assert seen["lastDrill"]["id"] == started["id"]
