"""The lock port beside `BlobStore`: versions, immutability, legal hold, the storage's clock.

Contract: a name may have several versions, the oldest is the true one (V64). `lock` sets a Locked
policy on exactly one version and only extends. A version whose lock has not ended or that is held
cannot be deleted by anybody. Deleted versions stay recoverable for the account's retention.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.kit.blobs import BlobStore
from shared.kit.clock import Clock, SystemClock
from shared.kit.errors import HoldfastError


class Immutable(HoldfastError):
    """Storage refuses: the version is locked or held."""

    code, status, title = "BLOB_IMMUTABLE", 409, "The blob may not be deleted yet"


class LockRefused(HoldfastError):
    """A locked policy can only be extended."""

    code, status, title = "LOCK_REFUSED", 409, "The lock may not be shortened"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a blob as a property listing shows it."""

    name: str
    version: str
    size: int
    created: datetime
    current: bool = True
    locked_until: datetime | None = None
    held: bool = False
    deleted: bool = False

    def free(self, now: datetime) -> bool:
        """Whether nothing in storage keeps it from being deleted."""
        return not self.held and (self.locked_until is None or self.locked_until <= now)


class Locks(Protocol):
    """Versions and locks of one container."""

    def versions(self, prefix: str = "", *, deleted: bool = False) -> AsyncIterator[Version]:
        """All versions, names ascending, oldest version first; `deleted`: soft-deleted ones too."""
        ...

    async def read(self, found: Version, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of exactly this version."""
        ...

    async def lock(self, found: Version, until: datetime) -> None:
        """Locked until then; `LockRefused` when that would shorten it."""
        ...

    async def hold(self, found: Version, on: bool) -> None:
        """Set or clear the legal hold."""
        ...

    async def delete(self, found: Version) -> None:
        """Delete this version; `Immutable` while it is locked or held, a missing one is fine."""
        ...

    async def now(self) -> datetime:
        """The storage service's time (V52)."""
        ...


class NoLocks:
    """`lock_mode: none`: a store without versions and immutability, as on one machine (V59)."""

    def __init__(self, store: BlobStore, clock: Clock | None = None) -> None:
        self._store, self._clock = store, clock or SystemClock()

    async def versions(self, prefix: str = "", *, deleted: bool = False) -> AsyncIterator[Version]:
        """Every blob is its own only version; nothing deleted is kept."""
        _ = deleted
        async for found in self._store.list(prefix):
            yield Version(found.name, "", found.size, found.created)

    async def read(self, found: Version, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of the blob."""
        return await self._store.get(found.name, offset, length)

    async def lock(self, found: Version, until: datetime) -> None:
        """Nothing to lock with."""

    async def hold(self, found: Version, on: bool) -> None:
        """Nothing to hold with; the fact in the control container counts."""

    async def delete(self, found: Version) -> None:
        """Delete the blob."""
        await self._store.delete(found.name)

    async def now(self) -> datetime:
        """The machine's time."""
        return self._clock.now()


async def true_versions(locks: Locks, prefix: str) -> dict[str, Version]:
    """The oldest version of every name (V64)."""
    found: dict[str, Version] = {}
    async for one in locks.versions(prefix):
        found.setdefault(one.name, one)
    return found
