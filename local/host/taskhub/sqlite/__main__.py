"""The hub as a process of its own: `python -m local.host.taskhub.sqlite FILE [--address A]`.

Ends when its standard input does, so it does not outlive whoever started it, and on SIGTERM.
"""

import argparse
import asyncio
import gc
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from local.host.taskhub.sqlite.chaos import parse
from local.host.taskhub.sqlite.hub import Hub
from local.host.taskhub.sqlite.schema import BadDatabase
from local.host.taskhub.sqlite.tries import TRIES

EXIT_BAD_FILE = 1
EXIT_PORT_TAKEN = 2


def main() -> int:
    """Serve until told to end; prints one JSON line with the address when ready."""
    parser = argparse.ArgumentParser(prog="python -m local.host.taskhub.sqlite")
    parser.add_argument("file", type=Path)
    parser.add_argument("--address", default="127.0.0.1:0")
    parser.add_argument("--default-version")
    parser.add_argument("--chaos", help="seed=1,activity-twice=0.1,…")
    parser.add_argument(
        "--no-gathering", action="store_true", help="a turn for whatever came: to measure with"
    )
    parser.add_argument("--tries", type=int, default=TRIES, help="then a work item is parked")
    options = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr, level="INFO", format="%(asctime)s %(levelname)s hub: %(message)s"
    )
    gc.freeze()  # what is imported stays: the collector need not look at it
    try:
        return asyncio.run(_serve(options))
    except BadDatabase as fault:
        sys.stderr.write(f"error: {fault}\n")
        return EXIT_BAD_FILE
    except OSError as fault:
        sys.stderr.write(f"error: {fault}\n")
        return EXIT_PORT_TAKEN


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who ends its parts
    switches = parse(options.chaos) if options.chaos else None
    hub = Hub(
        options.file,
        default_version=options.default_version,
        switches=switches,
        gathers=not options.no_gathering,
        tries=options.tries,
    )
    address = await hub.start(options.address)
    threading.Thread(target=_until_let_go, args=(loop, stop), daemon=True).start()
    sys.stdout.write(json.dumps({"address": address}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await hub.stop()
    return 0


def _until_let_go(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
