"""The whole system on one machine: Azurite, a simulated Microsoft 365 and the host with the app.

In a test:   with Stack(tmp_path) as stack: ...           (or `async with`)
In a demo:   with orderly_end(), run_directory("demo") as data, Stack(data) as stack: ...

Every part listens on the loopback alone, on a port of its own; nothing outlives the Stack.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from local import marketplaces, signin
from local.azurite import Azurite
from local.certs import (
    Certificates,
    ClientCredential,
    make_certificates,
    make_client_credential,
)
from local.children import Child, ChildFailed, json_line
from local.registrations import Registrations
from local.rundir import PROJECT
from local.seed import SEEDED

SMALL_WORLD = ("--tenants", "1", "--users", "3", "--mails", "10", "--files", "10")
READY_SECONDS = 120.0
PORT_TRIES = 5
PORT_TAKEN = 2
"""Exit code of `local.host` when it cannot listen where it should."""
HOST_GRACE_SECONDS = 5
"""For running work at the end; below the leash's patience, so that the host ends by itself."""
OURS = ("HOLDFAST_", "AzureWebJobs", "AzureFunctionsJobHost__", "AZURE_", "FUNCTIONS_")
"""Settings of the caller's shell that would change a local run: not handed on."""


@dataclass(frozen=True)
class Urls:
    """Where the parts answer. No URL ends in a slash."""

    api: str
    """The app behind the local host; the Partner API is under /api/v1."""
    microsoft365: str
    """The simulated Microsoft 365 on plain http, for people and tests."""
    microsoft365_tls: str
    """The same over https, for the app."""
    blobs: str
    queues: str
    tables: str
    marketplace: str = ""
    """The simulated marketplace on plain http, where one was wanted."""


