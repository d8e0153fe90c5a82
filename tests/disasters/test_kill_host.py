"""Disaster: the host is killed while it works. The vault stays whole and work goes on."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.stack import Stack
from tests.conftest import QUICK
from tests.e2e.clock import make_due, tick
from tests.e2e.scene import SESSION_OVER, Customer, Json, Partner, Scene, TwoPartners, hex_of
from tests.local.processes import wait_until_nothing_is_left

WORLD = (
    *("--tenants", "1", "--users", "3", "--mails", "12", "--files", "10", "--seed", "5"),
    *("--mail-mean", "6000", "--file-mean", "9000"),
)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A system of its own: these tests kill its host."""
    directory = tmp_path_factory.mktemp("mortal")
    stack = Stack(directory, world=WORLD, settings=QUICK)
    stack.registrations = TwoPartners()
    with stack:
        running = Scene.on(stack)
        yield running
        running.close()
    wait_until_nothing_is_left(directory)


@pytest.fixture(scope="module")
def customer(mortal: Scene) -> Customer:
    found = mortal.onboarded()
    mortal.let_restore(found)
    return found


def kill_host(scene: Scene) -> None:
    """kill -9 for the host and its leash: no last words, no clean end."""
    port = scene.stack.urls.api.rpartition(":")[2]
    hosts = [process for process, command in _commands() if {"local.host", port} <= set(command)]
    assert hosts
    for process in hosts:
        os.kill(process, signal.SIGKILL)
    scene.partner.close()


def _commands() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(entry.name), command.split("\0")


def start_host(scene: Scene, customer: Customer) -> None:
    """A new host over the same storage and the same world; nothing else was restarted."""
    scene.stack.urls = replace(scene.stack.urls, api=scene.stack._start_host())
    scene.partner = Partner(scene.stack.urls.api, scene.stack.partner_token())
    customer.partner = scene.partner


def slowly(scene: Scene, seconds: float) -> None:
    scene.cloud.ask("POST", "/limits", {"throttle": {"latency": seconds}})
    scene.cloud.ask("DELETE", "/stats")


def wait_for_content(scene: Scene, path: str) -> None:
    """Until the backup is in the middle of reading."""
    scene.partner.follow(path, lambda _: scene.cloud.ask("GET", "/stats")["bytesOut"] > 20_000)


def assert_equal_to_source(customer: Customer) -> None:
    for user in customer.people:
        truth = customer.truth(user)
        for workload, kind in (("mailbox", "mails"), ("drive", "files")):
            items = customer.items(customer.object(workload, user))
            held = sorted(hex_of(i["contentHash"]) for i in items if i["kind"] == kind[:-1])
            assert held == sorted(one["sha256"] for one in truth[kind])


def test_a_killed_backup_blocks_nothing_and_the_vault_is_whole(
    mortal: Scene, customer: Customer
) -> None:
    scene = mortal
    slowly(scene, 0.1)
    broken = customer.start()
    wait_for_content(scene, f"/sessions/{broken}")
    assert scene.partner.get(f"/sessions/{broken}")["state"] not in SESSION_OVER
    kill_host(scene)
    start_host(scene, customer)
    scene.cloud.calm()
    # What had been sealed before is a whole restore point; nothing half is offered.
    for user in customer.people:
        for workload in ("mailbox", "drive"):
            found = customer.object(workload, user)
            for point in scene.partner.all(f"/objects/{found['id']}/snapshots"):
                assert len(customer.items(found, point["n"])) == point["items"]
    finish(customer, broken)
    assert_equal_to_source(customer)
    customer.change(1, newMails=2, newFiles=1, editFiles=1)
    assert customer.back_up()["counts"]["failed"] == {}
    assert_equal_to_source(customer)


def finish(customer: Customer, broken: str) -> Json:
    """Run the policy again, as a partner would: the broken session must not be in the way.

    The task hub of one machine forgets its instances with its process. Asking again finds the
    broken session, which comes to its end when its next run is due at the latest.
    """
    answer = customer.partner.call("POST", f"/policies/{customer.policy}/sessions")
    if answer.status_code == 409:
        assert answer.json()["sessionId"] == broken
        make_due(customer.scene, customer)
        tick(customer.scene)
        ended = customer.ended(broken)
        assert ended["state"] in {"Success", "Failed", "Warning"}, ended
        answer = customer.partner.call("POST", f"/policies/{customer.policy}/sessions")
    assert answer.status_code == 202, answer.text
    ended = customer.ended(answer.json()["id"])
    assert ended["state"] == "Success", ended
    return ended


def test_a_killed_restore_can_be_started_again_and_doubles_nothing(
    mortal: Scene, customer: Customer
) -> None:
    scene = mortal
    customer.back_up()
    user = customer.people[0]
    drive = customer.object("drive", user)
    body = {
        "objectId": drive["id"],
        "snapshot": drive["lastPoint"]["n"],
        "target": {"folder": "Back"},
    }
    slowly(scene, 0.1)
    broken = scene.partner.post("/restores", body)["id"]
    scene.partner.follow(f"/restores/{broken}", lambda _: "Back/" in str(back(customer, user)))
    kill_host(scene)
    start_host(scene, customer)
    scene.cloud.calm()
    held = sorted(hex_of(i["contentHash"]) for i in customer.items(drive) if i["kind"] == "file")
    customer.restore(body)
    found = back(customer, user)
    assert sorted(found.values()) == held, "once each: what the killed restore made is not doubled"


def back(customer: Customer, user: Json) -> dict[str, str]:
    """Files that a restore brought back."""
    files = {file["path"].lstrip("/"): file["sha256"] for file in customer.truth(user)["files"]}
    return {path: digest for path, digest in files.items() if path.startswith("Back/")}
