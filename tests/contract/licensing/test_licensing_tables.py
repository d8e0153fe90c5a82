"""Licensing on real Azurite: parallel callers, one batch per change, what comes back from rows."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import pytest

from shared.access.model import Scope
from shared.catalogue.model import Channel, PaymentModel, SubscriptionType
from shared.catalogue.service import catalogue
from shared.kit.clock import FixedClock
from shared.kit.tables import Table
from shared.licensing import reading, service, wishes
from shared.licensing.model import CustomerFacts, PaymentOption, Standing
from shared.licensing.refusals import PoolExhausted
from shared.licensing.repository import Command, Ledgers
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Terms
from shared.licensing.rules.purchases import Purchase

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE = Scope("p1")
Make = Callable[[], Awaitable[Table]]


def ledgers(table: Table) -> Ledgers:
    """What one process has: its own cache and its own queue."""
    return Ledgers(table, FixedClock(NOW), catalogue())


async def bought(table: Table, quantity: int) -> None:
    order = Purchase(
        pool_id="pool",
        order_id="o",
        item="CBM-M365",
        quantity=quantity,
        channel=Channel.DIRECT,
        source="Direct",
        payment_model=PaymentModel.PREPAID,
        payment_option=PaymentOption.ANNUAL_UPFRONT,
        contract_effective=date(2026, 1, 1),
        end=date(2026, 12, 31),
    )
    await service.perform(ledgers(table), SCOPE, Command("operator"), wishes.purchase(order))


def one_seat(customer: str) -> wishes.Wish:
    request = Assign("CBM-M365", SubscriptionType.SUBSCRIPTION, Terms(source="Direct", quantity=1))
    return wishes.assign_seats(CustomerFacts(customer), Standing(), request)


@pytest.mark.parametrize("processes", [1, 8, 32])
async def test_32_parallel_callers_on_a_pool_of_100(make_table: Make, processes: int) -> None:
    """Exactly 100 of 128 succeed, whether the callers share a process or not."""
    table = await make_table()
    await bought(table, 100)
    books = [ledgers(table) for _ in range(processes)]
    done, refused, tries = 0, 0, 0

    async def caller(number: int) -> None:
        nonlocal done, refused, tries
        for turn in range(4):
            try:
                outcome = await service.perform(
                    books[number % processes],
                    SCOPE,
                    Command(f"caller{number}"),
                    one_seat(f"c{number}x{turn}"),
                )
            except PoolExhausted:
                refused += 1
            else:
                done += 1
                tries += outcome.attempts

    began = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(32)))
    took = time.perf_counter() - began
    if os.environ.get("HOLDFAST_FIGURES"):
        print(f"\n{processes} processes: {done / took:.0f} assignments/s, {tries / done:.2f} tries")
    assert (done, refused) == (100, 28)
    compared = await reading.rebuild_and_compare(books[0], SCOPE)
    assert compared.ok, compared
    assert compared.events == 101
    [pool] = await reading.pools(ledgers(table), SCOPE)
    assert (pool["assigned"], pool["available"]) == (100, 0)


async def test_a_change_and_its_repeat_over_real_rows(make_table: Make) -> None:
    table = await make_table()
    await bought(table, 10)
    command = Command("tester", "once")
    first = await service.perform(ledgers(table), SCOPE, command, one_seat("c1"))
    again = await service.perform(ledgers(table), SCOPE, command, one_seat("c1"))
    assert again.replayed
    assert again.events == first.events
    book = await reading.customer_book(ledgers(table), SCOPE, "c1")
    assert book.subs == first.book.subs
    assert book.guards == first.book.guards


async def test_a_night_over_real_rows(make_table: Make) -> None:
    table = await make_table()
    await bought(table, 500)
    clock = FixedClock(NOW)
    books = Ledgers(table, clock, catalogue())
    for number in range(70):
        await service.perform(books, SCOPE, Command("tester"), one_seat(f"c{number}"))
    clock.advance(datetime(2027, 1, 1, tzinfo=UTC) - NOW)
    swept = await service.sweep(books, SCOPE)
    assert (swept.events, swept.commits) == (71, 4)
    assert (await service.sweep(books, SCOPE)).skipped
    assert (await reading.rebuild_and_compare(books, SCOPE)).ok
    history = await reading.history(books, SCOPE, "c7")
    assert [entry.action for entry in history if entry.subject.startswith("sub~")] == [
        "Assigned",
        "Expired",
    ]
