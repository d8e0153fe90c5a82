"""Seats between a reseller's partition and a partner's; orders that reach into both (RES-04 to 09).

A saga in the order "out first, then in": at every instant the seats that left the reseller are at
least those that arrived. Each step has a command id made from the transfer's, so a run that was
cut off is repeated with the same id and ends where it should.
"""

from dataclasses import replace

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.licensing.book import Book, Decision
from shared.licensing.model import Pool, Standing
from shared.licensing.refusals import ActionForbidden
from shared.licensing.repository import Command, Ledgers, Outcome
from shared.licensing.rules import orders, tier2
from shared.licensing.rules.tier2 import Passing
from shared.licensing.service import perform
from shared.licensing.wishes import change_order


async def pass_on(
    ledgers: Ledgers, scope: Scope, command: Command, standing: Standing, passing: Passing
) -> Outcome:
    """Give seats of a pool to a partner; when they cannot arrive they come back (RES-04)."""
    left = await ledgers.run(
        scope,
        _step(command, "out", passing),
        lambda book: tier2.begin_out(book, standing, passing),
    )
    pool = left.book.pool(passing.pool_id)
    if left.replayed and passing.transfer_id not in pool.transfers:
        return await _ended_before(ledgers, scope, command, passing)
    try:
        await ledgers.run(
            Scope(passing.partner_id),
            _step(command, "in", passing),
            lambda book: tier2.receive(book, pool, scope.partner_id, passing.quantity),
        )
    except HoldfastError as refusal:
        if refusal.status < 500:
            await _finish(ledgers, scope, command, passing, arrived=False)
        raise
    return await _finish(ledgers, scope, command, passing, arrived=True)


async def take_back(
    ledgers: Ledgers, scope: Scope, command: Command, standing: Standing, passing: Passing
) -> Outcome:
    """Take free seats back from a partner; what its customers hold stays (RES-09)."""
    asked = await ledgers.run(
        scope,
        _step(command, "ask", passing),
        lambda book: tier2.begin_back(book, standing, passing),
    )
    if asked.replayed and passing.transfer_id not in asked.book.pool(passing.pool_id).transfers:
        return await _ended_before(ledgers, scope, command, passing)
    child = asked.book.pool(passing.pool_id).children[passing.partner_id]
    try:
        await ledgers.run(
            Scope(passing.partner_id),
            _step(command, "back", passing),
            lambda book: tier2.give_back(book, child, passing.quantity),
        )
    except HoldfastError as refusal:
        if refusal.status < 500:
            await _finish(ledgers, scope, command, passing, arrived=False)
        raise
    return await _finish(ledgers, scope, command, passing, arrived=True)


async def unfinished(ledgers: Ledgers, scope: Scope) -> list[tuple[str, Passing]]:
    """Transfers that were cut off: repeat `pass_on` ("out") or `take_back` ("back") with them."""
    book = (await ledgers.load(scope)).book
    return [
        (
            transfer.direction,
            Passing(transfer_id, pool.pool_id, transfer.partner_id, transfer.quantity),
        )
        for pool in book.pools.values()
        for transfer_id, transfer in sorted(pool.transfers.items())
    ]


async def apply_order(
    ledgers: Ledgers, scope: Scope, command: Command, order: orders.OrderChange
) -> Outcome:
    """A change of an order, and of the partners' pools fed from it (LIC-47, RES-08, 24.1 e).

    Shorter: the partners' pools first, then this one; longer: this one first. So a partner's
    pool never outlives its reseller's, whenever the run is cut off.
    """
    wish = change_order(order)
    snapshot = await ledgers.load(scope)
    before = next((p for p in snapshot.book.pools.values() if order.order_id in p.orders), None)
    if before is None or not before.children:
        return await perform(ledgers, scope, command, wish)
    after = wish.decide(snapshot.book).after.pools[before.pool_id]
    if after.end < before.end:
        await _follow(ledgers, command, after)
    outcome = await perform(ledgers, scope, command, wish)
    await _follow(ledgers, command, outcome.book.pool(before.pool_id))
    return outcome


async def _follow(ledgers: Ledgers, command: Command, parent: Pool) -> None:
    for partner_id, child in sorted(parent.children.items()):

        def decide(book: Book, child: str = child) -> Decision:
            return tier2.follow_parent(book, child, parent.end)

        own = replace(
            command,
            id=f"{command.id}~follow~{parent.end}",
            request=f"follow {parent.pool_id} {parent.end}",
        )
        await ledgers.run(Scope(partner_id), own, decide)


async def _ended_before(
    ledgers: Ledgers, scope: Scope, command: Command, passing: Passing
) -> Outcome:
    done = await _finish(ledgers, scope, command, passing, arrived=True)
    if not done.replayed:
        raise ActionForbidden("This transfer was undone; use a new id.", rule="RES-04")
    return done


async def _finish(
    ledgers: Ledgers, scope: Scope, command: Command, passing: Passing, *, arrived: bool
) -> Outcome:
    return await ledgers.run(
        scope,
        _step(command, "done" if arrived else "undone", passing),
        lambda book: tier2.finish(book, passing.pool_id, passing.transfer_id, arrived=arrived),
    )


def _step(command: Command, step: str, passing: Passing) -> Command:
    return replace(command, id=f"{passing.transfer_id}~{step}", request=f"{step} {passing!r}")
