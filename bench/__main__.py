"""`make bench`: run every case, print one table, write bench-report.json.

python -m bench [case ...]      cases: imports startup requests memory access taskhub licensing
                                usage webhooks goals vault peers
"""

import argparse
import importlib
import sys
from pathlib import Path

from bench.figure import Figure, show
from local.signals import orderly_end

CASES = (
    "imports", "startup", "requests", "memory", "access", "taskhub", "licensing",
    "usage", "webhooks", "goals", "vault", "peers",
)  # fmt: skip


def main() -> int:
    """Exit code 0 when every goal is kept, 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--report", type=Path, default=Path("bench-report.json"))
    given = parser.parse_args()
    figures: list[Figure] = []
    with orderly_end():
        for name in given.cases or CASES:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            figures += importlib.import_module(f"bench.cases.{name}").measure()
    return 0 if show(figures, given.report) else 1


if __name__ == "__main__":
    sys.exit(main())
