"""What increments cost and leave: records, bases, reads, the chain."""

import itertools
import os

from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import (
    MAILBOX,
    Counter,
    Trap,
    World,
    backup,
    contents,
    putting,
    seal,
)


async def test_v35_empty_increment_is_one_small_blob() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": b"x" * n for n in range(2000)}))
    first = await backup(vault, MAILBOX, "r2", putting({"new": b"1"}))

    trap = Trap()
    world.store = Counter(world.store, trap)
    vault = await world.open()
    keeping = await vault.open_run(MAILBOX, "r3")
    part = await keeping.slice(0)
    for n in range(50):
        part.keep(f"m{n}")
    await part.finish({}, more=False)
    head = await seal(keeping)
    assert trap.count("put") == 1
    assert trap.bytes("put") < 256 << 10
    assert head.root == first.root
    assert head.document["tail"]["host"] == first.n
    assert head.counts["unchanged"] == 50
    # and the record after that still points to the first host
    again = await backup(vault, MAILBOX, "r4", putting({}))
    assert again.document["tail"]["host"] == first.n
    assert len(await contents(vault, MAILBOX)) == 2001


async def test_v30_point_read_takes_five_gets() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": os.urandom(2000) for n in range(5000)}))
    await backup(vault, MAILBOX, "r2", putting({f"m{n}": b"2" for n in range(40)}, "2"))
    await backup(vault, MAILBOX, "r3", putting({}))
    for source_id in ("m7", "m777", "m4999"):
        trap = Trap()
        reader = World(Counter(world.store, trap), world.control, world.repo)
        vault = await reader.open()
        snap = await vault.open_snapshot(MAILBOX, 3)
        trap.log.clear()
        await snap._ready()
        row = await snap.row(source_id)
        assert row is not None
        data = b"".join([part async for part in snap.content(row)])
        record = 1  # the record itself was read by open_snapshot
        assert trap.count("get") + record <= 5
        assert trap.bytes("get") <= len(data) + (256 << 10) - (64 << 10)


async def test_v28_base_is_rewritten_when_tails_outweigh_it() -> None:
    vault = await World().create()
    model = {f"m{n}": b"a" for n in range(300)}
    head = await backup(vault, MAILBOX, "r0", putting(model))
    bases = {head.document["base"][0]["name"]}
    for number in range(1, 30):
        change = {f"m{n}": bytes([number]) for n in range(number * 7, number * 7 + 30)}
        head = await backup(vault, MAILBOX, f"r{number}", putting(change, str(number)))
        model |= change
        tail, base = head.document["tail"], sum(p["bytes"] for p in head.document["base"])
        assert tail["spent"] <= base
        bases.add(head.document["base"][0]["name"])
        assert await contents(vault, MAILBOX) == model
    assert 2 < len(bases) < 15
    assert [h.n for h in await vault.snapshots(MAILBOX)] == list(range(30, 0, -1))


async def test_v45_chain_of_hashes() -> None:
    vault = await World().create()
    for number in range(4):
        await backup(vault, MAILBOX, f"r{number}", putting({f"m{number}": b"x"}))
    heads = await vault.snapshots(MAILBOX)
    assert heads[-1].prev == bytes(32).hex()
    for newer, older in itertools.pairwise(heads):
        assert newer.prev == older.record_hash
        assert newer.n == older.n + 1
    assert heads[0].receipt()["record_hash"] == heads[0].record_hash


async def test_first_run_of_nothing_and_of_an_emptied_object() -> None:
    vault = await World().create()
    head = await backup(vault, MAILBOX, "r1", putting({}))
    assert head.items == 0
    await backup(vault, MAILBOX, "r2", putting({"a": b"1"}))

    async def clear(run: Run, part: Slice) -> None:
        part.gone("a", "inbox")

    head = await backup(vault, MAILBOX, "r3", clear)
    assert head.items == 0
    assert await contents(vault, MAILBOX) == {}
    head = await backup(vault, MAILBOX, "r4", putting({"a": b"2"}))
    assert await contents(vault, MAILBOX) == {"a": b"2"}
    assert await contents(vault, MAILBOX, 2) == {"a": b"1"}


async def test_two_points_are_compared_without_reading_what_did_not_change() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": b"x" * n for n in range(5000)}))
    await backup(vault, MAILBOX, "r2", putting({"m7": b"new"}, "2"))

    async def read(n: int, other: int | None) -> tuple[set[str], int]:
        trap = Trap()
        reader = World(Counter(world.store, trap), world.control, world.repo)
        opened = await reader.open()
        snap = await opened.open_snapshot(MAILBOX, n)
        wanted = None
        if other is not None:
            wanted = await snap.differing(await opened.open_snapshot(MAILBOX, other))
            assert wanted is not None
            assert len(wanted) == 1
        rows = {row.source_id async for row in snap.rows(buckets=wanted)}
        return rows, trap.bytes("get")

    some, few = await read(2, 1)
    every, many = await read(2, None)
    assert "m7" in some
    assert len(some) < len(every) / 5  # one bucket of eight
    assert few < many
    snap = await vault.open_snapshot(MAILBOX, 2)
    assert await snap.differing(snap) == frozenset()
