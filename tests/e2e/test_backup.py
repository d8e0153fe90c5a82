"""Backups from end to end: sessions, what is read back, increments against the truth, the clock."""

import hashlib
from datetime import UTC, datetime

import pytest

from tests.e2e.clock import make_due, tick
from tests.e2e.scene import Customer, Json, Scene, hex_of, refused


@pytest.fixture(scope="module")
def first(customer: Customer) -> Json:
    """The first session of the module's customer, which has to be a good one."""
    return customer.back_up()


def held(customer: Customer, user: Json, workload: str) -> dict[str, list[str]]:
    """Hashes of the newest snapshot by the path of their folder."""
    items = customer.items(customer.object(workload, user))
    folders = {item["itemKey"]: item for item in items if item["kind"] == "folder"}

    def path(key: str | None) -> str:
        folder = folders.get(key or "")
        if folder is None or folder["metadata"].get("root"):
            return ""
        above = path(folder["parentKey"])
        return f"{above}/{folder['name']}" if above else folder["name"]

    found: dict[str, list[str]] = {}
    for item in items:
        if item["kind"] == "mail":
            found.setdefault(path(item["parentKey"]), []).append(hex_of(item["contentHash"]))
        elif item["kind"] == "file":
            at = f"{path(item['parentKey'])}/{item['name']}".lstrip("/")
            found.setdefault(at, []).append(hex_of(item["contentHash"]))
    return {name: sorted(hashes) for name, hashes in found.items()}


