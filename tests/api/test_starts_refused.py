"""Disaster: the task hub refuses a start, or its asker dies before it. Nothing waits for ever."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest

from functions.timers import watch_jobs
from shared.access.model import Scope
from tests.api.conftest import RecordedClient, check_problem
from tests.api.test_restores import Shelf, in_context, run, wanted
from tests.api.vaulted import back_up
from tests.api.world import World


@pytest.mark.parametrize("noun", ["restores", "exports"])
async def test_what_could_not_be_started_ends_as_failed_and_a_new_one_runs(
    two: World,
    anonymous: httpx.AsyncClient,
    durable: RecordedClient,
    noun: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await back_up(two, two.mine, two.a.scope)
    headers = await in_context(two, anonymous)
    path = f"/api/v1/customers/{two.mine['customer_id']}/{noun}"
    before = await anonymous.get(path, headers=headers)
    known = {one["id"] for one in before.json()["value"]}

    async def refuse(*_: Any, **__: Any) -> str:
        raise grpc.RpcError("the task hub could not write")

    with monkeypatch.context() as down:
        down.setattr(durable, "schedule_new_orchestration", refuse)
        answer = await anonymous.post(f"/api/v1/{noun}", json=wanted(two), headers=headers)
    assert answer.status_code >= 500
    found = (await anonymous.get(path, headers=headers)).json()["value"]
    [listed] = [one for one in found if one["id"] not in known]
    assert listed["state"] == "Failed"
    assert "could not be started" in listed["error"]
    operation = await anonymous.get(f"/api/v1/operations/{listed['id']}", headers=headers)
    assert operation.json()["status"] == "Failed"
    if noun == "restores":  # the hub had taken it after all: its process finds the end
        shelf = Shelf()
        await run(two, listed["id"], shelf)
        assert shelf.held == {}
    again = await anonymous.post(f"/api/v1/{noun}", json=wanted(two), headers=headers)
    assert again.status_code == 202, again.text
    assert f"{noun[:-1]}:{again.json()['id']}" in durable.started


async def test_a_drill_that_could_not_be_started_is_started_when_somebody_asks_again(
    two: World,
    anonymous: httpx.AsyncClient,
    durable: RecordedClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers = two.caller("administrator")
    path = f"/api/v1/customers/{two.mine['customer_id']}/drills"

    async def refuse(*_: Any, **__: Any) -> str:
        raise grpc.RpcError("the task hub could not write")

    with monkeypatch.context() as down:
        down.setattr(durable, "schedule_new_orchestration", refuse)
        answer = await anonymous.post(path, headers=headers)
        assert answer.status_code >= 500
    again = await anonymous.post(path, headers=headers)
    problem = check_problem(again, 409, "DRILL_RUNNING")
    assert f"drill:{problem['drillId']}" in durable.started


class Later:
    """The clock of somebody who looks after a while."""

    def __init__(self, after: timedelta) -> None:
        self.after = after

    def now(self) -> datetime:
        """The real instant and that while."""
        return datetime.now(UTC) + self.after


class Hub:
    """The task hub's client as the watchdog sees it."""

    def __init__(self, state: str | None) -> None:
        self.state = state
        self.started: dict[str, Any] = {}

    async def get_orchestration_state(self, _: str, *, fetch_payloads: bool) -> Any:
        assert not fetch_payloads
        return self.state and SimpleNamespace(runtime_status=SimpleNamespace(name=self.state))

    async def schedule_new_orchestration(self, name: str, **given: Any) -> str:
        self.started[given["instance_id"]] = (name, given["input"])
        return str(given["instance_id"])


@pytest.fixture
async def asked(
    two: World, anonymous: httpx.AsyncClient, durable: RecordedClient
) -> dict[str, dict[str, Any]]:
    """A restore, an export and a drill that stand in the tables, as after a kill in between."""
    await back_up(two, two.mine, two.a.scope)
    headers = await in_context(two, anonymous)
    found = {}
    for noun in ("restores", "exports"):
        answer = await anonymous.post(f"/api/v1/{noun}", json=wanted(two), headers=headers)
        assert answer.status_code == 202, answer.text
        found[noun] = durable.started.pop(f"{noun[:-1]}:{answer.json()['id']}")[1]
    path = f"/api/v1/customers/{two.mine['customer_id']}/drills"
    answer = await anonymous.post(path, headers=two.caller("administrator"))
    found["drills"] = durable.started.pop(f"drill:{answer.json()['id']}")[1]
    return found


def id_in(task: dict[str, Any]) -> str:
    return next(str(value) for name, value in task.items() if name != "partner_id")


async def looked(two: World, state: str | None, **after: float) -> tuple[dict[str, str], Hub]:
    """What the clock decides when it looks so much later."""
    hub = Hub(state)
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(two.deps, "clock", Later(timedelta(**after)))
        return dict(await watch_jobs.look(hub)), hub


async def states(two: World, asked: dict[str, dict[str, Any]]) -> dict[str, tuple[str, Any]]:
    found = {}
    for kind in watch_jobs.kinds():
        scope = Scope(asked[kind.noun]["partner_id"])
        job = await kind.get(two.deps.tables, scope, id_in(asked[kind.noun]))
        found[kind.noun] = (job.state.value, job.error)
    return found


def started(hub: Hub) -> set[str]:
    """Ids of the jobs whose process was started: other tests' may be looked at as well."""
    return {id_in(given) for _, given in hub.started.values()}


async def test_what_was_written_and_never_started_is_started_by_the_clock(
    two: World, asked: dict[str, dict[str, Any]]
) -> None:
    ids = {id_in(task) for task in asked.values()}
    found, hub = await looked(two, None, minutes=1)  # who asks may be about to start it
    assert {found[one] for one in ids} == {"wait"}
    assert not started(hub) & ids
    found, hub = await looked(two, None, minutes=6)
    assert {found[one] for one in ids} == {"start"}
    mine = {
        given["restore_id"]: given for _, given in hub.started.values() if "restore_id" in given
    }
    assert mine[id_in(asked["restores"])] == asked["restores"]
    # It runs as ever, and is looked after no more once it has ended.
    await run(two, id_in(asked["restores"]), Shelf())
    assert (await states(two, asked))["restores"][0] == "Completed"
    found, hub = await looked(two, "RUNNING", hours=1)
    assert id_in(asked["restores"]) not in found
    assert found[id_in(asked["exports"])] == "wait"
    assert not started(hub) & ids


async def test_what_nobody_started_for_a_day_ends_as_failed_and_says_so(
    two: World, asked: dict[str, dict[str, Any]]
) -> None:
    found, hub = await looked(two, None, hours=25)
    assert {found[id_in(task)] for task in asked.values()} == {"end"}
    assert not started(hub) & {id_in(task) for task in asked.values()}
    said = await states(two, asked)
    assert [said[noun][0] for noun in ("restores", "exports", "drills")] == [
        "Failed", "Failed", "Broken",
    ]  # fmt: skip
    assert all("never started" in error for _, error in said.values())
    found, _ = await looked(two, None, hours=26)
    assert not found.keys() & {id_in(task) for task in asked.values()}


@pytest.mark.parametrize("state", ["FAILED", "TERMINATED", "COMPLETED"])
async def test_what_lost_its_process_without_a_result_is_ended_by_its_rows(
    two: World, asked: dict[str, dict[str, Any]], state: str
) -> None:
    found, _ = await looked(two, state, minutes=6)
    assert {found[id_in(task)] for task in asked.values()} == {"end"}
    said = await states(two, asked)
    assert all("without a result" in error for _, error in said.values())
