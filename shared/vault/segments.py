"""Builds the next snapshot's rows: a tail beside the old base, or a new base (W2, V28)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from shared.vault import merge as merging
from shared.vault import rules
from shared.vault.format import rows, tree
from shared.vault.format.base import Part, PartWriter, bits_for, bucket_of
from shared.vault.format.checkpoint import RANGE_BITS
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.primitives import hex16
from shared.vault.format.snapshot import Host, Tail
from shared.vault.index import Index
from shared.vault.merge import Entry, PackTable, Tally
from shared.vault.ranges import RangeReader, Steps

# Compressed index read ahead of the merge.
READ_AHEAD = 128  # buckets


class Builder:
    """One pass over the keys; `tally` says afterwards what changed."""

    def __init__(
        self, index: Index, ranges: RangeReader, keys: ObjectKeys, removal: rules.Removal,
        watched: list[str],
    ) -> None:  # fmt: skip
        self._index, self._ranges, self._keys, self._removal = index, ranges, keys, removal
        self._oid16 = hex16(keys.oid)
        self._watched = watched
        self._whole: dict[int, list[Entry]] | None = None
        self._restart()

    def _restart(self) -> None:
        self.tally = Tally(
            watched={rows.key_of(self._oid16, source_id): None for source_id in self._watched}
        )

    async def tail(self) -> tuple[Tail, list[bytes]] | None:
        """(tail, bucket roots), or None when it grows beyond a record."""
        self._restart()
        index, bits = self._index, self._index.bits
        roots = await index.roots()
        tail, table, changed = Tail(bits=bits), PackTable(index.tail_packs), False
        async for first, last, steps in self._windows(bits):
            by_bucket = self._by_bucket(steps, bits)
            wanted = range(first, last) if self._removal.scans else sorted(
                by_bucket.keys() | {b for b in index.tail_buckets if first <= b < last}
            )  # fmt: skip
            async for bucket in self._ahead(list(wanted)):
                named = by_bucket.get(bucket, {})
                touched = await self._tail_bucket(bucket, named, tail, table, roots)
                changed = changed or touched
                if tail.size > rules.MAX_TAIL:
                    return None
        if not changed and index.loaded is not None and index.tail_buckets:
            tail.packed = []
            where = index.loaded.head["tail"]
            tail.host = Host(
                where["host"], index.tail_at, where["salt"],
                index.loaded.head["sha256"]["rows"], tail.size,
            )  # fmt: skip
        tail.packs = table.names
        return tail, roots

    async def _tail_bucket(
        self, bucket: int, named: Steps, tail: Tail, table: PackTable, roots: list[bytes]
    ) -> bool:
        index = self._index
        changed: dict[bytes, Entry | None] = {}
        old: list[Entry] = []
        base: list[Entry] = []
        if named or self._removal.scans:
            base = await self._base(bucket)
            old = merging.entries(await index.tail_lines(bucket), index.tail_packs, self._oid16)
            held = merging.overlay(base, old)
            changed = merging.merge(held, named, self._removal, self.tally)
        if not changed:
            packed = await index.tail_packed(bucket)
            if packed:
                tail.add_packed(bucket, packed, index.tail_buckets[bucket][1], roots[bucket])
            return False
        in_base = {entry.key for entry in base}
        lines = {entry.key: table.line(entry) for entry in old if entry.key not in changed}
        before = {entry.key: entry.core for entry in (*old, *base)}
        for key, after in changed.items():
            if after is not None:
                lines[key] = table.line(after)
            elif key in in_base:
                lines[key] = (rows.tombstone(before[key].i), b"[]")
        roots[bucket] = tree.root(merging.pairs(held, self._keys.leaf))
        plain = rows.join_lines([lines[key] for key in sorted(lines)])
        # A bucket that is back at the base's state keeps an empty entry: its root is still right.
        tail.add(bucket, plain, len(lines), roots[bucket])
        return True

    async def base(
        self, ops: bytes, tmk: int, expected: int, put: Callable[[Part], Awaitable[None]]
    ) -> tuple[list[dict[str, Any]], int, list[bytes]]:
        """(parts for the head, bits, bucket roots); `put` stores each part as it is full."""
        self._restart()
        index, keys = self._index, self._keys
        bits = bits_for(expected)
        same = bits == index.bits and bits >= RANGE_BITS and index.loaded is not None
        old_roots = await index.roots() if same else []
        parts: list[dict[str, Any]] = []
        roots: list[bytes] = []
        writer: PartWriter | None = None
        table = PackTable()
        async for first, last, steps in self._windows(bits):
            by_bucket = self._by_bucket(steps, bits)
            held_by_bucket = {} if same else await self._regrouped(first, last, bits)
            ahead = self._ahead(list(range(first, last))) if same else _each(first, last)
            async for bucket in ahead:
                if writer is None:
                    table = PackTable()
                    writer = PartWriter(ops, keys.key, keys.repo, keys.oid, tmk, bucket, bits)
                named = by_bucket.get(bucket, {})
                untouched = same and not named and not self._removal.scans
                if untouched and bucket not in index.tail_buckets:
                    plain, count = await self._copied(bucket, table)
                    root = old_roots[bucket]
                else:
                    held = await self._overlaid(bucket) if same else held_by_bucket.get(bucket, {})
                    merging.merge(held, named, self._removal, self.tally)
                    root = tree.root(merging.pairs(held, keys.leaf))
                    plain = rows.join_lines([table.line(held[key]) for key in sorted(held)])
                    count = len(held)
                writer.add(plain, count, root)
                roots.append(root)
                if writer.complete:
                    part = await asyncio.to_thread(writer.finish, table.names)
                    writer = None
                    if part.entry["rows"]:
                        await put(part)
                        parts.append(part.entry)
        return parts, bits, roots

    async def _copied(self, bucket: int, table: PackTable) -> tuple[bytes, int]:
        """Rows nobody touched: item JSON byte for byte, locations counted anew (V24)."""
        packs = await self._index.packs_of(bucket)
        lines = [
            (item, table.location(location, packs))
            for item, location in await self._index.base_lines(bucket)
        ]
        return rows.join_lines(lines), len(lines)

    async def _base(self, bucket: int) -> list[Entry]:
        lines = await self._index.base_lines(bucket)
        packs = await self._index.packs_of(bucket) if lines else []
        return merging.entries(lines, packs, self._oid16)

    async def _overlaid(self, bucket: int) -> dict[bytes, Entry]:
        tail = await self._index.tail_lines(bucket)
        return merging.overlay(
            await self._base(bucket), merging.entries(tail, self._index.tail_packs, self._oid16)
        )

    async def _regrouped(self, first: int, last: int, bits: int) -> dict[int, dict[bytes, Entry]]:
        """Held rows of new buckets first..last-1 when the old index has another number of them."""
        old = self._index.bits
        if old > bits:
            wanted = range(first << (old - bits), last << (old - bits))
        else:
            wanted = range(first >> (bits - old), ((last - 1) >> (bits - old)) + 1)
        found: dict[int, dict[bytes, Entry]] = {}
        async for bucket in self._ahead(list(wanted)):
            for key, entry in (await self._overlaid(bucket)).items():
                at = bucket_of(key, bits)
                if first <= at < last:
                    found.setdefault(at, {})[key] = entry
        return found

    async def _windows(self, bits: int) -> AsyncIterator[tuple[int, int, Steps]]:
        """(first bucket, end, operations) in key order."""
        for first, last in self._ranges.windows(bits):
            steps = await self._ranges.read(first, last)
            if bits >= RANGE_BITS:
                shift = bits - RANGE_BITS
                yield first << shift, last << shift, steps
            else:
                shift = RANGE_BITS - bits
                yield first >> shift, last >> shift, steps

    async def _ahead(self, buckets: list[int]) -> AsyncIterator[int]:
        for at in range(0, len(buckets), READ_AHEAD):
            group = buckets[at : at + READ_AHEAD]
            await self._index.warm(group)
            for bucket in group:
                yield bucket

    def _by_bucket(self, steps: Steps, bits: int) -> dict[int, Steps]:
        found: dict[int, Steps] = {}
        for key, named in steps.items():
            found.setdefault(bucket_of(key, bits), {})[key] = named
        return found


async def _each(first: int, last: int) -> AsyncIterator[int]:
    for bucket in range(first, last):
        yield bucket
