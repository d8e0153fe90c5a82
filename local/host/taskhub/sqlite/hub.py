"""The hub put together: file, delivery, gRPC server; on an event loop or in a thread of its own."""

import asyncio
import contextlib
import itertools
import logging
import threading
from pathlib import Path

import grpc.aio

from local.host.taskhub.sqlite import activities, entities, messages
from local.host.taskhub.sqlite.chaos import Chaos, Switches
from local.host.taskhub.sqlite.delivery import Delivery
from local.host.taskhub.sqlite.poison import Limit
from local.host.taskhub.sqlite.service import Service
from local.host.taskhub.sqlite.store import Store, Unavailable
from local.host.taskhub.sqlite.tries import TRIES

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
PING_EVERY_SWEEPS = 6
"""A worker of the SDK takes two minutes of silence for a broken connection."""
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # A worker that was stopped, not ended, keeps its socket: it is asked whether it lives.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Hub:
    """A task hub on the running event loop. `start`, then `stop`."""

    def __init__(
        self,
        path: Path,
        *,
        default_version: str | None = None,
        is_durable: bool = True,
        switches: Switches | None = None,
        gathers: bool = True,
        tries: int = TRIES,
    ) -> None:
        self._path, self._is_durable = path, is_durable
        self._chaos = Chaos(switches) if switches is not None else None
        self._delivery = Delivery(self._chaos, gathers=gathers, limit=Limit(tries))
        self._default_version = default_version
        self._service = Service(lambda: self._delivery.store, self._delivery)
        self._server: grpc.aio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.crashes = 0

    async def start(self, address: str = "127.0.0.1:0") -> str:
        """Open the file and listen; gives the address. Raises BadDatabase, or OSError."""
        await self._open()
        self._server = grpc.aio.server(options=OPTIONS)
        self._service.add_to(self._server)
        try:
            port = self._server.add_insecure_port(address)
            await self._server.start()
        except (OSError, RuntimeError) as fault:
            self._delivery.store.close()
            raise OSError(f"the task hub cannot listen on {address}: {fault}") from fault
        self._sweeping = asyncio.create_task(self._sweep())
        return f"{address.rpartition(':')[0]}:{port}"

    async def _open(self) -> None:
        store = Store(
            self._path,
            self._delivery.apply,
            is_durable=self._is_durable,
            default_version=self._default_version,
            crash=self._crash,
        )
        store.open(asyncio.get_running_loop())
        self._delivery.store = store
        await store.call(activities.recover)
        await store.call(messages.recover)
        await store.call(entities.recover)
        store.chaos = self._chaos  # from now on: a hub that crashes at its start is no test

    def _crash(self) -> None:
        """Die and come back, as a killed process does that is started again."""
        self.crashes += 1
        self._delivery.store.close()
        self._delivery.clear()
        self._reopening = asyncio.create_task(self._reopen())

    async def _reopen(self) -> None:
        await self._open()
        logger.info("the hub is back after crash %d", self.crashes)

    async def _sweep(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(SWEEP_SECONDS)
            self._delivery.sweep()
            if number % PING_EVERY_SWEEPS == 0:
                self._delivery.ping()

    async def stop(self, grace_seconds: float = 0.5) -> None:
        """Stop listening, wake whoever waits, close the file."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._delivery.count_losses()
        self._delivery.clear()
        with contextlib.suppress(Unavailable):
            await self._delivery.store.call(lambda _: None)  # behind all that was asked for
        if self._server is not None:
            await self._server.stop(grace_seconds)
        self._delivery.store.close()


class SqliteHub:
    """A TaskHub (the seam) with an event loop and a thread of its own."""

    def __init__(
        self,
        path: Path,
        default_version: str | None = None,
        *,
        is_durable: bool = True,
        switches: Switches | None = None,
        tries: int = TRIES,
    ) -> None:
        self.hub = Hub(
            path,
            default_version=default_version,
            is_durable=is_durable,
            switches=switches,
            tries=tries,
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self, address: str = "127.0.0.1:0") -> str:
        """Open, listen, give the address. Raises BadDatabase or OSError."""
        began = threading.Event()
        outcome: list[str | BaseException] = []

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._serve(address, outcome, began))

        self._thread = threading.Thread(target=run, name="hub", daemon=True)
        self._thread.start()
        began.wait()
        if isinstance(outcome[0], BaseException):
            self._thread.join()
            self._thread = None
            raise outcome[0]
        return outcome[0]

    async def _serve(
        self, address: str, outcome: list[str | BaseException], began: threading.Event
    ) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            outcome.append(await self.hub.start(address))
        except BaseException as fault:  # noqa: BLE001 - raised in the thread that asked
            outcome.append(fault)
            return
        finally:
            began.set()
        await self._stopping.wait()
        await self.hub.stop()

    def stop(self) -> None:
        """Stop and end the thread."""
        if self._thread is None:
            return
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None
