"""What the processes that keep a vault share: heads and dependencies with K_ops only, facts."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.kit.blobs import BlobExists, BlobMissing, BlobStore
from shared.vault.errors import UnknownSnapshot, VaultDamaged, located
from shared.vault.format import names
from shared.vault.format.base import split32
from shared.vault.format.primitives import sha
from shared.vault.locks import Locks
from shared.vault.model import instant
from shared.vault.repository import LoadedRecord, load_record, record_numbers
from shared.vault.retention import Point, effective_expiry


@dataclass(frozen=True, slots=True)
class Facts:
    """What the control container says of an object: held, erasure asked for, longer retention."""

    held: bool = False
    erasing: str | None = None
    longest: timedelta | None = None
    unlimited: bool = False
    gone: str | None = None
    """`erased` or `expired`: why the name is never used again."""


@dataclass(slots=True)
class Upkeep:
    """One repository as its keepers see it; holds K_ops and no content key."""

    store: BlobStore
    control: BlobStore
    locks: Locks
    ops: bytes = field(repr=False)
    document: dict[str, Any] = field(repr=False)

    @property
    def repo(self) -> str:
        """Repository id."""
        return str(self.document["repo"])

    @property
    def locked(self) -> bool:
        """Whether the repository has locks (V53, V59)."""
        return bool(self.document["lock_mode"] == "full")

    @property
    def rolling(self) -> bool:
        """Whether key blobs have the short lock that makes erasure possible (17.2)."""
        return bool(self.document["key_lock"] == "rolling")

    async def objects(self) -> list[str]:
        """Ids of all objects that have a key or a blob."""
        found = {one.name.split("/")[2] async for one in self.locks.versions("keys/o/")}
        found |= {one.name.split("/")[1] async for one in self.locks.versions("o/")}
        return sorted(found)

    async def points(self, oid: str) -> list[Point]:
        """Every record with its dependencies, oldest first.

        One that cannot be read whole says so in `broken`: nothing may be deleted on its account.
        """
        facts = await self.facts(oid)
        tables: dict[str, frozenset[str]] = {}
        found: list[Point] = []
        unread: list[int] = []
        for n in reversed(await record_numbers(self.store, oid)):
            try:
                loaded = await self.load(oid, n)
            except (VaultDamaged, UnknownSnapshot):
                unread.append(n)
                continue
            found.append(await self._point(loaded, facts, tables))
        if not unread:
            return found
        # When it ends is not known: as late as what is known of the object's other points.
        ended = max((one.ended for one in found), default=await self.locks.now())
        unlimited = not found or any(one.expires is None for one in found)
        expires = None if unlimited else max(one.expires for one in found if one.expires)
        found += [Point(n, ended, expires, n, frozenset(), (names.record(oid, n),)) for n in unread]
        return sorted(found, key=lambda one: one.n)

    async def load(self, oid: str, n: int) -> LoadedRecord:
        """One record."""
        return await load_record(self.store, self.ops, self.repo, oid, n)

    async def _point(
        self, loaded: LoadedRecord, facts: Facts, tables: dict[str, frozenset[str]]
    ) -> Point:
        oid, head, snap = loaded.record.oid, loaded.head, loaded.snapshot
        needs = {names.record(oid, head["tail"]["host"])}
        broken: list[str] = []
        try:
            with located(loaded.name):
                packs = split32(await loaded.region("packs"))
            needs |= {names.pack(oid, pack) for pack in packs}
        except VaultDamaged:
            broken.append(loaded.name)
        for entry in head["base"]:
            name = names.base(oid, entry["name"])
            needs.add(name)
            try:
                if name not in tables:
                    tables[name] = await self._table(oid, name, entry)
                needs |= tables[name]
            except VaultDamaged:
                broken.append(name)
        expires = effective_expiry(
            snap.ended, snap.expires, facts.longest, unlimited=facts.unlimited
        )
        host = head["tail"]["host"]
        return Point(snap.n, snap.ended, expires, host, frozenset(needs), tuple(broken))

    async def _table(self, oid: str, name: str, entry: dict[str, Any]) -> frozenset[str]:
        """Packs of a base part. The table stands in the clear: the part's name vouches for it."""
        with located(name):
            blob = await self.store.get(name)
        if sha(blob).hex() != entry["name"]:
            raise VaultDamaged(f"{name} is not what its name says", blob=name)
        at, count = entry["packs"]
        start = entry["start"] + at
        return frozenset(
            names.pack(oid, pack) for pack in split32(blob[start : start + 32 * count])
        )

    async def facts(self, oid: str) -> Facts:
        """Hold, retention and erasure of an object."""
        hold = await read_fact(self.control, hold_name(oid))
        keep = await read_fact(self.control, retention_name(oid))
        mark = await read_fact(self.control, erasure_mark(oid))
        gone = await read_fact(self.control, gone_name(oid))
        days = None if keep is None else keep["days"]
        return Facts(
            hold is not None,
            None if mark is None else str(mark["erasure"]),
            None if days is None else timedelta(days=days),
            keep is not None and days is None,
            None if gone is None else str(gone["why"]),
        )


