"""Command line of the simulated Microsoft 365."""

import argparse
import asyncio
import signal
import sys
from datetime import datetime
from pathlib import Path

import orjson

from local.microsoft365.apps import BadRegistrations, load
from local.microsoft365.clock import Clock, parse_iso
from local.microsoft365.server import serve
from local.microsoft365.start import create, tls_context
from local.microsoft365.world import Size
from local.microsoft365.world_real import BadInput


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m local.microsoft365", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--https-port", type=int, default=0, help="0 picks a free port")
    parser.add_argument("--cert", type=Path, help="PEM certificate chain of the https listener")
    parser.add_argument("--key", type=Path, help="PEM private key of the https listener")
    parser.add_argument("--registrations", type=Path, help="JSON file of application registrations")
    parser.add_argument("--limits", type=Path, help="JSON file of overrides of limits.toml")
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--mails", type=int, default=200, help="per user")
    parser.add_argument("--files", type=int, default=100, help="per user")
    parser.add_argument("--events", type=int, default=0, help="per user")
    parser.add_argument("--contacts", type=int, default=0, help="per user")
    parser.add_argument("--sites", type=int, default=0)
    parser.add_argument("--teams", type=int, default=0)
    parser.add_argument("--site-files", type=int, default=12, help="per library")
    parser.add_argument("--list-items", type=int, default=12, help="per list")
    parser.add_argument("--messages", type=int, default=12, help="threads per channel")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--mail-mean", type=int, default=75_000, help="mean bytes of a mail")
    parser.add_argument("--file-mean", type=int, default=60_000, help="mean bytes of a file")
    parser.add_argument("--generated-only", action="store_true", help="without CPython's own data")
    parser.add_argument("--mbox", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--maildir", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--files-from", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--virtual-clock", metavar="ISO", help="freeze the time here")
    return parser.parse_args(argv)


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal ends the process."""
    frozen: datetime | None = parse_iso(options.virtual_clock) if options.virtual_clock else None
    size = Size(
        tenants=options.tenants,
        users=options.users,
        mails=options.mails,
        files=options.files,
        events=options.events,
        contacts=options.contacts,
        sites=options.sites,
        teams=options.teams,
        site_files=options.site_files,
        list_items=options.list_items,
        messages=options.messages,
        seed=options.seed,
        mail_mean=options.mail_mean,
        file_mean=options.file_mean,
        real=not options.generated_only,
        mboxes=options.mbox,
        maildirs=options.maildir,
        trees=options.files_from,
    )
    sim = create(
        size,
        load(options.registrations) if options.registrations else None,
        clock=Clock(frozen),
        limits=orjson.loads(options.limits.read_bytes()) if options.limits else None,
    )
    tls = tls_context(options.cert, options.key) if options.cert and options.key else None
    server = await serve(
        sim,
        host=options.host,
        http_port=options.http_port,
        https_port=options.https_port,
        tls=tls,
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
    except (BadInput, BadRegistrations, OSError, ValueError, KeyError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
