"""Scrub and drill: reading that nobody asked for, so that damage is found early (section 16).

V66: everything here only reads. What is wrong is returned, and the rest is still looked at.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from shared.kit.blobs import BlobMissing
from shared.kit.errors import HoldfastError
from shared.vault import retention
from shared.vault.errors import VaultDamaged
from shared.vault.format import names
from shared.vault.format.chunks import ChunkCipher
from shared.vault.format.errors import FormatError
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.packs import check_pack
from shared.vault.format.primitives import sha
from shared.vault.format.proofs import proof_holds
from shared.vault.format.snapshot import REGIONS
from shared.vault.locks import Version, true_versions
from shared.vault.repository import record_numbers
from shared.vault.snapshots import Snapshot
from shared.vault.upkeep import Upkeep

WEEKLY_SHARE = 0.02
FIRST_WEEK = timedelta(days=7)


class Finding(NamedTuple):
    """A rule that does not hold, and where."""

    rule: str
    blob: str
    what: str


@dataclass(slots=True)
class Scrubbed:
    """What was looked at."""

    blobs: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    def note(self, rule: str, blob: str, what: object) -> None:
        """One finding."""
        self.findings.append(Finding(rule, blob, str(what)))


async def scrub_chain(up: Upkeep, oid: str) -> Scrubbed:
    """Daily, of objects that ran: every record, its regions, and the chain (V31, V33, V45)."""
    done, before = Scrubbed(), None
    for n in reversed(await record_numbers(up.store, oid)):
        name = names.record(oid, n)
        try:
            loaded = await up.load(oid, n)
            for region in REGIONS:
                await loaded.region(region)
        except HoldfastError as wrong:
            done.note("V33", name, wrong)
            before = None
            continue
        done.blobs += 1
        if before is not None and (n != before.n + 1 or loaded.snapshot.prev != before.record_hash):
            done.note("V45", name, f"does not follow snapshot {before.n}")
        before = loaded.snapshot
    if up.locked:
        for name, found in (await true_versions(up.locks, names.records(oid))).items():
            if found.locked_until is None:
                done.note("V53", name, "the record is not locked")
    return done


async def scrub_dependencies(up: Upkeep, oid: str, *, enabled: bool) -> Scrubbed:
    """Weekly: each dependency of a live snapshot exists once, has its lock and length (V34)."""
    done = Scrubbed()
    points = await up.points(oid)
    now, facts = await up.locks.now(), await up.facts(oid)
    held, count = dict[str, Version](), Counter[str]()
    async for one in up.locks.versions(f"o/{oid}/"):
        held.setdefault(one.name, one)
        count[one.name] += 1
    for name, versions in count.items():
        if versions > 1 or not held[name].current:
            done.note("V64", name, f"{versions} versions, or hidden; the oldest is used")
    alive = retention.live(points, now, held=facts.held, enabled=enabled)
    for point in points:
        if point.n not in alive:
            continue
        for name in point.broken:
            done.note("V34", name, f"snapshot {point.n} needs it and it is damaged")
        for name in sorted({*point.needs, names.record(oid, point.n)}):
            done.blobs += 1
            found = held.get(name)
            if found is None:
                done.note("V34", name, f"snapshot {point.n} needs it and it is missing")
                continue
            end = found.locked_until
            if up.locked and (end is None or (point.expires and end < point.expires)):
                done.note("V53", name, f"its lock does not outlast snapshot {point.n}")
    await _check_files(up, oid, max(alive, default=0), done)
    unread = {names.record(oid, point.n) for point in points} & {
        name for point in points for name in point.broken
    }
    for n in sorted(alive):
        if names.record(oid, n) in unread:
            continue
        for entry in (await up.load(oid, n)).head["base"]:
            found = held.get(names.base(oid, entry["name"]))
            if found is not None and found.size != entry["bytes"]:
                done.note("V34", found.name, "has another length than recorded")
    return done


async def _check_files(up: Upkeep, oid: str, n: int, done: Scrubbed) -> None:
    """V8: repository file and key blobs are those that the newest live record was written with."""
    if not n:
        return
    try:
        told = (await up.load(oid, n)).head.get("files", {})
    except HoldfastError:
        return  # said above
    for name, digest in told.items():
        try:
            if sha(await up.store.get(name)).hex() != digest:
                done.note("V8", name, f"is not the one that snapshot {n} was written with")
        except BlobMissing:
            facts = await up.facts(oid)
            if facts.gone is None and facts.erasing is None:
                done.note("V8", name, f"is missing; snapshot {n} was written with it")


async def scrub_packs(
    up: Upkeep, keys: ObjectKeys, *, share: float = WEEKLY_SHARE, seed: str = ""
) -> Scrubbed:
    """Weekly 2 % of packs and every pack of the last week; `share` 1 is the deep scrub (V13, V19).

    `seed` (the week) decides which packs: so all have their turn, and a repeat takes the same ones.
    """
    done, now = Scrubbed(), await up.locks.now()
    cipher = ChunkCipher(keys.chunk, keys.repo)
    for name, found in (await true_versions(up.locks, f"o/{keys.oid}/p/")).items():
        drawn = int.from_bytes(sha(f"{seed}/{name}".encode())[:4]) < share * (1 << 32)
        if not drawn and now - found.created > FIRST_WEEK:
            continue
        try:
            blob = await up.store.get(name)
            done.bytes += await asyncio.to_thread(_check, blob, name, cipher, keys.chunk)
            done.blobs += 1
        except (FormatError, BlobMissing) as wrong:
            done.note("V19" if isinstance(wrong, FormatError) else "V34", name, wrong)
    return done


async def scrub_named(up: Upkeep, keys: ObjectKeys, packs: Iterable[str]) -> Scrubbed:
    """Exactly these packs: every entry authenticated, decompressed, digested (V13, V19)."""
    done, cipher = Scrubbed(), ChunkCipher(keys.chunk, keys.repo)
    for name in packs:
        try:
            blob = await up.store.get(name)
            done.bytes += await asyncio.to_thread(_check, blob, name, cipher, keys.chunk)
            done.blobs += 1
        except (FormatError, BlobMissing) as wrong:
            done.note("V19" if isinstance(wrong, FormatError) else "V34", name, wrong)
    return done


def _check(blob: bytes, name: str, cipher: ChunkCipher, k_chunk: bytes) -> int:
    digest = name.rsplit("/", 1)[1].removesuffix(".hfp")
    return sum(entry.plain for entry in check_pack(blob, digest, cipher, k_chunk))


async def drill(snap: Snapshot, count: int, draw: random.Random) -> Scrubbed:
    """Monthly: random items restored to nothing, content hash and inclusion proof checked."""
    done = Scrubbed()
    chosen: list[str] = []
    seen = 0
    async for row in snap.rows():  # reservoir: every row is as likely, memory does not grow
        if not row.has_content:
            continue
        seen += 1
        if len(chosen) < count:
            chosen.append(row.source_id)
        elif (at := draw.randrange(seen)) < count:
            chosen[at] = row.source_id
    for source_id in chosen:
        where = f"snapshot {snap.head.n}"
        try:
            found = await snap.row(source_id)
            if found is None:
                done.note("V30", where, f"item {source_id} is not found by its id")
                continue
            async for data in snap.content(found):
                done.bytes += len(data)
            if not proof_holds(await snap.proof(source_id)):
                done.note("V43", where, f"the proof of item {source_id} does not hold")
            done.blobs += 1
        except VaultDamaged as wrong:
            done.note("V65", where, wrong)
    return done
