"""The host put together: settings, app, worker, task hub, pump, timers and HTTP front."""

import asyncio
import contextlib
import json
import logging
import math
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import uvicorn

from local.host.admin import Admin
from local.host.clock import HostClock
from local.host.counters import Counters
from local.host.front import Front
from local.host.indexing import Function, index
from local.host.keys import Keys
from local.host.pump import Pump
from local.host.retry import retry_policy
from local.host.routing import Router
from local.host.settings import HostSettings
from local.host.status import BlobStatus, MemoryStatus, StatusStore, TimerStatus
from local.host.taskhub import TaskHub
from local.host.timers import Timer, TimerClock, read_timer
from local.host.values import durable_client, timer_value
from local.host.worker import InvocationFailed, Worker
from local.host.workers import WorkerProcesses

logger = logging.getLogger(__name__)

GRACE_SECONDS = 10.0  # how long running work may take to end when the host stops
DURABLE_KINDS = frozenset({"orchestrationTrigger", "activityTrigger", "entityTrigger"})


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the host decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


@dataclass
class Address:
    """Where the host listens, once it does."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The site, without a slash at the end."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}"


class Host:
    """One app, served. `Host(...)` indexes it and raises what is wrong; `start`, then `stop`."""

    def __init__(
        self,
        settings: HostSettings,
        *,
        hub: TaskHub | None = None,
        store: StatusStore | None = None,
        keys: Keys | None = None,
        zone: tzinfo | None = None,
        workers: int = 1,
        replays_twice: bool = False,
    ) -> None:
        self.settings = settings
        self.counters = Counters()
        self.functions = index(settings)
        self.router = Router(self.functions, settings.route_prefix)
        self.clock = HostClock()
        self.worker = Worker(self.counters)
        self.timers = self._read_timers(zone)
        self.keys = keys
        self._hub, self._store = hub, store
        self._worker_count, self._replays_twice = workers, replays_twice
        self._workers: WorkerProcesses | None = None
        self._hub_address = ""
        self._by_hand: set[asyncio.Task[None]] = set()
        self._pump: Pump | None = None
        self._timer_clock: TimerClock | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.address = Address("127.0.0.1", 0)

    def _read_timers(self, zone: tzinfo | None) -> list[Timer]:
        now = self.clock.now()
        extra = {} if zone is None else {"zone": zone}
        return [
            read_timer(function, self.settings, now, **extra)
            for function in self.functions
            if function.kind == "timerTrigger" and not function.disabled
        ]

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError if the port is in use."""
        listener = _listen(host, port)
        self.address = Address(host, listener.getsockname()[1])
        self.worker.start()
        self._start_durable()
        workers = self._workers.counters if self._workers is not None else _no_workers
        admin = Admin(
            *(self.functions, self.clock, self.counters, workers),
            *(self.settings.host_id, self.fire),
        )
        front = Front(self.settings, self.router, self.worker, admin, self._client_value, self.keys)
        config = uvicorn.Config(
            front,
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        store = self._store or self._default_store()
        self._timer_clock = TimerClock(self.timers, store, self.clock, self._fire_due)
        self._timer_clock.start()

    def _start_durable(self) -> None:
        wanted = any(f.kind in DURABLE_KINDS or f.client_bindings for f in self.functions)
        if not wanted:
            return
        if self._hub is None:
            from local.host.taskhub.memory import MemoryHub

            self._hub = MemoryHub(self.settings.default_version)
        self._hub_address = self._hub.start()
        if self._worker_count > 1:
            arguments = ["--app-root", str(self.settings.app_root), "--hub", self._hub_address]
            arguments += ["--log-level", logging.getLevelName(logging.getLogger().level)]
            arguments += ["--replay-twice"] if self._replays_twice else []
            self._workers = WorkerProcesses(self._worker_count, arguments)
            self._workers.start()
            return
        self._pump = Pump(
            self._hub_address,
            self.functions,
            self.worker,
            self.counters,
            hub_name=self.settings.hub_name,
            max_activities=self.settings.max_activities,
            max_orchestrators=self.settings.max_orchestrators,
            max_entities=self.settings.max_entities,
            replays_twice=self._replays_twice,
        )
        self._pump.start()

    def _default_store(self) -> StatusStore:
        connection = self.settings.storage_connection
        return BlobStatus(connection, self.settings.host_id) if connection else MemoryStatus()

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> bool:
        """Take nothing new, let running work end, abandon the rest. True if nothing was."""
        parts = []
        if self._server is not None and self._serving is not None:
            self._server.config.timeout_graceful_shutdown = math.ceil(grace_seconds)
            self._server.should_exit = True
            parts.append(self._serving)
        if self._timer_clock is not None:
            parts.append(asyncio.create_task(self._timer_clock.stop(grace_seconds)))
        if self._pump is not None:
            parts.append(asyncio.create_task(self._pump.stop(grace_seconds)))
        if self._workers is not None:
            parts.append(asyncio.create_task(self._workers.stop(grace_seconds)))
        if self._by_hand:
            parts.append(asyncio.create_task(self._end_by_hand(grace_seconds)))
        for result in await asyncio.gather(*parts, return_exceptions=True):
            if isinstance(result, Exception):
                logger.error("stopping: %r", result)
        if self._hub is not None:
            await asyncio.to_thread(self._hub.stop)
        self.worker.stop()
        return self.worker.abandoned == 0

    async def _end_by_hand(self, grace_seconds: float) -> None:
        await asyncio.wait(self._by_hand, timeout=grace_seconds)
        for task in self._by_hand:
            task.cancel()

    def ready(self) -> dict[str, Any]:
        """The machine-readable ready line."""
        ready: dict[str, Any] = {
            "url": self.address.url,
            "port": self.address.port,
            "functions": len(self.functions),
            "taskHub": self._hub_address,
        }
        if self.keys is not None:
            ready |= {"hostKey": self.keys.host, "masterKey": self.keys.master}
        return ready

    # --- invocations that no request asks for

    async def fire(self, function: Function) -> None:
        """Run a timer function by hand, beside its schedule; returns at once."""
        task = asyncio.create_task(self._fire_due(function, None, False))
        self._by_hand.add(task)
        task.add_done_callback(self._by_hand.discard)

    async def _fire_due(
        self, function: Function, status: TimerStatus | None, is_past_due: bool
    ) -> None:
        """Run a timer function with its retry policy. A failure is logged, never raised."""
        policy = retry_policy(function)
        retry = 0
        while True:
            value = timer_value(status.document() if status else None, is_past_due=is_past_due)
            try:
                await self.worker.invoke(
                    function,
                    value,
                    {
                        name: self._client_value(self.address.url)
                        for name in function.client_bindings
                    },
                    retry_count=retry,
                    max_retry_count=policy.max_retries,
                )
            except InvocationFailed:
                retry += 1
                pause = policy.pause_seconds(retry)
                if pause is None:
                    return
                await asyncio.sleep(pause)
            else:
                return

    def _client_value(self, site: str) -> Any:
        return durable_client(self.settings.hub_name, self._hub_address, site, "local")


async def _no_workers() -> list[dict[str, Any]]:
    return []


def describe(host: Host) -> list[str]:
    """One line per function, in the form `func` prints."""
    routes = {route.function.name: route for route in host.router.routes}
    schedules = {timer.function.name: timer.schedule.text for timer in host.timers}
    lines = []
    for function in host.functions:
        if function.disabled:
            lines.append(f"{function.name}: disabled")
        elif function.name in routes:
            methods = ",".join(function.trigger.get("methods") or ())
            path = routes[function.name].template.text
            lines.append(f"{function.name}: [{methods}] {host.address.url}/{path}")
        elif function.name in schedules:
            lines.append(f"{function.name}: timerTrigger {schedules[function.name]}")
        else:
            lines.append(f"{function.name}: {function.kind}")
    return lines


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def show(line: str) -> None:
    """Print one line at once: whoever reads our output waits for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def ready_line(ready: dict[str, Any]) -> str:
    """The ready line as JSON."""
    return json.dumps(ready, separators=(",", ":"))
