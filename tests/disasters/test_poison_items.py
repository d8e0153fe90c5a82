"""Disaster: one item cannot be read. It is named, the rest is kept, the next run tries again."""

import re

import pytest

from tests.e2e.scene import Customer, Json, hex_of

pytestmark = pytest.mark.usefixtures("calm")

MIME = (
    b"From: a@partner.example\r\nSubject: %s\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\n\r\nx\r\n"
)


def failing(identity: str, action: str = "accessDenied") -> Json:
    """Every request that names the item fails, for ever."""
    # `=` may be written as %3D in an address.
    path = re.escape(identity.rstrip("="))
    return {"match": {"path": path}, "times": -1, "action": action}


def run_of(session: Json, customer: Customer, workload: str, user: Json) -> Json:
    wanted = customer.object(workload, user)["id"]
    return next(run for run in session["runs"] if run["objectId"] == wanted)


def test_a_mail_that_fails_for_good_is_named_and_tried_again(customer: Customer) -> None:
    cloud, user = customer.scene.cloud, customer.people[0]
    tenant = customer.tenant["tenantId"]
    bad = cloud.deliver(tenant, user["id"], MIME % b"Poisoned")
    cloud.faults(failing(bad))
    session = customer.back_up("Warning")
    run = run_of(session, customer, "mailbox", user)
    assert run["state"] == "Partial"
    assert run["error"]
    assert sum(session["counts"]["failed"].values()) == 1
    [named] = run["failedItems"]
    assert "Poisoned" in str(named)
    others = [one for one in session["runs"] if one["objectId"] != run["objectId"]]
    assert {one["state"] for one in others} == {"Succeeded"}
    mailbox = customer.object("mailbox", user)
    assert mailbox["lastPoint"]["status"] == "partial"
    assert mailbox["lastCompleteAt"] is None
    truth = {mail["id"]: mail["sha256"] for mail in customer.truth(user)["mails"]}
    poison = truth.pop(bad)
    held = {hex_of(i["contentHash"]) for i in customer.items(mailbox, kind="mail") if not i["mark"]}
    assert held == set(truth.values())
    operation = customer.partner.get(f"/operations/{session['id']}")
    assert operation["result"]["state"] == "Warning"

    again = customer.back_up("Warning")
    assert again["counts"]["protected"] == 0
    assert sum(again["counts"]["failed"].values()) == 1

    cloud.calm()
    healed = customer.back_up()
    assert healed["counts"]["protected"] == 1
    mailbox = customer.object("mailbox", user)
    assert mailbox["lastPoint"]["status"] == "complete"
    held = {hex_of(item["contentHash"]) for item in customer.items(mailbox, kind="mail")}
    assert held == {*truth.values(), poison}


def test_an_item_without_content_is_refused_not_invented(customer: Customer) -> None:
    cloud, user = customer.scene.cloud, customer.people[1]
    bad = cloud.deliver(customer.tenant["tenantId"], user["id"], MIME % b"Unreadable")
    cloud.faults(failing(bad))
    customer.back_up("Warning")
    mailbox = customer.object("mailbox", user)
    [item] = [one for one in customer.items(mailbox) if one["name"] == "Unreadable"]
    assert item["mark"]
    n = mailbox["lastPoint"]["n"]
    path = f"/objects/{mailbox['id']}/snapshots/{n}/items/{item['itemKey']}/content"
    answer = customer.partner.call("GET", path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "CONTENT_NOT_HELD"
    restored = customer.restore(
        {"objectId": mailbox["id"], "snapshot": n, "items": [item["itemKey"]]}, "Failed"
    )
    assert [one["error"] for one in restored["lines"]] == ["CONTENT_NOT_HELD"]


def test_an_infected_file_is_left_out_and_said(customer: Customer) -> None:
    cloud, user = customer.scene.cloud, customer.people[0]
    tenant = customer.tenant["tenantId"]
    cloud.write_file(tenant, user["id"], "virus.exe", b"not really")
    cloud.ask(
        "PATCH",
        f"/tenants/{tenant}/users/{user['id']}/files",
        {"malware": True},
        path="virus.exe",
    )
    cloud.calm()
    session = customer.back_up()
    assert session["counts"]["skipped"] == {"malware": 1}
    [item] = [i for i in customer.items(customer.object("drive", user)) if i["name"] == "virus.exe"]
    assert item["mark"] == "skip:malware"
    assert customer.back_up()["counts"]["skipped"].get("malware", 0) <= 1
