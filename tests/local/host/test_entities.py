"""Entity functions through the real host, on both hubs; counters of worker processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.local.host.running import RunningHost, eventually

Serve = Callable[..., RunningHost]
APP = """
from durabletask.entities import DurableEntity, EntityInstanceId

@app.entity_trigger(context_name="context")
class Counter(DurableEntity):
    def add(self, amount: int) -> int:
        self.set_state(self.get_state(int, 0) + amount)
        if amount < 0:
            raise ValueError("never less")
        return self.get_state(int, 0)

@app.route(route="signal/{key}/{amount}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def signal(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    entity = EntityInstanceId(req.params.get("entity", "Counter"), req.route_params["key"])
    await client.signal_entity(entity, "add", int(req.route_params["amount"]))
    return func.HttpResponse(status_code=202)

@app.route(route="entity/{key}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def entity(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    found = await client.get_entity(EntityInstanceId("Counter", req.route_params["key"]))
    return func.HttpResponse(json.dumps(found and json.loads(found.get_state() or "null")))

@app.route(route="start/{name}/{key}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    return func.HttpResponse(await client.schedule_new_orchestration(
        req.route_params["name"], input=req.route_params["key"]))

@app.route(route="state/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def state(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    s = await client.get_orchestration_state(req.route_params["id"])
    why = s.failure_details and s.failure_details.message
    return func.HttpResponse(json.dumps([s.runtime_status.name, s.serialized_output, why]))

@app.orchestration_trigger(context_name="ctx")
def locked(ctx: task.OrchestrationContext, key: str):
    counter = EntityInstanceId("Counter", key)
    with (yield ctx.lock_entities([counter])):
        first = yield ctx.call_entity(counter, "add", 1)
        try:
            yield ctx.call_entity(counter, "add", -5)
        except task.TaskFailedError as failed:
            caught = "never less" in str(failed)
        second = yield ctx.call_entity(counter, "add", 1)
    return [first, caught, second]

@app.orchestration_trigger(context_name="ctx")
def nobody(ctx: task.OrchestrationContext, key: str):
    yield ctx.call_entity(EntityInstanceId("unknown", key), "add", 1)

@app.orchestration_trigger(context_name="ctx")
def many(ctx: task.OrchestrationContext, count: str):
    yield task.when_all([ctx.call_activity("work", input=n) for n in range(int(count))])

@app.activity_trigger(input_name="number")
def work(number: int) -> int:
    return number
"""


def run(host: RunningHost, name: str, key: str) -> Any:
    instance = host.post(f"/start/{name}/{key}").body.decode()
    over = ("COMPLETED", "FAILED")
    return eventually(lambda: (s := host.get(f"/state/{instance}").json())[0] in over and s)


@pytest.mark.parametrize("hub", ["memory", "sqlite"])
def test_entity_functions(serve: Serve, tmp_path: Path, hub: str) -> None:
    host = serve(APP, "--hub", "memory" if hub == "memory" else f"sqlite:{tmp_path / 'h.sqlite'}")
    assert host.ready, host.log()
    for _ in range(3):
        assert host.post("/signal/a/2").status == 202
    eventually(lambda: host.get("/entity/a").json() == 6)
    assert run(host, "locked", "a")[:2] == ["COMPLETED", "[7, true, 8]"]
    assert host.get("/entity/a").json() == 8
    status, _, why = run(host, "nobody", "x")
    assert status == "FAILED"
    assert "the function 'unknown' doesn't exist, is disabled, or is not an entity function" in why
    assert host.get("/admin/host/counters").json()["entityBatches"] >= 4


def test_counters_of_worker_processes_are_added_up(serve: Serve, tmp_path: Path) -> None:
    host = serve(APP, "--hub", f"sqlite:{tmp_path / 'h.sqlite'}", "--workers", "2")
    assert run(host, "many", "60")[0] == "COMPLETED"
    counted = host.get("/admin/host/counters").json()
    assert counted["activities"] == 60
    assert counted["functions"]["work"] == {"succeeded": 60, "failed": 0, "running": 0}
    assert counted["functions"]["start"]["succeeded"] == 1  # the front's own
    assert len(counted["workers"]) == 2
    assert {w["pid"] for w in counted["workers"]}.isdisjoint({counted["pid"]})
    assert sum(w["activities"] for w in counted["workers"]) == 60
