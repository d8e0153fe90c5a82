"""Cold start: what importing the app costs beside importing the libraries it cannot do without."""

import statistics
import subprocess
import sys
import time

from bench.figure import Figure

ROUNDS = 7
OURS = "import function_app"
PEER = "import azure.functions, azure.durable_functions, fastapi"


def measure() -> list[Figure]:
    """Medians of interleaved runs in fresh interpreters, bare start-up subtracted."""
    times: dict[str, list[float]] = {"": [], PEER: [], OURS: []}
    for _ in range(ROUNDS + 1):
        for program, taken in times.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program or "pass"], check=True)
            taken.append(time.perf_counter() - began)
    bare, peer, ours = (statistics.median(taken[1:]) for taken in times.values())
    return [
        Figure("import function_app", ours - bare, "s", f"{PEER}: {peer - bare:.3f} s"),
        Figure("import function_app / its libraries", (ours - bare) / (peer - bare), "×"),
    ]
