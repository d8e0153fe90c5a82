"""Worker processes beside the host: they run orchestrators and activities of one hub.

One that dies is started again; what it held is handed out to the others by the hub meanwhile.
"""

import asyncio
import contextlib
import logging
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

REVIVAL_SECONDS = 0.5
PROJECT = Path(__file__).resolve().parents[2]


class WorkerProcesses:
    """`count` processes of `python -m local.host.working`. `start`, then `stop`."""

    def __init__(self, count: int, arguments: list[str]) -> None:
        self._count, self._arguments = count, arguments
        self._keeping: list[asyncio.Task[None]] = []
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._is_stopping = False

    @property
    def pids(self) -> list[int]:
        """The processes of the moment."""
        return [process.pid for process in self._running.values()]

    def start(self) -> None:
        """Start them; returns at once."""
        self._keeping = [asyncio.create_task(self._keep(n)) for n in range(self._count)]

    async def _keep(self, number: int) -> None:
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "local.host.working", *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                cwd=PROJECT,
            )
            self._running[number] = process
            code = await process.wait()
            if self._is_stopping:
                return
            logger.error("worker %d died (exit code %s): it is started again", number + 1, code)
            await asyncio.sleep(REVIVAL_SECONDS)

    async def stop(self, grace_seconds: float) -> None:
        """Let them end what they run within the time, then end them by force."""
        self._is_stopping = True
        for process in self._running.values():
            if process.stdin is not None:
                process.stdin.close()  # the leash: its end asks them to stop
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=grace_seconds + 2.0)
        for process in self._running.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for process in self._running.values():
            await process.wait()
