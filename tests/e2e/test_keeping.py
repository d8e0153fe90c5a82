"""Vaults are kept and checked on the running system: processes, clock, signed reports."""

import httpx
import pytest

from tests.e2e.scene import OPERATION_OVER, Customer, Scene


@pytest.fixture(scope="module")
def customer(scene: Scene) -> Customer:
    found = scene.onboarded(services=["exchange"])
    found.back_up()
    return found


def test_a_restore_point_is_verified_by_a_process(scene: Scene, customer: Customer) -> None:
    protected = customer.object("mailbox", customer.people[0])
    address = f"/objects/{protected['id']}/snapshots/{protected['lastPoint']['n']}:verify"
    started = customer.partner.post(address)
    ended = customer.partner.follow(
        f"/operations/{started['id']}", lambda found: found["status"] in OPERATION_OVER
    )
    assert ended["status"] == "Succeeded", ended
    found = customer.partner.get(f"/verifications/{started['id']}")
    assert (found["state"], found["root"]) == ("Verified", protected["lastPoint"]["root"])
    assert found["report"]["signature"]


def test_the_clock_of_the_keepers_goes_through_every_vault(
    scene: Scene, customer: Customer
) -> None:
    fire = f"{scene.stack.urls.api}/admin/functions/keep_every_vault"
    assert httpx.post(fire, json={"input": ""}).status_code == 202
    path = f"/customers/{customer.id}/rounds"
    page = customer.partner.follow(
        path, lambda found: found["value"] and found["value"][0]["endedAt"]
    )
    (night,) = page["value"]
    assert night["done"] == night["objects"] == len(customer.people)
    assert night["alarms"] == night["findings"] == []
    assert night["head"]["signature"]
    assert httpx.post(fire, json={"input": ""}).status_code == 202  # a second tick: the same round
    assert len(customer.partner.get(path)["value"]) == 1
