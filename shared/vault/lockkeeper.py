"""Locks at seal (W3, W5), extension of locks and of key locks by the keepers (section 14)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.vault import retention
from shared.vault.errors import VaultDamaged
from shared.vault.format import names
from shared.vault.index import Part
from shared.vault.locks import Locks, Version, true_versions
from shared.vault.model import instant, parse_instant
from shared.vault.retention import ALARM, KEY_LOCK, KEY_RENEWAL
from shared.vault.upkeep import Upkeep

if TYPE_CHECKING:
    from shared.vault.run import Run
    from shared.vault.seal import Built


_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def lock_dependencies(
    run: "Run", built: "Built", term: timedelta | None, expires: datetime | None
) -> datetime | None:
    """W3: lock everything the snapshot needs; returns the smallest lock end, None without locks.

    `VaultDamaged` when a dependency is lost: then the run must not commit (V34).
    """
    locks = run.locks
    if locks is None:
        return None
    until = retention.lock_until(await locks.now(), term)
    wanted = expires or await locks.now() + retention.UNLIMITED_LEAST
    head = None if run.parent_record is None else run.parent_record.head
    floor = None if head is None or head["lock_floor"] is None else head["lock_floor"]
    host = built.tail.host
    # The parent may have died between W4 and W5: as host it has to be looked at.
    settled = host is not None and run.parent is not None and host.n < run.parent.n
    same = head is not None and built.base == head["base"] and settled
    if same and floor is not None and parse_instant(floor) >= wanted:
        return parse_instant(floor)  # nothing new, nothing too short: no listing (V35)
    held = await true_versions(locks, f"o/{run.keys.oid}/")
    ends = []
    for name in sorted(await needs(run, built)):
        found = held.get(name)
        if found is None:
            raise VaultDamaged(f"{name} is needed by the next snapshot and is lost")
        ends.append(await _extend(locks, found, wanted, until))
    for name, found in held.items():
        if name.startswith(names.records(run.keys.oid)) and found.locked_until is None:
            await _extend(locks, found, wanted, until)  # a seal died between W4 and W5
    await _lock_keys(run, locks, until)
    return min(ends, default=until)


async def lock_record(run: "Run", n: int, term: timedelta | None) -> None:
    """W5: lock the record; the repository file and tenant keys at least as long (V53)."""
    locks = run.locks
    if locks is None:
        return
    until = retention.lock_until(await locks.now(), term)
    prefixes = [names.record(run.keys.oid, n)]
    if run.shared.get("until", _LONG_AGO) < until:
        prefixes += ["repo/", "keys/t/"]
        run.shared["until"] = until
    for prefix in prefixes:
        for found in (await true_versions(locks, prefix)).values():
            await _extend(locks, found, until, until)


async def needs(run: "Run", built: "Built") -> set[str]:
    """Names of everything that the next snapshot depends on (V29)."""
    oid = run.keys.oid
    found = {names.pack(oid, pack) for pack in built.tail.packs}
    if built.tail.host is not None:
        found.add(names.record(oid, built.tail.host.n))
    for entry in built.base:
        part = Part(run.store, run.keys, run.ops, entry)
        found.add(part.name)
        found |= {names.pack(oid, pack) for pack in await part.table()}
    return found


async def _lock_keys(run: "Run", locks: Locks, until: datetime) -> None:
    now = await locks.now()
    end = now + KEY_LOCK if run.key_lock == "rolling" else until
    for found in (await true_versions(locks, f"keys/o/{run.keys.oid}/")).values():
        await _extend(locks, found, end - KEY_RENEWAL if run.key_lock == "rolling" else end, end)


async def _extend(locks: Locks, found: Version, wanted: datetime, until: datetime) -> datetime:
    """Lock to `until` when the lock ends before `wanted`; never shorter (V55)."""
    if found.locked_until is not None and found.locked_until >= wanted:
        return found.locked_until
    if found.locked_until is not None and found.locked_until >= until:
        return found.locked_until
    await locks.lock(found, until)
    return until


@dataclass(slots=True)
class Kept:
    """What a keeper did and what it could not do."""

    extended: int = 0
    alarms: list[str] = field(default_factory=list)


async def keep_locks(up: Upkeep, enabled: Iterable[str]) -> Kept:
    """V56: daily. Extends what live snapshots need; alarms on locks that end within a week.

    `enabled`: objects in an enabled policy, whose head lives on even when it has expired (V61).
    """
    done = Kept()
    if not up.locked:
        return done
    now, on = await up.locks.now(), frozenset(enabled)
    last = now
    for oid in await up.objects():
        last = max(last, await _keep_object(up, oid, oid in on, now, done))
    for prefix in ("repo/", "keys/t/", "certs/"):
        for found in (await true_versions(up.locks, prefix)).values():
            done.extended += await _keep_one(up, found, last, last)
    return done


async def _keep_object(up: Upkeep, oid: str, on: bool, now: datetime, done: Kept) -> datetime:
    points = await up.points(oid)
    facts = await up.facts(oid)
    alive = retention.live(points, now, held=facts.held, enabled=on)
    held = await true_versions(up.locks, f"o/{oid}/")
    latest = now
    wanted: dict[str, tuple[datetime, datetime]] = {}
    for point in points:
        if point.n not in alive:
            continue
        done.alarms += [f"{name} is damaged: locks of what it needs stay" for name in point.broken]
        least, until = retention.lock_wanted(
            point, now, head=point is points[-1], enabled=on, held=facts.held
        )
        for name in {*point.needs, names.record(oid, point.n)}:
            before = wanted.get(name, (least, until))
            wanted[name] = max(least, before[0]), max(until, before[1])
    for name, (least, until) in sorted(wanted.items()):
        found = held.get(name)
        if found is None:
            done.alarms.append(f"{name} is needed by a live snapshot and is lost (V34)")
            continue
        end = found.locked_until
        if (end is None and now - found.created > retention.DAY) or (
            end is not None and end < least and end - now < ALARM
        ):
            done.alarms.append(f"{name} is live and its lock ends within 7 days (V56)")
        done.extended += await _keep_one(up, found, least, until)
        latest = max(latest, until)
    return latest


async def _keep_one(up: Upkeep, found: Version, least: datetime, until: datetime) -> int:
    end = await _extend(up.locks, found, least, until)
    return int(end != found.locked_until)


async def keep_keys(up: Upkeep) -> Kept:
    """17.2: daily. Renews the 14 days of every readable key weekly, except where it is erased."""
    done = Kept()
    if not up.locked:
        return done
    now = await up.locks.now()
    for oid in await up.objects():
        facts = await up.facts(oid)
        if facts.erasing is not None or facts.gone == "erased":
            continue
        if facts.gone is not None and not await _any_live(up, oid, now):
            continue
        held = await true_versions(up.locks, f"keys/o/{oid}/")
        if not held:
            done.alarms.append(f"keys/o/{oid}/ is missing and no erasure was asked for (V67)")
        for name, found in held.items():
            if found.locked_until is None or found.locked_until - now < KEY_RENEWAL - retention.DAY:
                done.alarms.append(f"{name} was not renewed in time (V67)")
            if up.rolling:
                done.extended += await _keep_one(up, found, now + KEY_RENEWAL, now + KEY_LOCK)
            else:
                last = await _latest_lock(up, oid, now)
                done.extended += await _keep_one(up, found, last, last)
    return done


async def _any_live(up: Upkeep, oid: str, now: datetime) -> bool:
    """A run that began before its object was retired may have committed after it."""
    facts = await up.facts(oid)
    return bool(retention.live(await up.points(oid), now, held=facts.held, enabled=False))


async def _latest_lock(up: Upkeep, oid: str, now: datetime) -> datetime:
    held = (await true_versions(up.locks, f"o/{oid}/")).values()
    return max((one.locked_until or now for one in held), default=now)


async def listing(locks: Locks) -> list[dict[str, Any]]:
    """The property listing the reader checks locks with: one document a name (V53, V64)."""
    found: dict[str, dict[str, Any]] = {}
    async for one in locks.versions():
        if one.name in found:
            found[one.name]["versions"] += 1
            continue
        end = one.locked_until
        found[one.name] = {
            "name": one.name,
            "bytes": one.size,
            "versions": 1,
            "mode": None if end is None else "locked",
            "locked_until": None if end is None else instant(end),
        }
    return list(found.values())
