"""Disaster: Microsoft 365 throttles everything. The run slows down and loses nothing."""

import pytest

from tests.e2e.scene import Customer, Json, hex_of

pytestmark = pytest.mark.usefixtures("calm")


def differences(customer: Customer) -> list[str]:
    """Users whose newest snapshots hold other contents than the source."""
    wrong = []
    for user in customer.people:
        truth = customer.truth(user)
        for workload, kind in (("mailbox", "mails"), ("drive", "files")):
            items = customer.items(customer.object(workload, user))
            held = sorted(hex_of(i["contentHash"]) for i in items if i["kind"] == kind[:-1])
            if held != sorted(one["sha256"] for one in truth[kind]):
                wrong.append(f"{user['upn']} {workload}")
    return wrong


def storm(seconds: int) -> list[Json]:
    """Some of the calls of every kind are told to come back later; some servers just fail."""
    later = {"retryAfter": seconds}
    return [
        {"match": {"path": r"/messages", "nth": 9}, "times": 3, "action": "throttle",
         "answer": later},
        {"match": {"path": r"/mailFolders", "nth": 7}, "times": 2,
         "action": "unavailableRetryAfter", "answer": later},
        {"match": {"path": r"/drives", "nth": 2}, "times": 2, "action": "throttle",
         "answer": later},
        {"match": {"path": r"/_content", "nth": 5}, "times": 2, "action": "throttle",
         "answer": later},
    ]  # fmt: skip


def test_a_storm_in_the_first_backup_loses_nothing(customer: Customer) -> None:
    cloud = customer.scene.cloud
    cloud.faults(*storm(1))
    session = customer.back_up()
    counted = cloud.ask("GET", "/stats")
    assert counted["throttled"] >= 4
    assert counted["insideFence"] == 0
    assert session["graph"]["throttled"] >= 4
    assert session["graph"]["waitedSeconds"] > 0
    assert session["counts"]["failed"] == {}
    assert differences(customer) == []


def test_a_storm_in_an_increment_loses_nothing(customer: Customer) -> None:
    cloud = customer.scene.cloud
    customer.change(3, newMails=3, moveMails=2, deleteMails=2, newFiles=3, editFiles=2)
    cloud.faults(*storm(1))
    session = customer.back_up()
    counted = cloud.ask("GET", "/stats")
    assert counted["throttled"] > 0
    assert counted["insideFence"] == 0
    assert session["counts"]["failed"] == {}
    assert differences(customer) == []


def test_a_quota_far_below_the_documented_one_is_obeyed(customer: Customer) -> None:
    cloud = customer.scene.cloud
    customer.change(4, newMails=8, newFiles=2)
    cloud.ask("POST", "/limits", {"outlook": {"requests": 12, "window": 2, "concurrency": 2}})
    session = customer.back_up()
    counted = cloud.ask("GET", "/stats")
    assert counted["throttled"] > 0
    assert counted["insideFence"] == 0
    assert counted["mostInFlightPerMailbox"] <= 4
    assert session["graph"]["throttled"] == counted["throttled"]
    assert differences(customer) == []


def test_a_storm_in_a_restore_loses_nothing_and_doubles_nothing(customer: Customer) -> None:
    cloud, user = customer.scene.cloud, customer.people[0]
    drive = customer.object("drive", user)
    held = [item for item in customer.items(drive) if item["kind"] == "file"]
    cloud.faults(
        {"match": {"method": "PUT", "nth": 3}, "times": 2, "action": "throttle",
         "answer": {"retryAfter": 1}},
        {"match": {"method": "GET", "path": "/drives", "nth": 4}, "times": 1, "action": "throttle",
         "answer": {"retryAfter": 1}},
    )  # fmt: skip
    customer.restore(
        {
            "objectId": drive["id"],
            "snapshot": drive["lastPoint"]["n"],
            "target": {"folder": "After the storm"},
        }
    )
    counted = cloud.ask("GET", "/stats")
    assert counted["throttled"] > 0
    assert counted["insideFence"] == 0
    back = [
        file["sha256"]
        for file in customer.truth(user)["files"]
        if file["path"].lstrip("/").startswith("After the storm/")
    ]
    assert sorted(back) == sorted(hex_of(item["contentHash"]) for item in held)
