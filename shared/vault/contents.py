"""Content into packs: chunk, deduplicate, compress, encrypt, collect, put (W1)."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from shared.kit.blobs import BlobStore
from shared.vault.begun import Begun
from shared.vault.chunker import FEED, WHOLE, PieceChunker
from shared.vault.format import names
from shared.vault.format.chunks import ChunkCipher, encode
from shared.vault.format.content import PIECE, ContentHash, pieces_hash
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.packs import PackWriter
from shared.vault.format.primitives import sha
from shared.vault.format.rows import (
    MAX_LISTED,
    MAX_LOCATIONS,
    Location,
    Place,
    encode_location,
    list_chunk,
)
from shared.vault.keyring import put_once

Content = bytes | AsyncIterator[bytes]
Digested = tuple[memoryview, bytes]
Reuse = Callable[[], Awaitable[Mapping[bytes, Place]]]
"""Gives the places of the previous version's chunks by digest; asked only for larger content."""
Stop = Callable[[], bool]
"""Asked between two pieces: whether the slice has done enough."""

# Above this the interpreter lock is worth giving up for compression and encryption.
THREAD_OVER = 512 << 10
# Digests remembered inside a slice (section 8).
MAX_SEEN = 200_000


@dataclass(frozen=True, slots=True)
class Stored:
    """Where content went; `location` counts in the writer's `packs`."""

    size: int
    digest: bytes
    location: bytes


