"""Disaster: the task hub refuses a start. What was to be started does not wait for ever."""

from typing import Any

import grpc
import httpx
import pytest

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
