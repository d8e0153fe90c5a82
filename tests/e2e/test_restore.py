"""Restores from end to end: places, collisions, single items, other people, and refusals (RST)."""

import hashlib

import pytest

from local.demo.proof import Fingerprint, differences
from tests.e2e.scene import Customer, Json, Scene, refused

NOBODY = "0" * 64


@pytest.fixture(scope="module")
def first(customer: Customer) -> Json:
    """The module's customer is protected."""
    return customer.back_up()


def mails_of(folders: dict[str, dict[str, Fingerprint]], top: str = "") -> list[Fingerprint]:
    """Fingerprints of all folders, or of those below one, without the path above it."""
    found: list[Fingerprint] = []
    for path, mails in folders.items():
        if not top or path == top or path.startswith(f"{top}/"):
            found += mails.values()
    return found


def files_of(customer: Customer, user: Json) -> dict[str, str]:
    return {f["path"].lstrip("/"): f["sha256"] for f in customer.truth(user)["files"]}


def mail_keys(customer: Customer, protected: Json, subjects: set[str]) -> dict[str, str]:
    """Item keys of some mails, by subject."""
    items = customer.items(protected, kind="mail")
    return {item["name"]: item["itemKey"] for item in items if item["name"] in subjects}


@pytest.mark.parametrize("other", [False, True], ids=["same user", "another user"])
def test_rst_a_whole_mailbox_into_a_folder_equals_the_source(
    customer: Customer, first: Json, other: bool
) -> None:
    user, target = customer.people[0], customer.people[1 if other else 0]
    mailbox, name = customer.object("mailbox", user), f"Back {'there' if other else 'here'}"
    folders = customer.all_mails(user)
    before = mails_of({at: m for at, m in folders.items() if not at.startswith("Back ")})
    restored = customer.restore(
        {
            "objectId": mailbox["id"],
            "snapshot": mailbox["lastPoint"]["n"],
            "target": {
                "place": "folder",
                "folder": f"{name}/deep",
                "objectId": customer.object("mailbox", target)["id"],
            },
        }
    )
    assert restored["progressPercent"] == 100
    assert restored["entries"] == {"Created": restored["total"]}
    after = customer.all_mails(target)
    back = mails_of(after, f"{name}/deep")
    assert differences(before, back) == []
    assert len(back) == len(before)
    if not other:
        assert differences(before, mails_of(after)) == []
    operation = customer.partner.get(f"/operations/{restored['id']}")
    assert operation["status"] == "Succeeded"


@pytest.mark.parametrize("other", [False, True], ids=["same user", "another user"])
def test_rst_a_whole_drive_into_a_folder_equals_the_source(
    customer: Customer, first: Json, other: bool
) -> None:
    user, target = customer.people[0], customer.people[1 if other else 0]
    drive, name = customer.object("drive", user), f"Back {'there' if other else 'here'}"
    before, aims = files_of(customer, user), files_of(customer, target)
    customer.restore(
        {
            "objectId": drive["id"],
            "snapshot": drive["lastPoint"]["n"],
            "target": {"folder": name, "objectId": customer.object("drive", target)["id"]},
        }
    )
    held = {path: sha for path, sha in before.items() if not path.startswith("Back ")}
    after = files_of(customer, target)
    assert {p: s for p, s in after.items() if p.startswith(f"{name}/")} == {
        f"{name}/{path}": sha for path, sha in held.items()
    }
    assert aims.items() <= after.items()


def test_rst_single_items_go_to_a_new_folder_of_the_day(customer: Customer, first: Json) -> None:
    user = customer.people[1]
    mailbox = customer.object("mailbox", user)
    items = customer.items(mailbox, kind="mail")[:3]
    restored = customer.restore(
        {
            "objectId": mailbox["id"],
            "snapshot": mailbox["lastPoint"]["n"],
            "items": [item["itemKey"] for item in items],
        }
    )
    assert {one["itemKey"] for one in restored["lines"]} == {item["itemKey"] for item in items}
    assert {one["state"] for one in restored["lines"]} == {"Created"}
    folder = restored["target"]["folder"][0]
    assert folder.startswith("Restored ")
    everything = customer.all_mails(user)
    back = mails_of(everything, folder)
    rest = [mail for path, mails in everything.items() if not path.startswith(folder)
            for mail in mails.values()]  # fmt: skip
    assert len(back) == 3
    assert differences(back, rest) == []


