"""Worker processes beside the host: they run orchestrators and activities of one hub.

One that dies is started again; what it held is handed out to the others by the hub meanwhile.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

REVIVAL_SECONDS = 0.5
ANSWER_SECONDS = 2.0
"""How long a worker may take to say its counters; a busy or dying one is left out."""
MOST_ANSWER_BYTES = 1024 * 1024
PROJECT = Path(__file__).resolve().parents[2]


class WorkerProcesses:
    """`count` processes of `python -m local.host.working`. `start`, then `stop`."""

    def __init__(self, count: int, arguments: list[str]) -> None:
        self._count, self._arguments = count, arguments
        self._keeping: list[asyncio.Task[None]] = []
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._reports: dict[int, asyncio.StreamReader] = {}
        self._asking = asyncio.Lock()
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
            reading, writing = os.pipe()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "local.host.working", *self._arguments),
                *("--report", str(writing)),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(writing,),
                cwd=PROJECT,
            )
            os.close(writing)
            self._running[number] = process
            self._reports[number], pipe = await _reader(reading)
            code = await process.wait()
            pipe.close()
            if self._is_stopping:
                return
            logger.error("worker %d died (exit code %s): it is started again", number + 1, code)
            await asyncio.sleep(REVIVAL_SECONDS)

    async def counters(self) -> list[dict[str, Any]]:
        """The counters of each worker that answers, since its own start."""
        async with self._asking:
            answers = [self._ask(number) for number in list(self._reports)]
            return [found for found in await asyncio.gather(*answers) if found is not None]

    async def _ask(self, number: int) -> dict[str, Any] | None:
        process = self._running[number]
        if process.returncode is not None or process.stdin is None:
            return None
        try:
            process.stdin.write(b"counters\n")
            async with asyncio.timeout(ANSWER_SECONDS):
                while line := await self._reports[number].readline():
                    found: dict[str, Any] = json.loads(line)
                    if found["pid"] == process.pid:
                        return found
        except (TimeoutError, OSError):
            logger.warning("worker %d does not say its counters", number + 1)
        return None

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


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=MOST_ANSWER_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    return reader, transport
