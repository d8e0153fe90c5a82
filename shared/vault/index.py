"""The index of one snapshot: base parts and tail, read bucket by bucket with a bounded cache."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from shared.kit.blobs import BlobStore
from shared.vault.errors import located
from shared.vault.format import names
from shared.vault.format.base import PartReader, bucket_of, split32
from shared.vault.format.compression import decompress
from shared.vault.format.errors import Damaged
from shared.vault.format.frames import FrameCipher
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.primitives import unb64u
from shared.vault.format.rows import Line, lines
from shared.vault.format.snapshot import FIRST_ROW_FRAME, tail_cipher
from shared.vault.format.tree import EMPTY_ROOT
from shared.vault.repository import LoadedRecord
from shared.vault.spans import Span, coalesce

# Compressed buckets kept for a run's look-ups: about 400,000 mail rows.
CACHE_BYTES = 64 << 20
# A pack table beyond this is not read whole for one item (V30).
MAX_TABLE_READ = 64 << 10


class Part:
    """One part of the base: directory and pack table loaded at first use."""

    def __init__(self, store: BlobStore, keys: ObjectKeys, ops: bytes, entry: dict[str, Any]):
        self.store, self.entry = store, entry
        self.name = names.base(keys.oid, entry["name"])
        self.first, self.end, self.start = entry["from"], entry["to"], entry["start"]
        salt = unb64u(entry["salt"])
        self.reader = PartReader(ops, keys.key, keys.repo, keys.oid, salt)
        self.spans: list[Span] | None = None
        self.packs: list[bytes] | None = None

    async def load(self) -> list[Span]:
        """Where every bucket stands; reads pack table and directory, which are neighbours."""
        if self.spans is None:
            table_at, count = self.entry["packs"]
            dir_at, dir_length = self.entry["dir"]
            whole = count * 32 <= MAX_TABLE_READ
            begin = table_at if whole else dir_at
            with located(self.name):
                data = await self._read(begin, dir_at + dir_length - begin)
                if whole:
                    self.packs = split32(data[: dir_at - table_at])
                self.spans = self._place(self.reader.directory(data[dir_at - begin :]))
        return self.spans

    def _place(self, directory: list[tuple[int, int]]) -> list[Span]:
        if len(directory) != self.end - self.first:
            raise Damaged("a base directory has the wrong number of buckets")
        at, spans = self.start, []
        for index, (length, _) in enumerate(directory):
            spans.append(Span(at, length, self.first + index))
            at += length
        return spans

    async def table(self) -> list[bytes]:
        """The whole pack table."""
        await self.load()
        if self.packs is None:
            at, count = self.entry["packs"]
            with located(self.name):
                self.packs = split32(await self._read(at, count * 32))
        return self.packs

    async def pack_name(self, index: int) -> bytes:
        """One name of the pack table, without reading a large table whole."""
        if self.packs is not None:
            return self.packs[index]
        at, count = self.entry["packs"]
        if not 0 <= index < count:
            raise Damaged("a row names a pack beyond its table")
        return await self._read(at + 32 * index, 32)

    async def roots(self) -> list[bytes]:
        """Root of every bucket of the part."""
        at, length = self.entry["roots"]
        with located(self.name):
            roots = self.reader.roots(await self._read(at, length))
            if len(roots) != self.end - self.first:
                raise Damaged("a base has the wrong number of roots")
            return roots

    async def _read(self, at: int, length: int) -> bytes:
        data = await self.store.get(self.name, self.start + at, length)
        if len(data) != length:
            raise Damaged("the blob ends early")
        return data


class Index:
    """Rows of a snapshot by bucket: `base` and `tail` rows, tail winning (V27)."""

    def __init__(
        self, store: BlobStore, loaded: LoadedRecord | None, keys: ObjectKeys, ops: bytes
    ) -> None:
        self._store, self.loaded, self._keys, self._ops = store, loaded, keys, ops
        self.bits = 0
        self.parts: list[Part] = []
        self.tail_packs: list[bytes] = []
        self.tail_buckets: dict[int, tuple[int, int]] = {}
        self.tail_roots: dict[int, bytes] = {}
        self._tail_spans: dict[int, tuple[Span, int]] = {}
        self._tail_cipher: FrameCipher | None = None
        self.host_name = ""
        self._cache: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._cached = 0

    async def open(self) -> "Index":
        """Read the tail's directory, pack table and roots."""
        if self.loaded is None:
            return self
        record, head = self.loaded.record, self.loaded.head
        self.parts = [Part(self._store, self._keys, self._ops, entry) for entry in head["base"]]
        directory = await self.loaded.region("dir")
        packs, roots = await self.loaded.region("packs"), await self.loaded.region("roots")
        with located(self.loaded.name):
            self.bits, self.tail_buckets = record.directory(self._ops, directory)
            self.tail_packs = split32(packs)
            self.tail_roots = dict(
                zip(self.tail_buckets, record.roots(self._ops, roots), strict=True)
            )
        tail = head["tail"]
        self.host_name = names.record(self._keys.oid, tail["host"])
        at = tail["at"] if tail["at"] is not None else record.span("rows")[0]
        for index, (bucket, (length, _)) in enumerate(self.tail_buckets.items()):
            self._tail_spans[bucket] = (Span(at, length, bucket), index)
            at += length
        self._tail_cipher = tail_cipher(
            self._keys.key, self._keys.repo, self._keys.oid, tail["host"], unb64u(tail["salt"])
        )
        return self

    @property
    def buckets(self) -> int:
        """2^bits."""
        return 1 << self.bits

    @property
    def tail_at(self) -> int:
        """Offset of the tail's row frames in the host record."""
        if self.loaded is None:
            return 0
        at: int | None = self.loaded.head["tail"]["at"]
        return self.loaded.record.span("rows")[0] if at is None else at

    def bucket(self, key: bytes) -> int:
        """The bucket an item key falls into."""
        return bucket_of(key, self.bits)

    def part_of(self, bucket: int) -> Part | None:
        """The part a bucket stands in."""
        for part in self.parts:
            if part.first <= bucket < part.end:
                return part
        return None

    async def roots(self) -> list[bytes]:
        """Root of every bucket, the tail's where it touched one."""
        roots = [EMPTY_ROOT] * self.buckets
        for part in self.parts:
            roots[part.first : part.end] = await part.roots()
        for bucket, root in self.tail_roots.items():
            roots[bucket] = root
        return roots

    async def warm(self, buckets: Iterable[int], *, tail: bool = True) -> None:
        """Bring buckets into the cache with as few reads as possible; `buckets` ascending."""
        wanted = [b for b in buckets if ("b", b) not in self._cache]
        by_part: dict[int, list[Span]] = {}
        for bucket in wanted:
            part = self.part_of(bucket)
            if part is not None:
                span = (await part.load())[bucket - part.first]
                if span.length:
                    by_part.setdefault(part.first, []).append(span)
                else:
                    self._put(("b", bucket), b"")
        for part in self.parts:
            await self._fetch(part.name, "b", by_part.get(part.first, []))
        if tail:
            spans = [self._tail_spans[b][0] for b in wanted if b in self._tail_spans]
            await self._fetch(self.host_name, "t", spans)

    async def base_packed(self, bucket: int) -> bytes:
        """Compressed rows of the base's bucket; empty when it has none."""
        return await self._packed("b", bucket)

    async def tail_packed(self, bucket: int) -> bytes:
        """Compressed rows of the tail's bucket; empty when the tail does not touch it."""
        return await self._packed("t", bucket)

    async def base_lines(self, bucket: int) -> list[Line]:
        """Rows of the base's bucket, in key order."""
        return self._lines(await self._packed("b", bucket), f"base bucket {bucket}")

    async def tail_lines(self, bucket: int) -> list[Line]:
        """Rows and tombstones of the tail's bucket, in key order."""
        return self._lines(await self._packed("t", bucket), f"tail bucket {bucket}")

    async def packs_of(self, bucket: int) -> list[bytes]:
        """Pack table of the base part holding a bucket."""
        part = self.part_of(bucket)
        return [] if part is None else await part.table()

    def _lines(self, packed: bytes, where: str) -> list[Line]:
        with located(where):
            return list(lines(decompress(packed))) if packed else []

    async def _packed(self, which: str, bucket: int) -> bytes:
        held = self._cache.get((which, bucket))
        if held is not None:
            self._cache.move_to_end((which, bucket))
            return held
        if which == "b":
            part = self.part_of(bucket)
            span = None if part is None else (await part.load())[bucket - part.first]
            name = "" if part is None else part.name
        else:
            found = self._tail_spans.get(bucket)
            span, name = (None, "") if found is None else (found[0], self.host_name)
        if span is None or not span.length:
            return b""
        await self._fetch(name, which, [span])
        return self._cache[which, bucket]

    async def _fetch(self, name: str, which: str, spans: list[Span]) -> None:
        for offset, length, inside in coalesce(spans):
            with located(name):
                data = await self._read(name, offset, length)
                if len(data) != length:
                    raise Damaged("the blob ends early")
                for span in inside:
                    frame = data[span.offset - offset : span.offset - offset + span.length]
                    self._put((which, span.what), self._open(which, span.what, frame))

    async def _read(self, name: str, offset: int, length: int) -> bytes:
        if self.loaded is not None and name == self.loaded.name:
            return await self.loaded.bytes_at(offset, length)
        return await self._store.get(name, offset, length)

    def _open(self, which: str, bucket: int, frame: bytes) -> bytes:
        if which == "b":
            part = self.part_of(bucket)
            if part is None:
                raise Damaged("a bucket without part")
            return part.reader.bucket_packed(bucket - part.first, frame)
        if self._tail_cipher is None:
            raise Damaged("a tail without its record")
        return self._tail_cipher.open_packed(FIRST_ROW_FRAME + self._tail_spans[bucket][1], frame)

    def _put(self, key: tuple[str, int], packed: bytes) -> None:
        self._cached += len(packed) - len(self._cache.get(key, b""))
        self._cache[key] = packed
        while self._cached > CACHE_BYTES and len(self._cache) > 1:
            _, dropped = self._cache.popitem(last=False)
            self._cached -= len(dropped)
