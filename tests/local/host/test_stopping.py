"""Start and stop: errors are shown, stopping is graceful and leaves nothing behind."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.local.host.running import ROOT, RunningHost, eventually

Serve = Callable[..., RunningHost]

SLOW = """
@app.route(route="start", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    return func.HttpResponse(await client.schedule_new_orchestration("slow_orchestrator"))

@app.orchestration_trigger(context_name="ctx")
def slow_orchestrator(ctx: task.OrchestrationContext, _):
    yield ctx.call_activity("slow", input=SECONDS)

@app.activity_trigger(input_name="seconds")
def slow(seconds: float) -> None:
    here = pathlib.Path(__file__).parent
    (here / "began").touch()
    time.sleep(seconds)
    (here / "ended").touch()
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module_anywhere", "no_such_module_anywhere"),
        ("raise RuntimeError('while importing')", "RuntimeError: while importing"),
        ("this is no python", "SyntaxError"),
        ("del app", "Could not find top level function app instances"),
        (
            """
            @app.route(route="x")
            def a(request: func.HttpRequest) -> str:
                return ""
            """,
            "cannot load the a function",
        ),
        (
            """
            @app.queue_trigger(arg_name="msg", queue_name="q", connection="AzureWebJobsStorage")
            def q(msg: func.QueueMessage) -> None:
                pass
            """,
            "q: queueTrigger is not supported by the local host",
        ),
        (
            """
            @app.timer_trigger(arg_name="t", schedule="0 0 0 * * 7")
            def sunday(t: func.TimerRequest) -> None:
                pass
            """,
            "sunday: '0 0 0 * * 7': day of week '7' is outside 0 to 6 (Sunday is 0)",
        ),
        (
            """
            @app.route(route="x/{id:nope}")
            def a(req: func.HttpRequest) -> str:
                return ""
            """,
            "a: 'x/{id:nope}': the constraint 'nope' is not known",
        ),
    ],
)
def test_errors_of_indexing_are_shown(serve: Serve, source: str, said: str) -> None:
    host = serve(textwrap.dedent(source))
    assert host.process.returncode == 1
    assert said in host.log()
    assert host.log().splitlines()[-1].startswith("error: ")


def test_the_apps_traceback_is_shown(serve: Serve) -> None:
    host = serve("def inner():\n    raise RuntimeError('deep')\ninner()\n")
    assert "Traceback (most recent call last)" in host.log()
    assert "in inner" in host.log()


def test_no_app_at_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local.host", "--app-root", str(tmp_path), "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no function_app.py" in done.stderr


def test_a_port_in_use_is_one_line(serve: Serve) -> None:
    first = serve("")
    second = serve("", "--port", str(first.ready["port"]))
    assert second.process.returncode == 2
    assert "error: cannot listen on 127.0.0.1" in second.log()
    assert "Traceback" not in second.log()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly(serve: Serve, number: int) -> None:
    host = serve(SLOW)
    assert host.get("/admin/host/status").status == 200
    assert host.stop(number) == 0
    assert "Traceback" not in host.log()
    assert "ERROR" not in host.log()


def test_running_work_ends_before_the_host_does(serve: Serve) -> None:
    host = serve(SLOW.replace("SECONDS", "1.5"))
    host.post("/start")
    eventually((host.folder / "began").exists)
    assert host.stop() == 0
    assert (host.folder / "ended").exists()


def test_work_that_does_not_end_is_abandoned(serve: Serve) -> None:
    host = serve(SLOW.replace("SECONDS", "60"), "--grace", "0.3")
    host.post("/start")
    eventually((host.folder / "began").exists)
    assert host.stop() == 0
    assert not (host.folder / "ended").exists()


def test_a_second_signal_ends_at_once(serve: Serve) -> None:
    host = serve(SLOW.replace("SECONDS", "60"), "--grace", "60")
    host.post("/start")
    eventually((host.folder / "began").exists)
    host.process.send_signal(signal.SIGTERM)
    eventually(lambda: not _accepts(host))
    assert host.stop(signal.SIGTERM) == 128 + signal.SIGTERM


def _accepts(host: RunningHost) -> bool:
    try:
        host.get("/admin/host/ping")
    except OSError:
        return False
    return True


def test_a_request_that_does_not_end_is_answered_503(serve: Serve) -> None:
    source = """
@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    pathlib.Path(__file__).with_name("began").touch()
    await asyncio.sleep(60)
"""
    host = serve(source, "--grace", "0.3")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(host.get, "/slow")
        eventually((host.folder / "began").exists)
        assert host.stop() == 0
        assert asked.result().status == 503
    assert "Traceback" not in host.log()


def test_a_client_that_waits_does_not_hold_the_host(serve: Serve) -> None:
    source = (
        SLOW.replace("SECONDS", "60")
        + """
@app.route(route="wait", methods=["POST"])
@app.durable_client_input(client_name="client")
async def wait(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    instance = await client.schedule_new_orchestration("slow_orchestrator")
    await client.wait_for_orchestration_completion(instance, timeout=50)
    return func.HttpResponse("")
"""
    )
    host = serve(source, "--grace", "0.3")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(host.post, "/wait")
        eventually((host.folder / "began").exists)
        assert host.stop() == 0
        assert asked.result().status >= 500


def test_no_process_is_left_behind(serve: Serve) -> None:
    host = serve(SLOW)
    group = host.process.pid
    assert _children(group) == []
    assert host.stop() == 0
    assert not Path(f"/proc/{group}").exists()


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found
