"""Command line of the simulated marketplace."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import orjson

from local.marketplace.simulator import Publisher, Simulator, serve
from local.microsoft365.clock import Clock, parse_iso


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m local.marketplace", description=__doc__)
    parser.add_argument("--publisher", type=Path, required=True, help="JSON of the publisher")
    parser.add_argument("--http-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--https-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--cert", type=Path, help="PEM certificate chain of the https listener")
    parser.add_argument("--key", type=Path, help="PEM private key of the https listener")
    parser.add_argument("--virtual-clock", metavar="ISO", help="freeze the time here")
    return parser.parse_args(argv)


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal ends the process."""
    frozen = parse_iso(options.virtual_clock) if options.virtual_clock else None
    publisher = Publisher(**orjson.loads(options.publisher.read_bytes()))
    server = await serve(
        Simulator(publisher, Clock(frozen)),
        http_port=options.http_port,
        https_port=options.https_port,
        certificate=options.cert,
        key=options.key,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Whoever reads this line may end the process at once, so the handlers come first.
    print(orjson.dumps({"http": server.http, "https": server.https}).decode(), flush=True)
    await stop.wait()
    await server.close()


def main() -> int:
    """Run the command; 2 for input that is not there."""
    try:
        asyncio.run(run(arguments()))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
