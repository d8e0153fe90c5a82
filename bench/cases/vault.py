"""A large object in the vault: writes, bytes put, cold reads, memory (goals 6, 9, 10, 13)."""

import json
import os
import subprocess
import sys
from typing import Any

from bench.figure import Figure
from bench.peers import DEPLOYED

ITEMS = int(os.environ.get("HOLDFAST_BENCH_ITEMS", "100000"))
SMALL = 10_000
MILLION = 1_000_000
GB = 1e9


def measure(items: int = ITEMS) -> list[Figure]:
    """Each in a process of its own, so that peak memory is that of one job."""
    small, large = _run("first", SMALL), _run("first", items)
    churn, single = _run("churn", items), _run("single", items)
    writes = large["writes"]
    times = MILLION / items
    # All of them grow with the items but the record and the keys, which are counted too often.
    projected = writes["all"] * times
    told = f"{items:,} items: {writes['packs']} packs, {writes['checkpoints']} checkpoints; "
    told += f"times {times:g}"
    beside = f"{small['peak'] / 1e6:.0f} MB for {SMALL:,}"
    return [
        Figure(
            "goal 6: bytes put / bytes changed, 1 % churn",
            churn["put"] / churn["changed"], "×",
            f"{items:,} items, 15 increments, {churn['bases'] - 1} base written anew", 1.05,
        ),
        Figure("goal 9: blob writes for 1 M items", projected, "writes", told, 2_000),
        Figure("goal 9: blob writes of an empty increment", large["empty"], "writes", "", 3),
        Figure("goal 10: one item, cold: GETs", single["gets"], "reads", "worst of 100", 5),
        Figure(
            "goal 10: bytes read beyond the item", single["over"] / 1024, "KiB", "worst of 100", 256
        ),
        Figure(f"goal 13: peak memory, {items:,} items", large["peak"] / 1e6, "MB", beside, 300),
        Figure("goal 13: the ratio", large["peak"] / small["peak"], "×", "", 1.1),
        Figure(
            "goal 13: seconds of CPU per GB read",
            large["cpu"] / large["read"] * GB, "s", "200 MB per second: 5", 5.0,
        ),
        Figure("stored / read", large["stored"] / large["read"], "×", "synthetic mail of 75 kB"),
    ]  # fmt: skip


def _run(verb: str, items: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.million", verb, str(items)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=False, env=os.environ | DEPLOYED
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