def test_rst_one_folder_comes_back_alone(customer: Customer, first: Json) -> None:
    user = customer.people[0]
    scene, tenant = customer.scene, customer.tenant["tenantId"]
    for path in ("Box/in.txt", "Box/deeper/in.txt", "Outside/out.txt"):
        scene.cloud.write_file(tenant, user["id"], path, path.encode())
    customer.back_up()
    drive = customer.object("drive", user)
    [box] = [item for item in customer.items(drive, kind="folder") if item["name"] == "Box"]
    customer.restore(
        {
            "objectId": drive["id"],
            "snapshot": drive["lastPoint"]["n"],
            "folder": box["itemKey"],
            "target": {"folder": "One folder"},
        }
    )
    back = {path for path in files_of(customer, user) if path.startswith("One folder/")}
    assert back == {"One folder/Box/in.txt", "One folder/Box/deeper/in.txt"}


@pytest.fixture
def files(customer: Customer) -> tuple[Json, Json]:
    """Two protected files of a user, one changed since, one gone since."""
    user, cloud = customer.people[1], customer.scene.cloud
    tenant = customer.tenant["tenantId"]
    cloud.write_file(tenant, user["id"], "Desk/changed.txt", b"as protected")
    cloud.write_file(tenant, user["id"], "Desk/gone.txt", b"soon gone")
    customer.back_up()
    cloud.write_file(tenant, user["id"], "Desk/changed.txt", b"scrambled by somebody")
    cloud.ask("DELETE", f"/tenants/{tenant}/users/{user['id']}/files", path="Desk/gone.txt")
    return user, customer.object("drive", user)


@pytest.mark.parametrize(
    ("collision", "states", "expected"),
    [
        ("skip", {"Skipped", "Created"}, [b"scrambled by somebody", b"soon gone"]),
        ("replace", {"Replaced", "Created"}, [b"as protected", b"soon gone"]),
        ("copy", {"Created"}, [b"as protected", b"scrambled by somebody", b"soon gone"]),
    ],
)
def test_rst_files_in_place_by_collision_policy(
    customer: Customer,
    first: Json,
    files: tuple[Json, Json],
    collision: str,
    states: set[str],
    expected: list[bytes],
) -> None:
    user, drive = files
    items = customer.items(drive, kind="file")
    wanted = [i["itemKey"] for i in items if i["name"] in {"changed.txt", "gone.txt"}]
    restored = customer.restore(
        {
            "objectId": drive["id"],
            "snapshot": drive["lastPoint"]["n"],
            "items": wanted,
            "target": {"place": "original"},
            "collision": collision,
        }
    )
    assert {one["state"] for one in restored["lines"]} == states
    desk = {p: sha for p, sha in files_of(customer, user).items() if p.startswith("Desk/")}
    assert sorted(desk.values()) == sorted(hashlib.sha256(one).hexdigest() for one in expected)
    tenant = customer.tenant["tenantId"]
    for path in desk:
        customer.scene.cloud.ask("DELETE", f"/tenants/{tenant}/users/{user['id']}/files", path=path)


MIME = b"""\
From: Ada <ada@partner.example>
To: you@customer.example
Subject: Collision of %(name)s
Date: Mon, 05 Jan 2026 10:00:00 +0000
Message-ID: <%(name)s@collision.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

The body of %(name)s.
"""


@pytest.mark.parametrize(
    ("collision", "there", "gone", "number"),
    [("skip", "Skipped", "Created", 2), ("replace", "Replaced", "Created", 2),
     ("copy", "Created", "Created", 3)],
)  # fmt: skip
def test_rst_mails_in_place_by_collision_policy(
    customer: Customer, first: Json, collision: str, there: str, gone: str, number: int
) -> None:
    user, cloud = customer.people[0], customer.scene.cloud
    tenant, folder = customer.tenant["tenantId"], f"Inbox/{collision}"
    ids = {
        name: cloud.deliver(
            tenant,
            user["id"],
            MIME % {b"name": f"{collision}-{name}".encode()},
            folder,
        )
        for name in ("there", "gone")
    }
    customer.back_up()
    before = customer.mails(user, folder)
    cloud.ask("DELETE", f"/tenants/{tenant}/users/{user['id']}/mails/{ids['gone']}")
    mailbox = customer.object("mailbox", user)
    subjects = {name: f"Collision of {collision}-{name}" for name in ids}
    keys = mail_keys(customer, mailbox, set(subjects.values()))
    restored = customer.restore(
        {
            "objectId": mailbox["id"],
            "snapshot": mailbox["lastPoint"]["n"],
            "items": list(keys.values()),
            "target": {"place": "original"},
            "collision": collision,
        }
    )
    lines = {one["name"]: one["state"] for one in restored["lines"]}
    assert lines == {subjects["there"]: there, subjects["gone"]: gone}
    after = customer.mails(user, folder)
    assert len(after) == number
    assert differences(before.values(), after.values()) == []