class ContentWriter:
    """Stores the content of one slice; several `store` calls may run at once."""

    def __init__(self, store: BlobStore, keys: ObjectKeys) -> None:
        self._store, self._keys = store, keys
        self._cipher = ChunkCipher(keys.chunk, keys.repo)
        self.packs: list[bytes] = []
        self._index: dict[bytes, int] = {}
        self._open: PackWriter | None = None
        self._open_index = 0
        self._seen: dict[bytes, Place] = {}
        # Two packs at most, one filling and one on its way: memory stays bounded however many
        # `store` calls run.
        self._slots = asyncio.Semaphore(2)
        # Memory that is used again: fresh pages cost more than what is done in them.
        self._spaces: list[io.BytesIO] = []
        self._chunkers: list[PieceChunker] = []
        self._opening = asyncio.Lock()
        self._uploads: set[asyncio.Task[None]] = set()
        self.read = self.new = self.stored = 0

    def index_of(self, pack: bytes) -> int:
        """Index in this slice's pack table of a pack that exists already."""
        found = self._index.get(pack)
        if found is None:
            found = self._index[pack] = len(self.packs)
            self.packs.append(pack)
        return found

    async def store(
        self, content: Content, reuse: Reuse, begun: Begun | None = None, stop: Stop | None = None
    ) -> Stored | None:
        """Take content to its end; nothing is referenced unless this returns.

        `begun` has the pieces before `content` and gets each further one as it is stored. None
        when `stop` said at a piece boundary that it is enough for now (V15).
        """
        begun = Begun() if begun is None else begun
        if isinstance(content, bytes) and len(content) <= WHOLE and not begun.pieces:
            return await self._small(content)
        if await self._pieces(_parts(content), reuse, begun, stop):
            return await self._ended(begun)
        if not isinstance(content, bytes) and hasattr(content, "aclose"):
            await content.aclose()
        return None

    async def flush(self) -> None:
        """Put the open pack and wait for every put."""
        self._roll()
        while self._uploads:
            await asyncio.gather(*self._uploads)

    async def cancel(self) -> None:
        """Stop putting; what was put is an orphan."""
        for task in self._uploads:
            task.cancel()
        await asyncio.gather(*self._uploads, return_exceptions=True)

    async def _small(self, content: bytes) -> Stored:
        self.read += len(content)
        digest = sha(content)
        if not content:
            return Stored(0, digest, b"[]")
        place = await self._chunk(content, digest, {})
        return Stored(len(content), digest, encode_location(Location([place]), short=True))

    async def shorten(self, begun: Begun) -> None:
        """Move places that fill list chunks into them, so that checkpoints stay small."""
        await self._list(begun, MAX_LISTED)

    async def _pieces(
        self, parts: AsyncIterator[bytes], reuse: Reuse, begun: Begun, stop: Stop | None
    ) -> bool:
        """Add the content's pieces to `begun`; False when stopped before its end."""
        chunker = self._chunkers.pop() if self._chunkers else PieceChunker()
        whole, room = ContentHash(begun.pieces), PIECE
        before = len(begun.pieces)
        places: list[Place] = []
        known: Mapping[bytes, Place] | None = None
        async for part in parts:
            view = memoryview(part)
            while view:
                if room == PIECE and len(begun.pieces) > before and stop is not None and stop():
                    return False
                step = min(room, FEED)
                now, view = view[:step], view[step:]
                self.read += len(now)
                chunks = await _busy(len(now), _cut, whole, chunker, now)
                room -= len(now)
                if room == 0:  # chunking restarts at every piece boundary (V15)
                    chunks += _digested(chunker.finish())
                    room = PIECE
                for chunk, digest in chunks:
                    known = await reuse() if known is None else known
                    places.append(await self._chunk(chunk, digest, known))
                if room == PIECE:
                    begun.finished(PIECE, whole.pieces[-1], places)
                    places = []
        for chunk, digest in _digested(chunker.finish()):
            if known is None:
                long = begun.pieces or places or len(chunk) > WHOLE
                known = await reuse() if long else {}
            places.append(await self._chunk(chunk, digest, known))
        if room < PIECE or not begun.pieces:
            begun.finished(PIECE - room, whole.piece(), places)
        self._chunkers.append(chunker)
        return True

    async def _ended(self, begun: Begun) -> Stored:
        pieces, places = begun.pieces, begun.places
        digest = pieces[0] if len(pieces) == 1 else pieces_hash(begun.size, pieces)
        if not begun.lists and len(places) <= MAX_LOCATIONS:
            whole = len(places) == 1 and places[0].digest == digest and not places[0].transform
            return Stored(begun.size, digest, encode_location(Location(places), short=whole))
        await self._list(begun, 0)
        if len(begun.lists) > MAX_LOCATIONS:
            raise ValueError("content beyond 1 TiB does not fit the format")
        location = Location(begun.lists, True, tuple(begun.reach))
        return Stored(begun.size, digest, encode_location(location, short=False))

    async def _list(self, begun: Begun, keep: int) -> None:
        """Put places into list chunks until at most `keep` are left."""
        if len(begun.places) <= keep:
            return
        # List chunks name packs by hash, so every pack they reach must be put before them.
        await self.flush()
        while len(begun.places) > keep:
            group = begun.places[:MAX_LISTED]
            table = sorted({place.pack for place in group})
            packs = [self.packs[index].hex() for index in table]
            moved = [place._replace(pack=table.index(place.pack)) for place in group]
            plain = list_chunk(packs, moved)
            begun.lists.append(await self._chunk(plain, sha(plain), {}))
            begun.reach.update(table)
            del begun.places[:MAX_LISTED]

    async def _chunk(
        self, plain: bytes | memoryview, digest: bytes, known: Mapping[bytes, Place]
    ) -> Place:
        held = self._seen.get(digest) or known.get(digest)
        if held is not None and held.plain == len(plain):
            return held._replace(transform=0)
        encoded = await _busy(len(plain), encode, plain)
        while (pack := self._open) is None:
            await self._begin()
        # Encrypting four megabytes takes less than a millisecond: it needs no thread.
        offset, length = pack.seal(self._cipher, digest, encoded)
        place = Place(self._open_index, offset, length, encoded.codec, len(plain), digest)
        self.new += len(plain)
        if len(self._seen) < MAX_SEEN:
            self._seen[digest] = place
        if pack.full:
            self._roll()
        return place

    async def _begin(self) -> None:
        async with self._opening:
            if self._open is None:
                self._raise_failure()
                await self._slots.acquire()
                space = self._spaces.pop() if self._spaces else None
                self._open = PackWriter(self._keys.repo, self._keys.oid, space)
                self._open_index = len(self.packs)
                self.packs.append(b"")  # named when it is full

    def _raise_failure(self) -> None:
        """An upload failed: so does whoever adds more."""
        for task in self._uploads:
            if task.done() and (failure := task.exception()) is not None:
                raise failure

    def _roll(self) -> None:
        pack, index, self._open = self._open, self._open_index, None
        if pack is None:
            return
        task = asyncio.create_task(self._put(pack, index))
        self._uploads.add(task)
        task.add_done_callback(self._finished)

    async def _put(self, pack: PackWriter, index: int) -> None:
        digest, blob = await asyncio.to_thread(pack.finish, self._keys.chunk)
        await put_once(self._store, names.pack(self._keys.oid, digest), blob)
        self.packs[index] = digest
        self._index[digest] = index
        self.stored += len(blob)
        self._spaces.append(pack.space)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        if not task.cancelled() and task.exception() is None:
            self._uploads.discard(task)  # a failed one stays, so that flush raises its error


async def _parts(content: Content) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        for at in range(0, len(content), PIECE):
            yield content[at : at + PIECE]
    else:
        async for part in content:
            yield part


async def _busy[**P, T](size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work in proportion to `size` bytes here, or in a thread when it is long."""
    if size < THREAD_OVER:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def _cut(whole: ContentHash, chunker: PieceChunker, data: memoryview) -> list[Digested]:
    whole.update(data)
    return _digested(chunker.feed(data))


def _digested(chunks: Iterable[memoryview]) -> list[Digested]:
    return [(chunk, sha(chunk)) for chunk in chunks]
