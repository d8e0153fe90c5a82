"""What the host counts: invocations by function, orchestrator turns, memory. For the bench."""

import os
import resource
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

SUMS = ("orchestratorTurns", "activities", "entityBatches", "invocations")


class Counters:
    """Plain numbers since the start of the process; read by GET /admin/host/counters."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.succeeded: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.turns = 0
        self.activities = 0
        self.entity_batches = 0

    def snapshot(self) -> dict[str, Any]:
        """All numbers as JSON; memory is the peak resident set of this process in bytes."""
        names = sorted(self.succeeded | self.failed | +self.running)
        return {
            "pid": os.getpid(),
            "uptimeSeconds": round(time.monotonic() - self.started, 3),
            "peakRssBytes": peak_rss_bytes(),
            "cpuSeconds": round(time.process_time(), 3),
            "orchestratorTurns": self.turns,
            "activities": self.activities,
            "entityBatches": self.entity_batches,
            "invocations": sum((self.succeeded + self.failed).values()),
            "functions": {
                name: {
                    "succeeded": self.succeeded[name],
                    "failed": self.failed[name],
                    "running": self.running[name],
                }
                for name in names
            },
        }


def together(own: dict[str, Any], workers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The host's numbers with those of its workers added; memory and time stay each its own."""
    total = own | {name: own[name] + sum(w[name] for w in workers) for name in SUMS}
    functions: dict[str, Counter[str]] = {}
    for each in (own, *workers):
        for name, counts in each["functions"].items():
            known = functions.setdefault(name, Counter(succeeded=0, failed=0, running=0))
            known.update(counts)
    total["functions"] = {name: dict(functions[name]) for name in sorted(functions)}
    total["workers"] = list(workers)
    return total


def peak_rss_bytes() -> int:
    """Peak resident memory of this process in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
