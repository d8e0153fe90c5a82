"""V15: a huge item is stored piece by piece; killed anywhere, it goes on at a piece."""

from collections.abc import AsyncIterator

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.vault import contents as writing
from shared.vault.format import content as format_content
from shared.vault.format.content import content_hash
from shared.vault.model import SnapshotHead
from tests.unit.vault.world import (
    DRIVE,
    Counter,
    Killed,
    Trap,
    World,
    contents,
    die,
    seal,
)

PIECE = 1000
BIG = bytes(n * n % 251 for n in range(5 * PIECE + 321))
FILE = {"i": "big", "k": "file", "n": "big.bin", "v": "1"}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_content, "PIECE", PIECE)
    monkeypatch.setattr(writing, "PIECE", PIECE)


class Source:
    """Where the file is read; counts what it gave."""

    def __init__(self, data: bytes = BIG) -> None:
        self.data, self.served, self.starts = data, 0, list[int]()

    async def read(self, at: int) -> AsyncIterator[bytes]:
        self.starts.append(at)
        for start in range(at, len(self.data), 300):
            self.served += len(self.data[start : start + 300])
            yield self.data[start : start + 300]


async def copied(world: World, source: Source, run_id: str = "r1", every: int = 1) -> SnapshotHead:
    """A whole run whose slices end after `every` pieces of the file; goes on after a kill."""
    vault = await world.create()
    run = await vault.open_run(DRIVE, run_id)
    while run.sealed is None and run.more:
        part = await run.slice(run.slices)
        if part.done:
            continue
        half, asked = part.half("big"), list[int]()
        at = 0 if half is None else half.size
        if half is not None:
            assert half.note == {"v": "1"}

        def stop(asked: list[int] = asked) -> bool:
            asked.append(1)
            return len(asked) == every

        ended = await part.put(
            FILE, source.read(at), resume=half is not None, stop=stop, note=lambda: {"v": "1"}
        )
        await part.finish({}, more=not ended)
    return await seal(run)


async def test_v15_killed_at_every_storage_call_goes_on_at_a_piece() -> None:
    trap, quiet = Trap(), Source()
    world = World(Counter(MemoryBlobs(), trap), Counter(MemoryBlobs(), trap))
    await copied(world, quiet)
    calls = trap.calls
    assert quiet.starts == [0, PIECE, 2 * PIECE, 3 * PIECE, 4 * PIECE, 5 * PIECE]
    for late in (False, True):
        for at in range(1, calls + 1):
            trap, source = Trap(at, late, die), Source()
            world = World(Counter(MemoryBlobs(), trap), Counter(MemoryBlobs(), trap))
            try:
                head = await copied(world, source)
            except Killed:
                trap.at = trap.calls + max(1, (at * 7) % 11)  # and once more
                try:
                    head = await copied(world, source)
                except Killed:
                    trap.act = None
                    head = await copied(world, source)
            trap.act = None
            assert head.n == 1
            vault = await world.open()
            assert await contents(vault, DRIVE) == {"big": BIG}
            # Each kill repeats one slice: its piece, and the part after it that was in hand.
            assert source.served <= quiet.served + 2 * (PIECE + 300), (late, at)
            assert source.starts == sorted(source.starts)
            assert [found async for found in world.control.list("wip/")] == []


@pytest.mark.parametrize("every", [1, 2, 4])
async def test_v15_row_and_root_are_those_of_one_slice(every: int) -> None:
    whole, parts = World(), World()
    one = await copied(whole, Source(), every=100)
    many = await copied(parts, Source(), every=every)
    assert one.items == many.items == 1
    row = await (await (await parts.open()).open_snapshot(DRIVE)).row("big")
    assert row is not None
    assert (row.size, row.digest) == (len(BIG), content_hash(BIG))
    assert many.counts["protected"] == 1
    assert many.bytes["read"] == len(BIG)


async def test_v15_long_lists_of_places_leave_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "MAX_LISTED", 2)
    monkeypatch.setattr(writing, "MAX_LOCATIONS", 3)
    world = World()
    await copied(world, Source())
    vault = await world.open()
    assert await contents(vault, DRIVE) == {"big": BIG}
    row = await (await vault.open_snapshot(DRIVE)).row("big")
    assert row is not None
    assert row.location.startswith(b'{"l":')


@pytest.mark.parametrize("length", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE])
async def test_v15_ends_at_and_beside_a_boundary(length: int) -> None:
    world, data = World(), BIG[:length]
    await copied(world, Source(data))
    assert await contents(await world.open(), DRIVE) == {"big": data}


async def test_v15_a_half_is_kept_over_slices_that_do_not_reach_it_and_dropped_with_its_item() -> (
    None
):
    world, source = World(), Source()
    vault = await world.create()
    run = await vault.open_run(DRIVE, "r1")
    part = await run.slice(0)
    assert not await part.put(FILE, source.read(0), stop=lambda: True, note=lambda: {"v": "1"})
    other = FILE | {"i": "other"}
    await part.put(other, b"other")
    await part.finish({}, more=True)
    run = await vault.open_run(DRIVE, "r1")  # another worker
    part = await run.slice(1)
    await part.put(FILE | {"i": "third"}, b"third")
    await part.finish({}, more=True)
    run = await vault.open_run(DRIVE, "r1")
    part = await run.slice(2)
    half = part.half("big")
    assert half is not None
    assert half.size == PIECE
    part.gone("big", "drive")
    await part.finish({}, more=True)
    run = await vault.open_run(DRIVE, "r1")
    assert (await run.slice(3)).half("big") is None
    await (await run.slice(3)).finish({}, more=False)
    await seal(run)
    assert await contents(vault, DRIVE) == {"other": b"other", "third": b"third"}


async def test_v15_a_sealed_run_leaves_no_half_behind() -> None:
    """A run that was stopped in the middle commits what it has; the next begins the item anew."""
    world, source = World(), Source()
    vault = await world.create()
    run = await vault.open_run(DRIVE, "r1")
    part = await run.slice(0)
    await part.put(FILE, source.read(0), stop=lambda: True)
    await part.finish({}, more=True)
    head = await seal(run)
    assert head.items == 0
    await copied(world, source, "r2", every=100)
    assert source.starts == [0, 0]
    assert await contents(vault, DRIVE) == {"big": BIG}
