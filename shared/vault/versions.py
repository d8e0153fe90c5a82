"""A view of a container in which the oldest version of a name is the only one (V64)."""

import logging
import time
from collections.abc import AsyncIterator, Callable

from shared.kit.blobs import BlobExists, BlobInfo, BlobMissing, BlobStore
from shared.vault.locks import Locks, Version

log = logging.getLogger(__name__)
# How long a listing of an object's versions is believed; a run or a restore opens with a new one.
BELIEVED_SECONDS = 300.0


class OldestFirst:
    """Reads the oldest version, finds hidden names, and reports both as alarms."""

    def __init__(
        self, store: BlobStore, locks: Locks, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._locks, self._clock = store, locks, clock
        self._known: dict[str, tuple[float, dict[str, Version]]] = {}
        self.alarms: set[str] = set()

    async def put(self, name: str, data: bytes, *, create_only: bool = True) -> None:
        """Create; a hidden name is taken as well."""
        if not create_only:
            raise ValueError("a vault blob is created once (V1)")
        if name in await self._odd(name):
            raise BlobExists(name)
        await self._store.put(name, data, create_only=True)

    async def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of the oldest version."""
        found = (await self._odd(name)).get(name)
        if found is None:
            return await self._store.get(name, offset, length)
        start = max(0, found.size + offset) if offset < 0 else offset
        return await self._locks.read(found, start, length)

    async def size(self, name: str) -> int:
        """Length of the oldest version."""
        found = (await self._odd(name)).get(name)
        return await self._store.size(name) if found is None else found.size

    async def list(self, prefix: str = "") -> AsyncIterator[BlobInfo]:
        """One entry a name, hidden ones included."""
        last: Version | None = None
        odd: dict[str, Version] = {}
        async for one in self._locks.versions(prefix):
            if last is not None and one.name == last.name:
                odd[one.name] = last
                continue
            if last is not None:
                yield BlobInfo(last.name, last.size, last.created)
            last = one
            if not one.current:
                odd[one.name] = one
        if last is not None:
            yield BlobInfo(last.name, last.size, last.created)
        self._alarm(odd)

    async def delete(self, name: str) -> None:
        """Only garbage collection deletes, version by version."""
        raise BlobMissing(f"{name} is not deleted through this view")

    async def _odd(self, name: str) -> dict[str, Version]:
        """Names near `name` whose current version is not the only one, with the oldest version."""
        prefix = name[: name.rindex("/") + 1]
        at, found = self._known.get(prefix, (0.0, None))
        if found is None or self._clock() - at > BELIEVED_SECONDS:
            oldest: dict[str, Version] = {}
            found = {}
            async for one in self._locks.versions(prefix):
                first = oldest.setdefault(one.name, one)
                if first is not one or not one.current:
                    found[one.name] = first
            self._known[prefix] = (self._clock(), found)
            self._alarm(found)
        return found

    def _alarm(self, odd: dict[str, Version]) -> None:
        for name in odd.keys() - self.alarms:
            self.alarms.add(name)
            log.error("vault blob %s was hidden or has a second version; the oldest is used", name)