def test_rst_what_does_not_fit_is_refused_and_nothing_is_written(
    scene: Scene, customer: Customer, first: Json, foreign: Customer
) -> None:
    mailbox, drive = (customer.object(kind, customer.people[0]) for kind in ("mailbox", "drive"))
    [item, *_] = customer.items(mailbox, kind="mail")
    [file, *_] = customer.items(drive, kind="file")
    [folder, *_] = customer.items(mailbox, kind="folder")
    theirs = foreign.object("mailbox", foreign.people[0])
    [their_item, *_] = foreign.items(theirs, kind="mail")
    good = {
        "objectId": mailbox["id"],
        "snapshot": mailbox["lastPoint"]["n"],
        "items": [item["itemKey"]],
    }
    cases = [
        ({"items": [their_item["itemKey"]]}, 404, "ITEM_NOT_IN_SNAPSHOT"),
        ({"items": [file["itemKey"]]}, 404, "ITEM_NOT_IN_SNAPSHOT"),
        ({"items": [item["itemKey"], NOBODY]}, 404, "ITEM_NOT_IN_SNAPSHOT"),
        ({"items": [folder["itemKey"]]}, 422, "ITEM_IS_FOLDER"),
        ({"snapshot": 4711}, 404, "UNKNOWN_SNAPSHOT"),
        ({"snapshot": 0}, 400, "INVALID_INPUT"),
        ({"objectId": f"{customer.id}-o{'0' * 20}"}, 404, "NOT_FOUND"),
        ({"objectId": "nonsense"}, 404, "NOT_FOUND"),
        ({"target": {"objectId": theirs["id"]}}, 404, "NOT_FOUND"),
        ({"target": {"objectId": drive["id"]}}, 422, "TARGET_UNFIT"),
        ({"target": {"place": "original", "folder": "x"}}, 400, "INVALID_INPUT"),
        ({"target": {"folder": "../up"}}, 400, "INVALID_INPUT"),
        ({"folder": folder["itemKey"]}, 400, "INVALID_INPUT"),
        ({"items": []}, 400, "INVALID_INPUT"),
        ({"collision": "overwrite"}, 400, "INVALID_INPUT"),
        ({"overwrite": True}, 400, "INVALID_INPUT"),
    ]
    scene.cloud.ask("DELETE", "/stats")
    wrong = []
    for changed, status, code in cases:
        answer = scene.partner.call("POST", "/restores", {**good, **changed})
        try:
            refused(answer, status, code)
        except AssertionError as other:
            wrong.append((changed, str(other)[:300]))
    assert wrong == []
    assert scene.cloud.ask("GET", "/stats")["total"] == 0


def test_rst_another_customer_s_items_are_as_if_they_did_not_exist(
    customer: Customer, first: Json, foreign: Customer
) -> None:
    theirs = foreign.object("mailbox", foreign.people[0])
    [item, *_] = foreign.items(theirs, kind="mail")
    body = {"objectId": theirs["id"], "snapshot": 1, "items": [item["itemKey"]]}
    refused(customer.partner.call("POST", "/restores", body), 404, "NOT_FOUND")
    at = f"/objects/{theirs['id']}/snapshots/1/items/{item['itemKey']}"
    refused(customer.partner.call("GET", at), 404, "NOT_FOUND")
    refused(customer.partner.call("GET", f"{at}/content"), 404, "NOT_FOUND")


@pytest.fixture(scope="module")
def foreign(scene: Scene, second_partner: object) -> Customer:
    """A protected customer of the second partner."""
    customer = scene.onboarded(partner=second_partner)
    customer.back_up()
    return customer
