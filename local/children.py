"""Child processes of a local run: started on a leash, logged to a file, awaited, ended."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LEASH = Path(__file__).with_name("leash.py")
LOOK_EVERY_SECONDS = 0.02
GRACE_SECONDS = 8.0
"""Time for a part to end in good order; Azurite flushes its database in well under a second."""
STOP_SECONDS = 4.0
"""On top of the grace: the leash has killed the group by then, unless it was stopped itself."""
LAST_LINES = 15


class ChildFailed(RuntimeError):
    """A part of the local stack ended or did not get ready; carries its last words."""


class Child:
    """One running part. Its whole output is in `log`; nothing of it reaches the terminal.

    The child does not outlive this process, however this process ends (see `local.leash`).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        """Start `command`. `environment` replaces this process's own when given."""
        self.name = name
        self.log = log
        self._grace_seconds = grace_seconds
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._from_byte = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(LEASH), str(grace_seconds), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ if environment is None else environment),
                cwd=directory,
                start_new_session=True,  # Ctrl-C is for the owner, who ends its parts in order
            )

    @property
    def running(self) -> bool:
        """Whether the child has not ended yet."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """What the child ended with; None while it runs."""
        return self._process.poll()

    def output(self) -> str:
        """What the child has written so far."""
        with self.log.open("rb") as log:
            log.seek(self._from_byte)
            return log.read().decode(errors="replace")

    def wait_until[T](self, look: Callable[[str], T | None], seconds: float) -> T:
        """The first value other than None that `look` finds in the output.

        Raises ChildFailed when the child ends first or the time is over.
        """
        limit = time.monotonic() + seconds
        while True:
            ended = not self.running  # asked before looking: last words count
            if (found := look(self.output())) is not None:
                return found
            if ended:
                raise self.failure("ended while starting")
            if time.monotonic() > limit:
                raise self.failure(f"was not ready after {seconds:.0f} s")
            time.sleep(LOOK_EVERY_SECONDS)

    def failure(self, what: str) -> ChildFailed:
        """An error that says what happened, and the child's last lines."""
        last = "\n".join(f"    {line}" for line in self.output().splitlines()[-LAST_LINES:])
        ended = "" if self.exit_code is None else f" (exit code {self.exit_code})"
        return ChildFailed(f"{self.name} {what}{ended}; its last lines, from {self.log}:\n{last}")

    def stop(self) -> None:
        """End the child and everything in its process group. May be called twice."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(self._grace_seconds + STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel then ends the child, see leash.py
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()


def json_line(output: str) -> dict[str, Any] | None:
    """The first complete line of the output that is a JSON object: a part's ready line."""
    for line in output.splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
    return None
