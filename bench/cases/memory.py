"""Peak memory of the whole worker process while one mailbox grows tenfold."""

from datetime import datetime

import httpx

from bench.customer import bench_customer
from bench.figure import Figure

SMALL, LARGE = 3_000, 30_000
MEAN_BYTES = 20_000
"""Smaller than a usual mail: the question is the number of items, not the volume."""


def measure() -> list[Figure]:
    """Peak resident size after a first copy of a small and of a ten times larger mailbox."""
    small, _ = _peak(SMALL)
    large, rate = _peak(LARGE)
    return [
        Figure(f"worker peak memory, {SMALL:,} mails", small / 1e6, "MB"),
        Figure(f"worker peak memory, {LARGE:,} mails", large / 1e6, "MB", "", 300),
        Figure("the ratio", large / small, "×", "performance.md goal 13", 1.1),
        Figure(f"first copy of {LARGE:,} mails", rate, "mails/s", "both servers on the same cores"),
    ]


def _peak(mails: int) -> tuple[int, float]:
    world = ("--users", "1", "--files", "1", "--mails", str(mails), "--generated-only")
    with bench_customer(*world, "--mail-mean", str(MEAN_BYTES), unlimited=True) as customer:
        session, _ = customer.session()
        run = next(r for r in session["runs"] if r["workload"] == "mailbox" and r["items"] >= mails)
        address = f"{customer.stack.urls.api}/admin/host/counters"
        counted = httpx.get(address, trust_env=False).json()
        took = datetime.fromisoformat(run["endedAt"]) - datetime.fromisoformat(run["startedAt"])
        return int(counted["peakRssBytes"]), mails / took.total_seconds()
