"""A worker without a front: `python -m local.host.working --app-root DIR --hub ADDRESS`.

Runs orchestrators and activities of the app for a task hub. Ends when its standard input does, or
on SIGTERM: it takes nothing new, lets running work end, and gives the rest back.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
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
    threading.Thread(target=_until_let_go, args=(loop, stop), daemon=True).start()
    settings = read_settings(options.app_root.resolve())
    functions = index(settings)
    counters = Counters()
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
        replays_twice=options.replay_twice,
    )
    pump.start()
    await stop.wait()
    await pump.stop(options.grace)
    worker.stop()
    sys.stderr.flush()
    os._exit(0)  # a synchronous function may still run in a thread


def _until_let_go(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
