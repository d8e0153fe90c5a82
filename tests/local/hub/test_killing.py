"""Disaster: the host, its hub or one of its workers is killed; every orchestration goes on."""

import json
import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from local.host.taskhub.process import HubProcess
from tests.local.host.running import RunningHost, end, eventually, launch, write_app
from tests.local.hub.entity_programs import ENTITIES, ORCHESTRATORS, account, transfer
from tests.local.hub.sdk import Running

COUNT = 200
APP = """
import os

HERE = pathlib.Path(__file__).parent

@app.route(route="start/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    instance = await client.schedule_new_orchestration(
        "squares", input=json.loads(req.get_body()), instance_id=req.route_params["id"])
    return func.HttpResponse(instance, status_code=202)

@app.route(route="state/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def state(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    s = await client.get_orchestration_state(req.route_params["id"])
    return func.HttpResponse(json.dumps(
        s and {"status": s.runtime_status.name, "output": s.serialized_output}))

@app.orchestration_trigger(context_name="ctx")
def squares(ctx: task.OrchestrationContext, count: int):
    first = yield task.when_all([ctx.call_activity("square", input=n) for n in range(count)])
    yield ctx.create_timer(timedelta(milliseconds=50))
    second = yield task.when_all(
        [ctx.call_sub_orchestrator("one", input=n) for n in first[:20]])
    return [sum(first), sum(second)]

@app.orchestration_trigger(context_name="ctx")
def one(ctx: task.OrchestrationContext, number: int):
    return (yield ctx.call_activity("square", input=number))

@app.activity_trigger(input_name="number")
async def square(number: int) -> int:
    with (HERE / "ran.txt").open("a") as log:
        log.write(f"{os.getpid()} {number}\\n")
    await asyncio.sleep(0.005)
    return number * number
"""
FIRST = [n * n for n in range(COUNT)]
EXPECTED = [sum(FIRST), sum(n * n for n in FIRST[:20])]


def serve(folder: Path, *more: str) -> RunningHost:
    host = launch(folder, "--hub", f"sqlite:{folder / 'hub.sqlite'}", *more)
    assert host.ready, host.log()
    return host


def state(host: RunningHost) -> Any:
    answer = host.get("/state/all")
    return json.loads(answer.body) if answer.status == 200 else None


def finished(host: RunningHost) -> Any:
    def over() -> Any:
        found = state(host)
        return found if found and found["status"] not in ("PENDING", "RUNNING") else None

    return eventually(over, 60)


def processes(module: str, above: int) -> list[int]:
    """Children of a host that run a module."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue  # it ended meanwhile
            if parent == above and module in command:
                found.append(int(entry.name))
    return found


def is_sound(folder: Path, found: Any) -> None:
    """Same result, and every activity ran: some may have run twice, none is missing."""
    assert found == {"status": "COMPLETED", "output": json.dumps(EXPECTED)}
    ran = [line.split() for line in (folder / "ran.txt").read_text().splitlines()]
    assert {int(number) for _, number in ran} == {*range(COUNT), *FIRST[:20]}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_host_is_killed_at_random_points(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = write_app(tmp_path / "app", APP)
    host = serve(folder)
    try:
        host.post("/start/all", COUNT)
        for _ in range(3):
            time.sleep(chance.uniform(0.0, 0.3))
            host.process.send_signal(signal.SIGKILL)
            end(host)
            host = serve(folder)
        is_sound(folder, finished(host))
    finally:
        end(host)


def test_a_killed_hub_is_started_again_on_its_file(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    host = serve(folder)
    try:
        host.post("/start/all", COUNT)
        for _ in range(2):
            time.sleep(0.15)
            [hub] = eventually(lambda: processes("local.host.taskhub.sqlite", host.process.pid))
            os.kill(hub, signal.SIGKILL)
        is_sound(folder, finished(host))
        assert "the task hub died" in host.log()
    finally:
        end(host)


def test_one_of_two_workers_is_killed(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    host = serve(folder, "--workers", "2")
    try:
        workers = eventually(
            lambda: len(found := processes("local.host.working", host.process.pid)) == 2 and found
        )
        host.post("/start/all", COUNT)
        eventually(lambda: (folder / "ran.txt").exists())
        os.kill(workers[0], signal.SIGKILL)
        is_sound(folder, finished(host))
        eventually(lambda: len(processes("local.host.working", host.process.pid)) == 2)
        assert host.stop() == 0
        for pid in (*workers, *processes("local.host.working", host.process.pid)):
            assert not Path(f"/proc/{pid}").exists()
    finally:
        end(host)


def test_two_hosts_on_one_hub_are_refused(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    host = serve(folder)
    try:
        second = launch(folder, "--hub", f"sqlite:{folder / 'hub.sqlite'}")
        assert second.process.wait(20) == 1
        assert "is in use by another process" in second.log()
        end(second)
        host.post("/start/all", COUNT)
        is_sound(folder, finished(host))
    finally:
        end(host)


def test_a_hub_killed_among_entities_and_locks_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Disaster: kill -9 of the hub in the middle of critical sections. Every effect counts once."""
    hub = HubProcess(tmp_path / "hub.sqlite")
    names, chance = ["a", "b", "c"], random.Random(5)
    with Running(tmp_path, ORCHESTRATORS, [], entities=ENTITIES, hub=hub) as running:
        for name in names:
            running.client.signal_entity(account(name), "add", 1000)
        pairs = [chance.sample(names, 2) for _ in range(40)]
        for number, pair in enumerate(pairs):
            running.start(transfer, [*pair, 3], instance_id=f"t{number}")
        for _ in range(3):
            time.sleep(chance.uniform(0.05, 0.4))
            killed = hub.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            eventually(lambda killed=killed: hub.pid != killed)
        for number in range(len(pairs)):
            ended = eventually(partial(_ended, running, f"t{number}"), 60)
            assert ended.serialized_output == "true"
        expected = dict.fromkeys(names, 1000)
        for source, target in pairs:
            expected[source] -= 3
            expected[target] += 3
        found = {e.id.key: int(e.get_state()) for e in running.client.get_all_entities()}
        assert found == expected
        assert all(e.get_locked_by() is None for e in running.client.get_all_entities())


def _ended(running: Running, instance: str) -> Any:
    try:
        state = running.client.get_orchestration_state(instance)
    except grpc.RpcError:
        return None  # the hub is away
    return state if state is not None and state.runtime_status.name == "COMPLETED" else None
