"""Garbage collection in two phases, without locks: mark, condemn, wait, mark again (section 15).

The process holds K_ops and the only identity that may delete records, bases and packs.
"""

import logging
from dataclasses import dataclass, field

from shared.vault import retention
from shared.vault.format import names
from shared.vault.locks import Immutable, Version, true_versions
from shared.vault.model import instant, parse_instant
from shared.vault.retention import CONDEMN_AGE, SWEEP_WAIT
from shared.vault.upkeep import (
    Upkeep,
    condemned,
    condemned_name,
    gone_name,
    marks,
    read_fact,
    write_fact,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Swept:
    """What one sweep did; `refused` = storage said immutable: a defect, never worked around."""

    deleted: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    bytes: int = 0


async def mark(up: Upkeep, oid: str, *, enabled: bool) -> tuple[list[Version], bool]:
    """(versions no live snapshot needs and nothing in storage keeps, whether none is live)."""
    now = await up.locks.now()
    facts = await up.facts(oid)
    points = await up.points(oid)
    alive = retention.live(points, now, held=facts.held, enabled=enabled)
    if any(point.broken for point in points if point.n in alive):
        return [], False  # what it needs is not known whole: nothing is free (V60)
    needed = retention.needed(points, alive)
    oldest = retention.oldest_kept(points, alive)
    free, seen = [], set[str]()
    async for one in up.locks.versions(f"o/{oid}/"):
        true = one.name not in seen  # the oldest version; later ones are junk (V64)
        seen.add(one.name)
        keep = one.name in needed
        if one.name.startswith(names.records(oid)):
            keep = oldest is not None and names.record_number(one.name) >= oldest
        if true and keep:
            continue
        if now - one.created >= CONDEMN_AGE and one.free(now):
            free.append(one)
    return free, bool(points) and not alive


async def condemn(up: Upkeep, oid: str, *, enabled: bool) -> int:
    """Steps 1 and 2; returns how many blobs were put on a new list. May run twice."""
    free, retired = await mark(up, oid, enabled=enabled)
    lists = (await marks(up.control, oid)).lists
    known = await condemned(up.control, lists)
    fresh = [[one.name, one.version] for one in free if one.name not in known]
    if not fresh:
        return 0
    now = instant(await up.locks.now())
    if retired:
        # Before the list: a run that starts after it must not build on what is about to go.
        await write_fact(up.control, gone_name(oid), {"why": "expired", "at": now})
    numbers = [int(name[-11:-5]) for name in lists]
    generation = max(numbers, default=0) + 1
    document = {"oid": oid, "at": now, "blobs": fresh}
    await write_fact(up.control, condemned_name(oid, generation), document)
    return len(fresh)


async def sweep(up: Upkeep, oid: str, *, enabled: bool) -> Swept:
    """Steps 3 and 4: of lists older than 72 hours, delete what is still unreachable (V60, V63)."""
    done = Swept()
    now = await up.locks.now()
    due = []
    for name in (await marks(up.control, oid)).lists:
        document = await read_fact(up.control, name)
        if document is not None and now - parse_instant(document["at"]) >= SWEEP_WAIT:
            due.append((name, document))
    if not due:
        await _last_key(up, oid)
        return done
    free, _ = await mark(up, oid, enabled=enabled)
    listed = {(blob, version) for _, document in due for blob, version in document["blobs"]}
    now_free = [one for one in free if (one.name, one.version) in listed]
    kept = listed - {(one.name, one.version) for one in now_free}
    done.spared += sorted(blob for blob, _ in kept)
    records = await true_versions(up.locks, names.records(oid))
    standing = sorted(records, key=names.record_number)
    for one in sorted(now_free, key=_order):
        found = records.get(one.name)
        if found is not None and found.version == one.version:
            if standing[0] != one.name:
                done.spared.append(one.name)  # an older one stands: no hole in the chain (V45)
                continue
            standing.remove(one.name)
        await _delete(up, one, done)
        if one.name in done.refused:
            standing.insert(0, one.name)
    for name, document in due:
        if not {blob for blob, _ in document["blobs"]} & set(done.refused):
            await up.control.delete(name)
    await _last_key(up, oid)
    return done


def _order(one: Version) -> tuple[int, int, str]:
    """Records first and oldest first: no record stands without what it needs, nor a hole (V45)."""
    if one.name.endswith(".hfs"):
        return 0, names.record_number(one.name), one.version
    return 1, 0, one.name


async def _delete(up: Upkeep, one: Version, done: Swept) -> None:
    try:
        await up.locks.delete(one)
    except Immutable:
        log.error("defect: %s was swept and storage refuses to delete it (V62)", one.name)  # noqa: TRY400
        done.refused.append(one.name)
        return
    done.deleted.append(one.name)
    done.bytes += one.size


async def _last_key(up: Upkeep, oid: str) -> None:
    """When the last blob of a retired object is gone, its key follows."""
    if await read_fact(up.control, gone_name(oid)) is None:
        return
    async for _ in up.locks.versions(f"o/{oid}/"):
        return
    now = await up.locks.now()
    async for one in up.locks.versions(f"keys/o/{oid}/"):
        if one.free(now):
            await up.locks.delete(one)
