"""A vault in memory and a small engine for it: what the vault's tests share."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from shared.kit.blobs import BlobInfo, BlobStore, MemoryBlobs
from shared.vault.format.names import new_repository_id
from shared.vault.keystore import FileKeyStore
from shared.vault.model import Enumeration, Kind, ObjectRef, SnapshotHead
from shared.vault.run import Run
from shared.vault.service import Vault, create_repository, open_repository
from shared.vault.slices import Slice

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
MAILBOX = ObjectRef("mailbox", "8f1d0c52", "Ada", "ada@example.org")
DRIVE = ObjectRef("drive", "b!drive", "Ada", "ada@example.org")
Work = Callable[[Run, Slice], Awaitable[None]]


@cache
def key_store() -> FileKeyStore:
    """One pair of keys for the whole test process: making them takes a second."""
    return FileKeyStore(tempfile.mkdtemp(prefix="holdfast-keys-"))


@dataclass
class World:
    """One repository on two stores."""

    store: BlobStore = field(default_factory=MemoryBlobs)
    control: BlobStore = field(default_factory=MemoryBlobs)
    repo: str = field(default_factory=new_repository_id)

    async def create(self) -> Vault:
        return await create_repository(
            self.store, self.control, key_store(), repo_id=self.repo, tenant_id="t", now=NOW
        )

    async def open(self) -> Vault:
        return await open_repository(self.store, self.control, key_store(), repo_id=self.repo)


async def seal(
    run: Run, enumerated: dict[str, Enumeration] | None = None, kind: Kind = "incremental"
) -> SnapshotHead:
    """Seal with the facts a test does not care about."""
    return await run.seal(
        enumerated=enumerated or {},
        started=NOW,
        ended=NOW + timedelta(minutes=5),
        expires=NOW + timedelta(days=365),
        kind=kind,
    )


async def backup(
    vault: Vault,
    ref: ObjectRef,
    run_id: str,
    *slices: Work,
    enumerated: dict[str, Enumeration] | None = None,
) -> SnapshotHead:
    """A whole run; goes on where a killed one stopped."""
    run = await vault.open_run(ref, run_id)
    while run.sealed is None and run.slices < len(slices):
        part = await run.slice(run.slices)
        if not part.done:
            await slices[part.number](run, part)
            more = part.number + 1 < len(slices)
            cursor: Any = {"link": f"{run_id}/{part.number}", "kind": "delta", "asOf": "now"}
            await part.finish({"c": cursor}, more=more)
    return await seal(run, enumerated)


async def contents(vault: Vault, ref: ObjectRef, n: int | None = None) -> dict[str, bytes | None]:
    """Every item of a snapshot with its verified content."""
    snap = await vault.open_snapshot(ref, n)
    found: dict[str, bytes | None] = {}
    async for row in snap.rows():
        data = b"".join([part async for part in snap.content(row)])
        found[row.source_id] = data if row.has_content else None
    return found


def mail(source_id: str, version: str = "1", folder: str = "inbox", **more: Any) -> dict[str, Any]:
    return {
        "i": source_id,
        "k": "mail",
        "p": folder,
        "n": f"about {source_id}",
        "v": version,
    } | more


def folder(source_id: str, parent: str = "top") -> dict[str, Any]:
    return {"i": source_id, "k": "folder", "p": parent, "n": source_id, "v": "1"}


def putting(items: dict[str, bytes | None], version: str = "1", where: str = "inbox") -> Work:
    """A slice that puts these items; None stands for a folder."""

    async def work(run: Run, part: Slice) -> None:
        for source_id, data in items.items():
            item = folder(source_id) if data is None else mail(source_id, version, where)
            await part.put(item, data)

    return work


async def stream(data: bytes, size: int = 70_001) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


class Killed(Exception):
    """The process died here."""


class Counter(BlobStore):
    """Counts calls of one or two stores; may do something before or after call number `at`."""

    def __init__(self, inner: BlobStore, shared: "Trap | None" = None) -> None:
        self.inner, self.trap = inner, shared or Trap()

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        await self.trap.before("put", name)
        await self.inner.put(name, data, create_only=create_only)
        await self.trap.after("put", name, len(data))

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        await self.trap.before("get", name)
        data = await self.inner.get(name, offset, length)
        await self.trap.after("get", name, len(data))
        return data

    async def size(self, name: str) -> int:
        await self.trap.before("size", name)
        size = await self.inner.size(name)
        await self.trap.after("size", name, 0)
        return size

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        await self.trap.before("list", prefix)
        for found in [blob async for blob in self.inner.list(prefix)]:
            yield found

    async def delete(self, name: str) -> None:
        await self.trap.before("delete", name)
        await self.inner.delete(name)
        await self.trap.after("delete", name, 0)


@dataclass
class Trap:
    """What happens at call number `at`: `act` is awaited, before the call or after its effect."""

    at: int = 0
    late: bool = False
    act: Callable[[], Awaitable[None]] | None = None
    calls: int = 0
    log: list[tuple[str, str, int]] = field(default_factory=list)

    async def before(self, verb: str, name: str) -> None:
        self.calls += 1
        if self.calls == self.at and not self.late and self.act:
            await self.act()

    async def after(self, verb: str, name: str, size: int) -> None:
        self.log.append((verb, name, size))
        if self.calls == self.at and self.late and self.act:
            await self.act()

    def count(self, verb: str) -> int:
        return sum(1 for found, _, _ in self.log if found == verb)

    def bytes(self, verb: str) -> int:
        return sum(size for found, _, size in self.log if found == verb)


async def die() -> None:
    raise Killed