def hold_name(oid: str) -> str:
    """Legal hold (V58)."""
    return f"holds/{oid}.json"


def retention_name(oid: str) -> str:
    """The longest retention promised for existing snapshots (V55)."""
    return f"retention/{oid}.json"


def erasure_mark(oid: str) -> str:
    """An erasure was asked for: no run may start (W0)."""
    return f"gc/{oid}/erasing.json"


def gone_name(oid: str) -> str:
    """Erased or retired: the name is never used again (V70)."""
    return f"gc/{oid}/gone.json"


def condemned_name(oid: str, generation: int) -> str:
    """A list of condemned blobs (section 15)."""
    return f"{condemned_prefix(oid)}{generation:06}.json"


def condemned_prefix(oid: str) -> str:
    """Condemned lists of an object; beside them the two marks above."""
    return f"gc/{oid}/"


def damage_prefix(oid: str) -> str:
    """Below it one empty mark for every damaged blob, named as the blob below the object."""
    return f"gc/{oid}/damaged/"


@dataclass(frozen=True, slots=True)
class Marks:
    """What one listing tells a writer: which lists there are, and whether it may write at all."""

    gone: bool
    erasing: bool
    lists: tuple[str, ...]
    damaged: frozenset[str] = frozenset()
    """Blobs of the object that a scrub or a reader found damaged."""


async def marks(control: BlobStore, oid: str) -> Marks:
    """Condemned lists and marks of an object; one listing."""
    found = [one.name async for one in control.list(condemned_prefix(oid))]
    hurt = damage_prefix(oid)
    damaged = frozenset(f"o/{oid}/{n.removeprefix(hurt)}" for n in found if n.startswith(hurt))
    special = {gone_name(oid), erasure_mark(oid)}
    lists = tuple(name for name in found if name not in special and not name.startswith(hurt))
    return Marks(gone_name(oid) in found, erasure_mark(oid) in found, lists, damaged)


async def note_damage(control: BlobStore, oid: str, blobs: Iterable[str]) -> int:
    """Tell the next run of an object which of its blobs are damaged or lost; how many are new.

    One mark a blob, so that whoever else notes or heals loses nothing. Other names are ignored.
    """
    own, noted = f"o/{oid}/", 0
    for name in sorted(set(blobs)):
        if name.startswith(own) and name.endswith((".hfp", ".hfb", ".hfs")):
            mark = damage_prefix(oid) + name.removeprefix(own)
            try:
                await control.put(mark, b"{}", create_only=True)
            except BlobExists:
                continue
            noted += 1
    return noted


async def forget_damage(control: BlobStore, oid: str, blobs: Iterable[str]) -> None:
    """The newest snapshot needs none of these any more."""
    for name in sorted(blobs):
        await control.delete(damage_prefix(oid) + name.removeprefix(f"o/{oid}/"))


async def read_fact(control: BlobStore, name: str) -> dict[str, Any] | None:
    """A JSON document of the control container; None when there is none."""
    try:
        found: dict[str, Any] = json.loads(await control.get(name))
    except BlobMissing:
        return None
    return found


async def write_fact(control: BlobStore, name: str, document: dict[str, Any]) -> None:
    """Create or replace a document of the control container."""
    data = json.dumps(document, separators=(",", ":")).encode()
    await control.put(name, data, create_only=False)


async def condemned(control: BlobStore, lists: Iterable[str]) -> set[str]:
    """Names on any of these condemned lists (V22)."""
    found: set[str] = set()
    for name in lists:
        document = await read_fact(control, name)
        if document is not None:
            found |= {blob for blob, _ in document["blobs"]}
    return found


async def set_hold(up: Upkeep, oid: str, *, by: str, reason: str) -> None:
    """V58: snapshots stop expiring; the storage flag is set on the object's records."""
    now = instant(await up.locks.now())
    await write_fact(up.control, hold_name(oid), {"since": now, "by": by, "reason": reason})
    async for one in up.locks.versions(names.records(oid)):
        await up.locks.hold(one, True)


async def clear_hold(up: Upkeep, oid: str) -> None:
    """End a legal hold; what had expired meanwhile is no restore point any more."""
    async for one in up.locks.versions(names.records(oid)):
        await up.locks.hold(one, False)
    await up.control.delete(hold_name(oid))


async def promise_retention(up: Upkeep, oid: str, retention: timedelta | None) -> None:
    """V55: remember a longer retention for what exists; a shorter one changes nothing here."""
    known = await read_fact(up.control, retention_name(oid))
    if known is not None and known["days"] is None:
        return
    if retention is None:
        await write_fact(up.control, retention_name(oid), {"days": None})
    elif known is None or retention.days > known["days"]:
        await write_fact(up.control, retention_name(oid), {"days": retention.days})
