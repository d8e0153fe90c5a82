"""A run: one attempt to produce the next snapshot of one object, in slices (section 13)."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.kit.blobs import BlobInfo, BlobMissing, BlobStore
from shared.vault.begun import Unfinished
from shared.vault.errors import KeyAlarm, Superseded, VaultDamaged, located
from shared.vault.format import names, rows
from shared.vault.format.checkpoint import CheckpointReader
from shared.vault.format.frames import Short
from shared.vault.format.keys import ObjectKeys, TenantKeys
from shared.vault.format.primitives import hex16
from shared.vault.format.rows import Place
from shared.vault.guard import Guard
from shared.vault.healing import find_ground, is_wounded, wounded_rows
from shared.vault.index import Index
from shared.vault.model import (
    Cursor,
    Declared,
    Enumeration,
    GraphUse,
    Kind,
    ObjectRef,
    Row,
    SliceResult,
    SnapshotHead,
)
from shared.vault.reading import places_of
from shared.vault.repository import (
    FIRST_READ,
    LoadedRecord,
    load_record,
    newest_number,
    record_numbers,
)
from shared.vault.slices import Slice

# How far back a repeated seal looks for its own record when its checkpoints are gone.
LOOK_BACK = 8
# Decoded buckets kept for look-ups; each holds about 512 rows.
DECODED_BUCKETS = 64


@dataclass(slots=True)
class Checkpoint:
    """A finished slice as the seal reads it."""

    name: str
    reader: CheckpointReader
    meta: dict[str, Any]

    @property
    def result(self) -> SliceResult:
        """What the slice did."""
        found = dict(self.meta["result"])
        return SliceResult(**found | {"graph": GraphUse(**found["graph"])})

    @property
    def packs(self) -> list[bytes]:
        """The pack table its locations count in."""
        return [bytes.fromhex(name) for name in self.meta["packs"]]


class Run:
    """Opened by `Vault.open_run`, in every activity of the run again."""

    def __init__(
        self, store: BlobStore, control: BlobStore, keys: ObjectKeys, tenant: TenantKeys,
        ref: ObjectRef, run_id: str, guard: Guard | None = None,
    ) -> None:  # fmt: skip
        guard = guard or Guard()
        self.files, self.locks, self.key_lock = guard.files, guard.locks, guard.key_lock
        self.shared, self.damaged = guard.shared, guard.damaged
        self.condemned = guard.condemned | guard.damaged
        self.store, self.control, self.keys, self.ref, self.id = store, control, keys, ref, run_id
        self.ops, self.epoch = tenant.ops, tenant.epoch
        self.parent: SnapshotHead | None = None
        self.sealed: SnapshotHead | None = None
        self.cursors: dict[str, Cursor] = {}
        self.retry: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        self.slices = 0
        self.more = True
        self.begun = Unfinished({}, [])
        self.number, self.prev = 0, ""
        self.wounds: frozenset[bytes] = frozenset()
        self.fresh = False
        self.first_checkpoint: datetime | None = None
        self.parent_record: LoadedRecord | None = None
        self.index = Index(store, None, keys, self.ops)
        self._decoded: OrderedDict[int, dict[str, Row]] = OrderedDict()

    async def open(self) -> "Run":
        """W0: the head, the parent's cursors, and what earlier slices of this run left."""
        newest = await newest_number(self.store, self.keys.oid)
        left = [found async for found in self.control.list(names.run(self.keys.oid, self.id))]
        ground = await find_ground(self, newest)
        self.number, self.prev = ground.n, ground.digest
        self.wounds, self.fresh = ground.wounds, ground.fresh
        self.cursors, self.retry = ground.private["cursors"], ground.private["retry"]
        if ground.rows is not None:
            self.parent_record = ground.rows
            self.parent = ground.rows.snapshot
            if self.parent.run == self.id:
                self.sealed = self.parent
            self.index = Index(self.store, self.parent_record, self.keys, self.ops)
            self._same_keys(self.parent.document.get("files", {}))
        await self.index.open()
        if left and self.sealed is None:
            await self._go_on(left)
        return self

    def _same_keys(self, told: Mapping[str, str]) -> None:
        """V8: key blobs are those that the parent was written with; a name is never reused."""
        for name, digest in self.files.items():
            if told.get(name, digest) != digest:
                raise KeyAlarm(
                    f"{name} is not the one that snapshot {self.number} was written with"
                )

    async def _go_on(self, left: list[BlobInfo]) -> None:
        numbers = [int(found.name.rsplit("/", 1)[1].removesuffix(".hfw")) for found in left]
        last = None
        if numbers == list(range(len(numbers))):
            with suppress(BlobMissing):
                last = await self.checkpoint(left[-1].name)
        if last is None:
            self.sealed = await self.committed()  # another execution may be cleaning up (V48)
            if self.sealed is None:
                raise VaultDamaged(f"checkpoints of run {self.id} are missing: {numbers}")
            return
        self.first_checkpoint = left[0].created
        if last.meta["parent"] != self.parent_mark:
            parent_n = last.meta["parent"][0] if last.meta["parent"] else 0
            if self.number > parent_n:
                ours = await self.load(parent_n + 1)
                if ours.snapshot.run == self.id:
                    self.sealed = ours.snapshot
                    return
            raise Superseded(f"run {self.id} began before the newest snapshot")
        self._take(last.meta, last.result)

    async def committed(self) -> SnapshotHead | None:
        """The snapshot this run committed, if it did, among the newest ones (V48)."""
        for n in (await record_numbers(self.store, self.keys.oid))[:LOOK_BACK]:
            with suppress(VaultDamaged):
                head = (await self.load(n)).snapshot
                if head.run == self.id:
                    return head
        return None

    @property
    def parent_mark(self) -> list[Any] | None:
        """What checkpoints record of their parent: number, record hash, whose rows if another's."""
        if not self.number:
            return None
        rows_of = 0 if self.parent is None else self.parent.n
        return [self.number, self.prev] + ([rows_of] if rows_of != self.number else [])

    @property
    def heals(self) -> bool:
        """Whether something that this run builds on is damaged."""
        return self.fresh or bool(self.wounds)

    def is_wounded(self, row: Row) -> bool:
        """Whether the content of a row of the parent is damaged: it has to be read again."""
        return is_wounded(row, self.wounds)

    def wounded_rows(self, after: bytes = b"") -> AsyncIterator[Row]:
        """Rows of the parent whose content is damaged, in key order from behind a key."""
        return wounded_rows(self, after)

    async def load(self, n: int) -> LoadedRecord:
        """A record of this object."""
        return await load_record(self.store, self.ops, self.keys.repo, self.keys.oid, n)

    async def slice(self, number: int) -> Slice:
        """Slice `number`, counted from 0; `done` when an earlier execution finished it (V48)."""
        if not 0 <= number <= self.slices:
            raise ValueError(f"slice {number} comes before slice {self.slices}")
        try:
            found = await self.checkpoint(names.checkpoint(self.keys.oid, self.id, number))
        except BlobMissing:
            return Slice(self, number, None)
        if number == self.slices:
            self.slices += 1
            self._take(found.meta, found.result)
        return Slice(self, number, found.result)

    async def finished(
        self, number: int, adopt: str | None, meta: Mapping[str, Any], result: SliceResult
    ) -> SliceResult:
        """Note a finished slice; `adopt` names the checkpoint that was there first."""
        if adopt is not None:
            with suppress(BlobMissing):  # sealed and cleaned up meanwhile: the seal will see it
                found = await self.checkpoint(adopt)
                meta = found.meta
                result = SliceResult(**_fields(found.result) | {"adopted": True})
        if number == self.slices:
            self.slices += 1
            self._take(meta, result)
        return result

    def _take(self, meta: Mapping[str, Any], result: SliceResult) -> None:
        self.slices = max(self.slices, result.number + 1)
        self.cursors, self.state = dict(meta["cursors"]), dict(meta["state"])
        packs = [bytes.fromhex(name) for name in meta["packs"]]
        self.begun = Unfinished(dict(meta.get("begun", {})), packs)
        self.more = result.more

    def overlaid(self, cursors: Mapping[str, Cursor | None]) -> dict[str, Cursor]:
        """The run's cursors with these laid over; None drops one."""
        merged: dict[str, Cursor | None] = {**self.cursors, **cursors}
        return {name: cursor for name, cursor in merged.items() if cursor is not None}

    async def checkpoint(self, name: str) -> Checkpoint:
        """Open a checkpoint: its header and meta frame; `BlobMissing` when there is none."""
        data = await self.control.get(name, 0, FIRST_READ)
        with located(name):
            while True:
                try:
                    reader = CheckpointReader(data, self.keys.key)
                    break
                except Short:
                    data += await self.control.get(name, len(data), len(data))
            at, length = reader.meta_span()
            if at + length > len(data):
                data += await self.control.get(name, len(data), at + length - len(data))
            return Checkpoint(name, reader, reader.meta(data[at : at + length]))

    async def checkpoints(self) -> list[Checkpoint]:
        """All slices of the run, in order."""
        wanted = [names.checkpoint(self.keys.oid, self.id, n) for n in range(self.slices)]
        found: list[Checkpoint] = []
        for at in range(0, len(wanted), 8):
            found += await asyncio.gather(*map(self.checkpoint, wanted[at : at + 8]))
        return found

    async def previous(self, source_id: str) -> Row | None:
        """The parent snapshot's row of an item; reads only the bucket it is in."""
        return (await self.previous_many([source_id])).get(source_id)

    async def previous_many(self, source_ids: Iterable[str]) -> dict[str, Row]:
        """The parent's rows of many items; each touched bucket is read once."""
        if self.parent is None or not self.parent.items:
            return {}
        oid16 = hex16(self.keys.oid)
        by_bucket: dict[int, list[str]] = {}
        for source_id in source_ids:
            bucket = self.index.bucket(rows.key_of(oid16, source_id))
            by_bucket.setdefault(bucket, []).append(source_id)
        cold = sorted(bucket for bucket in by_bucket if bucket not in self._decoded)
        found: dict[str, Row] = {}
        for at in range(0, len(cold), 32):
            await self.index.warm(cold[at : at + 32])
            for bucket in cold[at : at + 32]:
                held = await self._bucket(bucket)
                found |= {i: held[i] for i in by_bucket.pop(bucket) if i in held}
        for bucket, wanted in by_bucket.items():
            held = await self._bucket(bucket)
            found |= {i: held[i] for i in wanted if i in held}
        return found

    async def _bucket(self, bucket: int) -> dict[str, Row]:
        held = self._decoded.get(bucket)
        if held is not None:
            self._decoded.move_to_end(bucket)
            return held
        held = {}
        base = await self.index.base_lines(bucket)
        packs = await self.index.packs_of(bucket) if base else []
        for item, location in base:
            row = Row.of(item, location, packs)
            held[row.source_id] = row
        for item, location in await self.index.tail_lines(bucket):
            row = Row.of(item, location, self.index.tail_packs)
            if row.item.get("gone"):
                held.pop(row.source_id, None)
            else:
                held[row.source_id] = row
        self._decoded[bucket] = held
        if len(self._decoded) > DECODED_BUCKETS:
            self._decoded.popitem(last=False)
        return held

    async def places(self, source_id: str, index_of: Callable[[bytes], int]) -> dict[bytes, Place]:
        """Chunks of the parent's version of an item, by digest, counted by `index_of` (V22)."""
        row = await self.previous(source_id)
        if row is None or not row.has_content:
            return {}
        found = await places_of(self.store, self.keys, row)
        return {
            place.digest: place._replace(pack=index_of(pack))
            for pack, place in found
            if names.pack(self.keys.oid, pack) not in self.condemned
        }

    async def seal(
        self,
        *,
        enumerated: Mapping[str, Enumeration],
        started: datetime,
        ended: datetime,
        expires: datetime | None,
        kind: Kind,
        containers_total: int | None = None,
        declared: Declared | None = None,
        excluded: int = 0,
        engine: str = "graph",
        selection: Any = None,
        since: Mapping[str, tuple[int, int]] | None = None,
    ) -> SnapshotHead:
        """W2 to W6: merge, write the index, commit. Idempotent; `Superseded` if a race is lost.

        `since`: of containers listed more than once in the run, the slice and position behind
        which the listing stands that proves absence (M13).
        """
        from shared.vault.seal import Facts, seal_run

        total = len(enumerated) if containers_total is None else containers_total
        return await seal_run(
            self,
            Facts(
                dict(enumerated), total, started, ended, expires, kind, declared, excluded, engine,
                selection, dict(since or {}),
            ),
        )  # fmt: skip

    async def abandon(self) -> None:
        """Delete the run's checkpoints; its packs are orphans for garbage collection."""
        prefix = names.run(self.keys.oid, self.id)
        for name in [found.name async for found in self.control.list(prefix)]:
            await self.control.delete(name)


def _fields(result: SliceResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in SliceResult.__slots__}
