"""From `python -m local.host` to the first answered request of the Partner API."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.figure import Figure
from local.rundir import PROJECT
from local.stack import Stack, free_port

ROUNDS = 5
PATIENCE_SECONDS = 60


def measure() -> list[Figure]:
    """Median over fresh hosts beside one running stack, with a warm file cache."""
    with tempfile.TemporaryDirectory() as directory, Stack(Path(directory)) as stack:
        began = time.perf_counter()
        taken = [_one(stack) for _ in range(ROUNDS + 1)][1:]
    return [
        Figure("host start to first answered request", statistics.median(taken), "s"),
        Figure("the same, slowest of the rounds", max(taken), "s", f"{ROUNDS} rounds"),
        Figure("all rounds", time.perf_counter() - began, "s"),
    ][:2]


def _one(stack: Stack) -> float:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/openapi.json"
    began = time.perf_counter()
    host = subprocess.Popen(
        [sys.executable, "-m", "local.host", "--app-root", str(PROJECT), "--port", str(port)],
        env=stack.environment,
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - began < PATIENCE_SECONDS:
            try:
                if httpx.get(url, trust_env=False, timeout=5).is_success:
                    return time.perf_counter() - began
            except httpx.HTTPError:
                time.sleep(0.01)
        raise TimeoutError(f"the host did not answer within {PATIENCE_SECONDS} s")
    finally:
        host.terminate()
        host.wait(20)
