"""A committed snapshot, read and proved (sections 12 and 16)."""

from collections.abc import AsyncIterator
from typing import Any

from shared.kit.blobs import BlobStore
from shared.vault import merge as merging
from shared.vault import reading
from shared.vault.errors import VaultDamaged, located
from shared.vault.format import proofs, rows, tree
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.primitives import hex16
from shared.vault.format.rows import parse_location
from shared.vault.index import Index
from shared.vault.merge import Entry
from shared.vault.model import Row, SnapshotHead
from shared.vault.repository import LoadedRecord

READ_AHEAD = 64  # buckets


class Snapshot:
    """Opened by `Vault.open_snapshot`."""

    def __init__(self, store: BlobStore, loaded: LoadedRecord, keys: ObjectKeys, ops: bytes):
        self.head: SnapshotHead = loaded.snapshot
        self._store, self._keys = store, keys
        self._oid16 = hex16(keys.oid)
        self._index = Index(store, loaded, keys, ops)
        self._opened = False

    async def row(self, source_id: str) -> Row | None:
        """One item by id: reads one bucket of tail and base at most (V30)."""
        index = await self._ready()
        bucket = index.bucket(rows.key_of(self._oid16, source_id))
        for item, location in await index.tail_lines(bucket):
            if merging.core(item).i == source_id:
                if merging.core(item).gone:
                    return None
                return Row.of(item, location, index.tail_packs)
        for item, location in await index.base_lines(bucket):
            if merging.core(item).i == source_id:
                return await self._base_row(bucket, item, location)
        return None

    async def row_by_key(self, key: bytes) -> Row | None:
        """One item by its item key: reads as little as `row`."""
        index = await self._ready()
        bucket = index.bucket(key)
        for item, location in await index.tail_lines(bucket):
            found = merging.core(item)
            if rows.key_of(self._oid16, found.i) == key:
                return None if found.gone else Row.of(item, location, index.tail_packs)
        for item, location in await index.base_lines(bucket):
            if rows.key_of(self._oid16, merging.core(item).i) == key:
                return await self._base_row(bucket, item, location)
        return None

    async def differing(self, other: "Snapshot") -> frozenset[int] | None:
        """Buckets whose rows differ between two points of one object; None = look at all of them.

        Told from the bucket roots alone: what did not change is not read.
        """
        mine, theirs = await self.roots(), await other.roots()
        if len(mine) != len(theirs) or self.head.oid != other.head.oid:
            return None
        pairs = enumerate(zip(mine, theirs, strict=True))
        return frozenset(bucket for bucket, (one, two) in pairs if one != two)

    async def roots(self) -> list[bytes]:
        """The root of every bucket."""
        return await (await self._ready()).roots()

    async def rows(
        self, after: bytes = b"", buckets: frozenset[int] | None = None
    ) -> AsyncIterator[Row]:
        """Every item, in item key order; those above the key `after`, of these buckets."""
        index = await self._ready()
        first = index.bucket(after) if after else 0
        for start in range(first, index.buckets, READ_AHEAD):
            whole = range(start, min(start + READ_AHEAD, index.buckets))
            group = [bucket for bucket in whole if buckets is None or bucket in buckets]
            await index.warm(group)
            for bucket in group:
                held = await self._held(bucket)
                for key in sorted(key for key in held if key > after):
                    entry = held[key]
                    yield Row.of(entry.item, entry.location, entry.packs)

    async def content(self, row: Row) -> AsyncIterator[bytes]:
        """The item's bytes, verified; a wrong whole raises `VaultDamaged` at the end (V65)."""
        async for data in reading.content(self._store, self._keys, row):
            yield data

    async def proof(self, source_id: str, *, whole: bool = True) -> dict[str, Any]:
        """Inclusion or absence of an item; `whole` discloses its metadata (section 12.3)."""
        index = await self._ready()
        roots = await index.roots()
        if tree.join(roots).hex() != self.head.root:
            raise VaultDamaged(f"snapshot {self.head.n}: bucket roots do not join to the root")
        about = {
            "repo": self._keys.repo,
            "oid": self._keys.oid,
            "n": self.head.n,
            "record_hash": self.head.record_hash,
            "root": self.head.root,
        }
        key = rows.key_of(self._oid16, source_id)
        bucket, path = tree.bucket_path(roots, key)
        if bucket is None:
            return proofs.absence(about, source_id, None, [])
        held = await self._held(bucket)
        pairs = merging.pairs(held, self._keys.leaf)
        if tree.root(pairs) != roots[bucket]:
            raise VaultDamaged(f"snapshot {self.head.n}: rows of bucket {bucket} miss their root")
        at, below = tree.leaf_path(pairs, key)
        upward = [*reversed(below), *reversed(path)]
        entry = held[at]
        if at == key:
            said = proofs.disclose(self._keys.leaf, key, entry.item, whole=whole)
            return proofs.inclusion(about, said, upward)
        body = rows.body_of(self._keys.leaf, at, entry.core, entry.item)
        return proofs.absence(about, source_id, (at, body), upward)

    async def check_rows(self) -> int:
        """Rebuild the Merkle root from every row; how many there are. `VaultDamaged` otherwise."""
        index = await self._ready()
        roots = await index.roots()
        if tree.join(roots).hex() != self.head.root:
            raise VaultDamaged(f"snapshot {self.head.n}: bucket roots do not join to the root")
        total = 0
        for start in range(0, index.buckets, READ_AHEAD):
            group = range(start, min(start + READ_AHEAD, index.buckets))
            await index.warm(group)
            for bucket in group:
                pairs = merging.pairs(await self._held(bucket), self._keys.leaf)
                total += len(pairs)
                if tree.root(pairs) != roots[bucket]:
                    raise VaultDamaged(
                        f"snapshot {self.head.n}: rows of bucket {bucket} miss their root"
                    )
        if total != self.head.items:
            raise VaultDamaged(f"snapshot {self.head.n}: {total} rows, {self.head.items} recorded")
        return total

    async def _base_row(self, bucket: int, item: bytes, location: bytes) -> Row:
        part = self._index.part_of(bucket)
        if part is None:
            raise VaultDamaged(f"snapshot {self.head.n}: bucket {bucket} has no part")
        if part.packs is not None:
            return Row.of(item, location, part.packs)
        with located(part.name):
            row = Row.of(item, location, [])
            reach = parse_location(location, row.size, row.item.get("d"))
            table = {place.pack: await part.pack_name(place.pack) for place in reach.places}
        return Row(row.raw, row.location, table, row.item)

    async def _held(self, bucket: int) -> dict[bytes, Entry]:
        base = await self._index.base_lines(bucket)
        packs = await self._index.packs_of(bucket) if base else []
        tail = await self._index.tail_lines(bucket)
        return merging.overlay(
            merging.entries(base, packs, self._oid16),
            merging.entries(tail, self._index.tail_packs, self._oid16),
        )

    async def _ready(self) -> Index:
        if not self._opened:
            await self._index.open()
            self._opened = True
        return self._index
