"""A directory copy of the vault container, only ever read."""

import os
import re
from hashlib import sha256
from pathlib import Path

from holdfast_vault.findings import CannotCheck, Missing

_ID, _HASH = "[0-9a-f]{32}", "[0-9a-f]{64}"
KNOWN_NAMES = re.compile(
    rf"repo/\d{{4}}\.json|keys/t/\d{{4}}-\d{{4}}\.json|keys/o/{_ID}/\d{{4}}\.json"
    rf"|o/{_ID}/s/\d{{10}}\.hfs|o/{_ID}/b/{_HASH}\.hfb|o/{_ID}/p/{_HASH}\.hfp"
    rf"|o/{_ID}/x/{_HASH}\.hfx|d/[^/]+/p/{_HASH}\.hfp|certs/[A-Za-z0-9_-]+\.json"
)
"""The only names in a vault container (V6)."""
_STEP = 8 << 20
_SPACE = 38 << 20  # a usual pack


class Directory:
    """Blobs by name; the names are listed once."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise CannotCheck(f"{root} is not a directory")
        self.root = root.resolve()
        self._sizes: dict[str, int] = {}
        self._space = bytearray()
        for folder, _, files in os.walk(self.root):
            for file in files:
                path = Path(folder, file)
                name = path.relative_to(self.root).as_posix()
                self._sizes[name] = path.stat().st_size

    def names(self, prefix: str = "") -> list[str]:
        """Names with this prefix, ascending."""
        return sorted(name for name in self._sizes if name.startswith(prefix))

    def has(self, name: str) -> bool:
        """Whether the copy has the blob."""
        return name in self._sizes

    def size(self, name: str) -> int:
        """Length in bytes."""
        if name not in self._sizes:
            raise Missing(name)
        return self._sizes[name]

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`; fewer than `length` where the blob ends."""
        if name not in self._sizes:  # also keeps names that climb out of the copy away from disk
            raise Missing(name)
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("a range before the start of the blob")
        with (self.root / name).open("rb") as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)

    def read_whole(self, name: str) -> memoryview:
        """The whole blob in memory that the next call uses again."""
        size = self.size(name)
        if len(self._space) < size:
            self._space = bytearray(max(size, _SPACE))
        view, found = memoryview(self._space), 0
        with (self.root / name).open("rb", buffering=0) as file:
            while found < size and (now := file.readinto(view[found:size])):
                found += now
        return view[:found]

    def digest(self, name: str) -> str:
        """Hex SHA-256 of the whole blob."""
        self.size(name)
        running = sha256()
        with (self.root / name).open("rb") as file:
            while part := file.read(_STEP):
                running.update(part)
        return running.hexdigest()
