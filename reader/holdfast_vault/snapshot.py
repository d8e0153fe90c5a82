"""One snapshot of a copy: record, base parts, tail; rows and contents, verified (steps 3 to 5)."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from holdfast_vault.findings import Broken, checking
from holdfast_vault.vault import Vault
from shared.vault.format import names, rows
from shared.vault.format.base import PartReader, bucket_of, split32
from shared.vault.format.chunks import ChunkCipher
from shared.vault.format.content import EMPTY, ContentHash, Transform
from shared.vault.format.errors import Damaged
from shared.vault.format.frames import FrameCipher
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.primitives import hex16, unb64u
from shared.vault.format.rows import Core, Place
from shared.vault.format.snapshot import FIRST_ROW_FRAME, REGIONS, Record, tail_cipher
from shared.vault.format.tree import EMPTY_ROOT


class Entry(NamedTuple):
    """A row, its key, and the pack table its location counts in."""

    key: bytes
    item: bytes
    location: bytes
    packs: list[bytes]
    core: Core


class Part:
    """One part of a base; `Broken` unless its name is the hash of its bytes (V19)."""

    def __init__(self, vault: Vault, oid: str, entry: dict[str, Any], seen: set[str]) -> None:
        self._source, self.entry = vault.source, entry
        self.name = names.base(oid, str(entry["name"]))
        self.first, self.end = int(entry["from"]), int(entry["to"])
        if self.name not in seen:
            with checking("V19", self.name):
                if self._source.digest(self.name) != entry["name"]:
                    raise Damaged("the name of the base part is not the hash of its bytes")
            seen.add(self.name)
        with checking("V29", self.name):
            header, _, salt = PartReader.header(self._source.read(self.name, 0, 1 << 16))
            ops, keys = vault.tenant(header["tmk"]).ops, vault.object(oid)
            self._reader = PartReader(ops, keys.key if keys else None, vault.repo, oid, salt)
            start = int(entry["start"])
            at, length = entry["dir"]
            directory = self._reader.directory(self._source.read(self.name, start + at, length))
            at, length = entry["roots"]
            self.roots = self._reader.roots(self._source.read(self.name, start + at, length))
            at, count = entry["packs"]
            self.packs = split32(self._source.read(self.name, start + at, 32 * count))
            if not len(directory) == len(self.roots) == self.end - self.first:
                raise Damaged("directory and roots do not name every bucket")
            self._spans, at = [], start
            for length, _ in directory:
                self._spans.append((at, length))
                at += length

    def bucket(self, bucket: int) -> bytes:
        """Plain rows of a bucket."""
        at, length = self._spans[bucket - self.first]
        frame = self._source.read(self.name, at, length)
        return self._reader.bucket(bucket - self.first, frame)


class Snapshot:
    """Snapshot `n` of an object; opening checks the record itself (V31, V33)."""

    def __init__(self, vault: Vault, oid: str, n: int, seen: set[str] | None = None) -> None:
        self.vault, self.oid, self.n = vault, oid, n
        self._seen = set[str]() if seen is None else seen
        self.name = names.record(oid, n)
        self._data = vault.source.read(self.name)
        with checking("V33", self.name):
            self.record = Record(self._data)
            if (self.record.repo, self.record.oid, self.record.n) != (vault.repo, oid, n):
                raise Broken("V31", self.name, "the record of another object or number")
            self._ops = vault.tenant(self.record.header["tmk"]).ops
            self.head = self.record.head(self._ops, self._data)
            self.record_hash = self.record.record_hash(self._data).hex()
            self._regions()

    def _regions(self) -> None:
        ends = [self.record.head_end]
        for name in REGIONS:
            at, length = self.record.span(name)
            if min(at, length) < 0:
                raise Damaged("a region with a negative place")
            self.record.check(self.head, name, self._data[at : at + length])
            ends.append(at + length)
        if max(ends) != len(self._data):
            raise Damaged("the record does not end with its last region")

    @property
    def root(self) -> bytes:
        """Merkle root."""
        return bytes.fromhex(self.head["root"])

    @property
    def keys(self) -> ObjectKeys:
        """The object's keys; `Broken` when they are gone."""
        found = self.vault.object(self.oid)
        if found is None:
            raise Broken("V8", f"keys/o/{self.oid}/", "the object's key is gone: it was erased")
        return found

    @cached_property
    def private(self) -> dict[str, Any]:
        """Source id, display name, address."""
        with checking("V33", self.name):
            return self.record.private(self.keys.key, self._region("private"))

    def receipt(self) -> dict[str, Any]:
        """What the customer was given (section 11)."""
        members = ("repo", "oid", "n", "root", "items", "counts", "ended")
        return {name: self.head[name] for name in members} | {"record_hash": self.record_hash}

    @cached_property
    def parts(self) -> list[Part]:
        """Base parts; each part's name is checked against its bytes once per `seen`."""
        with checking("V29", self.name):
            entries = list(self.head["base"])
        return [Part(self.vault, self.oid, entry, self._seen) for entry in entries]

    @cached_property
    def tail_packs(self) -> list[bytes]:
        """Pack table of the tail."""
        with checking("V29", self.name):
            return split32(self._region("packs"))

    @cached_property
    def _tail(self) -> tuple[int, dict[int, tuple[int, int, int]]]:
        """(bits, bucket -> (offset in the host, length, index of the frame))."""
        with checking("V33", self.name):
            bits, buckets = self.record.directory(self._ops, self._region("dir"))
            tail = self.head["tail"]
            at = self.record.span("rows")[0] if tail["at"] is None else int(tail["at"])
            spans = {}
            for index, (bucket, (length, _)) in enumerate(buckets.items()):
                spans[bucket] = (at, length, index)
                at += length
            return bits, spans

    @property
    def bits(self) -> int:
        """Buckets are 2^bits."""
        return self._tail[0]

    @property
    def touched(self) -> set[int]:
        """Buckets the tail holds rows of."""
        return set(self._tail[1])

    @cached_property
    def tail_roots(self) -> dict[int, bytes]:
        """Root of every touched bucket, as recorded."""
        with checking("V41", self.name):
            roots = self.record.roots(self._ops, self._region("roots"))
            return dict(zip(self._tail[1], roots, strict=True))

    def bucket_roots(self) -> list[bytes]:
        """Recorded root of every bucket."""
        found = [EMPTY_ROOT] * (1 << self.bits)
        for part in self.parts:
            found[part.first : part.end] = part.roots
        for bucket, root in self.tail_roots.items():
            found[bucket] = root
        return found

    @cached_property
    def host(self) -> str:
        """Name of the record that holds the tail's row frames (V29)."""
        return names.record(self.oid, int(self.head["tail"]["host"]))

    @cached_property
    def _tail_cipher(self) -> FrameCipher:
        tail = self.head["tail"]
        return tail_cipher(
            self.keys.key, self.vault.repo, self.oid, tail["host"], unb64u(tail["salt"])
        )

    def tail_entries(self, bucket: int) -> list[Entry]:
        """Rows and tombstones of the tail's bucket."""
        if bucket not in self._tail[1]:
            return []
        at, length, index = self._tail[1][bucket]
        with checking("V33", self.host):
            frame = self.vault.source.read(self.host, at, length)
            plain = self._tail_cipher.open(FIRST_ROW_FRAME + index, frame)
            return self._entries(plain, self.tail_packs, bucket)

    def base_entries(self, bucket: int) -> list[Entry]:
        """Rows of the base's bucket."""
        for part in self.parts:
            if part.first <= bucket < part.end:
                with checking("V13", part.name):
                    return self._entries(part.bucket(bucket), part.packs, bucket)
        return []

    def entries(self, bucket: int) -> dict[bytes, Entry]:
        """The snapshot's rows in a bucket (V27)."""
        held = {entry.key: entry for entry in self.base_entries(bucket)}
        for entry in self.tail_entries(bucket):
            if entry.core.gone:
                held.pop(entry.key, None)
            else:
                held[entry.key] = entry
        return held

    def all_entries(self) -> Iterator[Entry]:
        """Every row, in key order."""
        for bucket in range(1 << self.bits):
            held = self.entries(bucket)
            yield from (held[key] for key in sorted(held))

    def find(self, source_id: str) -> Entry | None:
        """One item."""
        key = rows.key_of(hex16(self.oid), source_id)
        return self.entries(bucket_of(key, self.bits)).get(key)

    def places(self, entry: Entry) -> list[tuple[str, Place]]:
        """(pack name, place) of every chunk, list chunks opened."""
        location = rows.parse_location(entry.location, entry.core.s, entry.core.d)
        direct = [(names.pack(self.oid, entry.packs[p.pack]), p) for p in location.places]
        if not location.listed:
            return direct
        found: list[tuple[str, Place]] = []
        for name, place in direct:
            packs, listed = rows.read_list_chunk(self._chunk(name, place))
            found += [(names.pack(self.oid, packs[p.pack]), p) for p in listed]
        return found

    def content(self, entry: Entry) -> Iterator[bytes]:
        """The item's content; every chunk and the whole are verified (V65)."""
        if entry.core.d is None:
            return
        whole, transform = ContentHash(), Transform()
        with checking("V65", f"{self.name} item {entry.core.i!r}"):
            wanted = self.places(entry)
        for name, place in wanted:
            with checking("V13", f"{name} at {place.offset}"):
                plain = self._chunk(name, place)
            for data in transform.feed(place.transform, plain):
                whole.update(data)
                yield data
        for data in transform.finish():
            whole.update(data)
            yield data
        digest = whole.digest() if whole.length else EMPTY
        if whole.length != entry.core.s or digest != unb64u(entry.core.d):
            what = f"content of item {entry.core.i!r} does not match its length and hash"
            raise Broken("V65", self.name, what)

    def _chunk(self, name: str, place: Place) -> bytes:
        source = self.vault.source
        entry = source.read(name, place.offset, place.length)
        cipher = ChunkCipher(self.keys.chunk, self.vault.repo)
        return cipher.open(
            entry, place.digest, place.codec, place.plain,
            lambda where: source.read(name, where.offset, where.length),
        )  # fmt: skip

    def _region(self, name: str) -> bytes:
        at, length = self.record.span(name)
        return self._data[at : at + length]

    def _entries(self, plain: bytes, packs: list[bytes], bucket: int) -> list[Entry]:
        found: list[Entry] = []
        for item, location in rows.lines(plain):
            core = rows.core(item)
            key = rows.key_of(hex16(self.oid), core.i)
            if found and key <= found[-1].key:
                raise Broken("V26", self.name, f"rows of bucket {bucket} are not in key order")
            if bucket_of(key, self.bits) != bucket:
                raise Broken("V26", self.name, f"a row stands in the wrong bucket {bucket}")
            found.append(Entry(key, item, location, packs, core))
        return found
