"""Disaster: the clock of all machines jumps: a day ahead, an hour back, in a zone with summer time.

The wall clock of every process is moved at once while they run. Work goes on, what became due
meanwhile runs once, what has expired is refused, and no numbering gets out of order.
"""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from local import certs
from shared.access.model import Scope
from tests.disasters.mortal import (
    HOST,
    HUB,
    fire,
    mortal,
    on_storage,
    sign_in_again,
    stack_of,
    until,
)
from tests.disasters.test_storm_throttling import differences
from tests.e2e.scene import Customer, Json, Scene, hex_of, refused, state_of

ZONE = "Europe/Berlin"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
HELD_SECONDS = 3.0
WORLD = (
    *("--tenants", "3", "--users", "2", "--mails", "8", "--files", "6", "--seed", "19"),
    *("--mail-mean", "6000", "--file-mean", "9000"),
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A system whose machines stand in a zone with summer time."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(certs, "LIFETIME", timedelta(days=500))
        changed.setenv("TZ", ZONE)
        with mortal(tmp_path_factory.mktemp("jumps"), *WORLD, workers=1) as running:
            yield running


@pytest.fixture(scope="module")
def customer(scene: Scene) -> Customer:
    found = scene.onboarded()
    scene.let_restore(found)
    found.back_up()
    return found


def jump(scene: Scene, customer: Customer, by: timedelta) -> None:
    """All clocks at once; timers of the host see it within a minute, and at once when waked."""
    stack_of(scene).clock.jump(by)
    address = f"{scene.stack.urls.api}/admin/host/clock"
    waked = httpx.post(address, json={"advanceSeconds": 0}, trust_env=False)
    assert waked.status_code == 200
    customer.partner = sign_in_again(scene)


def held_backup(scene: Scene, customer: Customer) -> str:
    """A session that stands in the middle of its work for some seconds."""
    match = {"tenant": customer.tenant["tenantId"], "method": "GET", "path": r"\$value"}
    answer = {"seconds": HELD_SECONDS}
    scene.cloud.faults({"match": match, "times": 1, "action": "delay", "answer": answer})
    session = customer.start()
    until(lambda: not scene.cloud.ask("GET", "/faults")["rules"][0]["times"])
    return session


def unfinished(session: Json) -> list[Json]:
    """Objects of which not everything was read."""
    return [run for run in session["runs"] if run["state"] != "Succeeded"]


def sessions(customer: Customer) -> list[Json]:
    return list(customer.partner.all(f"/policies/{customer.policy}/sessions"))


def quiet(customer: Customer) -> None:
    """Nothing of the customer runs."""
    path = f"/policies/{customer.policy}"
    customer.partner.follow(path, lambda policy: policy["runningSessionId"] is None)


def ran(scene: Scene, timer: str) -> int:
    """How often a timer has fired."""
    address = f"{scene.stack.urls.api}/admin/host/counters"
    counts = httpx.get(address, trust_env=False).json()["functions"].get(timer, {})
    assert not counts.get("failed"), counts
    return int(counts.get("succeeded", 0))


def scheduled_run(scene: Scene, customer: Customer) -> Json:
    """Go to the minute after the policy's next run and see the clock start exactly one session."""
    before = {one["id"] for one in sessions(customer)}
    due = next_run(customer)
    to = due + 6 * MINUTE - stack_of(scene).clock.now()
    jump(scene, customer, to)
    new = until(lambda: [one for one in sessions(customer) if one["id"] not in before])
    [only] = new
    assert only["trigger"] == "Schedule"
    ended = customer.ended(only["id"])
    assert ended["state"] == "Success", ended
    until(lambda: next_run(customer) > due)
    assert [one for one in sessions(customer) if one["id"] not in before | {only["id"]}] == []
    return ended


def next_run(customer: Customer) -> datetime:
    policy = customer.partner.get(f"/policies/{customer.policy}")
    return datetime.fromisoformat(policy["nextRunAt"])


def is_whole(customer: Customer) -> None:
    """Every object's points are numbered without a gap, and the newest equals the source."""
    for protected in customer.partner.all(f"/customers/{customer.id}/objects"):
        points = list(customer.partner.all(f"/objects/{protected['id']}/snapshots"))
        numbers = [point["n"] for point in points]
        assert numbers == list(range(len(numbers), 0, -1))
        assert protected["lastPoint"]["n"] == numbers[0]
    assert differences(customer) == []


def test_a_day_forward_in_a_backup_ends_it_and_runs_once_what_was_missed(
    scene: Scene, customer: Customer
) -> None:
    customer.change(1, newMails=2, newFiles=2)
    partner, fired = customer.partner, ran(scene, "start_due_backups")
    session = held_backup(scene, customer)
    before = {one["id"] for one in sessions(customer)}
    stale = httpx.Client(headers=partner._http.headers, base_url=partner._http.base_url)
    jump(scene, customer, DAY)
    # Tokens of yesterday are worth nothing, whoever presents them.
    refused(stale.get("/customers"), 401, "TOKEN_INVALID")
    stale.close()
    # A run of more than a day is given up, and says so; a clock that lies is no reason to guess.
    ended = customer.ended(session)
    assert ended["state"] == "Success" or ended["error"] or unfinished(ended), ended
    assert all(run["error"] for run in unfinished(ended)), ended["runs"]
    # A clock of every five minutes has missed 288 rounds: it fires, and not 288 times.
    until(lambda: ran(scene, "start_due_backups") > fired)
    until(lambda: next_run(customer) > stack_of(scene).clock.now())
    assert ran(scene, "start_due_backups") <= fired + 2
    missed = [one for one in sessions(customer) if one["id"] not in before]
    assert len(missed) <= 1  # the run in progress may have counted for the day
    for one in missed:
        assert customer.ended(one["id"])["state"] == "Success"
    customer.back_up()
    is_whole(customer)
    assert customer.back_up()["counts"]["protected"] == 0


def test_a_day_forward_ends_a_link_and_not_the_onboarding(scene: Scene, customer: Customer) -> None:
    comer = scene.new_customer(scene.tenant())
    operation = scene.start_onboarding(comer)
    link = scene.sign_in(comer)["link"]
    quiet(customer)
    jump(scene, customer, DAY)
    comer.partner = customer.partner
    # No repair: the person asks for a new link, and the same run goes on.
    path = f"/customers/{comer.id}/onboarding"
    comer.partner.follow(path, lambda run: run["signIn"]["state"] == "expired")
    comer.partner.post(f"{path}:renewSignIn")
    comer.partner.follow(path, lambda run: run["signIn"]["link"] not in (None, link))
    old = {"state": state_of(link), "admin_consent": "True"}
    callback = f"{scene.stack.urls.api}/api/v1/consent/callback"
    assert httpx.get(callback, params=old, trust_env=False).status_code == 400
    scene.accept(comer)
    assert scene.end_of(comer, operation)["status"] == "Succeeded"


def test_an_hour_back_in_a_backup_and_after_it_nothing_runs_twice(
    scene: Scene, customer: Customer
) -> None:
    scheduled_run(scene, customer)
    planned, fired = next_run(customer), ran(scene, "start_due_backups")
    customer.change(2, newMails=2, editFiles=1)
    session = held_backup(scene, customer)
    before = {one["id"] for one in sessions(customer)}
    jump(scene, customer, -HOUR)
    assert customer.ended(session)["state"] == "Success"
    is_whole(customer)
    fire = f"{scene.stack.urls.api}/admin/functions/start_due_backups"
    assert httpx.post(fire, json={"input": ""}, trust_env=False).status_code == 202
    until(lambda: ran(scene, "start_due_backups") > fired)
    assert {one["id"] for one in sessions(customer)} == before, "the hour ran twice"
    assert next_run(customer) == planned
    # Work goes on in the hour that comes a second time, and what it makes is the newest.
    customer.change(3, newFiles=1)
    assert customer.back_up()["counts"]["protected"] >= 1
    is_whole(customer)
    assert customer.back_up()["counts"]["protected"] == 0


def test_an_hour_back_in_a_restore_doubles_nothing(scene: Scene, customer: Customer) -> None:
    user = customer.people[0]
    drive = customer.object("drive", user)
    match = {"tenant": customer.tenant["tenantId"], "method": "PUT", "nth": 2}
    scene.cloud.faults(
        {"match": match, "times": 1, "action": "delay", "answer": {"seconds": HELD_SECONDS}}
    )
    wanted = {"objectId": drive["id"], "snapshot": drive["lastPoint"]["n"]}
    body = wanted | {"target": {"folder": "An hour back"}}
    restore = customer.partner.post("/restores", body)["id"]
    until(lambda: not scene.cloud.ask("GET", "/faults")["rules"][-1]["times"])
    jump(scene, customer, -HOUR)
    path = f"/restores/{restore}"
    ended = customer.partner.follow(path, lambda answer: answer["state"].startswith("Completed"))
    assert ended["state"] == "Completed"
    files = customer.truth(user)["files"]
    back = [f["sha256"] for f in files if f["path"].lstrip("/").startswith("An hour back/")]
    held = [item for item in customer.items(drive) if item["kind"] == "file"]
    assert sorted(back) == sorted(hex_of(item["contentHash"]) for item in held)


def test_what_was_asked_for_when_the_host_died_is_started_by_the_clock(
    scene: Scene, customer: Customer
) -> None:
    """Between its row and its process: the hub does not answer, and then everything is dead."""
    stack, user = stack_of(scene), customer.people[1]
    drive, folder = customer.object("drive", user), "Asked for in vain"
    wanted = {"objectId": drive["id"], "snapshot": drive["lastPoint"]["n"]}
    asked = {"restores": wanted | {"target": {"folder": folder}}, "exports": wanted}
    [hub] = stack.processes(HUB)
    os.kill(hub, signal.SIGSTOP)
    with ThreadPoolExecutor(len(asked)) as people:
        for noun, body in asked.items():
            people.submit(customer.partner.call, "POST", f"/{noun}", body)
        until(lambda: all(queued(customer, noun) for noun in asked))
        stack.kill(HOST)
    stack.start_host_again()
    customer.partner = sign_in_again(scene)
    jobs = [f"/{noun}/{queued(customer, noun)[0]['id']}" for noun in asked]
    jump(scene, customer, 6 * MINUTE)
    fire(scene, "watch_jobs")
    for job in jobs:
        ended = customer.partner.follow(job, lambda found: found["state"].startswith("Completed"))
        assert ended["state"] == "Completed"
    files = customer.truth(user)["files"]
    back = [f["sha256"] for f in files if f["path"].lstrip("/").startswith(f"{folder}/")]
    held = [item for item in customer.items(drive) if item["kind"] == "file"]
    assert sorted(back) == sorted(hex_of(item["contentHash"]) for item in held)
    assert not any(queued(customer, noun) for noun in asked)


def queued(customer: Customer, noun: str) -> list[Json]:
    """Jobs that nobody has begun."""
    found = customer.partner.all(f"/customers/{customer.id}/{noun}")
    return [one for one in found if one["state"] == "Queued"]


HOURLY, NIGHTLY = "reap_answers", ("close_usage_months", "note_licences_in_use", "keep_every_vault")
"""At minute 40; at 01:00, 02:45 and 04:00. By a clock in Berlin 02:45 is missing or comes twice."""
SUMMER_TIME = {
    "begins": datetime(2027, 3, 28, 1, tzinfo=UTC),
    "ends": datetime(2027, 10, 31, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("change", ["begins", "ends"])
def test_the_night_in_which_summer_time_changes_runs_everything_once(
    scene: Scene, customer: Customer, change: str
) -> None:
    evening = SUMMER_TIME[change] - 3 * HOUR + 30 * MINUTE
    fired = ran(scene, HOURLY)
    jump(scene, customer, evening - stack_of(scene).clock.now())
    # What the months before have missed runs once, and is over before the night begins.
    until(lambda: ran(scene, HOURLY) > fired)
    until(lambda: next_run(customer) > stack_of(scene).clock.now())
    quiet(customer)
    due, before = next_run(customer), {one["id"] for one in sessions(customer)}
    counts = {name: ran(scene, name) for name in (HOURLY, *NIGHTLY)}
    assert due - evening < DAY
    for hour in range(1, 7):
        jump(scene, customer, HOUR)
        until(lambda hour=hour: ran(scene, HOURLY) >= counts[HOURLY] + hour)  # type: ignore[misc]
        assert ran(scene, HOURLY) == counts[HOURLY] + hour
    for name in NIGHTLY:
        until(lambda name=name: ran(scene, name) > counts[name])  # type: ignore[misc]
        assert ran(scene, name) == counts[name] + 1
    if next_run(customer) == due:
        jump(scene, customer, due + 6 * MINUTE - stack_of(scene).clock.now())
    until(lambda: next_run(customer) > due)
    assert next_run(customer) == due + DAY  # and not an hour off
    [only] = [one for one in sessions(customer) if one["id"] not in before]
    ended = customer.ended(only["id"])
    assert (ended["state"], ended["trigger"]) == ("Success", "Schedule")
    protected = [one["id"] for one in customer.partner.all(f"/customers/{customer.id}/objects")]
    assert sorted(run["objectId"] for run in ended["runs"]) == sorted(protected)
    is_whole(customer)


def test_the_last_evening_of_a_month_counts_for_it_whatever_the_zone_says(
    scene: Scene, customer: Customer
) -> None:
    """After the last change: five to midnight on 31 October is November where the machines are."""
    last = datetime(2027, 10, 31, 23, 55, tzinfo=UTC)
    fired = ran(scene, "usage_daily")
    jump(scene, customer, last - stack_of(scene).clock.now())
    until(lambda: ran(scene, "usage_daily") > fired)
    scope = Scope(customer.partner.get("/partners/me")["partnerId"])

    async def days(deps: Any) -> tuple[set[date], set[date]]:
        usage = await deps.usage()
        october = await usage.days(scope, date(2027, 10, 1), customer.id)
        november = await usage.days(scope, date(2027, 11, 1), customer.id)
        return {day.day for day in october}, {day.day for day in november}

    until(lambda: last.date() in on_storage(scene, days)[0])
    assert on_storage(scene, days)[1] == set()


def test_the_audit_trail_is_unbroken_after_all_that(scene: Scene, customer: Customer) -> None:
    report = customer.partner.get("/audit-events/verify")
    assert report["ok"] is True, report
