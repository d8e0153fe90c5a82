"""Transfers of the second tier under crashes between any two steps: never more out than in."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.kit.errors import HoldfastError
from shared.licensing import passing
from shared.licensing.book import Book
from shared.licensing.model import Standing
from shared.licensing.repository import Command
from shared.licensing.rules.tier2 import Passing
from tests.unit.licensing.world import World, check_sums

RESELLER = Standing(tier2_enabled=True, is_reseller=True)
BOUGHT = 100
PARTNERS = ("p1", "msp1", "msp2")


class Killed(BaseException):
    """The process is gone: no handler of its own runs."""


@dataclass(frozen=True)
class Step:
    """One thing that happens, and where the process that does it dies."""

    kind: str
    below: str
    quantity: int
    dies_at: int | None
    written: bool
    """Whether the commit at which it dies was still written."""


STEPS = st.builds(
    Step,
    kind=st.sampled_from(["out", "out", "back", "assign", "again", "clock"]),
    below=st.sampled_from(["msp1", "msp2"]),
    quantity=st.integers(1, 60),
    dies_at=st.none() | st.integers(1, 4),
    written=st.booleans(),
)


@dataclass
class Chain:
    """A reseller with a pool of 100, two partners below, and every transfer ever asked for."""

    world: World = field(default_factory=World)
    asked: list[tuple[bool, Passing]] = field(default_factory=list)

    async def do(self, step: Step) -> None:
        """Carry it out, or die in it."""
        batch: Any = self.world.table.batch
        commits = 0

        async def dying(changes: Any) -> None:
            nonlocal commits
            commits += 1
            if commits == step.dies_at and not step.written:
                raise Killed
            await batch(changes)
            if commits == step.dies_at:
                raise Killed

        self.world.table.batch = dying  # type: ignore[method-assign]
        try:
            await self._work(step)
        except (Killed, HoldfastError):
            pass  # a refusal is an answer; the dead say nothing
        finally:
            self.world.table.batch = batch  # type: ignore[method-assign]

    async def _work(self, step: Step) -> None:
        if step.kind == "assign":
            below = self.world.other(step.below)
            await below.assign(step.quantity, customer=f"c{step.quantity}", pool_id="pool-t2")
        elif step.kind == "clock":
            await passing.finish_all(self.world.ledgers, self.world.scope)
        elif step.kind == "again" and self.asked:
            await self.transfer(*self.asked[step.quantity % len(self.asked)])
        elif step.kind in {"out", "back"}:
            name = f"t{len(self.asked)}"
            self.asked.append(
                (step.kind == "back", Passing(name, "pool", step.below, step.quantity))
            )
            await self.transfer(*self.asked[-1])

    async def transfer(self, back: bool, seats: Passing) -> None:
        verb = passing.take_back if back else passing.pass_on
        command = Command("reseller")
        await verb(self.world.ledgers, self.world.scope, command, RESELLER, seats)

    async def books(self) -> list[Book]:
        """All three partners'."""
        return [await self.world.other(name).book() for name in PARTNERS]

    async def arrived(self) -> int:
        """Seats that the partners below own."""
        found = 0
        for name in ("msp1", "msp2"):
            pools = (await self.world.other(name).book()).pools
            found += pools["pool-t2"].total if "pool-t2" in pools else 0
        return found

    async def holds(self) -> None:
        """At every instant."""
        for name in PARTNERS:
            book = await self.world.other(name).book()
            check_sums(book)
            assert all(pool.available >= 0 for pool in book.pools.values())
        pool = await self.world.pool("pool")
        assert pool.total == BOUGHT
        assert await self.arrived() <= pool.passed_on


@given(st.lists(STEPS, max_size=14))
@settings(max_examples=300, deadline=None)
def test_res_04_and_09_never_more_out_than_in_wherever_a_process_dies(steps: list[Step]) -> None:
    asyncio.run(_tried(steps))


async def _tried(steps: list[Step]) -> None:
    chain = Chain()
    await chain.world.buy(pool="pool", order="o", quantity=BOUGHT)
    for step in steps:
        await chain.do(step)
        await chain.holds()
    await passing.finish_all(chain.world.ledgers, chain.world.scope)
    pool = await chain.world.pool("pool")
    assert not pool.transfers
    assert await chain.arrived() == pool.passed_on
    for name in PARTNERS:
        await chain.world.other(name).adds_up()
    before = await chain.books()
    events = await chain.world.ledgers.ledger(chain.world.scope)
    begun = {event.command.partition("~")[0] for event in events}
    for back, seats in chain.asked:  # every caller sends once more what had begun
        if seats.transfer_id in begun:
            with contextlib.suppress(HoldfastError):
                await chain.transfer(back, seats)
    assert await chain.books() == before
