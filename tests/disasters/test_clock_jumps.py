"""Disaster: the clock of all machines jumps: a day ahead, an hour back, in a zone with summer time.

The wall clock of every process is moved at once while they run. Work goes on, what became due
meanwhile runs once, what has expired is refused, and no numbering gets out of order.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import httpx
import pytest

from local import certs
from tests.disasters.mortal import mortal, sign_in_again, stack_of, until
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


def test_the_audit_trail_is_unbroken_after_all_that(scene: Scene, customer: Customer) -> None:
    report = customer.partner.get("/audit-events/verify")
    assert report["ok"] is True, report
