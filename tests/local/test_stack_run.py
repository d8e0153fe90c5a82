"""`make run`: says where everything is, ends cleanly on Ctrl-C, says why when it cannot start."""

import re
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from local.rundir import RUNS
from tests.local.processes import wait_until_nothing_is_left
from tests.local.test_stack import APP, HOST

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def name():
    """A run of our own: a person's `make run` beside it is left in peace."""
    chosen = f"test-{uuid.uuid4().hex}"
    yield chosen
    shutil.rmtree(RUNS / chosen, ignore_errors=True)
    (RUNS / f"{chosen}.lock").unlink(missing_ok=True)


@pytest.fixture
def run(tmp_path: Path, name: str):
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "host.json").write_text(HOST)
    process = subprocess.Popen(
        [sys.executable, "-m", "local.run", "--name", name, "--app-root", str(tmp_path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def test_prints_addresses_and_ends_cleanly(run: subprocess.Popen[str], name: str) -> None:
    said = ""
    while "Ctrl-C ends everything" not in said:
        line = run.stdout.readline()
        assert line, said
        said += line
    api = re.search(r"Partner API +(http://127.0.0.1:\d+)/", said)[1]
    assert httpx.get(f"{api}/hello").text == "hello"
    sign_in = re.search(r"curl -s (\S+)", said)[1]
    form = dict(field.split("=", 1) for field in re.findall(r"-d '?([^ ']+)'?", said))
    assert httpx.post(sign_in, data=form).json()["access_token"]
    run.send_signal(signal.SIGINT)
    assert run.stdout.read().strip() == "ended"
    assert run.wait() == 0
    wait_until_nothing_is_left(RUNS / name)


def test_a_wrong_option_of_the_world_is_said(tmp_path: Path, name: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "local.run", "--name", name, "--mbox", str(tmp_path / "no.mbox")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "no.mbox" in answer.stderr
    wait_until_nothing_is_left(RUNS / name)
