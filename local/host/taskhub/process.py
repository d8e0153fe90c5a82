"""The SQLite hub in a process of its own: a core for itself, and a life for itself.

When it dies it is started again on the same address and goes on from its file; workers and clients
connect again by themselves. It never outlives this process: its standard input is the leash.
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from local.host.taskhub.sqlite.schema import BadDatabase
from local.host.taskhub.sqlite.tries import TRIES

logger = logging.getLogger(__name__)

GRPC = {"GRPC_EXPERIMENTS": "-event_engine_listener"}
"""One thread of gRPC reads all connections instead of several that wake each other: an eighth less
processor time. A gRPC that does not know the name any more logs it and goes on."""
STOP_SECONDS = 5.0
REVIVAL_PAUSES = (0.0, 0.2, 1.0, 5.0)
STEADY_SECONDS = 30.0
"""A hub that lived this long is not failing at its start."""


class HubProcess:
    """A TaskHub. `begin` may be called early: the process gets ready while others do."""

    def __init__(
        self,
        file: Path,
        default_version: str | None = None,
        chaos: str | None = None,
        *,
        gathers: bool = True,
        tries: int = TRIES,
    ) -> None:
        self._file, self._version, self._chaos = file, default_version, chaos
        self._gathers, self._tries = gathers, tries
        self._process: subprocess.Popen[bytes] | None = None
        self._address = "127.0.0.1:0"
        self._is_stopping = False
        self._watching: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process of the moment."""
        return None if self._process is None else self._process.pid

    def begin(self) -> None:
        """Start the process without waiting for it."""
        command = [sys.executable, "-m", "local.host.taskhub.sqlite", str(self._file)]
        command += ["--address", self._address, "--tries", str(self._tries)]
        if self._version:
            command += ["--default-version", self._version]
        if self._chaos:
            command += ["--chaos", self._chaos]
        if not self._gathers:
            command.append("--no-gathering")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[3],
            env=GRPC | os.environ,
        )

    def start(self) -> str:
        """The address, once it is ready. Raises BadDatabase with the process's own words."""
        if self._process is None:
            self.begin()
        self._address = self._ready()
        self._watching = threading.Thread(target=self._watch, name="hub-watch", daemon=True)
        self._watching.start()
        return self._address

    def _ready(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise BadDatabase(f"the task hub on {self._file} did not start: see the lines above")
        return str(json.loads(line)["address"])

    def _watch(self) -> None:
        deaths = 0
        while self._process is not None:
            began = time.monotonic()
            code = self._process.wait()
            if self._is_stopping:
                return
            deaths = 1 if time.monotonic() - began > STEADY_SECONDS else deaths + 1
            logger.error("the task hub died (exit code %s): it is started again", code)
            self._close_pipes()
            time.sleep(REVIVAL_PAUSES[min(deaths, len(REVIVAL_PAUSES)) - 1])
            self.begin()
            try:
                self._ready()
            except BadDatabase as fault:
                logger.error("%s", fault)  # noqa: TRY400 - the process has said why

    def stop(self) -> None:
        """End it in good order, or else by force."""
        self._is_stopping = True
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._watching is not None:
            self._watching.join()
        self._close_pipes()

    def _close_pipes(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
