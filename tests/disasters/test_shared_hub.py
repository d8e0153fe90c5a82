"""Disasters around one hub: two hosts work on it and one dies; its disk is full."""

import os
import resource
import signal
import sys
from collections.abc import Iterator

import pytest

from local.children import Child, json_line
from local.rundir import PROJECT
from local.stack import READY_SECONDS, free_port
from tests.disasters.mortal import HUB, WORKER, commands, mortal, stack_of, until
from tests.disasters.test_storm_throttling import differences
from tests.e2e.scene import Customer, Partner, Scene

HELD_SECONDS = 5.0
WORLD = (
    *("--tenants", "2", "--users", "2", "--mails", "8", "--files", "6", "--seed", "23"),
    *("--mail-mean", "6000", "--file-mean", "9000"),
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with mortal(tmp_path_factory.mktemp("shared"), *WORLD) as running:
        yield running


@pytest.fixture(scope="module")
def customer(scene: Scene) -> Customer:
    found = scene.onboarded()
    found.back_up()
    return found


@pytest.fixture
def second(scene: Scene) -> Iterator[tuple[Child, Partner]]:
    """Another host of the same app on the first one's hub."""
    stack = stack_of(scene)
    ready = json_line((stack.logs / "host.log").read_text())
    assert ready is not None
    port = str(free_port())
    host = Child(
        "The second host",
        [
            *(sys.executable, "-m", "local.host", "--app-root", str(PROJECT), "--port", port),
            *("--ready-json", "--grace", "2", "--hub", f"grpc:{ready['taskHub']}"),
        ],
        log=stack.logs / "second.log",
        environment=stack.environment,
        directory=PROJECT,
    )
    try:
        url = host.wait_until(json_line, READY_SECONDS)["url"]
        partner = Partner(url, stack.partner_token())
        yield host, partner
        partner.close()
    finally:
        host.stop()


def hold(scene: Scene, customer: Customer, times: int = 1) -> None:
    """Contents of the customer come late, so that a backup stands in its middle."""
    match = {"tenant": customer.tenant["tenantId"], "method": "GET", "path": r"\$value"}
    answer = {"seconds": HELD_SECONDS}
    scene.cloud.faults({"match": match, "times": times, "action": "delay", "answer": answer})


def test_two_hosts_work_on_one_hub_and_one_dies(
    scene: Scene, customer: Customer, second: tuple[Child, Partner]
) -> None:
    host, there = second
    scene.cloud.calm()
    customer.change(1, newMails=3, newFiles=3, editFiles=1)
    hold(scene, customer, 2)
    session = str(there.post(f"/policies/{customer.policy}/sessions")["id"])
    again = scene.partner.call("POST", f"/policies/{customer.policy}/sessions")
    assert again.status_code == 409, "both doors know the one session"
    assert again.json()["sessionId"] == session
    until(lambda: not scene.cloud.ask("GET", "/faults")["rules"][0]["times"])
    port = there._http.base_url.port
    for pid, words in commands():
        if {"local.host", str(port)} <= set(words):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not host.running)
    scene.cloud.calm()
    ended = customer.ended(session)
    assert ended["state"] == "Success", ended
    assert differences(customer) == []
    for protected in customer.partner.all(f"/customers/{customer.id}/objects"):
        numbers = [p["n"] for p in customer.partner.all(f"/objects/{protected['id']}/snapshots")]
        assert numbers == list(range(len(numbers), 0, -1))


def test_a_full_disk_of_the_hub_is_said_and_work_goes_on_with_room(
    scene: Scene, customer: Customer
) -> None:
    scene.cloud.calm()
    stack = stack_of(scene)
    customer.change(2, newMails=2, newFiles=2)
    hold(scene, customer)
    session = customer.start()
    until(lambda: not scene.cloud.ask("GET", "/faults")["rules"][0]["times"])
    [hub] = stack.processes(HUB)
    _, most = resource.prlimit(hub, resource.RLIMIT_FSIZE)
    resource.prlimit(hub, resource.RLIMIT_FSIZE, (1, most))
    comer = scene.new_customer(scene.tenant())
    body = {"legalConfirmation": {"confirmed": True}, "tenantId": comer.tenant["tenantId"],
            "region": "westeurope", "retentionYears": 1, "services": ["exchange"]}  # fmt: skip
    refused = comer.partner.call("POST", f"/customers/{comer.id}/onboarding", body)
    assert refused.status_code >= 500, refused.text
    assert refused.json()["code"], "a problem document, not a bare failure"
    until(lambda: "could not write" in (stack.logs / "host.log").read_text())
    assert stack.processes(HUB) == [hub], "it says so and lives"
    resource.prlimit(hub, resource.RLIMIT_FSIZE, (most, most))
    scene.cloud.calm()
    ended = customer.ended(session)
    assert ended["state"] == "Success", ended
    assert differences(customer) == []
    # The refused request is sent again, and there is one run of it.
    operation = scene.start_onboarding(comer, services=["exchange"])
    scene.accept(comer)
    assert scene.end_of(comer, operation)["status"] == "Succeeded"
    assert len(list(comer.partner.all(f"/customers/{comer.id}/policies"))) == 1
    assert stack.processes(WORKER)