class Stack:
    """Starts all parts on entering, ends them on leaving, in reverse order.

    After a start: `urls`, `registrations`, `environment` (what the app runs with), `certificates`,
    `logs` (a folder), `azurite`. `world` are the simulator's own options (`python -m
    local.microsoft365 --help`); `settings` are laid over the app's settings; `api_port` is wanted,
    not demanded: another one is taken when it is in use. `workers` processes run orchestrators and
    activities. With `marketplace` a simulated one is started beside. A part that dies while
    starting raises ChildFailed with its last lines, and whatever had started is ended.
    """

    urls: Urls
    certificates: Certificates
    azurite: Azurite
    environment: dict[str, str]

    def __init__(
        self,
        directory: Path,
        *,
        world: Sequence[str] = SMALL_WORLD,
        settings: Mapping[str, str] | None = None,
        api_port: int = 0,
        app_root: Path = PROJECT,
        storage_in_memory: bool = False,
        workers: int = 1,
        marketplace: bool = False,
    ) -> None:
        self.directory = directory.resolve()
        self.logs = self.directory / "logs"
        self._credential = self.directory / "client-credential.pem"
        self.registrations = Registrations()
        self._world = list(world)
        self._settings = dict(settings or {})
        self._api_port = api_port
        self._app_root = app_root
        self._storage_in_memory = storage_in_memory
        self._workers = workers
        self._with_marketplace = marketplace
        self._marketplace: dict[str, str] = {}
        self._parts: list[Child] = []
        self._ending = ExitStack()

    def start(self) -> None:
        """Start and wait for health. Blocking; what had started is ended if anything fails."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all parts, the last started first. May be called twice, from any thread."""
        self._ending.close()
        self._parts.clear()

    def failure(self) -> ChildFailed | None:
        """What to say when a part has died since the start; None while all run."""
        for part in self._parts:
            if not part.running:
                return part.failure("ended by itself")
        return None

    @property
    def hub_file(self) -> Path:
        """The task hub: a host that is started again goes on where the last one was."""
        return self.directory / "taskhub.sqlite"

    def partner_token(self) -> str:
        """A fresh bearer token of the partner's daemon for the Partner API."""
        return signin.partner_token(self.registrations, self.urls.microsoft365)

    def reader_token(self, tenant_id: str) -> str:
        """A fresh Graph token of the Reader in a tenant that consented: to look for oneself."""
        return signin.application_token(
            self.registrations.reader,
            tenant_id,
            credential=self._credential,
            authority=self.urls.microsoft365_tls,
            bundle=self.certificates.bundle,
        )

    def _start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.certificates = make_certificates(self.directory / "certificates")
        credential = make_client_credential(self._credential)
        self.registrations.write(self.directory / "registrations.json", credential)
        marketplace = self._start_marketplace(credential) if self._with_marketplace else None
        simulator = self._start_simulator()  # builds its world while Azurite starts
        self.azurite = Azurite(
            log=self.logs / "azurite.log",
            directory=None if self._storage_in_memory else self.directory / "storage",
        )
        self._hold(self.azurite.child)
        ready = simulator.wait_until(json_line, READY_SECONDS)
        if marketplace is not None:
            self._marketplace = marketplace.wait_until(json_line, READY_SECONDS)
        self.environment = self._app_environment(str(ready["https"]))
        seed = self._start_seed()  # while the host imports the app
        api = self._start_host()
        seed.wait_until(lambda output: SEEDED in output or None, READY_SECONDS)
        self.urls = Urls(
            api=api,
            microsoft365=str(ready["http"]),
            microsoft365_tls=str(ready["https"]),
            blobs=self.azurite.blobs,
            queues=self.azurite.queues,
            tables=self.azurite.tables,
            marketplace=self._marketplace.get("http", ""),
        )
        if marketplace is not None:
            marketplaces.deliver_to(self.urls.marketplace, api)

    def _hold(self, part: Child) -> None:
        self._parts.append(part)
        self._ending.callback(part.stop)

    def _start_simulator(self) -> Child:
        simulator = Child(
            "The simulated Microsoft 365",
            [
                *(sys.executable, "-m", "local.microsoft365"),
                *("--http-port", "0", "--https-port", "0"),
                *("--cert", str(self.certificates.server_certificate)),
                *("--key", str(self.certificates.server_key)),
                *("--registrations", str(self.directory / "registrations.json")),
                *self._world,
            ],
            log=self.logs / "microsoft365.log",
            environment=_clean_environment(),
            directory=PROJECT,
        )
        self._hold(simulator)
        return simulator

    def _start_marketplace(self, credential: ClientCredential) -> Child:
        marketplace = Child(
            "The simulated marketplace",
            marketplaces.command(self.registrations, credential, self.certificates, self.directory),
            log=self.logs / "marketplace.log",
            environment=_clean_environment(),
            directory=PROJECT,
        )
        self._hold(marketplace)
        return marketplace

    def _start_seed(self) -> Child:
        mine = self.registrations
        seed = Child(
            "The seed",
            [*(sys.executable, "-m", "local.seed"), mine.partner_tenant_id, mine.partner],
            log=self.logs / "seed.log",
            environment=self.environment,
            directory=PROJECT,
        )
        self._ending.callback(seed.stop)  # no part: it ends by itself
        return seed

    def _app_environment(self, microsoft365: str) -> dict[str, str]:
        """The app settings of a local run (design: one place for what Azure has as settings)."""
        return {
            **_clean_environment(),
            **self.certificates.environment(),
            **self.registrations.settings(),
            "AzureWebJobsStorage": self.azurite.connection,
            "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "TASK_HUB": "HoldfastLocal",
            "MALLOC_ARENA_MAX": "1",
            "HOLDFAST_STORAGE_CONNECTION": self.azurite.connection,
            "HOLDFAST_AUTHORITY": microsoft365,
            "HOLDFAST_GRAPH": microsoft365,
            "HOLDFAST_CLIENT_CREDENTIAL": str(self._credential),
            "HOLDFAST_KEY_STORE": f"file:{self.directory / 'keys'}",
            # Demo, bench and tests poll several times a second, all as one client.
            "HOLDFAST_RATE_QUOTA": "60000",
            **marketplaces.settings(self.registrations, self._marketplace),
            **self._settings,
        }

    def _start_host(self) -> str:
        """Start the host on the wanted port, or on another when that one is taken."""
        port = self._api_port if self._api_port and is_free(self._api_port) else free_port()
        for _ in range(PORT_TRIES):
            url = f"http://127.0.0.1:{port}"
            self.environment["HOLDFAST_PUBLIC_URL"] = url
            host = self._host_on(port)
            self._hold(host)
            try:
                host.wait_until(json_line, READY_SECONDS)
            except ChildFailed:
                if host.exit_code != PORT_TAKEN:
                    raise
                self._parts.remove(host)  # somebody was faster: try another
                port = free_port()
            else:
                return url
        raise ChildFailed("no free port was found for the host")

    def _host_on(self, port: int) -> Child:
        return Child(
            "The local host",
            [
                *(sys.executable, "-m", "local.host"),
                *("--app-root", str(self._app_root), "--port", str(port)),
                *("--ready-json", "--grace", str(HOST_GRACE_SECONDS)),
                *("--hub", f"sqlite:{self.hub_file}", "--workers", str(self._workers)),
            ],
            log=self.logs / "host.log",
            environment=self.environment,
            directory=PROJECT,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def free_port() -> int:
    """A port that is free now; somebody else may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do it: a port in TIME_WAIT after the last run counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _clean_environment() -> dict[str, str]:
    """This process's environment without what would bend a local run: other settings, a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    loopback = "127.0.0.1,localhost,::1"
    return {**kept, "NO_PROXY": loopback, "no_proxy": loopback, "PYTHONUNBUFFERED": "1"}
