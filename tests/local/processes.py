"""Finds what a test left running: processes whose command line names the test's own folder."""

import os
import time
from pathlib import Path

GONE_SECONDS = 30


def processes_about(path: Path) -> list[int]:
    """Processes whose command line names the path: each test has a path of its own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(path).encode() in command and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def wait_until_nothing_is_left(path: Path) -> None:
    limit = time.monotonic() + GONE_SECONDS
    while left := processes_about(path):
        assert time.monotonic() < limit, f"left behind: {left}"
        time.sleep(0.05)
