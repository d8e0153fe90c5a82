"""A container with Azure's semantics in memory: versions, locked policies, holds, soft delete."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.kit.blobs import BlobExists, BlobInfo, BlobMissing
from shared.kit.clock import FixedClock
from shared.vault.locks import Immutable, LockRefused, Version
from tests.unit.vault.world import NOW, Trap

SOFT_DELETE = timedelta(days=7)


@dataclass
class Kept:
    """One version; `gone` = when it was deleted, recoverable for seven days."""

    about: Version
    data: bytes
    gone: datetime | None = None


@dataclass
class WormBlobs:
    """Both ports over one container: `BlobStore` and `Locks`.

    As in Azure: an overwrite is not refused but makes a new version, a delete without version only
    hides the current one, a locked policy can only be extended, a policy that has not ended or a
    legal hold refuses the deletion of a version.
    """

    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    trap: Trap = field(default_factory=Trap)
    names: dict[str, list[Kept]] = field(default_factory=dict)
    serial: int = 0

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        await self.trap.before("put", name)
        current = self._current(name)
        if current is not None and create_only:
            raise BlobExists(name)
        if current is not None:
            current.about = replace(current.about, current=False)
        self.serial += 1
        about = Version(name, f"v{self.serial:08}", len(data), self.clock.now())
        self.names.setdefault(name, []).append(Kept(about, bytes(data)))
        await self.trap.after("put", name, len(data))

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        await self.trap.before("get", name)
        current = self._current(name)
        if current is None:
            raise BlobMissing(name)
        data = _slice(current.data, offset, length)
        await self.trap.after("get", name, len(data))
        return data

    async def size(self, name: str) -> int:
        current = self._current(name)
        if current is None:
            raise BlobMissing(name)
        return len(current.data)

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        await self.trap.before("list", prefix)
        for name in sorted(self.names):
            current = self._current(name) if name.startswith(prefix) else None
            if current is not None:
                yield BlobInfo(name, len(current.data), current.about.created)

    async def hide(self, name: str) -> None:
        """Delete without a version id."""
        current = self._current(name)
        if current is not None:
            current.about = replace(current.about, current=False)

    async def versions(self, prefix: str = "", *, deleted: bool = False) -> AsyncIterator[Version]:
        await self.trap.before("versions", prefix)
        await self.trap.after("versions", prefix, 0)
        for name in sorted(self.names):
            if not name.startswith(prefix):
                continue
            for kept in list(self.names[name]):
                if kept.gone is None:
                    yield kept.about
                elif deleted and self.clock.now() < kept.gone + SOFT_DELETE:
                    yield replace(kept.about, deleted=True)

    async def read(self, found: Version, offset: int = 0, length: int | None = None) -> bytes:
        return _slice(self._kept(found).data, offset, length)

    async def lock(self, found: Version, until: datetime) -> None:
        await self.trap.before("lock", found.name)
        kept = self._kept(found)
        end = kept.about.locked_until
        if end is not None and until < end:
            raise LockRefused(found.name)
        kept.about = replace(kept.about, locked_until=until)
        await self.trap.after("lock", found.name, 0)

    async def hold(self, found: Version, on: bool) -> None:
        kept = self._kept(found)
        kept.about = replace(kept.about, held=on)

    async def delete(self, found: "Version | str") -> None:
        if isinstance(found, str):  # the blob port's delete
            await self.hide(found)
            return
        await self.trap.before("delete", found.name)
        kept = self._kept(found)
        if kept.gone is None:
            if not kept.about.free(self.clock.now()):
                raise Immutable(found.name)
            kept.about, kept.gone = replace(kept.about, current=False), self.clock.now()
        await self.trap.after("delete", found.name, 0)

    async def now(self) -> datetime:
        return self.clock.now()

    def all_names(self) -> set[str]:
        """Names with a version that is not deleted."""
        return {n for n, found in self.names.items() if any(k.gone is None for k in found)}

    def _current(self, name: str) -> Kept | None:
        for kept in reversed(self.names.get(name, [])):
            if kept.gone is None and kept.about.current:
                return kept
        return None

    def _kept(self, found: Version) -> Kept:
        for kept in self.names.get(found.name, []):
            if kept.about.version == found.version:
                return kept
        raise BlobMissing(found.name)


def _slice(data: bytes, offset: int, length: int | None) -> bytes:
    start = max(0, len(data) + offset) if offset < 0 else offset
    return data[start : None if length is None else start + length]
