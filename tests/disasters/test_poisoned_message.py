"""Disaster: a poisoned message. It kills each worker that gets it; the others continue."""

import json
from pathlib import Path
from typing import Any

from tests.local.host.running import RunningHost, end, eventually, launch, write_app

APP = """
import os

@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    name = req.route_params["name"]
    await client.schedule_new_orchestration(name, input=0, instance_id=name)
    return func.HttpResponse(name, status_code=202)

@app.route(route="state/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def state(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    s = await client.get_orchestration_state(req.route_params["id"])
    return func.HttpResponse(json.dumps(
        s and {"status": s.runtime_status.name, "output": s.serialized_output}))

@app.orchestration_trigger(context_name="ctx")
def poisoned(ctx: task.OrchestrationContext, given: int):
    try:
        yield ctx.call_activity("kills")
    except task.TaskFailedError as broken:
        undone = yield ctx.call_activity("adds", input=1)
        return [broken.details.error_type, undone]

@app.orchestration_trigger(context_name="ctx")
def sound(ctx: task.OrchestrationContext, given: int):
    total = given
    for _ in range(20):
        total = yield ctx.call_activity("adds", input=total)
    return total

@app.activity_trigger(input_name="given")
async def kills(given: int) -> None:
    with (pathlib.Path(__file__).parent / "deaths.txt").open("a") as log:
        log.write("x")
    os._exit(9)

@app.activity_trigger(input_name="given")
async def adds(given: int) -> int:
    return given + 1
"""
TRIES = 3


def test_a_message_that_kills_its_worker_is_parked_and_the_others_continue(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    hub = f"sqlite:{folder / 'hub.sqlite'}"
    host = launch(folder, "--hub", hub, "--workers", "2", TASK_HUB_TRIES=str(TRIES))
    assert host.ready, host.log()
    try:
        host.post("/start/poisoned")
        eventually(lambda: (folder / "deaths.txt").exists())
        host.post("/start/sound")
        assert _ended(host, "sound") == {"status": "COMPLETED", "output": "20"}
        ended = _ended(host, "poisoned")
        assert ended == {"status": "COMPLETED", "output": '["PoisonedWorkItem", 2]'}
        assert (folder / "deaths.txt").read_text() == "x" * TRIES
    finally:
        end(host)


def _ended(host: RunningHost, instance: str) -> Any:
    def over() -> Any:
        found = json.loads(host.get(f"/state/{instance}").body)
        return found if found and found["status"] not in ("PENDING", "RUNNING") else None

    return eventually(over, 60)
