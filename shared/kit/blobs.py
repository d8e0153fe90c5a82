"""The blob port: create-if-absent, ranged reads, listing. Azure and memory behind one contract.

Contract every implementation MUST keep (tests/contract/test_blobs.py runs against all):
`put` with `create_only` is atomic: of several writers exactly one succeeds, the others get
`BlobExists`; `get` of a missing blob raises `BlobMissing`; `delete` of a missing blob is a no-op;
`list` yields names in ascending order; every call may be repeated. Staged blocks are nothing until
`commit` names them: a commit makes the blob of exactly these blocks, whatever it was before.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from shared.kit.errors import HoldfastError

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient


class BlobMissing(HoldfastError):
    """The named blob does not exist."""

    code, status, title = "BLOB_MISSING", 404, "The blob does not exist"


class BlobExists(HoldfastError):
    """Create-only put found the name taken."""

    code, status, title = "BLOB_EXISTS", 409, "The blob exists already"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a listing tells of one blob: name, bytes, creation instant, access tier."""

    name: str
    size: int
    created: datetime
    tier: str = "Hot"


class BlobStore(Protocol):
    """One container."""

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        """Store the blob; `BlobExists` when `create_only` and the name is taken."""
        ...

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length`; a negative offset counts from the end."""
        ...

    async def size(self, name: str) -> int:
        """Length in bytes; `BlobMissing` when absent."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, ascending by name."""
        ...

    async def delete(self, name: str) -> None:
        """Remove the blob; a missing one is fine."""
        ...


class StagedBlobs(BlobStore, Protocol):
    """One container whose blobs can be put together from blocks, however large."""

    async def stage(self, name: str, block: str, data: bytes) -> None:
        """Store a block of a blob; a block of the same id that nobody committed is replaced.

        Ids of one blob have one length.
        """
        ...

    async def commit(self, name: str, blocks: Sequence[str]) -> None:
        """Make the blob of these blocks, in this order; KeyError for one that is not staged."""
        ...


class MemoryBlobs:
    """A container in memory: for tests and dry runs."""

    def __init__(self) -> None:
        self.blobs: dict[str, tuple[bytes, datetime]] = {}
        self.staged: dict[str, dict[str, bytes]] = {}

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        """Store the blob; `BlobExists` when `create_only` and the name is taken."""
        if create_only and name in self.blobs:
            raise BlobExists(name)
        self.blobs[name] = (bytes(data), datetime.now(UTC))

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length`; a negative offset counts from the end."""
        if name not in self.blobs:
            raise BlobMissing(name)
        data = self.blobs[name][0]
        start = max(0, len(data) + offset) if offset < 0 else offset
        return data[start : None if length is None else start + length]

    async def size(self, name: str) -> int:
        """Length in bytes; `BlobMissing` when absent."""
        if name not in self.blobs:
            raise BlobMissing(name)
        return len(self.blobs[name][0])

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, ascending by name."""
        for name in sorted(self.blobs):
            held = self.blobs.get(name) if name.startswith(prefix) else None
            if held is not None:  # deleted while the listing was read
                yield BlobInfo(name, len(held[0]), held[1])

    async def delete(self, name: str) -> None:
        """Remove the blob; a missing one is fine."""
        self.blobs.pop(name, None)
        self.staged.pop(name, None)

    async def stage(self, name: str, block: str, data: bytes) -> None:
        """Store a block of a blob; a block of the same id that nobody committed is replaced."""
        self.staged.setdefault(name, {})[block] = bytes(data)

    async def commit(self, name: str, blocks: Sequence[str]) -> None:
        """Make the blob of these blocks, in this order; KeyError for one that is not staged."""
        held = self.staged.get(name, {})
        data = b"".join([held[block] for block in blocks])
        self.blobs[name] = (data, datetime.now(UTC))
        self.staged[name] = {block: held[block] for block in blocks}


class AzureBlobs:
    """A container of Azure Blob Storage or Azurite."""

    def __init__(self, container: "ContainerClient") -> None:
        self._container = container

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        """Store the blob; `BlobExists` when `create_only` and the name is taken."""
        from azure.core.exceptions import ResourceExistsError

        try:
            await self._container.upload_blob(
                name, data, length=len(data), overwrite=not create_only
            )
        except ResourceExistsError as taken:
            raise BlobExists(name) from taken

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length`; a negative offset counts from the end."""
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        if length == 0:
            return b""
        try:
            if offset < 0:
                total = await self.size(name)
                offset = max(0, total + offset)
            stream = await self._container.download_blob(
                name, offset=offset if offset or length is not None else None, length=length
            )
            return bytes(await stream.readall())
        except ResourceNotFoundError as missing:
            raise BlobMissing(name) from missing
        except HttpResponseError as refused:
            if refused.status_code == 416:  # a range behind the end holds nothing
                return b""
            raise

    async def size(self, name: str) -> int:
        """Length in bytes; `BlobMissing` when absent."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            properties = await self._container.get_blob_client(name).get_blob_properties()
        except ResourceNotFoundError as missing:
            raise BlobMissing(name) from missing
        return int(properties.size)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, ascending by name."""
        async for blob in self._container.list_blobs(name_starts_with=prefix or None):
            made = blob.creation_time or blob.last_modified
            yield BlobInfo(blob.name, blob.size, made, str(blob.blob_tier or "Hot"))

    async def delete(self, name: str) -> None:
        """Remove the blob; a missing one is fine."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            await self._container.delete_blob(name)
        except ResourceNotFoundError:
            return

    async def stage(self, name: str, block: str, data: bytes) -> None:
        """Store a block of a blob; a block of the same id that nobody committed is replaced."""
        await self._container.get_blob_client(name).stage_block(block, data, length=len(data))

    async def commit(self, name: str, blocks: Sequence[str]) -> None:
        """Make the blob of these blocks, in this order; KeyError for one that is not staged."""
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import BlobBlock

        try:
            await self._container.get_blob_client(name).commit_block_list(
                [BlobBlock(block) for block in blocks]
            )
        except HttpResponseError as refused:
            if getattr(refused, "error_code", None) == "InvalidBlockList":
                raise KeyError(name) from refused
            raise
