"""Commands that are settled together: each has its own answer, and none bears another's fault."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from shared.catalogue.service import catalogue
from shared.kit.tables import Table
from shared.licensing import reading, wishes
from shared.licensing.book import Book, Decision
from shared.licensing.page import BATCH, TooManyRows
from shared.licensing.refusals import CommandReused, PoolExhausted
from shared.licensing.repository import Command, Ledgers, Outcome
from tests.unit.licensing.world import World


async def together(*callers: Any) -> list[Any]:
    return list(await asyncio.gather(*callers, return_exceptions=True))


def another_process(world: World) -> World:
    other = world.other("p1")
    other.ledgers = Ledgers(cast(Table, world.table), world.clock, catalogue())
    return other


async def test_callers_of_one_process_share_batches(world: World) -> None:
    await world.buy(quantity=200)
    batches = world.table.batches
    done = await together(*(world.assign(1, customer=f"c{n}") for n in range(64)))
    assert all(isinstance(each, Outcome) for each in done)
    for number, each in enumerate(done):
        assert {event.subject for event in each.events} == {f"sub~c{number}~CBM-M365"}
        assert list(each.book.guards) == [f"c{number}"]
    assert world.table.batches - batches < 10
    assert world.table.largest <= BATCH
    assert (await world.pool()).assigned == 64
    await world.adds_up()


async def test_a_refusal_among_others_is_its_callers_own(world: World) -> None:
    await world.buy(quantity=10)
    done = await together(
        world.assign(4, customer="c1"),
        world.assign(20, customer="c2"),
        world.assign(6, customer="c3"),
        world.assign(1, customer="c4"),
    )
    assert [type(each) for each in done] == [Outcome, PoolExhausted, Outcome, PoolExhausted]
    assert (await world.pool()).available == 0
    await world.adds_up()


async def test_a_lost_race_decides_all_again(world: World) -> None:
    """The refusals too: what they rested on was never written."""
    await world.buy(quantity=10)
    rival = another_process(world)

    async def interlope() -> None:
        await rival.assign(7, customer="r1")

    async def gather() -> None:
        """The first leads alone; while it writes, the group of the others gathers."""
        world.table.before_batch = interlope

    world.table.before_batch = gather
    done = await together(
        world.assign(1, customer="c0"),
        world.assign(8, customer="c1"),
        world.assign(2, customer="c2"),
        world.assign(1, customer="c3"),
    )
    assert [type(each) for each in done] == [Outcome, PoolExhausted, Outcome, PoolExhausted]
    assert (done[0].attempts, done[2].attempts) == (1, 2)
    await world.adds_up()


async def test_24_1_l_one_id_at_the_same_time_is_done_once(world: World) -> None:
    await world.buy()
    await world.assign(10)
    more, less = wishes.increase(world.place(), 5), wishes.increase(world.place(), 6)
    done = await together(*(world.do(more, "same") for _ in range(3)), world.do(less, "same"))
    assert [getattr(each, "replayed", None) for each in done] == [False, True, True, None]
    assert isinstance(done[3], CommandReused)
    assert (await world.sub()).quantity == 15


async def test_what_does_not_fit_a_batch_keeps_nobody_else_from_it(world: World) -> None:
    await world.buy()
    await world.assign(10)

    def too_much(book: Book) -> Decision:
        decision = wishes.increase(world.place(), 1).decide(book)
        return replace(decision, events=decision.events * 101)

    done = await together(
        world.assign(1, customer="c2"),
        world.ledgers.run(world.scope, Command("x"), too_much, customers=["c1"]),
        world.assign(1, customer="c3"),
    )
    assert [type(each) for each in done] == [Outcome, TooManyRows, Outcome]
    await world.adds_up()


async def test_a_mistake_in_one_decision_is_not_its_neighbours(world: World) -> None:
    await world.buy()

    def wrong(book: Book) -> Decision:
        raise ZeroDivisionError

    done = await together(
        world.assign(1, customer="c2"),
        world.ledgers.run(world.scope, Command("x"), wrong, customers=["c1"]),
        world.assign(1, customer="c3"),
    )
    assert [type(each) for each in done] == [Outcome, ZeroDivisionError, Outcome]
    await world.adds_up()


async def test_large_commands_do_not_fill_a_batch_over_its_bytes(world: World) -> None:
    """The service takes 4 MiB; two of these together would pass what is allowed here."""
    await world.buy(quantity=100)
    for number in range(4):
        await world.assign(1, customer=f"c{number}")
    batches = world.table.batches

    def large(customer: str) -> Any:
        def decide(book: Book) -> Decision:
            decided = wishes.increase(world.place(customer=customer), 1).decide(book)
            event = decided.events[0].model_copy(update={"note": "x" * 600_000})
            return replace(decided, events=(event,))

        return world.ledgers.run(world.scope, Command("x"), decide, customers=[customer])

    done = await together(*(large(f"c{number}") for number in range(4)))
    assert all(isinstance(each, Outcome) for each in done)
    assert world.table.batches - batches == 4
    assert (await world.pool()).assigned == 8


async def test_a_caller_that_gives_up_leaves_the_others(world: World) -> None:
    await world.buy()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    world.table.before_batch = hold
    leader = asyncio.create_task(world.assign(1, customer="c1", command_id="k1"))
    await reached.wait()
    others = [asyncio.create_task(world.assign(1, customer=f"c{n}")) for n in (2, 3)]
    await asyncio.sleep(0)
    leader.cancel()
    await asyncio.gather(*others)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert not (await world.assign(1, customer="c1", command_id="k1")).replayed
    assert (await world.pool()).assigned == 3
    await world.adds_up()


async def test_a_lost_answer_of_a_group_is_told_to_each(world: World) -> None:
    await world.buy()

    async def second() -> None:
        async def fail() -> None:
            world.table.fail_after_batch = ConnectionResetError()

        world.table.before_batch = fail

    world.table.before_batch = second
    done = await together(*(world.assign(1, customer=f"c{n}") for n in range(5)))
    assert [each.replayed for each in done] == [False, True, True, True, True]
    assert (await world.pool()).assigned == 5
    assert (await reading.rebuild_and_compare(world.ledgers, world.scope)).events == 6


async def test_a_store_that_is_down_is_told_to_each(world: World) -> None:
    await world.buy()

    async def down(changes: Any) -> None:
        raise ConnectionRefusedError

    batch, world.table.batch = world.table.batch, down  # type: ignore[method-assign]
    done = await together(*(world.assign(1, customer=f"c{n}") for n in range(3)))
    assert [type(each) for each in done] == [ConnectionRefusedError] * 3
    world.table.batch = batch  # type: ignore[method-assign]
    assert (await world.pool()).assigned == 0
    await world.adds_up()
