"""What the host counts: invocations by function, orchestrator turns, memory. For the bench."""

import resource
import time
from collections import Counter
from typing import Any


class Counters:
    """Plain numbers since the start of the process; read by GET /admin/host/counters."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.succeeded: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.turns = 0
        self.activities = 0

    def snapshot(self) -> dict[str, Any]:
        """All numbers as JSON; memory is the peak resident set of this process in bytes."""
        names = sorted(self.succeeded | self.failed | +self.running)
        return {
            "uptimeSeconds": round(time.monotonic() - self.started, 3),
            "peakRssBytes": peak_rss_bytes(),
            "cpuSeconds": round(time.process_time(), 3),
            "orchestratorTurns": self.turns,
            "activities": self.activities,
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


def peak_rss_bytes() -> int:
    """Peak resident memory of this process in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
