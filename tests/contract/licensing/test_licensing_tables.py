"""Licensing on real Azurite: parallel callers, one batch per change, what comes back from rows."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from local.verify import verify
from shared.access.model import Scope
from shared.catalogue.model import Channel, PaymentModel, SubscriptionType
from shared.catalogue.service import catalogue
from shared.kit import watch
from shared.kit.clock import FixedClock
from shared.kit.tables import Table
from shared.licensing import agenda, mending, passing, reading, service, standings, wishes
from shared.licensing.model import CustomerFacts, PaymentOption, Standing
from shared.licensing.refusals import PoolExhausted
from shared.licensing.repository import TABLE, Command, Ledgers
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Terms
from shared.licensing.rules.purchases import Purchase

if TYPE_CHECKING:
    from shared.bootstrap import Deps

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


def one_seat(customer: str, **more: Any) -> wishes.Wish:
    terms = Terms(source="Direct", quantity=1, **more)
    request = Assign("CBM-M365", SubscriptionType.SUBSCRIPTION, terms)
    return wishes.assign_seats(CustomerFacts(customer), Standing(), request)


@pytest.mark.parametrize("processes", [1, 8, 32])
async def test_32_parallel_callers_on_a_pool_of_100(make_table: Make, processes: int) -> None:
    """Exactly 100 of 128 succeed, whether the callers share a process or not."""
    table = await make_table()
    await bought(table, 100)
    books = [ledgers(table) for _ in range(processes)]
    done, refused = 0, 0

    async def caller(number: int) -> None:
        nonlocal done, refused
        for turn in range(4):
            try:
                await service.perform(
                    books[number % processes],
                    SCOPE,
                    Command(f"caller{number}"),
                    one_seat(f"c{number}x{turn}"),
                )
            except PoolExhausted:
                refused += 1
            else:
                done += 1

    await asyncio.gather(*(caller(number) for number in range(32)))
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


async def test_a_night_reads_only_what_is_due(make_table: Make) -> None:
    """By filters that the table service itself understands: own days, ended pools, neither."""
    table = await make_table()
    await bought(table, 50)
    clock = FixedClock(NOW)
    books = Ledgers(table, clock, catalogue())
    for number in range(4):
        chosen = {"expires_on": date(2026, 3, 1)} if number == 2 else {}
        await service.perform(books, SCOPE, Command("tester"), one_seat(f"c{number}", **chosen))
    assert await books.due(SCOPE, []) == []
    assert [sub.customer_id for sub in await books.due(SCOPE, ["pool"])] == ["c0", "c1", "c2", "c3"]
    clock.advance(datetime(2026, 3, 2, tzinfo=UTC) - NOW)
    assert list(await agenda.due(table, books.today())) == ["p1"]
    assert [sub.customer_id for sub in await books.due(SCOPE, [])] == ["c2"]
    swept = await service.sweep(books, SCOPE)
    assert (swept.events, swept.settled) == (1, True)
    assert (await books.head(SCOPE)).next_due == date(2027, 1, 1)
    assert [sub.customer_id for sub in await books.due(SCOPE, ["pool"])] == ["c0", "c1", "c3"]


async def test_a_line_written_anew_while_it_is_worked_off_stays(make_table: Make) -> None:
    table = await make_table()
    today = date(2026, 3, 2)
    await agenda.note_due(table, "p1", today)
    lines = await agenda.due(table, today)
    await agenda.note_due(table, "p1", today)
    await agenda.strike(table, lines["p1"], today, settled=True)
    lines = await agenda.due(table, today)
    await agenda.strike(table, lines["p1"], today, settled=False)
    assert list(await agenda.due(table, today)) == ["p1"]
    await agenda.strike(table, lines["p1"], today, settled=True)
    assert await agenda.due(table, today) == {}


async def test_the_audit_trail_of_each_caller_has_its_own_rows(make_table: Make) -> None:
    """Whoever wrote for it: before and after are those of the caller's customer."""
    table = await make_table()
    await bought(table, 100)
    books = ledgers(table)
    for number in range(4):
        await service.perform(books, SCOPE, Command("tester"), one_seat(f"c{number}"))

    async def expires(number: int) -> watch.Watch:
        facts, day = CustomerFacts(f"c{number}"), date(2026, 6, 1)
        place = wishes.Place(facts, Standing(), "CBM-M365")
        wish = wishes.set_expiration(place, None, day)
        with watch.watching() as seen:
            await service.perform(books, SCOPE, Command("tester"), wish)
        return seen

    seen = await asyncio.gather(*(expires(number) for number in range(4)))
    assert all(each.before and each.after for each in seen)
    assert len({each.before for each in seen} | {each.after for each in seen}) == 8
    places = [{key for _, _, key in each._after if key.startswith("sub~")} for each in seen]
    assert places == [{f"sub~c{number}~CBM-M365"} for number in range(4)]


async def test_lines_that_are_missing_are_written_once_a_month(
    make_table: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger written before there was an agenda, or an agenda that was lost."""
    table = await make_table()
    await bought(table, 50)
    clock = FixedClock(NOW)
    books = Ledgers(table, clock, catalogue())
    await service.perform(books, SCOPE, Command("tester"), one_seat("c1"))
    for partition in (agenda.DUE, agenda.FOLLOWING):
        async for row in table.query(partition):
            await table.delete(partition, row.key)
    head = await table.get("p1", "head")
    head.values.pop("follows", None)  # as heads were before
    await table.replace(head)
    assert await mending.complete_agenda(table, books.today()) == 1
    assert await agenda.following(table) == ["p1"]
    assert list(await agenda.due(table, date(2027, 1, 1))) == ["p1"]
    with monkeypatch.context() as patched:  # one read on other nights: no partner is looked at
        patched.setattr(standings, "partners", None)
        assert await mending.complete_agenda(table, books.today()) == 0
    assert await mending.complete_agenda(table, date(2026, 2, 1)) == 1
    assert await mending.complete_agenda(table, date(2026, 2, 28)) == 0
    clock.advance(datetime(2027, 1, 1, tzinfo=UTC) - NOW)
    assert (await service.sweep(books, SCOPE)).settled


async def test_24_1_k_every_partner_is_compared_with_its_ledger(
    make_table: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    table = await make_table()
    await bought(table, 50)
    books = ledgers(table)
    await service.perform(books, SCOPE, Command("tester"), one_seat("c1"))
    reseller = Standing(tier2_enabled=True, is_reseller=True)
    passed = passing.Passing("t1", "pool", "p2", 5)
    await passing.pass_on(books, SCOPE, Command("tester"), reseller, passed)
    assert await verified(table) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "p1  4 events, 3 rows: as the ledger says"
    assert second == "p2  1 events, 1 rows: as the ledger says"
    row = await table.get("p2", "pool~pool-t2")  # tampered with
    row.values["total"] = 6
    await table.replace(row)
    assert await verified(table) == 2
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("pool~pool: 5 passed on, 6 arrived")
    assert "total" in second


async def verified(table: Table) -> int:
    """What `make verify` does, with a process of its own; how many partners are wrong."""
    given = SimpleNamespace(ledgers=ledgers(table), tables={TABLE: table})
    return await verify(cast("Deps", given))
