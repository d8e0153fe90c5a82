"""Durable functions through the real host: fan-out, failures, children, gathering, order."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local.host.running import RunningHost, end, eventually, launch, write_app

APP = """
@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    given = json.loads(req.get_body() or b"null")
    at = req.params.get("inSeconds")
    from datetime import UTC, datetime
    instance = await client.schedule_new_orchestration(
        req.route_params["name"], input=given, instance_id=req.params.get("id"),
        start_at=datetime.now(UTC) + timedelta(seconds=float(at)) if at else None)
    return func.HttpResponse(instance, status_code=202)

@app.route(route="state/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def state(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    s = await client.get_orchestration_state(req.route_params["id"])
    if s is None:
        return func.HttpResponse("{}", status_code=404)
    failure = s.failure_details
    return func.HttpResponse(json.dumps({
        "status": s.runtime_status.name, "output": s.serialized_output,
        "failure": failure and [failure.error_type, failure.message, failure.stack_trace]}))

@app.route(route="event/{id}/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def event(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    await client.raise_orchestration_event(
        req.route_params["id"], req.route_params["name"], data=json.loads(req.get_body()))
    return func.HttpResponse(status_code=202)

@app.route(route="terminate/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def terminate(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    await client.terminate_orchestration(req.route_params["id"], output="enough", recursive=True)
    return func.HttpResponse(status_code=202)

@app.orchestration_trigger(context_name="ctx")
def double_all(ctx: task.OrchestrationContext, count: int):
    doubled = yield task.when_all([ctx.call_activity("double", input=i) for i in range(count)])
    return sum(doubled)

@app.activity_trigger(input_name="number")
async def double(number: int) -> int:
    return number * 2

@app.orchestration_trigger(context_name="ctx")
def one_by_one(ctx: task.OrchestrationContext, count: int):
    total = 0
    for number in range(count):
        total += yield ctx.call_activity("double", input=number)
    return total

@app.orchestration_trigger(context_name="ctx")
def calls_unknown(ctx: task.OrchestrationContext, _):
    return (yield ctx.call_activity("no_such_activity", input=1))

@app.activity_trigger(input_name="value")
def fails(value: dict) -> None:
    raise LookupError("not here\\nsecond line")

@app.orchestration_trigger(context_name="ctx")
def calls_failing(ctx: task.OrchestrationContext, _):
    try:
        yield ctx.call_activity("fails", input={})
    except task.TaskFailedError as fault:
        return [fault.details.error_type, fault.details.message]

@app.orchestration_trigger(context_name="ctx")
def fails_itself(ctx: task.OrchestrationContext, _):
    raise RuntimeError("by itself")
    yield

@app.orchestration_trigger(context_name="ctx")
def parent(ctx: task.OrchestrationContext, count: int):
    return sum((yield task.when_all([
        ctx.call_sub_orchestrator("double_all", input=3, instance_id=f"{ctx.instance_id}:{n}")
        for n in range(count)])))

@app.orchestration_trigger(context_name="ctx")
def parent_of_failure(ctx: task.OrchestrationContext, _):
    try:
        yield ctx.call_sub_orchestrator("fails_itself")
    except task.TaskFailedError as fault:
        return [fault.details.error_type, fault.details.message]

@app.orchestration_trigger(context_name="ctx")
def waits(ctx: task.OrchestrationContext, _):
    one = yield ctx.wait_for_external_event("go")
    two = yield ctx.wait_for_external_event("go")
    return [one, two, (yield ctx.wait_for_external_event("go"))]

@app.orchestration_trigger(context_name="ctx")
def parent_of_waiting(ctx: task.OrchestrationContext, _):
    return (yield ctx.call_sub_orchestrator("waits", instance_id=ctx.instance_id + ":child"))

@app.orchestration_trigger(context_name="ctx")
def sleeps(ctx: task.OrchestrationContext, seconds: float):
    yield ctx.create_timer(timedelta(seconds=seconds))
    return "awake"

@app.orchestration_trigger(context_name="ctx")
def again(ctx: task.OrchestrationContext, left: int):
    yield ctx.call_activity("double", input=left)
    ctx.create_timer(timedelta(milliseconds=20))
    if left:
        ctx.continue_as_new(left - 1)
        return None
    return "done"

@app.activity_trigger(input_name="given")
def echo_value(given: str) -> str:
    return json.dumps(given)

@app.orchestration_trigger(context_name="ctx")
def passes(ctx: task.OrchestrationContext, values):
    seen = []
    for value in values:
        seen.append((yield ctx.call_activity("echo_value", input=value)))
    seen.append((yield ctx.call_activity("echo_value")))
    return seen

@app.orchestration_trigger(context_name="ctx")
def large(ctx: task.OrchestrationContext, size: int):
    text = yield ctx.call_activity("make", input=size)
    return len(text)

@app.activity_trigger(input_name="size")
def make(size: int) -> str:
    return "x" * size
"""
Serve = Callable[..., RunningHost]


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def sample(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningHost]:
    """The module's app on either hub: what one does the other does."""
    folder = tmp_path_factory.mktemp("app")
    hub = "memory" if request.param == "memory" else f"sqlite:{folder / 'hub.sqlite'}"
    host = launch(write_app(folder, APP), "--hub", hub)
    yield host
    end(host)


DONE = {"COMPLETED", "FAILED", "TERMINATED"}


def state(host: RunningHost, instance: str) -> dict[str, Any]:
    answer: dict[str, Any] = host.get(f"/state/{instance}").json()
    return answer


def run(host: RunningHost, name: str, given: Any = None, query: str = "") -> dict[str, Any]:
    """Start an orchestration and wait for its end."""
    started = host.post(f"/start/{name}{query}", given)
    assert started.status == 202
    return finished(host, started.body.decode())


def finished(host: RunningHost, instance: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found = state(host, instance)
        return found if found.get("status") in DONE else None

    result: dict[str, Any] = eventually(ended)
    return result


def test_fan_out_of_100(sample: RunningHost) -> None:
    assert run(sample, "double_all", 100) == {
        "status": "COMPLETED", "output": "9900", "failure": None,
    }  # fmt: skip


def test_completions_gather_so_that_a_fan_out_takes_few_turns(sample: RunningHost) -> None:
    before = sample.get("/admin/host/counters").json()
    assert run(sample, "double_all", 300)["output"] == "89700"
    after = sample.get("/admin/host/counters").json()
    assert after["activities"] - before["activities"] == 300
    # 301 without gathering; how many exactly depends on the machine's speed
    assert after["orchestratorTurns"] - before["orchestratorTurns"] < 100


def test_a_chain_runs_in_order(sample: RunningHost) -> None:
    assert run(sample, "one_by_one", 20)["output"] == "380"


def test_unknown_activity_fails_the_task_clearly(sample: RunningHost) -> None:
    found = run(sample, "calls_unknown")
    assert found["status"] == "FAILED"
    assert "'no_such_activity' doesn't exist, is disabled" in found["failure"][1]


def test_unknown_orchestrator_fails_clearly(sample: RunningHost) -> None:
    found = run(sample, "no_such_orchestrator")
    assert found["status"] == "FAILED"
    assert "'no_such_orchestrator' doesn't exist" in found["failure"][1]


def test_failure_details_are_type_and_first_line(sample: RunningHost) -> None:
    assert run(sample, "calls_failing")["output"] == '["LookupError", "not here"]'
    assert "Executed 'fails' (Failed" in sample.log()


def test_a_failed_orchestrator_has_details_and_no_output(sample: RunningHost) -> None:
    found = run(sample, "fails_itself")
    assert (found["status"], found["output"]) == ("FAILED", None)
    assert "by itself" in found["failure"][1]
    assert "in fails_itself" in found["failure"][2]


def test_children(sample: RunningHost) -> None:
    assert run(sample, "parent", 10)["output"] == "60"


def test_a_failed_child_tells_its_parent_why(sample: RunningHost) -> None:
    output = run(sample, "parent_of_failure")["output"]
    assert "RuntimeError" in output
    assert "by itself" in output


def test_events_arrive_in_order(sample: RunningHost) -> None:
    instance = sample.post("/start/waits?id=w1").body.decode()
    for number in (1, 2, 3):
        assert sample.post(f"/event/{instance}/GO", number).status == 202
    assert finished(sample, instance)["output"] == "[1, 2, 3]"


def test_terminate_reaches_children(sample: RunningHost) -> None:
    sample.post("/start/parent_of_waiting?id=p9")
    eventually(lambda: sample.get("/state/p9:child").status == 200)
    sample.post("/terminate/p9")
    assert finished(sample, "p9")["status"] == "TERMINATED"
    assert finished(sample, "p9:child")["status"] == "TERMINATED"


def test_durable_timer(sample: RunningHost) -> None:
    assert run(sample, "sleeps", 0.2)["output"] == '"awake"'


def test_continue_as_new_drops_what_the_old_generation_waited_for(sample: RunningHost) -> None:
    assert run(sample, "again", 10)["output"] == '"done"'


def test_delayed_start(sample: RunningHost) -> None:
    instance = sample.post("/start/double_all?inSeconds=1", 2).body.decode()
    assert state(sample, instance)["status"] == "PENDING"
    assert finished(sample, instance)["output"] == "2"


def test_values_of_activities(sample: RunningHost) -> None:
    output = run(sample, "passes", ["", "a", None, 0, "2026-11-22T00:00:00Z"])["output"]
    assert output == ('["\\"\\"", "\\"a\\"", "null", "0", "\\"2026-11-22T00:00:00Z\\"", "null"]')


def test_a_message_larger_than_grpc_allows_by_default(sample: RunningHost) -> None:
    assert run(sample, "large", 6_000_000)["output"] == "6000000"


def test_start_with_an_existing_id_starts_nothing(sample: RunningHost) -> None:
    run(sample, "double_all", 1, "?id=same")
    assert sample.post("/start/double_all?id=same", 1).status == 500
    assert "ALREADY_EXISTS" in sample.log()
