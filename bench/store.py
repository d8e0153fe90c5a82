"""Blob stores that count: what a run costs in billed operations, and what it puts and gets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from shared.kit.blobs import BlobExists, BlobInfo, BlobMissing, BlobStore


class FolderBlobs:
    """A container as a folder on this machine, for figures beside tools that write to disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        """Store the blob; `BlobExists` when `create_only` and the name is taken."""
        await asyncio.to_thread(self._put, self._root / name, data, create_only)

    def _put(self, path: Path, data: bytes, create_only: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb" if create_only else "wb") as file:
                file.write(data)
        except FileExistsError:
            raise BlobExists(path.name) from None

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length`; a negative offset counts from the end."""
        try:
            with (self._root / name).open("rb") as file:
                file.seek(offset, 2 if offset < 0 else 0)
                return file.read(-1 if length is None else length)
        except FileNotFoundError:
            raise BlobMissing(name) from None

    async def size(self, name: str) -> int:
        """Length in bytes; `BlobMissing` when absent."""
        try:
            return (self._root / name).stat().st_size
        except FileNotFoundError:
            raise BlobMissing(name) from None

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, ascending by name."""
        names = sorted(
            path.relative_to(self._root).as_posix()
            for path in self._root.rglob("*")
            if path.is_file()
        )
        for name in names:
            if name.startswith(prefix):
                found = (self._root / name).stat()
                yield BlobInfo(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    async def delete(self, name: str) -> None:
        """Remove the blob; a missing one is fine."""
        with suppress(FileNotFoundError):
            (self._root / name).unlink()


class Counted:
    """Counts calls and bytes by verb; `discard` forgets the bodies of packs it is given."""

    def __init__(self, inner: BlobStore, *, discard: bool = False) -> None:
        self._inner, self._discard = inner, discard
        self.calls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def restart(self) -> None:
        """Count from nothing."""
        self.calls.clear()
        self.bytes.clear()

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        """Count and store; a discarded pack leaves an empty blob, so that its name is taken."""
        self.calls["put"] += 1
        self.bytes["put"] += len(data)
        if name.endswith(".hfp"):
            self.bytes["packs"] += len(data)
        gone = self._discard and name.endswith(".hfp")
        await self._inner.put(name, b"" if gone else data, create_only=create_only)

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Count and read."""
        data = await self._inner.get(name, offset, length)
        self.calls["get"] += 1
        self.bytes["get"] += len(data)
        return data

    async def size(self, name: str) -> int:
        """Count as an operation without bytes."""
        self.calls["other"] += 1
        return await self._inner.size(name)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """Count one listing."""
        self.calls["list"] += 1
        async for found in self._inner.list(prefix):
            yield found

    async def delete(self, name: str) -> None:
        """Count and remove."""
        self.calls["delete"] += 1
        await self._inner.delete(name)
