"""`make demo`: the whole story in a small world, interrupted and from start to end."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SMALL = ("--users", "3", "--mails", "6", "--files", "6", "--events", "4", "--contacts", "3")
GONE_SECONDS = 30


def left(mark: str) -> list[str]:
    """Processes that carry the mark of one run in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_text(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mark.encode() in environment and state != "Z":
            found.append(f"{entry.name}: {command[:200]}")
    return found


def wait_until_nothing_is_left(mark: str) -> None:
    limit = time.monotonic() + GONE_SECONDS
    while still := left(mark):
        assert time.monotonic() < limit, f"left behind: {still}"
        time.sleep(0.05)


class Demo:
    """One run of the demo, and everything it starts, found by a mark of its own."""

    def __init__(self, *options: str) -> None:
        self.mark = f"demo-test-{uuid.uuid4().hex}"
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.demo", *SMALL, *options],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "DEMO_TEST": self.mark},
            start_new_session=True,
        )

    def until(self, words: str) -> None:
        """Read on until the demo says something."""
        while words not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    def rest(self) -> int:
        """Read to the end; the exit code."""
        self.said += self.process.stdout.read()
        return self.process.wait()


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Whatever a failed test leaves running is ended."""
    started: list[Demo] = []
    yield started
    for demo in started:
        demo.process.send_signal(signal.SIGINT)
        demo.process.communicate()


def test_ctrl_c_in_a_backup_leaves_nothing_behind(demos: list[Demo]) -> None:
    demo = Demo()
    demos.append(demo)
    demo.until("3  First backup")
    demo.process.send_signal(signal.SIGINT)
    assert demo.rest() == 130, demo.said
    assert demo.said.rstrip().endswith("Interrupted; everything has been ended.")
    assert "Traceback" not in demo.said
    wait_until_nothing_is_left(demo.mark)


def test_after_ctrl_c_and_a_kill_the_demo_runs_to_its_end(demos: list[Demo]) -> None:
    interrupted, killed = Demo(), Demo()
    demos += [interrupted, killed]
    for demo, end in ((interrupted, signal.SIGINT), (killed, signal.SIGKILL)):
        demo.until("0  Starting")
        demo.process.send_signal(end)
        demo.rest()
        wait_until_nothing_is_left(demo.mark)
    assert interrupted.process.returncode == 130

    demo = Demo()
    demos.append(demo)
    assert demo.rest() == 0, demo.said
    for words in (
        "All as said",
        "0 inside a Retry-After window",
        "root hash",
        "restore point 1: there when memory begins",  # the history of a file that was found
        "holdfast-vault verify copy --key recovery.pem --deep",
        "with another key: exit 2, nothing written",
        "the signature holds",
    ):
        assert words in demo.said, words
    lost = demo.said.partition("before     equal now     different")[2].partition("✓")[0]
    compared = [line.split() for line in lost.splitlines() if line.strip()]
    assert [line[-1] for line in compared] == ["0"] * 7, lost
    for line in compared:  # of every kind there was something, and all of it came back
        assert int(line[-3]) == int(line[-2]) > 0, line
    wait_until_nothing_is_left(demo.mark)
