"""Seats between a reseller's partition and a partner's; orders that reach into both (RES-04 to 09).

A saga in the order "out first, then in": at every instant the seats that left the reseller are at
least those that arrived. Each step has a command id made from the transfer's, and whether seats
arrive is decided once, in the partner's ledger. So a run that was cut off is repeated with the same
id, by its caller or by the clock, and ends where it should; two that run at once end as one.
"""

from dataclasses import dataclass, replace
from typing import Literal

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.licensing.book import Book, Decision
from shared.licensing.model import Pool, Standing
from shared.licensing.refusals import ActionForbidden
from shared.licensing.repository import Command, Ledgers, Outcome
from shared.licensing.rules import orders, tier2
from shared.licensing.rules.tier2 import Passing
from shared.licensing.service import Preview, foreseen, perform
from shared.licensing.wishes import change_order

# What was begun was allowed when it was begun: it is ended under any standing.
_ALLOWED = Standing(tier2_enabled=True, is_reseller=True)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A transfer that was cut off, and who had asked for it."""

    direction: Literal["out", "back"]
    passing: Passing
    actor: str


async def pass_on(
    ledgers: Ledgers, scope: Scope, command: Command, standing: Standing, passing: Passing
) -> Outcome:
    """Give seats of a pool to a partner; when they do not arrive they come back (RES-04).

    Refusals of the rules; with any other error nothing is known but that `finish_all` ends it.
    """
    left = await ledgers.run(
        scope,
        _step(command, "out", passing),
        lambda book: tier2.begin_out(book, standing, passing, command.actor),
    )
    pool = left.book.pool(passing.pool_id)
    if left.replayed and passing.transfer_id not in pool.transfers:
        return await _ended_before(ledgers, scope, command, passing)
    told = await ledgers.run(
        Scope(passing.partner_id),
        _step(command, "in", passing),
        lambda book: tier2.receive(book, pool, scope.partner_id, passing.quantity),
    )
    done = await _finish(ledgers, scope, command, passing, arrived=_arrived(told))
    if not _arrived(told):
        raise tier2.ended_meanwhile()
    now = done.book.pool(passing.pool_id)
    if now.end != pool.end:  # an order has moved it while the seats were under way
        await _follow(ledgers, replace(command, id=f"{passing.transfer_id}~after"), now)
    return done


async def take_back(
    ledgers: Ledgers, scope: Scope, command: Command, standing: Standing, passing: Passing
) -> Outcome:
    """Take free seats back from a partner; what its customers hold stays (RES-09)."""
    asked = await ledgers.run(
        scope,
        _step(command, "ask", passing),
        lambda book: tier2.begin_back(book, standing, passing, command.actor),
    )
    if asked.replayed and passing.transfer_id not in asked.book.pool(passing.pool_id).transfers:
        return await _ended_before(ledgers, scope, command, passing)
    child = asked.book.pool(passing.pool_id).children[passing.partner_id]
    told = await ledgers.run(
        Scope(passing.partner_id),
        _step(command, "back", passing),
        lambda book: tier2.give_back(book, child, passing.quantity),
    )
    done = await _finish(ledgers, scope, command, passing, arrived=_arrived(told))
    if not _arrived(told):
        below = told.book.pools.get(child)
        raise tier2.in_use(below.available if below else 0)
    return done


async def unfinished(ledgers: Ledgers, scope: Scope) -> list[Unfinished]:
    """Transfers of a reseller that were cut off, or are under way at this moment."""
    book = (await ledgers.load(scope)).book
    return [
        Unfinished(
            transfer.direction,
            Passing(transfer_id, pool.pool_id, transfer.partner_id, transfer.quantity),
            transfer.actor,
        )
        for pool in book.pools.values()
        for transfer_id, transfer in sorted(pool.transfers.items())
    ]


async def finish_all(ledgers: Ledgers, scope: Scope) -> int:
    """Carry on what was cut off, and let partners' pools end where the reseller's do; how many.

    For the clock: beside a run that is still under way it does no harm.
    """
    done = 0
    for each in await unfinished(ledgers, scope):
        verb = pass_on if each.direction == "out" else take_back
        try:
            await verb(ledgers, scope, Command(each.actor), _ALLOWED, each.passing)
        except HoldfastError as refusal:
            if refusal.status >= 500:
                raise
        done += 1
    return done + await _heal_ends(ledgers, scope)


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
        await _follow(ledgers, replace(command, id=f"{command.id}~before"), after)
    outcome = await perform(ledgers, scope, command, wish)
    await _follow(ledgers, command, outcome.book.pool(before.pool_id))
    return outcome


async def foretell_order(ledgers: Ledgers, scope: Scope, order: orders.OrderChange) -> Preview:
    """What `apply_order` would do, partners' pools that follow included; nothing is changed."""
    snapshot = await ledgers.load(scope)
    try:
        decision = change_order(order).decide(snapshot.book)
    except HoldfastError as refusal:
        return Preview(False, refusal=refusal)
    told = foreseen(decision)
    parent = next(p for p in decision.after.pools.values() if order.order_id in p.orders)
    for partner_id, child in sorted(parent.children.items()):
        below = (await ledgers.load(Scope(partner_id))).book
        follows = foreseen(tier2.follow_parent(below, child, parent.end))
        told = replace(
            told,
            effects=(*told.effects, *(f"partner {partner_id}: {each}" for each in follows.effects)),
            rules=tuple(dict.fromkeys((*told.rules, *follows.rules))),
            changes=(*told.changes, *({**each, "partner": partner_id} for each in follows.changes)),
        )
    return told


async def _heal_ends(ledgers: Ledgers, scope: Scope) -> int:
    """Partners' pools that stand elsewhere than the reseller's: an order's run was cut off."""
    healed = 0
    for parent in (await ledgers.load(scope)).book.pools.values():
        if parent.children and parent.recorded_phase != "Ended":
            healed += await _follow(ledgers, Command("timer"), parent)
    return healed


async def _follow(ledgers: Ledgers, command: Command, parent: Pool) -> int:
    followed = 0
    for partner_id, child in sorted(parent.children.items()):

        def decide(book: Book, child: str = child) -> Decision:
            return tier2.follow_parent(book, child, parent.end)

        own = replace(
            command,
            id=f"{command.id}~follow~{parent.end}",
            request=f"follow {parent.pool_id} {parent.end}",
        )
        followed += len((await ledgers.run(Scope(partner_id), own, decide)).events)
    return followed


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


def _arrived(told: Outcome) -> bool:
    return any(event.kind in tier2.ARRIVED for event in told.events)


def _step(command: Command, step: str, passing: Passing) -> Command:
    return replace(command, id=f"{passing.transfer_id}~{step}", request=f"{step} {passing!r}")
