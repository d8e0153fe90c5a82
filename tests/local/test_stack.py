"""The stack: all parts answer, a taken port is no obstacle, and nothing is left in any ending."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from local.children import ChildFailed
from local.stack import Stack
from tests.local.processes import GONE_SECONDS, processes_about, wait_until_nothing_is_left

PROJECT = Path(__file__).parents[2]
APP = """
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="hello", methods=["GET"])
def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("hello")
"""
HOST = """{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}"""
OWNER = """
import sys, time
from pathlib import Path
from local.signals import orderly_end
from local.stack import Stack
where = Path(sys.argv[1])
with orderly_end():
    print("starting", flush=True)
    with Stack(where / "data", app_root=where / "app"):
        print("ready", flush=True)
        time.sleep(600)
"""


@pytest.fixture
def app_root(tmp_path: Path) -> Path:
    """A small app: these tests are about the stack, not about what it serves."""
    root = tmp_path / "app"
    root.mkdir()
    (root / "function_app.py").write_text(APP)
    (root / "host.json").write_text(HOST)
    return root


@pytest.fixture
def owner(tmp_path: Path, app_root: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "starting\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_every_part_answers(tmp_path: Path, app_root: Path) -> None:
    with Stack(tmp_path / "data", app_root=app_root) as stack:
        assert httpx.get(f"{stack.urls.api}/hello").text == "hello"
        world = httpx.get(f"{stack.urls.microsoft365}/_sim/world").json()
        assert len(world["tenants"][0]["users"]) == 3
        trust = ssl.create_default_context(cafile=stack.certificates.bundle)
        assert httpx.get(f"{stack.urls.microsoft365_tls}/_sim/world", verify=trust).json() == world
        assert stack.partner_token().count(".") == 2
        tenant = world["tenants"][0]["tenantId"]
        consent = {"clientId": stack.registrations.reader}
        httpx.post(f"{stack.urls.microsoft365}/_sim/tenants/{tenant}/consent", json=consent)
        users = httpx.get(
            f"{stack.urls.microsoft365}/v1.0/users",
            headers={"Authorization": f"Bearer {stack.reader_token(tenant)}"},
        )
        assert users.status_code == 200, users.text
        assert stack.failure() is None
        assert stack.environment["HOLDFAST_PUBLIC_URL"] == stack.urls.api
    wait_until_nothing_is_left(tmp_path)


async def test_a_taken_port_is_no_obstacle(tmp_path: Path, app_root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with Stack(tmp_path / "data", app_root=app_root, api_port=port) as stack:
            assert not stack.urls.api.endswith(f":{port}")
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{stack.urls.api}/hello")).text == "hello"


def test_a_port_lost_between_looking_and_listening(
    tmp_path: Path, app_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("local.stack.is_free", lambda _: True)
        with Stack(tmp_path / "data", app_root=app_root, api_port=port) as stack:
            assert httpx.get(f"{stack.urls.api}/hello").text == "hello"
            assert stack.failure() is None


def test_the_wanted_port_is_taken_when_free(tmp_path: Path, app_root: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Stack(tmp_path / "data", app_root=app_root, api_port=port) as stack:
        assert stack.urls.api == f"http://127.0.0.1:{port}"


def test_an_app_that_does_not_load_is_reported_and_nothing_is_left(
    tmp_path: Path, app_root: Path
) -> None:
    (app_root / "function_app.py").write_text("raise RuntimeError('the app is broken')")
    with pytest.raises(ChildFailed, match=r"(?s)The local host ended.*the app is broken"):
        Stack(tmp_path / "data", app_root=app_root).start()
    wait_until_nothing_is_left(tmp_path)


def test_a_part_that_dies_later_is_named(tmp_path: Path, app_root: Path) -> None:
    with Stack(tmp_path / "data", app_root=app_root) as stack:
        for pid in processes_about(tmp_path):
            if b"local.microsoft365" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        wait_for = stack._parts[0]._process
        wait_for.wait(GONE_SECONDS)
        assert "The simulated Microsoft 365 ended by itself" in str(stack.failure())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_ends(
    owner: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert owner.stdout.readline() == "ready\n"
    assert len(processes_about(tmp_path)) >= 7  # the owner; three parts, each with its leash
    os.killpg(owner.pid, number)
    owner.wait(GONE_SECONDS)
    wait_until_nothing_is_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_ends_in_the_middle_of_starting(
    owner: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    while len(processes_about(tmp_path)) < 3:
        assert owner.poll() is None
        time.sleep(0.02)
    os.killpg(owner.pid, number)
    owner.wait(GONE_SECONDS)
    wait_until_nothing_is_left(tmp_path)
