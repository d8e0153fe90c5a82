"""A disk that is full for one process while a test says so: writes to files fail with ENOSPC."""

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("full_disk.c")
SIZE = 16


class FullDisk:
    """The switch; `environment` for the processes, of which those that have `of` are concerned."""

    def __init__(self, directory: Path, of: str) -> None:
        """Compile the library with the machine's C compiler; there is room."""
        directory.mkdir(parents=True, exist_ok=True)
        library = directory / "full_disk.so"
        command = [os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", str(library)]
        subprocess.run([*command, str(SOURCE), "-ldl"], check=True)
        switch = directory / "full-disk"
        switch.write_bytes(bytes(SIZE))
        with switch.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), SIZE)
        self.environment = {
            "LD_PRELOAD": str(library), "FULL_DISK": str(switch), "FULL_DISK_OF": of,
        }  # fmt: skip

    @property
    def refused(self) -> int:
        """Writes that found no room so far."""
        return int(struct.unpack("qq", self._map[:SIZE])[1])

    @contextmanager
    def full(self) -> Iterator[None]:
        """No room until the block ends."""
        self._map[:8] = struct.pack("q", 1)
        try:
            yield
        finally:
            self._map[:8] = struct.pack("q", 0)