def true(customer: Customer, user: Json) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The same, of the source: mails by folder, files by path."""
    truth = customer.truth(user)
    folders = {folder["id"]: folder for folder in truth["folders"]}

    def path(folder_id: str) -> str:
        folder = folders[folder_id]
        if folder["wellKnown"] == "msgfolderroot":
            return ""
        return f"{path(folder['parentId'])}/{folder['name']}".lstrip("/")

    mails: dict[str, list[str]] = {}
    for mail in truth["mails"]:
        mails.setdefault(path(mail["folderId"]), []).append(mail["sha256"])
    files: dict[str, list[str]] = {}
    for file in truth["files"]:
        files.setdefault(file["path"].lstrip("/"), []).append(file["sha256"])
    return tuple({name: sorted(hashes) for name, hashes in kind.items()} for kind in (mails, files))


def assert_equal_to_source(customer: Customer) -> None:
    for user in customer.people:
        mails, files = true(customer, user)
        assert held(customer, user, "mailbox") == mails
        assert held(customer, user, "drive") == files


def test_bkp_08_a_session_is_an_operation_and_runs_once(customer: Customer) -> None:
    partner = customer.partner
    answer = partner.call("POST", f"/policies/{customer.policy}/sessions")
    assert answer.status_code == 202
    session = answer.json()["id"]
    assert answer.headers["Operation-Location"].endswith(f"/operations/{session}")
    assert answer.headers["Location"].endswith(f"/sessions/{session}")
    assert int(answer.headers["Retry-After"]) > 0
    again = partner.call("POST", f"/policies/{customer.policy}/sessions")
    assert refused(again, 409, "ALREADY_RUNNING")["sessionId"] == session
    ended = customer.ended(session)
    assert ended["state"] == "Success", ended
    assert ended["progressPercent"] == 100
    assert ended["sessionRoot"]
    assert ended["trigger"] == "Manual"
    assert {run["state"] for run in ended["runs"]} == {"Succeeded"}
    assert len(ended["runs"]) == ended["found"] == ended["processed"] == 2 * len(customer.people)
    operation = partner.get(f"/operations/{session}")
    assert operation["status"] == "Succeeded"
    assert operation["result"] == {"sessionId": session, "state": "Success"}
    policy = partner.get(f"/policies/{customer.policy}")
    assert policy["lastStatus"] == "Success"
    assert policy["runningSessionId"] is None
    refused(partner.call("POST", f"/sessions/{session}/stop"), 409, "NOT_RUNNING")


def test_bkp_13_sessions_are_listed_newest_first(customer: Customer, first: Json) -> None:
    second = customer.back_up()
    path = f"/policies/{customer.policy}/sessions"
    listed = [one["id"] for one in customer.partner.all(path, maxpagesize="1")]
    assert listed[:2] == [second["id"], first["id"]]
    assert second["counts"]["protected"] == 0
    assert second["bytes"]["read"] == 0


def test_bkp_28_the_snapshot_equals_the_source(customer: Customer, first: Json) -> None:
    assert_equal_to_source(customer)


def test_bkp_28_objects_snapshots_items_and_contents_are_read_back(
    customer: Customer, first: Json
) -> None:
    partner, user = customer.partner, customer.people[0]
    truth = customer.truth(user)
    by_hash = {
        "mailbox": {one["sha256"]: one for one in truth["mails"]},
        "drive": {one["sha256"]: one for one in truth["files"]},
    }
    for workload, kind in (("mailbox", "mail"), ("drive", "file")):
        found = customer.object(workload, user)
        assert found["rpoAgeSeconds"] >= 0
        newest, *_ = partner.all(f"/objects/{found['id']}/snapshots")
        point = found["lastPoint"]
        assert (newest["n"], newest["root"]) == (point["n"], point["root"])
        assert newest["status"] == "complete"
        at = f"/objects/{found['id']}/snapshots/{newest['n']}"
        assert partner.get(at) == newest
        [item, *_] = customer.items(found, kind=kind)
        assert partner.get(f"{at}/items/{item['itemKey']}")["proof"]
        content = partner.call("GET", f"{at}/items/{item['itemKey']}/content")
        assert content.headers["content-disposition"] == "attachment"
        digest = hashlib.sha256(content.content).hexdigest()
        source = by_hash[workload][digest]
        if workload == "mailbox":
            assert item["name"] == source["subject"]
            assert content.headers["content-type"].startswith("message/rfc822")
            tenant = customer.tenant["tenantId"]
            assert content.content == customer.scene.cloud.mail(tenant, user["id"], source["id"])
        word = item["name"].split()[0] if item["name"].split() else item["name"]
        assert item["itemKey"] in {i["itemKey"] for i in customer.items(found, search=word)}
        folder = item["parentKey"]
        assert item["itemKey"] in {i["itemKey"] for i in customer.items(found, folder=folder)}


@pytest.mark.parametrize("seed", [1, 2])
def test_bkp_30_an_increment_holds_the_day_s_work_and_reads_only_that(
    customer: Customer, first: Json, seed: int
) -> None:
    folders = drive_folders(customer)
    totals = customer.change(
        seed,
        newMails=2, moveMails=2, flagMails=2, deleteMails=1,
        newFiles=2, editFiles=1, moveFiles=1, renameFiles=1, deleteFiles=1,
    )  # fmt: skip
    session = customer.back_up()
    contents = totals["newMails"] + totals["newFiles"] + totals["editFiles"]
    made = drive_folders(customer) - folders  # a new folder is a new row as well
    assert session["counts"]["protected"] == contents + made
    assert session["counts"]["failed"] == {}
    assert_equal_to_source(customer)


def test_bkp_30_an_older_point_still_shows_what_was(customer: Customer, first: Json) -> None:
    user = customer.people[1]
    tenant = customer.tenant["tenantId"]
    customer.scene.cloud.write_file(tenant, user["id"], "Notes/plan.txt", b"the first plan")
    customer.back_up()
    before = customer.object("drive", user)
    customer.scene.cloud.write_file(tenant, user["id"], "Notes/plan.txt", b"another plan")
    customer.back_up()
    for n, expected in (
        (before["lastPoint"]["n"], b"the first plan"),
        (customer.object("drive", user)["lastPoint"]["n"], b"another plan"),
    ):
        [item] = [one for one in customer.items(before, n) if one["name"] == "plan.txt"]
        path = f"/objects/{before['id']}/snapshots/{n}/items/{item['itemKey']}/content"
        assert customer.partner.call("GET", path).content == expected


def test_bkp_02_a_policy_of_chosen_objects_protects_only_those(
    customer: Customer, first: Json
) -> None:
    chosen = customer.object("drive", customer.people[0])["id"]
    answer = customer.partner.call(
        "POST",
        f"/customers/{customer.id}/policies",
        {"name": "One drive", "backupType": "SelectedItems", "include": [chosen]},
    )
    assert answer.status_code == 201
    policy = answer.json()["id"]
    session = customer.ended(customer.partner.post(f"/policies/{policy}/sessions")["id"])
    assert session["state"] == "Success"
    assert [run["objectId"] for run in session["runs"]] == [chosen]


def test_bkp_07_the_clock_starts_what_is_due_and_only_once(
    scene: Scene, customer: Customer, first: Json
) -> None:
    def sessions() -> list[Json]:
        return list(customer.partner.all(f"/policies/{customer.policy}/sessions"))

    before = sessions()
    tick(scene)
    make_due(scene, customer)
    tick(scene)
    tick(scene)
    customer.partner.follow(
        f"/policies/{customer.policy}/sessions",
        lambda page: len(page["value"]) > len(before),
    )
    tick(scene)
    [scheduled] = [one for one in sessions() if one["trigger"] == "Schedule"]
    started = customer.ended(scheduled["id"])
    assert started["state"] == "Success"
    tick(scene)
    planned = customer.partner.follow(
        f"/policies/{customer.policy}",
        lambda policy: datetime.fromisoformat(policy["nextRunAt"]) > datetime.now(UTC),
    )
    assert planned["runningSessionId"] is None
    assert {one["id"] for one in sessions()} == {started["id"], *(one["id"] for one in before)}


def drive_folders(customer: Customer) -> int:
    """How many folders the drives have."""
    return sum(len(customer.truth(user)["driveFolders"]) for user in customer.people)
