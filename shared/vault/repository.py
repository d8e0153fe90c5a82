"""Reads and creates the blobs of an object: records, heads, checkpoints; knows their names."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.kit.blobs import BlobMissing, BlobStore
from shared.vault.errors import UnknownSnapshot, located
from shared.vault.format import names
from shared.vault.format.frames import Short
from shared.vault.format.snapshot import Record
from shared.vault.model import SnapshotHead

# Enough for header, head, directory and pack table of nearly every record: one GET per head.
FIRST_READ = 64 << 10
# Heads are read this many at a time when restore points are listed.
PARALLEL_HEADS = 8
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class LoadedRecord:
    """A record's start, opened; further regions are read when asked for."""

    store: BlobStore
    name: str
    record: Record
    head: dict[str, Any]
    digest: bytes
    data: bytes = field(repr=False)

    @property
    def snapshot(self) -> SnapshotHead:
        """The head as callers see it."""
        return SnapshotHead(self.record.n, self.digest.hex(), self.head)

    async def region(self, name: str) -> bytes:
        """A region's bytes, checked against its hash in the head (V33)."""
        offset, length = self.record.span(name)
        with located(self.name):
            return self.record.check(self.head, name, await self.bytes_at(offset, length))

    async def bytes_at(self, offset: int, length: int) -> bytes:
        """Bytes of the record, from what was read already when they are in it."""
        if offset + length <= len(self.data):
            return self.data[offset : offset + length]
        if offset <= len(self.data) and offset + length <= 2 * FIRST_READ:
            await self._extend(offset + length)
            return self.data[offset : offset + length]
        return await self.store.get(self.name, offset, length)

    async def _extend(self, to: int) -> None:
        self.data += await self.store.get(self.name, len(self.data), to - len(self.data))


async def load_record(store: BlobStore, ops: bytes, repo: str, oid: str, n: int) -> LoadedRecord:
    """Open record `n`; `UnknownSnapshot` when there is none, `VaultDamaged` when it is wrong."""
    name = names.record(oid, n)
    try:
        data = await store.get(name, 0, FIRST_READ)
    except BlobMissing:
        raise UnknownSnapshot(f"the object has no snapshot {n}") from None
    with located(name):
        while True:
            try:
                record = Record(data)
                break
            except Short:
                data += await _more(store, name, data, len(data) * 2)
        if record.head_end > len(data):
            data += await _more(store, name, data, record.head_end)
        head = record.head(ops, data)
        if (record.repo, record.oid, record.n) != (repo, oid, n):
            raise UnknownSnapshot("a record of another object stands under this name")
        return LoadedRecord(store, name, record, head, record.record_hash(data), data)


async def _more(store: BlobStore, name: str, data: bytes, to: int) -> bytes:
    more = await store.get(name, len(data), to - len(data))
    if not more:
        raise BlobMissing(f"{name} ends early")
    return more


async def newest_number(store: BlobStore, oid: str) -> int:
    """Number of the newest record, 0 without any: the first name of one listing."""
    async for found in store.list(names.records(oid)):
        return names.record_number(found.name)
    return 0


async def record_numbers(store: BlobStore, oid: str) -> list[int]:
    """Numbers of all records, newest first."""
    return [names.record_number(found.name) async for found in store.list(names.records(oid))]


async def load_heads(
    store: BlobStore, ops: bytes, repo: str, oid: str, numbers: Iterable[int]
) -> list[SnapshotHead]:
    """Heads of these records, a few at a time, in the order given."""
    gate = asyncio.Semaphore(PARALLEL_HEADS)

    async def one(n: int) -> SnapshotHead:
        async with gate:
            return (await load_record(store, ops, repo, oid, n)).snapshot

    return list(await asyncio.gather(*(one(n) for n in numbers)))


def check_run_id(run_id: str) -> str:
    """A run id becomes part of a blob name: letters, digits, dash and underscore, at most 64."""
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError("a run id has 1 to 64 letters, digits, dashes or underscores")
    return run_id
