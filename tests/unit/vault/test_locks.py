"""Locks at seal and their keepers (V53 to V59, V64, V67): rules, then years of simulated time."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.kit.blobs import BlobExists
from shared.vault import retention
from shared.vault.copying import copy_container
from shared.vault.errors import SnapshotExpired, VaultDamaged
from shared.vault.format import names
from shared.vault.lockkeeper import listing
from shared.vault.locks import Immutable, LockRefused, NoLocks, true_versions
from shared.vault.run import Run
from shared.vault.service import open_repository
from shared.vault.slices import Slice
from shared.vault.upkeep import clear_hold, promise_retention, set_hold
from shared.vault.versions import OldestFirst
from tests.unit.vault.copies import reader, recovery
from tests.unit.vault.world import MAILBOX, Killed, Work, World, contents, die, key_store, mail
from tests.unit.vault.worm import WormBlobs
from tests.unit.vault.years import YEAR, Years

instants = st.datetimes(
    datetime(2024, 1, 1),  # noqa: DTZ001
    datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
terms = st.integers(1, 25 * 365).map(lambda days: timedelta(days=days))


def put(source_id: str, data: bytes, version: str = "1") -> Work:
    async def work(run: Run, part: Slice) -> None:
        await part.put(mail(source_id, version), data)

    return work


async def nothing(run: Run, part: Slice) -> None:
    part.keep("a")


@given(instants, terms)
def test_v53_a_lock_outlasts_the_snapshot_and_not_by_much(at: datetime, term: timedelta) -> None:
    until = retention.lock_until(at, term)
    quarter = timedelta(days=31 if term <= retention.MONTHLY_UP_TO else 92)
    assert at + term < until <= at + term + quarter + timedelta(days=1)
    assert retention.lock_until(at + timedelta(days=1), term) >= until
    assert retention.lock_until(at, None) >= at + timedelta(days=5 * 365)


@given(instants, terms)
def test_v56_the_keeper_works_in_the_last_ten_days(at: datetime, term: timedelta) -> None:
    target = retention.keeper_target(at, term)
    end = retention.period_end(at, term)
    assert (target is not None) == (end - at <= timedelta(days=10))
    if target is not None:
        assert target > retention.lock_until(at, term)


@given(instants, terms, terms)
def test_v55_nothing_is_freed_early(ended: datetime, term: timedelta, longest: timedelta) -> None:
    expires = ended + term
    found = retention.effective_expiry(ended, expires, longest)
    assert found is not None
    assert found >= expires
    assert retention.effective_expiry(ended, expires, None, unlimited=True) is None


async def test_v53_v54_everything_is_locked_at_seal_and_nothing_before() -> None:
    years = Years()
    vault = await years.create()
    run = await vault.open_run(MAILBOX, "r")
    part = await run.slice(0)
    await part.put(mail("a"), b"one")
    await part.finish({}, more=False)
    assert all(one.locked_until is None for one in [o async for o in years.store.versions("o/")])
    await run.abandon()
    head = await years.backup(put("a", b"one"))
    held = await true_versions(years.store, "o/")
    needed = [one for one in held.values() if one.locked_until is not None]
    assert {one.name.split("/")[2] for one in needed} == {"s", "b", "p"}
    assert all(one.locked_until >= head.expires for one in needed)
    assert len(held) - len(needed) == 1  # the orphan of the abandoned run (V54)
    assert head.document["lock_floor"] is not None
    for prefix in ("repo/", "keys/t/"):
        for one in (await true_versions(years.store, prefix)).values():
            assert one.locked_until is not None
            assert one.locked_until >= head.expires
    (key,) = (await true_versions(years.store, "keys/o/")).values()
    assert key.locked_until == years.now + timedelta(days=14)


async def test_v53_an_unchanged_run_lists_nothing_until_locks_are_too_short() -> None:
    years = Years()
    await years.create()
    await years.backup(put("a", b"one"))
    years.pass_(days=1)
    await years.backup(put("a", b"two", "2"))
    # The first unchanged run looks at its host, the newest record; the next has nothing to look at.
    for days, listed in ((1, True), (1, False), (40, True)):
        years.pass_(days=days)
        years.store.trap.log.clear()
        head = await years.backup(nothing)
        assert (("versions", f"o/{head.oid}/", 0) in years.store.trap.log) == listed
        live = await true_versions(years.store, "o/")
        assert head.expires is not None
        for point in (await (await years.upkeep()).points(head.oid))[-1:]:
            for name in point.needs:
                assert live[name].locked_until >= head.expires  # type: ignore[operator]


async def test_w3_a_lost_dependency_fails_the_run() -> None:
    years = Years()
    await years.create()
    first = await years.backup(put("a", b"one"))
    pack = next(name for name in years.store.names if name.endswith(".hfp"))
    del years.store.names[pack]
    with pytest.raises(VaultDamaged, match="is lost"):
        await years.backup(put("b", b"two"))
    assert (await (await years.open()).head(MAILBOX)).record_hash == first.record_hash  # type: ignore[union-attr]


async def test_a_writer_needs_the_lock_port() -> None:
    years = Years()
    await years.create()
    vault = await open_repository(years.store, years.control, key_store(), repo_id=years.repo)
    with pytest.raises(ValueError, match="lock port"):
        await vault.open_run(MAILBOX, "r")


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_killed_between_lock_and_commit(late: bool) -> None:
    """W3 to W5 killed at every call: the repeat, the next run or the keeper locks what is left."""
    for at in range(1, 400):
        years = Years()
        await years.create()
        await years.backup(put("a", b"one"))
        trap = years.store.trap
        trap.at, trap.late, trap.act = trap.calls + at, late, die
        try:
            await years.backup(put("b", b"two"))
            died = False
        except Killed:
            died = True
        trap.act = None
        years.pass_(hours=1)
        head = await years.backup(nothing)
        oid = await years.oid()
        kept = await years.keepers(oid)
        assert kept.alarms == []
        live = await true_versions(years.store, f"o/{oid}/")
        for point in await (await years.upkeep()).points(oid):
            for name in {*point.needs, names.record(oid, point.n)}:
                assert live[name].locked_until >= point.expires  # type: ignore[operator]
        assert head.n in (2, 3)
        if not died:
            return
    raise AssertionError("the run never came to its end")


async def test_v57_v58_expired_is_refused_and_a_hold_keeps_it() -> None:
    years = Years()
    await years.create()
    await years.backup(put("a", b"one"))
    oid = await years.oid()
    years.pass_(days=366)
    vault = await years.open()
    with pytest.raises(SnapshotExpired):
        await vault.open_snapshot(MAILBOX, 1)
    up = await years.upkeep()
    await set_hold(up, oid, by="p1", reason="case-7")
    assert await contents(await years.open(), MAILBOX, 1) == {"a": b"one"}
    record = names.record(oid, 1)
    for _ in range(30):  # the keeper goes on extending under the hold
        years.pass_(days=10)
        await years.keepers()
        assert (await years.collect(oid, enabled=False)).deleted == []
    held = (await true_versions(years.store, record))[record]
    assert held.held
    assert held.locked_until > years.now  # type: ignore[operator]
    with pytest.raises(Immutable):
        await years.store.delete(held)
    await clear_hold(up, oid)
    with pytest.raises(SnapshotExpired):
        await (await years.open()).open_snapshot(MAILBOX, 1)


async def test_v55_a_longer_retention_extends_what_exists() -> None:
    years = Years()
    await years.create()
    await years.backup(put("a", b"one"))
    oid = await years.oid()
    up = await years.upkeep()
    await promise_retention(up, oid, 3 * YEAR)
    await promise_retention(up, oid, YEAR)  # shorter: frees nothing
    await years.keepers(oid)
    years.pass_(days=2 * 365)
    assert await contents(await years.open(), MAILBOX, 1) == {"a": b"one"}
    live = await true_versions(years.store, f"o/{oid}/")
    assert all(one.locked_until >= years.now + YEAR for one in live.values())  # type: ignore[operator]
    years.pass_(days=366)
    with pytest.raises(SnapshotExpired):
        await (await years.open()).open_snapshot(MAILBOX, 1)


async def test_unlimited_retention_is_extended_every_year() -> None:
    years = Years()
    await years.create()
    await years.backup(put("a", b"one"), keep=None)
    oid = await years.oid()
    for _ in range(100):
        years.pass_(days=60)
        assert (await years.keepers(oid)).alarms[1:] == []
        for one in (await true_versions(years.store, f"o/{oid}/")).values():
            assert one.locked_until >= years.now + 4 * YEAR  # type: ignore[operator]


async def test_v67_a_stopped_keeper_and_a_missing_key_are_alarms() -> None:
    years = Years()
    await years.create()
    await years.backup(put("a", b"one"))
    oid = await years.oid()
    for _ in range(40):
        years.pass_(days=1)
        assert (await years.keepers(oid)).alarms == []
        (key,) = (await true_versions(years.store, "keys/o/")).values()
        assert key.locked_until - years.now >= timedelta(days=7)  # type: ignore[operator]
        with pytest.raises(Immutable):
            await years.store.delete(key)
        with pytest.raises(LockRefused):
            await years.store.lock(key, years.now)
    years.pass_(days=9)  # nobody kept the keys
    alarms = (await years.keepers(oid)).alarms
    assert any("not renewed in time" in alarm for alarm in alarms)
    del years.store.names[names.object_key(oid)]
    assert any("is missing" in alarm for alarm in (await years.keepers(oid)).alarms)


async def test_v64_the_oldest_version_wins() -> None:
    years = Years()
    await years.create()
    head = await years.backup(put("a", b"one"))
    record = names.record(head.oid, 1)
    truth = await years.store.get(record)
    await years.store.put(record, b"forged", create_only=False)
    view = OldestFirst(years.store, years.store)
    assert await view.get(record) == truth
    assert await view.get(record, -4) == truth[-4:]
    assert await view.size(record) == len(truth)
    assert view.alarms == {record}
    pack = next(name for name in years.store.names if name.endswith(".hfp"))
    await years.store.hide(pack)
    view = OldestFirst(years.store, years.store)
    assert {found.name async for found in view.list()} == set(years.store.names)
    assert sorted(view.alarms) == sorted([record, pack])
    with pytest.raises(BlobExists):
        await view.put(pack, b"again")
    vault = await open_repository(view, years.control, key_store(), repo_id=years.repo)
    assert await contents(vault, MAILBOX) == {"a": b"one"}
    forged = next(one for one in await listing(years.store) if one["name"] == record)
    assert forged["versions"] == 2


async def test_v59_without_locks_nothing_is_locked_and_all_else_works() -> None:
    world = World()
    vault = await world.create()
    assert vault.document["lock_mode"] == "none"
    up = await vault.upkeep()
    assert isinstance(up.locks, NoLocks)
    assert not up.locked


async def test_the_double_has_azures_semantics() -> None:
    worm = WormBlobs()
    await worm.put("a", b"1")
    with pytest.raises(BlobExists):
        await worm.put("a", b"2")
    first = (await true_versions(worm, "a"))["a"]
    await worm.lock(first, worm.clock.now() + timedelta(days=2))
    await worm.put("a", b"2", create_only=False)  # not refused: a new version
    assert await worm.get("a") == b"2"
    assert await worm.read((await true_versions(worm, "a"))["a"]) == b"1"
    with pytest.raises(Immutable):
        await worm.delete(first)
    worm.clock.advance(timedelta(days=2))
    await worm.hold(first, True)
    with pytest.raises(Immutable):
        await worm.delete(first)
    await worm.hold(first, False)
    await worm.delete(first)
    assert [one.deleted async for one in worm.versions(deleted=True)] == [True, False]
    worm.clock.advance(timedelta(days=7))
    assert len([one async for one in worm.versions(deleted=True)]) == 1


step = st.sampled_from(
    ["change", "change", "same", "keepers", "keepers", "collect", "collect", "off", "on", "longer"]
)


@given(st.lists(st.tuples(step, st.integers(0, 20)), max_size=60))
@settings(max_examples=40, deadline=None)
def test_v53_v60_years_of_any_history(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_history(steps))


async def _history(steps: list[tuple[str, int]]) -> None:
    """Whatever happens: live snapshots are whole, locked and readable; nothing is refused."""
    years = Years()
    await years.create()
    model: dict[str, bytes | None] = {}
    past: dict[tuple[str, int], tuple[dict[str, bytes | None], datetime]] = {}
    enabled, term = True, YEAR
    since_keeper = 0
    for number, (what, days) in enumerate(steps):
        days = min(days, 9 - since_keeper % 10)
        years.pass_(days=days)
        since_keeper += days
        if since_keeper >= 5:  # the keepers are timers: they do not miss ten days
            await years.keepers(*([await years.oid()] if enabled else []))
            since_keeper = 0
        oid = await years.oid()
        if what in ("change", "same") and enabled:
            data = b"%d" % number
            fresh = not await (await years.open()).snapshots(MAILBOX)
            if fresh:
                model = {}
            if what == "change" or "a" not in model:
                source_id = "a" if "a" not in model else f"i{number % 4}"
                model = model | {source_id: data}
                head = await years.backup(put(source_id, data, str(number)), keep=term)
            else:
                head = await years.backup(nothing, keep=term)
            past[head.oid, head.n] = model, head.expires  # type: ignore[assignment]
        elif what == "keepers":
            await years.keepers(*([oid] if enabled else []))
            since_keeper = 0
        elif what == "collect":
            assert (await years.collect(oid, enabled=enabled)).refused == []
        elif what == "longer":
            term = timedelta(days=40) if term == YEAR else YEAR
            years.pass_(days=130)
            for _ in range(3):
                await years.keepers(*([oid] if enabled else []))
        else:
            enabled = what == "on"
        await _whole(years, past)


async def _whole(
    years: Years, past: dict[tuple[str, int], tuple[dict[str, bytes | None], datetime]]
) -> None:
    oid = await years.oid()
    vault = await years.open()
    live = await true_versions(years.store, f"o/{oid}/")
    points = await (await years.upkeep()).points(oid)
    assert [p.n for p in points] == sorted(p.n for p in points)
    for point in points:
        model, expires = past[oid, point.n]
        if expires <= years.now:
            continue
        for name in {*point.needs, names.record(oid, point.n)}:
            assert live[name].locked_until >= expires  # type: ignore[operator]
        assert await contents(vault, MAILBOX, point.n) == model
    unexpired = {n for (o, n), (_, end) in past.items() if o == oid and end > years.now}
    assert unexpired <= {point.n for point in points}


async def test_the_reader_checks_locks_from_a_listing(tmp_path: Path) -> None:
    """V53, V64 offline: `verify --listing`."""
    years = Years()
    await years.create()
    await years.backup(put("a", b"one"))
    await copy_container(years.store, tmp_path / "copy")
    key, listed = tmp_path / "k.pem", tmp_path / "listing.jsonl"
    key.write_bytes(recovery()[0])
    documents = await listing(years.store)
    base = ("verify", tmp_path / "copy", "--key", key, "--listing", listed)
    listed.write_text("".join(json.dumps(one) + "\n" for one in documents))
    assert reader(*base).returncode == 0
    pack = next(one for one in documents if one["name"].endswith(".hfp"))
    for wrong, rule in (
        ({"locked_until": "2026-03-02T00:00:00Z"}, "V53"),
        ({"mode": None}, "V53"),
        ({"versions": 2}, "V64"),
    ):
        changed = [one | wrong if one is pack else one for one in documents]
        listed.write_text("".join(json.dumps(one) + "\n" for one in changed))
        done = reader(*base)
        assert done.returncode == 1
        assert f"BROKEN {rule} {pack['name']}" in done.stdout
