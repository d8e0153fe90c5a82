"""Where an export keeps what it is made of: blobs below its own name, all gone at its end.

{customer}/{export}/export.zip          the file, once the process has sealed it
{customer}/{export}/plan, folders       what is taken, and the folders it stands in
{customer}/{export}/d/…, m/…            of each slice: central directory, manifest lines
"""

from collections.abc import AsyncIterator

import orjson

from shared.export.model import Export, Folder
from shared.kit.blobs import BlobMissing, StagedBlobs

CONTAINER = "exports"
BLOCK_BYTES = 8 * 1024 * 1024
KEY_BYTES = 32
_NUMBERS = 6


class Pieces:
    """The blobs of one export."""

    def __init__(self, store: StagedBlobs, export: Export) -> None:
        self._store = store
        self._at = f"{export.customer_id}/{export.export_id}"
        self.file = f"{self._at}/export.zip"

    async def save_plan(self, keys: bytes, folders: dict[str, Folder]) -> None:
        """What is taken: item keys one behind the other. Saving it again changes nothing."""
        held = {name: folder.model_dump() for name, folder in folders.items()}
        await self._store.put(f"{self._at}/folders", orjson.dumps(held), create_only=False)
        await self._store.put(f"{self._at}/plan", keys, create_only=False)

    async def keys(self, start: int, count: int) -> list[bytes]:
        """Item keys of the plan from a place on."""
        data = await self._store.get(f"{self._at}/plan", start * KEY_BYTES, count * KEY_BYTES)
        return [data[at : at + KEY_BYTES] for at in range(0, len(data), KEY_BYTES)]

    async def folders(self) -> dict[str, Folder]:
        """Source id -> folder."""
        held = orjson.loads(await self._store.get(f"{self._at}/folders"))
        return {name: Folder.model_validate(values) for name, values in held.items()}

    async def save_slice(self, number: int, nonce: str, directory: bytes, manifest: bytes) -> None:
        """What the seal needs of a slice."""
        await self._store.put(f"{self._at}/d/{number:06d}-{nonce}", directory, create_only=False)
        await self._store.put(f"{self._at}/m/{number:06d}-{nonce}", manifest, create_only=False)

    async def directory(self, number: int, nonce: str) -> bytes:
        """Central records of a slice."""
        return await self._store.get(f"{self._at}/d/{number:06d}-{nonce}")

    async def manifest(self, number: int, nonce: str) -> bytes:
        """Manifest lines of a slice."""
        return await self._store.get(f"{self._at}/m/{number:06d}-{nonce}")

    async def commit(self, blocks: list[str]) -> None:
        """Make the file of the blocks."""
        await self._store.commit(self.file, blocks)

    async def is_there(self) -> bool:
        """Whether the file is."""
        try:
            await self._store.size(self.file)
        except BlobMissing:
            return False
        return True

    async def clear(self, *, file: bool) -> None:
        """Delete the pieces, and the `file` with what was staged for it."""
        if file:
            await self._store.commit(self.file, [])  # staged blocks go with the empty file
        async for found in self._names():
            if found != self.file or file:
                await self._store.delete(found)

    def writer(self, number: int, nonce: str) -> "Blocks":
        """Writes the part of one slice."""
        return Blocks(self._store, self.file, number, nonce)

    async def _names(self) -> AsyncIterator[str]:
        for name in [found.name async for found in self._store.list(f"{self._at}/")]:
            yield name


def block_id(number: int, nonce: str, block: int) -> str:
    """The id of a block; all ids of a blob have one length."""
    return f"{number:0{_NUMBERS}d}-{nonce}-{block:0{_NUMBERS}d}"


class Blocks:
    """Gathers bytes into blocks: never more than one of them in memory."""

    def __init__(self, store: StagedBlobs, name: str, number: int, nonce: str) -> None:
        self._store, self._name, self._number, self._nonce = store, name, number, nonce
        self._held = bytearray()
        self.count = 0

    async def add(self, data: bytes) -> None:
        """More of the file."""
        self._held += data
        while len(self._held) >= BLOCK_BYTES:
            await self._stage(bytes(self._held[:BLOCK_BYTES]))
            del self._held[:BLOCK_BYTES]

    async def close(self) -> int:
        """Stage the rest; the number of blocks."""
        if self._held:
            await self._stage(bytes(self._held))
            self._held.clear()
        return self.count

    async def _stage(self, data: bytes) -> None:
        await self._store.stage(self._name, block_id(self._number, self._nonce, self.count), data)
        self.count += 1
