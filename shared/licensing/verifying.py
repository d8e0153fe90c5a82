"""Every partner's balances told again from its ledger, and what was passed on from both sides."""

from collections.abc import AsyncIterator
from dataclasses import replace

from shared.access.model import Scope
from shared.kit.tables import Table
from shared.licensing import reading, standings
from shared.licensing.book import Book
from shared.licensing.reading import Comparison
from shared.licensing.repository import Ledgers


async def verify_everywhere(
    ledgers: Ledgers, table: Table
) -> AsyncIterator[tuple[str, Comparison]]:
    """Partner by partner: rebuilt from the events and compared with what is stored (24.1 k).

    Runs beside changes. Reads everything of a partner: for operators and drills, not for callers.
    """
    for partner_id in await standings.partners(table):
        scope = Scope(partner_id)
        told = await reading.rebuild_and_compare(ledgers, scope)
        wrong = await _passed_on(ledgers, scope)
        yield partner_id, replace(told, differences=(*told.differences, *wrong))


async def _passed_on(ledgers: Ledgers, scope: Scope) -> list[str]:
    """Pools from which less has left than has arrived, or more with nothing under way (RES-04)."""
    book = (await ledgers.load(scope)).book
    if not any(pool.children for pool in book.pools.values()):
        return []
    below: dict[str, Book] = {}
    for partner_id in {each for pool in book.pools.values() for each in pool.children}:
        below[partner_id] = (await ledgers.load(Scope(partner_id))).book
    again = (await ledgers.load(scope)).book
    wrong = []
    for pool in again.pools.values():
        if book.pools.get(pool.pool_id) != pool or pool.transfers:
            continue  # it moves at this moment: the next run sees it at rest
        children = [below[each].pools.get(child) for each, child in pool.children.items()]
        arrived = sum(child.total for child in children if child is not None)
        if arrived != pool.passed_on:
            wrong.append(f"pool~{pool.pool_id}: {pool.passed_on} passed on, {arrived} arrived")
    return wrong
