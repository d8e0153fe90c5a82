"""A whole system that a test may kill in parts, and what brings it back: a start, nothing else."""

import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.azurite import Azurite
from local.stack import Stack, free_port, is_free
from tests.conftest import QUICK
from tests.disasters.between import Wires
from tests.disasters.moving import MovedClock
from tests.e2e.scene import Partner, Scene, TwoPartners
from tests.local.processes import wait_until_nothing_is_left

WORKER, HUB, HOST = "local.host.working", "local.host.taskhub.sqlite", "local.host"
LOOK_EVERY_SECONDS = 0.05
PATIENCE_SECONDS = 120.0


class MortalStack(Stack):
    """The stack with its storage behind wires, on a clock that a test moves."""

    def __init__(self, directory: Path, world: Sequence[str], **options: Any) -> None:
        super().__init__(
            directory, world=world, api_port=free_port(), marketplace=True,
            **{"workers": 2, "settings": QUICK, **options},
        )  # fmt: skip
        self.registrations = TwoPartners()
        self.wires = Wires()
        self.clock = MovedClock(directory / "clock")
        self.storage_environment: Mapping[str, str] = {}

    def _app_environment(self, microsoft365: str) -> dict[str, str]:
        made = super()._app_environment(microsoft365)
        wired = self.wired()
        return made | {"AzureWebJobsStorage": wired, "HOLDFAST_STORAGE_CONNECTION": wired}

    def wired(self) -> str:
        """The connection string of the storage, through the wires."""
        text = self.azurite.connection
        for name in ("blobs", "queues", "tables"):
            url = str(getattr(self.azurite, name))
            text = text.replace(url, self.wires.lead(name, url))
        return text

    def stop(self) -> None:
        super().stop()
        self.wires.close()

    # --- killing

    def processes(self, module: str) -> list[int]:
        """Processes of this stack that run a module; the host's leash counts with the host."""
        port = str(self._api_port)
        if module == HOST:
            return [pid for pid, words in commands() if {HOST, port} <= set(words)]
        hosts = self.processes(HOST)
        return [pid for pid, words in commands() if module in words and _parent(pid) in hosts]

    def kill(self, module: str) -> None:
        """kill -9: no last words, no clean end."""
        found = self.processes(module)
        assert found, module
        if module == HOST:  # a machine: everything on it
            found = [*found, *self.processes(HUB), *self.processes(WORKER)]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        for pid in found:
            until(lambda pid=pid: _is_gone(pid))  # type: ignore[misc]

    def start_host_again(self) -> None:
        """What a service manager does."""
        until(lambda: is_free(self._api_port), "the host's port is not free")
        assert self._start_host() == self.urls.api

    def lose_storage(self) -> None:
        """Every connection breaks in the middle and the storage's process ends.

        As of Azure's storage, what it has acknowledged is kept: Azurite writes that down when it
        is asked to end, and seconds late when it is killed.
        """
        self.wires.cut()
        self.azurite.stop()

    def kill_storage(self) -> None:
        """kill -9 of Azurite: with it goes what it acknowledged in its last seconds."""
        self.wires.cut()
        for pid, words in commands():
            if "--location" in words and str(self.directory / "storage") in words:
                os.kill(pid, signal.SIGKILL)
        self.azurite.stop()

    def find_storage(self) -> None:
        """The storage is back, with the account and the files it had."""
        self.azurite = Azurite(
            log=self.logs / "azurite.log",
            directory=self.directory / "storage",
            account=self.azurite.account,
        )
        self._hold(self.azurite.child)
        self.wired()
        self.wires.mend()


@contextmanager
def mortal(directory: Path, *world: str, **options: Any) -> Iterator[Scene]:
    """A system of a test's own, its people beside it; nothing of it is left afterwards."""
    stack = MortalStack(directory, world, **options)
    before = {name: os.environ.get(name) for name in stack.clock.environment}
    os.environ.update(stack.clock.environment)
    try:
        with stack:
            running = Scene.on(stack)
            yield running
            running.close()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    wait_until_nothing_is_left(directory)


def stack_of(scene: Scene) -> MortalStack:
    """The scene's stack, which may be killed."""
    assert isinstance(scene.stack, MortalStack)
    return scene.stack


def sign_in_again(scene: Scene) -> Partner:
    """A new connection with a new token, after a new start or a jump of the clock."""
    scene.partner.close()
    scene.partner = Partner(scene.stack.urls.api, scene.stack.partner_token())
    return scene.partner


def fire(scene: Scene, timer: str) -> None:
    """Fire a timer by hand, as the Functions tools do."""
    import httpx

    address = f"{scene.stack.urls.api}/admin/functions/{timer}"
    assert httpx.post(address, json={"input": ""}, trust_env=False).status_code == 202


def until[T](look: Callable[[], T], what: str = "", seconds: float = PATIENCE_SECONDS) -> T:
    """Look until there is something to see."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, what or "nothing happened"
        time.sleep(LOOK_EVERY_SECONDS)
    return found


def on_storage[T](scene: Scene, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Something on the deployment's own tables, at the stack's time."""
    import asyncio

    from shared.bootstrap import Deps
    from shared.kit.config import Settings

    stack = stack_of(scene)

    async def run() -> T:
        settings = Settings(
            storage_connection=stack.azurite.connection,  # type: ignore[arg-type]
            key_store=stack.environment["HOLDFAST_KEY_STORE"],
        )
        deps = Deps(settings, clock=stack.clock)
        try:
            return await work(deps)
        finally:
            await deps.close()

    return asyncio.run(run())


def commands() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(entry.name), words


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
