"""Sessions through the API over the real engine: one test a row of BKP (features.md 7)."""

import csv
import io
import zipfile
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.timers import watch_sessions
from shared.protection import engine, process, repository
from shared.protection.model import SessionState
from shared.protection.tasks import SessionTask
from tests.api.plant import Plant, certificates, cloud, credential, plant, size

__all__ = ["certificates", "cloud", "credential", "plant", "size"]


async def test_bkp_13_16_and_18_a_finished_session_is_shown_logged_and_taken_away(
    plant: Plant,
) -> None:
    session = await plant.run(plant.policy_id)
    (one,) = (await plant.get(f"/api/v1/policies/{plant.policy_id}/sessions"))["value"]
    assert (one["state"], one["progressPercent"]) == ("Success", 100)
    assert one["startedAt"]
    assert one["endedAt"]
    assert one["processed"] == session.found == len(await plant.all_runs(session))
    log = (await plant.get(f"/api/v1/sessions/{session.session_id}/log"))["value"]
    said = "\n".join(line["message"] for line in log)
    for word in ("started", "found to protect", "excluded", "transferred", "finished"):
        assert word in said, word
    month = f"{session.started_at:%Y-%m}"
    answer = await plant.api.get(plant.path("/sessions:export"), params={"month": month})
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        (name,) = packed.namelist()
        rows = list(csv.reader(io.StringIO(packed.read(name).decode("utf-8-sig"))))
    assert len(rows) == 2
    assert session.session_id in rows[1]


async def test_bkp_28_last_complete_point_and_its_age_in_seconds(plant: Plant) -> None:
    await plant.run(plant.policy_id)
    plant.cloud.clock.simulator.advance(3600)
    row = await plant.object_of(plant.people[0])
    assert row["lastPoint"]["status"] == "complete"
    assert row["lastCompleteAt"] == row["lastPoint"]["endedAt"]
    assert 3600 <= row["rpoAgeSeconds"] < 3700
    report = await plant.get(plant.path("/coverage"))
    assert report["protectedUsers"] == report["licensedUsers"] == len(plant.people)


async def test_bkp_30_one_object_that_fails_makes_a_warning_and_is_named(plant: Plant) -> None:
    session_id = await begun(plant)
    job = SessionTask(partner_id=plant.scope.partner_id, session_id=session_id)
    first = (await process.list_group(plant.deps, job, 0))[0]
    await engine.fail_object(plant.deps, first, "its disk burnt")
    session = await plant.process(session_id)
    shown = await plant.get(f"/api/v1/sessions/{session_id}")
    assert (shown["state"], shown["processed"]) == ("Warning", session.found - 1)
    log = await plant.get(f"/api/v1/sessions/{session_id}/log", status="Failed")
    (line,) = log["value"]
    assert line["objectId"] == first.object_id
    assert "its disk burnt" in line["message"]


class Hub:
    """The task hub's client as the watchdog sees it: what is known of a process."""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.started: list[str] = []

    async def get_orchestration_state(self, _: str, *, fetch_payloads: bool) -> Any:
        assert not fetch_payloads
        if self.status is None:
            return None
        return SimpleNamespace(runtime_status=SimpleNamespace(name=self.status))

    async def schedule_new_orchestration(self, _: str, **given: Any) -> str:
        self.started.append(given["instance_id"])
        return str(given["instance_id"])


async def begun(plant: Plant) -> str:
    """A session that has planned its objects, and whose process then said nothing more."""
    answer = await plant.api.post(f"/api/v1/policies/{plant.policy_id}/sessions")
    session_id = str(answer.json()["id"])
    job = SessionTask(partner_id=plant.scope.partner_id, session_id=session_id)
    await process.plan_session(plant.deps, job)
    return session_id


async def test_watchdog_resumes_a_session_whose_process_is_lost(plant: Plant) -> None:
    session_id = await begun(plant)
    hub: Any = Hub(None)
    assert session_id not in await watch_sessions.look(hub)  # it may just be busy
    plant.cloud.clock.simulator.advance(30 * 60)
    assert (await watch_sessions.look(hub))[session_id] == "resume"
    assert f"backup:{session_id}" in hub.started
    session = await plant.process(session_id)  # goes on from its rows
    assert session.state is SessionState.SUCCESS


@pytest.mark.parametrize("status", ["FAILED", "TERMINATED", "COMPLETED"])
async def test_watchdog_ends_a_session_whose_process_ended_without_result(
    plant: Plant, status: str
) -> None:
    session_id = await begun(plant)
    plant.cloud.clock.simulator.advance(30 * 60)
    hub: Any = Hub(status)
    assert (await watch_sessions.look(hub))[session_id] == "end"
    shown = await plant.get(f"/api/v1/sessions/{session_id}")
    assert shown["state"] == "Failed"
    assert shown["objects"] == {"Failed": shown["found"]}
    policy = await plant.get(f"/api/v1/policies/{plant.policy_id}")
    assert (policy["lastStatus"], policy["runningSessionId"]) == ("Failed", None)
    assert session_id not in await watch_sessions.look(hub)


async def test_watchdog_waits_for_a_throttled_process_but_not_for_ever(plant: Plant) -> None:
    session_id = await begun(plant)
    hub: Any = Hub("RUNNING")
    plant.cloud.clock.simulator.advance(3600)
    assert (await watch_sessions.look(hub))[session_id] == "wait"
    plant.cloud.clock.simulator.advance(6 * 3600)
    assert (await watch_sessions.look(hub))[session_id] == "end"
    session = await repository.get_session(plant.deps.tables, plant.scope, session_id)
    assert session.ended_at is not None
    assert session.ended_at - session.created_at >= timedelta(hours=7)
