"""Killed at every storage call of a run, twice; raced at every call: nothing committed is lost."""

import itertools
from collections.abc import Awaitable, Callable

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.vault.errors import Superseded
from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import (
    MAILBOX,
    Counter,
    Killed,
    Trap,
    World,
    backup,
    contents,
    die,
    folder,
    mail,
)

BIG = bytes(range(256)) * 8192
BEFORE: dict[str, bytes | None] = {"a": b"1", "b": b"2", "c": b"3", "F": None}
AFTER: dict[str, bytes | None] = {"a": b"changed", "c": b"3", "F": None, "new": b"4", "big": BIG}


async def first(run: Run, part: Slice) -> None:
    for source_id in ("a", "b", "c"):
        await part.put(mail(source_id), BEFORE[source_id])
    await part.put(folder("F"), None)


async def second(run: Run, part: Slice) -> None:
    assert await run.previous("a") is not None
    await part.put(mail("a", "2"), b"changed")
    part.gone("b", "inbox")


async def third(run: Run, part: Slice) -> None:
    await part.put(mail("new"), b"4")
    await part.put(mail("big"), BIG)
    held = await run.previous("c")
    assert held is not None
    part.carry(mail("c", "2"), held)


def fresh() -> tuple[World, Trap]:
    trap = Trap()
    world = World(Counter(MemoryBlobs(), trap), Counter(MemoryBlobs(), trap))
    return world, trap


async def whole(world: World) -> None:
    """From nothing to two snapshots; safe to begin again at any point."""
    vault = await world.create()
    head = await vault.head(MAILBOX)
    if head is None or head.run == "r1":
        await backup(vault, MAILBOX, "r1", first)
    await backup(vault, MAILBOX, "r2", second, third)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_kill_at_every_storage_call(late: bool) -> None:
    world, trap = fresh()
    await whole(world)
    calls = trap.calls
    for at in range(1, calls + 1):
        world, trap = fresh()
        trap.at, trap.late, trap.act = at, late, die
        try:
            await whole(world)
        except Killed:
            again = at + trap.calls // 2  # and once more, somewhere in the second attempt
            trap.at = trap.calls + max(1, again % 9)
            try:
                await whole(world)
            except Killed:
                trap.act = None
                await whole(world)
        trap.act = None
        vault = await world.open()
        assert [head.n for head in await vault.snapshots(MAILBOX)] == [2, 1], at
        assert await contents(vault, MAILBOX, 1) == BEFORE
        assert await contents(vault, MAILBOX, 2) == AFTER
        assert [found async for found in world.control.list("wip/")] == []


async def started() -> tuple[World, Trap]:
    world, trap = fresh()
    await backup(await world.create(), MAILBOX, "r1", first)
    return world, trap


async def increment(world: World) -> None:
    await backup(await world.open(), MAILBOX, "r2", second, third)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_v48_the_same_run_twice_at_once(late: bool) -> None:
    """Another execution of the same run happens completely at call k of the first."""
    world, trap = await started()
    before = trap.calls
    await increment(world)
    calls = trap.calls - before
    for at in range(1, calls + 1):
        world, trap = await started()
        quiet = World(_inner(world.store), _inner(world.control), world.repo)
        trap.at, trap.late = trap.calls + at, late
        trap.act = _once(lambda quiet=quiet: increment(quiet))
        await increment(world)
        vault = await quiet.open()
        assert [head.n for head in await vault.snapshots(MAILBOX)] == [2, 1], at
        assert await contents(vault, MAILBOX, 1) == BEFORE
        assert await contents(vault, MAILBOX, 2) == AFTER


async def test_v49_two_runs_interleaved_at_every_call() -> None:
    world, trap = await started()
    before = trap.calls
    await increment(world)
    calls = trap.calls - before
    lost = 0
    for at in range(1, calls + 1):
        world, trap = await started()
        quiet = World(_inner(world.store), _inner(world.control), world.repo)

        async def other(run: Run, part: Slice) -> None:
            await part.put(mail("other"), b"other")

        async def rival(quiet: World = quiet) -> None:
            await backup(await quiet.open(), MAILBOX, "rival", other)

        trap.at, trap.act = trap.calls + at, _once(rival)
        vault = await world.open()
        try:
            await backup(vault, MAILBOX, "r2", second, third)
        except Superseded:
            lost += 1
            vault = await world.open()
            await backup(vault, MAILBOX, "r2-again", second, third)
        heads = await vault.snapshots(MAILBOX)
        assert [head.n for head in heads] == list(range(len(heads), 0, -1))
        for newer, older in itertools.pairwise(heads):
            assert newer.prev == older.record_hash  # history never forks (V31)
        assert await contents(vault, MAILBOX) == AFTER | {"other": b"other"}
    assert lost > 3


def _inner(counter: object) -> MemoryBlobs:
    assert isinstance(counter, Counter)
    assert isinstance(counter.inner, MemoryBlobs)
    return counter.inner


def _once(act: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    done: list[bool] = []

    async def run() -> None:
        if not done:
            done.append(True)
            await act()

    return run
