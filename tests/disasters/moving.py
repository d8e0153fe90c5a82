"""The wall clock of a whole stack, moved while it runs: every process sees the jump at once."""

import mmap
import os
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("moved_clock.c")
SECOND = 1_000_000_000


class MovedClock:
    """An offset in a file and a library that adds it; `environment` for the processes."""

    def __init__(self, directory: Path) -> None:
        """Compile the library with the machine's C compiler; the offset is zero."""
        directory.mkdir(parents=True, exist_ok=True)
        library = directory / "moved_clock.so"
        command = [os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", str(library)]
        subprocess.run([*command, str(SOURCE), "-ldl"], check=True)
        self._file = directory / "clock-offset"
        self._file.write_bytes(struct.pack("q", 0))
        with self._file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._file)}

    @property
    def offset(self) -> timedelta:
        """How far the stack's clock is from the real one."""
        return timedelta(seconds=struct.unpack("q", self._map[:8])[0] / SECOND)

    def now(self) -> datetime:
        """The stack's time; a Clock for what a test does itself."""
        return datetime.now(UTC) + self.offset

    def jump(self, by: timedelta) -> None:
        """Forward, or back when negative."""
        self._map[:8] = struct.pack("q", round((self.offset + by).total_seconds() * SECOND))

    def jump_to(self, at: datetime) -> None:
        """To an aware instant."""
        self.jump(at - self.now())
