"""Garbage collection killed at every call, raced by runs, over years: nothing live is touched."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.kit.clock import FixedClock
from shared.vault.format import names
from shared.vault.garbage import condemn, mark, sweep
from shared.vault.locks import true_versions
from shared.vault.run import Run
from shared.vault.service import open_repository
from shared.vault.slices import Slice
from shared.vault.upkeep import marks
from tests.unit.vault.world import (
    MAILBOX,
    Killed,
    Work,
    World,
    backup,
    contents,
    die,
    key_store,
    mail,
    putting,
)
from tests.unit.vault.years import Years

MONTH = timedelta(days=30)


def put(items: dict[str, bytes], version: str = "1") -> Work:
    return putting(dict(items), version)


async def nothing(run: Run, part: Slice) -> None:
    part.keep("a")


async def filled() -> Years:
    """Snapshots of which the first have expired, and an orphan of an abandoned run."""
    years = Years()
    vault = await years.create()
    for day in range(4):
        await years.backup(put({"a": b"%d" % day, f"i{day}": b"x" * 500}, str(day)), keep=MONTH)
        years.pass_(days=1)
    run = await vault.open_run(MAILBOX, "dead")
    part = await run.slice(0)
    await part.put(mail("orphan"), b"orphan")
    await part.finish({}, more=False)
    await run.abandon()
    years.pass_(days=100)
    await years.backup(put({"z": b"newest"}), keep=MONTH)
    years.pass_(days=8)
    return years


async def test_v60_only_what_nothing_reaches_is_deleted() -> None:
    years = await filled()
    oid = await years.oid()
    before = await contents(await years.open(), MAILBOX)
    up = await years.upkeep()
    points = {point.n: point for point in await up.points(oid)}
    done = await years.collect_wholly(oid)
    assert done.refused == []
    assert done.deleted
    newest = points[max(points)]
    left = {name for name in years.store.all_names() if name.startswith(f"o/{oid}/")}
    assert newest.needs <= left
    assert not any("orphan" in name for name in left)
    kept = {names.record_number(name) for name in left if name.endswith(".hfs")}
    assert kept == set(range(min(kept), newest.n + 1))  # no hole (V45)
    assert {n for n in left if "/p/" in n or "/b/" in n} == newest.needs & left - {
        n for n in left if n.endswith(".hfs")
    }
    assert await contents(await years.open(), MAILBOX) == before
    await years.backup(nothing)
    assert await contents(await years.open(), MAILBOX) == before


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_v63_killed_at_every_call_twice(late: bool) -> None:
    for at in range(1, 1000):
        years = await filled()
        oid = await years.oid()
        before = await contents(await years.open(), MAILBOX)
        trap = years.store.trap = years.control.trap
        trap.at, trap.late, trap.act = trap.calls + at, late, die
        died = 0
        for _ in range(4):
            try:
                await years.collect_wholly(oid)
                break
            except Killed:
                died += 1
                trap.at = trap.calls + 1 + at // 3 if died == 1 else 0
        trap.act = None
        await years.collect_wholly(oid)
        assert await contents(await years.open(), MAILBOX) == before
        records = [point.n for point in await (await years.upkeep()).points(oid)]
        assert records == list(range(records[0], records[-1] + 1))
        assert (await marks(years.control, oid)).lists == ()
        if not died:
            return
    raise AssertionError("the collection never came to its end")


async def test_v61_the_head_of_an_enabled_object_outlives_its_expiry() -> None:
    years = Years()
    await years.create()
    await years.backup(put({"a": b"one"}), keep=MONTH)
    oid = await years.oid()
    years.pass_(days=500)
    assert (await years.collect_wholly(oid)).deleted == []
    head = await years.backup(put({"b": b"two"}), keep=MONTH)
    assert head.n == 2
    assert await contents(await years.open(), MAILBOX) == {"a": b"one", "b": b"two"}


async def test_a_retired_object_goes_with_its_key_and_its_name() -> None:
    years = Years()
    await years.create()
    await years.backup(put({"a": b"one"}), keep=MONTH)
    oid = await years.oid()
    years.pass_(days=100)
    for _ in range(6):
        await years.keepers()
        await years.collect(oid, enabled=False)
        years.pass_(days=4)
    assert not any(oid in name for name in years.store.all_names())
    assert (await years.keepers()).alarms == []
    assert await years.oid() != oid  # an old name is never used again
    head = await years.backup(put({"a": b"again"}), keep=MONTH)
    assert (head.n, head.oid != oid) == (1, True)
    assert await contents(await years.open(), MAILBOX) == {"a": b"again"}


async def test_a_run_that_starts_after_condemning_does_not_build_on_it() -> None:
    years = Years()
    await years.create()
    await years.backup(put({"a": b"one"}), keep=MONTH)
    oid = await years.oid()
    years.pass_(days=100)
    up = await years.upkeep()
    await condemn(up, oid, enabled=False)
    head = await years.backup(put({"a": b"new"}), keep=MONTH)  # protected again meanwhile
    assert head.oid != oid
    years.pass_(days=4)
    await sweep(up, oid, enabled=False)
    assert await contents(await years.open(), MAILBOX) == {"a": b"new"}


async def test_v60_a_run_that_began_before_condemning_saves_what_it_needs() -> None:
    years = Years()
    await years.create()
    await years.backup(put({"a": b"one"}), keep=MONTH)
    oid = await years.oid()
    years.pass_(days=100)
    vault = await years.open()
    run = await vault.open_run(MAILBOX, "slow")
    part = await run.slice(0)
    await part.put(mail("b"), b"two")
    await part.finish({}, more=False)
    up = await years.upkeep()
    assert await condemn(up, oid, enabled=False)
    years.pass_(hours=20)
    head = await run.seal(
        enumerated={}, started=years.now, ended=years.now, expires=years.now + MONTH,
        kind="incremental",
    )  # fmt: skip
    years.pass_(days=3)
    done = await sweep(up, oid, enabled=False)
    assert set(done.deleted) <= {names.record(oid, 1)}  # expired, and nothing is hosted there
    assert done.refused == []
    points = {point.n: point for point in await up.points(oid)}
    assert points[head.n].needs <= years.store.all_names()
    years.pass_(days=13)
    await years.keepers()
    (key,) = (await true_versions(years.store, f"keys/o/{oid}/")).values()
    assert key.locked_until is not None
    assert key.locked_until > years.now  # still readable, so still kept


async def test_v22_a_condemned_pack_is_not_used_again() -> None:
    years = Years()
    await years.create()
    big = bytes(range(256)) * 8192
    await years.backup(put({"big": big}), keep=MONTH)
    oid = await years.oid()
    pack = next(name for name in years.store.names if name.endswith(".hfp"))
    await years.control.put(
        f"gc/{oid}/000001.json",
        b'{"oid":"%s","at":"2026-03-01T00:00:00Z","blobs":[["%s","v"]]}'
        % (oid.encode(), pack.encode()),
    )
    run = await (await years.open()).open_run(MAILBOX, "r")
    assert await run.places("big", lambda _: 0) == {}
    part = await run.slice(0)
    await part.put(mail("big", "2"), big)
    await part.finish({}, more=False)
    assert (await run.checkpoints())[0].packs != [bytes.fromhex(pack.split("/")[-1][:-4])]


async def test_v62_a_refusal_is_a_defect_and_nothing_is_forced() -> None:
    years = await filled()
    oid = await years.oid()
    up = await years.upkeep()
    await condemn(up, oid, enabled=True)
    years.pass_(days=4)
    found, _ = await mark(up, oid, enabled=True)

    async def lock_behind() -> None:
        for one in found:
            await years.store.lock(one, years.now + MONTH)

    fresh = len(found)
    trap = years.store.trap
    trap.at, trap.act = 10**9, lock_behind
    real = years.store.delete

    async def delete(version: Any) -> None:
        await lock_behind()
        await real(version)

    years.store.delete = delete  # type: ignore[method-assign]
    done = await sweep(up, oid, enabled=True)
    refused = [name for name in done.refused if name.endswith(".hfs")]
    assert len(refused) == 1  # the oldest; none behind it is tried, so the chain has no hole (V45)
    behind = [name for name in done.spared if name.endswith(".hfs")]
    assert len(done.refused) + len(behind) == fresh
    assert done.deleted == []
    assert (await marks(years.control, oid)).lists  # the list stays for the next time


async def test_a_damaged_head_stops_the_collection() -> None:
    years = await filled()
    oid = await years.oid()
    record = min(name for name in years.store.names if name.endswith(".hfs"))
    kept = years.store.names[record][0]
    kept.data = kept.data[:-30] + bytes(30)
    for base in [name for name in years.store.names if name.endswith(".hfb")]:
        part = years.store.names[base][0]
        part.data = part.data[:200] + bytes([part.data[200] ^ 1]) + part.data[201:]
    names_before = years.store.all_names()
    up = await years.upkeep()
    assert any(point.broken for point in await up.points(oid))
    assert await condemn(up, oid, enabled=True) == 0
    assert years.store.all_names() == names_before


async def test_v59_without_locks_garbage_is_collected_too() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", put({"a": b"one"}))
    run = await vault.open_run(MAILBOX, "dead")
    part = await run.slice(0)
    await part.put(mail("b"), b"orphan")
    await part.finish({}, more=False)
    await run.abandon()
    from shared.vault.model import parse_instant
    from shared.vault.upkeep import read_fact

    size = len([one async for one in world.store.list("o/")])
    real = next(iter([one async for one in world.store.list("o/")])).created
    clock = FixedClock(real + timedelta(days=8))
    vault = await open_repository(
        world.store, world.control, key_store(), repo_id=world.repo, clock=clock
    )
    up, oid = await vault.upkeep(), await vault.oid(MAILBOX)
    assert await condemn(up, oid, enabled=True) == 1
    assert (await sweep(up, oid, enabled=True)).deleted == []
    clock.advance(timedelta(hours=73))
    document = await read_fact(world.control, f"gc/{oid}/000001.json")
    assert document is not None
    assert parse_instant(document["at"]) < clock.now()
    assert len((await sweep(up, oid, enabled=True)).deleted) == 1
    assert len([one async for one in world.store.list("o/")]) == size - 1


action = st.sampled_from(["run", "run", "same", "condemn", "sweep", "sweep", "keep"])


@given(st.lists(st.tuples(action, st.integers(0, 6)), min_size=5, max_size=80))
@settings(max_examples=40, deadline=None)
def test_v60_years_with_a_month_of_retention(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_years(steps))


async def _years(steps: list[tuple[str, int]]) -> None:
    """Every unexpired snapshot reads as when it was made, whatever was collected between."""
    years = Years()
    await years.create()
    await years.backup(put({"a": b"0"}), keep=MONTH)
    oid = await years.oid()
    model: dict[str, bytes | None] = {"a": b"0"}
    past = {1: (model, years.now + MONTH)}
    for number, (what, days) in enumerate(steps):
        years.pass_(days=days, hours=number % 7)
        up = await years.upkeep()
        if what in ("run", "same"):
            work = nothing
            if what == "run":
                added = {f"i{number % 6}": b"%d" % number}
                model = {**model, **added}
                work = put(added, str(number))
            head = await years.backup(work, keep=MONTH)
            past[head.n] = model, years.now + MONTH
        elif what == "condemn":
            await condemn(up, oid, enabled=True)
        elif what == "sweep":
            assert (await sweep(up, oid, enabled=True)).refused == []
        else:
            await years.keepers(oid)
        vault = await years.open()
        for n, (expected, end) in past.items():
            if end > years.now:
                assert await contents(vault, MAILBOX, n) == expected
        heads = [head.n for head in await vault.snapshots(MAILBOX)]
        assert heads == list(range(heads[0], heads[-1] - 1, -1))
