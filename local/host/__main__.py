"""The command line: `python -m local.host --app-root DIR [--port P] [--ready-json]`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BEGAN = time.perf_counter()  # before the heavy imports: the start time is measured from here

from local.host.constraint import BadRoute  # noqa: E402
from local.host.host import Host, describe, ready_line, show  # noqa: E402
from local.host.indexing import UnsupportedTrigger  # noqa: E402
from local.host.keys import make_keys  # noqa: E402
from local.host.ncrontab import BadSchedule  # noqa: E402
from local.host.settings import BadSettings, read_settings  # noqa: E402
from local.host.taskhub.choose import BadHub, make_hub  # noqa: E402
from local.host.taskhub.sqlite.chaos import BadSwitch  # noqa: E402
from local.host.taskhub.sqlite.schema import BadDatabase  # noqa: E402

EXIT_BAD_APP = 1
EXIT_BAD_USE = 2

logger = logging.getLogger("local.host")


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal; the exit code is 0 after a signal, else says what was wrong."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=options.log_level, format="%(asctime)s %(levelname)s %(message)s"
    )
    for noisy in ("azure", "grpc", "durabletask"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        host = _host(options)
    except (BadSettings, BadRoute, BadSchedule, UnsupportedTrigger, BadHub, BadSwitch) as fault:
        return _refuse(str(fault))
    except FileNotFoundError as fault:
        traceback.print_exc()
        return _refuse(str(fault))
    except Exception as fault:  # noqa: BLE001 - whatever the app raises while it is imported
        traceback.print_exc()
        return _refuse(f"the app could not be indexed: {type(fault).__name__}: {fault}")
    return asyncio.run(_serve(host, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.host", description="Serve an Azure Functions app on this machine."
    )
    parser.add_argument("--app-root", type=Path, required=True, help="folder of function_app.py")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7071, help="0 takes a free one")
    parser.add_argument("--ready-json", action="store_true", help="print one JSON line when ready")
    parser.add_argument("--ready-file", type=Path, help="write that line to a file")
    parser.add_argument("--enable-auth", action="store_true", help="check function keys")
    parser.add_argument("--time-zone", help="zone of timers (IANA name); the platform's is UTC")
    parser.add_argument(
        "--hub",
        default="memory",
        help="memory, sqlite:FILE (survives), scheduler (from settings) or grpc:HOST:PORT",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes for durable functions")
    parser.add_argument("--chaos", help="for tests: seed=1,activity-twice=0.1,replay-twice,…")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds to end running work")
    parser.add_argument(
        "--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"]
    )
    return parser


def _host(options: argparse.Namespace) -> Host:
    try:
        zone = ZoneInfo(options.time_zone) if options.time_zone else None
    except (ZoneInfoNotFoundError, ValueError) as fault:
        raise BadSettings(f"there is no time zone '{options.time_zone}'") from fault
    if options.workers < 1:
        raise BadSettings(f"--workers must be at least 1, not {options.workers}")
    settings = read_settings(options.app_root.resolve())
    keys = make_keys(os.environ) if options.enable_auth else None
    hub, switches = make_hub(
        options.hub,
        settings.default_version,
        options.chaos,
        hub_name=settings.hub_name,
        connection_setting=settings.scheduler_setting,
    )
    try:
        return Host(
            settings,
            hub=hub,
            keys=keys,
            zone=zone,
            workers=options.workers,
            replays_twice=switches.replay_twice,
        )
    except BaseException:
        if hub is not None:
            hub.stop()
        raise


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"error: {sentence}\n")
    return EXIT_BAD_APP


async def _serve(host: Host, options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    _on_signals(stop)
    try:
        await host.start(options.host, options.port)
    except BadDatabase as fault:
        await host.stop(0.0)
        return _refuse(str(fault))
    except OSError as fault:
        await host.stop(0.0)
        sys.stderr.write(f"error: cannot listen on {options.host}:{options.port}: {fault}\n")
        return EXIT_BAD_USE
    _announce(host, options)
    await stop.wait()
    is_clean = await host.stop(options.grace)
    sys.stdout.flush()
    sys.stderr.flush()
    if not is_clean:
        # A synchronous function still runs in a thread: waiting for it could take for ever.
        os._exit(0)
    return 0


def _announce(host: Host, options: argparse.Namespace) -> None:
    for line in describe(host):
        show(line)
    for warning in _warnings(host):
        logger.warning(warning)
    line = ready_line(host.ready() | {"startSeconds": round(time.perf_counter() - BEGAN, 3)})
    if options.ready_file is not None:
        # Written beside and moved: a reader never sees half a file.
        beside = options.ready_file.with_name(options.ready_file.name + ".new")
        beside.write_text(line + "\n", "utf-8")
        beside.replace(options.ready_file)
    if options.ready_json:
        show(line)
    else:
        show(f"Host is ready: {host.address.url}")


def _warnings(host: Host) -> list[str]:
    found = list(host.router.warnings())
    for timer in host.timers:
        found += [f"{timer.function.name}: {warning}" for warning in timer.schedule.warnings]
    if host.timers and "WEBSITE_TIME_ZONE" in os.environ:
        found.append("WEBSITE_TIME_ZONE is ignored, as on Flex Consumption: schedules are UTC")
    return found


def _on_signals(stop: asyncio.Event) -> None:
    """The first signal stops the host gracefully, the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def take(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take, number)


if __name__ == "__main__":
    sys.exit(main())
