"""Disaster: the customer takes the consent back. Disconnected, and nothing is read."""

import pytest

from tests.e2e.scene import Customer, Scene

pytestmark = pytest.mark.usefixtures("calm")


@pytest.fixture
def protected(scene: Scene, customer: Customer):
    """Protected once; the consent is there again afterwards."""
    customer.back_up()
    yield customer
    grant(scene, customer, scene.registrations.reader)


def grant(scene: Scene, customer: Customer, client_id: str) -> None:
    path = f"/tenants/{customer.tenant['tenantId']}/consent"
    scene.cloud.ask("POST", path, {"clientId": client_id})


def revoke(scene: Scene, customer: Customer, client_id: str) -> None:
    path = f"/tenants/{customer.tenant['tenantId']}/consent"
    scene.cloud.ask("DELETE", path, clientId=client_id)


def test_con_revoked_before_a_backup_reads_nothing(scene: Scene, protected: Customer) -> None:
    customer, cloud = protected, scene.cloud
    customer.change(1, newMails=2, newFiles=2)
    before = [customer.object("mailbox", user)["lastPoint"] for user in customer.people]
    revoke(scene, customer, scene.registrations.reader)
    cloud.ask("DELETE", "/stats")
    session = customer.back_up("Disconnected")
    counted = cloud.ask("GET", "/stats")
    assert session["error"]
    assert session["bytes"]["read"] == 0
    assert not [name for name in counted["requests"] if "content" in name.lower()]
    assert not [status for status in counted["statuses"] if status.startswith("2")], counted
    assert set(counted["requests"]) <= {"token", "organization"}, counted
    operation = customer.partner.get(f"/operations/{session['id']}")
    assert (operation["status"], operation["error"]["code"]) == ("Failed", "DISCONNECTED")
    [*grants] = customer.partner.get(f"/customers/{customer.id}/consent")["grants"]
    reader = next(g for g in grants if g["clientId"] == scene.registrations.reader)
    assert reader["state"] == "revoked"
    after = [customer.object("mailbox", user)["lastPoint"] for user in customer.people]
    assert after == before
    assert customer.partner.get(f"/policies/{customer.policy}")["lastStatus"] == "Disconnected"

    grant(scene, customer, scene.registrations.reader)
    assert customer.back_up()["counts"]["protected"] >= 4


def test_con_revoked_during_a_backup_ends_it_and_keeps_what_is_there(
    scene: Scene, protected: Customer
) -> None:
    customer, cloud = protected, scene.cloud
    customer.change(2, newMails=20, newFiles=10)
    cloud.ask("POST", "/limits", {"throttle": {"latency": 0.1}})
    cloud.ask("DELETE", "/stats")
    session = customer.start()
    customer.partner.follow(
        f"/sessions/{session}", lambda _: cloud.ask("GET", "/stats")["bytesOut"] > 0
    )
    revoke(scene, customer, scene.registrations.reader)
    ended = customer.ended(session)
    assert ended["state"] == "Disconnected", ended
    cloud.calm()
    grant(scene, customer, scene.registrations.reader)
    customer.back_up()
    for user in customer.people:
        items = customer.items(customer.object("mailbox", user), kind="mail")
        assert len(items) == len(customer.truth(user)["mails"])


def test_con_a_restore_without_consent_writes_nothing(scene: Scene, protected: Customer) -> None:
    customer, cloud = protected, scene.cloud
    revoke(scene, customer, scene.registrations.restorer)
    mailbox = customer.object("mailbox", customer.people[0])
    cloud.ask("DELETE", "/stats")
    body = {"objectId": mailbox["id"], "snapshot": mailbox["lastPoint"]["n"]}
    restored = customer.restore(body, "Failed")
    assert restored["error"]
    counted = cloud.ask("GET", "/stats")
    assert counted["bytesIn"] == 0
    assert not [status for status in counted["statuses"] if status.startswith("2")], counted
    grant(scene, customer, scene.registrations.restorer)
    customer.restore(body)
