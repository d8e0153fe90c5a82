"""A worker without a front: `python -m local.host.working --app-root DIR --hub ADDRESS`.

Runs orchestrators and activities of the app for a task hub. Ends when its standard input does, or
on SIGTERM: it takes nothing new, lets running work end, and gives the rest back. For each line on
its standard input it writes its counters to the descriptor `--report`.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from local.host.counters import Counters
from local.host.indexing import index
from local.host.pump import Pump
from local.host.settings import read_settings
from local.host.worker import Worker


def main() -> int:
    """Work until told to end."""
    parser = argparse.ArgumentParser(prog="python -m local.host.working")
    parser.add_argument("--app-root", type=Path, required=True)
    parser.add_argument("--hub", required=True, help="address of the task hub, host:port")
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--replay-twice", action="store_true")
    parser.add_argument("--report", type=int, help="descriptor for counters, a JSON line each")
    options = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=options.log_level,
        format=f"%(asctime)s %(levelname)s worker {os.getpid()}: %(message)s",
    )
    for noisy in ("azure", "grpc", "durabletask"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return asyncio.run(_work(options))


async def _work(options: argparse.Namespace) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, which ends its parts
    counters = Counters()

    def report() -> None:
        if options.report is not None:
            os.write(options.report, json.dumps(counters.snapshot()).encode() + b"\n")

    threading.Thread(target=_until_let_go, args=(loop, stop, report), daemon=True).start()
    settings = read_settings(options.app_root.resolve())
    functions = index(settings)
    worker = Worker(counters)
    worker.start()
    pump = Pump(
        options.hub,
        functions,
        worker,
        counters,
        hub_name=settings.hub_name,
        max_activities=settings.max_activities,
        max_orchestrators=settings.max_orchestrators,
        max_entities=settings.max_entities,
        replays_twice=options.replay_twice,
    )
    pump.start()
    await stop.wait()
    await pump.stop(options.grace)
    worker.stop()
    sys.stderr.flush()
    os._exit(0)  # a synchronous function may still run in a thread


def _until_let_go(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, report: Callable[[], None]
) -> None:
    for _ in sys.stdin.buffer:
        loop.call_soon_threadsafe(report)
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
