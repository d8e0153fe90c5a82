"""The ledger: chain, as-of, known-at, explanations, replays, sweeps that were missed."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.access.model import Scope
from shared.catalogue.model import PaymentModel
from shared.kit.errors import NotFound
from shared.kit.tables import LostRace
from shared.licensing import ledger, reading, service, wishes
from shared.licensing.refusals import Refusal
from shared.licensing.repository import ATTEMPTS, Command, LicensingBusy
from shared.licensing.rules import dates
from tests.unit.licensing.world import World, refused

KEY = "sub~c1~CBM-M365"


async def test_a_touched_event_is_found(world: World) -> None:
    await world.buy()
    await world.assign(5)
    row = world.table.rows["p1", "event~000000000002"]
    row.values["event"] = row.values["event"].replace('"quantity":5', '"quantity":6')
    compared = await reading.rebuild_and_compare(world.ledgers, world.scope)
    assert compared.broken is not None
    assert compared.broken.seq == 2
    assert any("lots" in line for line in compared.differences)


async def test_a_removed_event_is_found(world: World) -> None:
    await world.buy()
    await world.assign(5)
    await world.assign(5, customer="c2")
    del world.table.rows["p1", "event~000000000002"]
    world.table.keys["p1"].remove("event~000000000002")
    compared = await reading.rebuild_and_compare(world.ledgers, world.scope)
    assert compared.broken == ledger.Broken(2, "event 2 is missing, 3 stands there")


async def test_a_touched_balance_is_found(world: World) -> None:
    await world.buy()
    world.table.rows["p1", "pool~pool1"].values["total"] = 1000
    compared = await reading.rebuild_and_compare(world.ledgers, world.scope)
    assert compared.differences == ("pool~pool1.total: the ledger says 100, the store 1000",)
    assert compared.broken is None


async def test_as_of_a_day_and_as_known(world: World) -> None:
    await world.buy()
    await world.assign(50, expires_on=date(2026, 2, 10))
    world.day(date(2026, 2, 1))
    await world.do(wishes.reduce(world.place(), 10))
    world.day(date(2026, 2, 15))  # four nights were missed
    await world.sweep()

    async def quantity(day: date, known: datetime | None = None) -> int:
        book = await reading.as_of(world.ledgers, world.scope, day=day, known_at=known)
        return book.subs[KEY].quantity if KEY in book.subs else 0

    assert await quantity(date(2025, 12, 31)) == 0
    assert await quantity(date(2026, 1, 31)) == 50
    assert await quantity(date(2026, 2, 10)) == 40
    assert await quantity(date(2026, 2, 11)) == 0, "the end took effect when it was due"
    known = datetime(2026, 2, 14, tzinfo=UTC)
    assert await quantity(date(2026, 2, 11), known) == 40, "but nobody had recorded it then"
    latest = await reading.as_of(world.ledgers, world.scope)
    assert latest.subs == (await world.book()).subs


async def test_as_of_shows_only_the_scopes_customers(world: World) -> None:
    await world.buy()
    await world.assign(5)
    await world.assign(5, customer="c2")
    narrow = Scope("p1", frozenset({"c2"}))
    book = await reading.as_of(world.ledgers, narrow)
    assert {sub.customer_id for sub in book.subs.values()} == {"c2"}
    with pytest.raises(NotFound):
        await reading.explain(world.ledgers, narrow, KEY, "quantity")
    with pytest.raises(NotFound):
        await reading.history(world.ledgers, narrow, "c1")
    with pytest.raises(NotFound):
        await service.perform(
            world.ledgers, narrow, Command("x"), wishes.increase(world.place(), 1)
        )
    with refused("FORBIDDEN"):
        await world.ledgers.load(narrow)


async def test_a_number_is_explained(world: World) -> None:
    await world.buy()
    await world.assign(50)
    await world.do(wishes.increase(world.place(), 10))
    world.day(date(2026, 2, 1))
    await world.do(wishes.reduce(world.place(), 20))
    reasons = await reading.explain(world.ledgers, world.scope, KEY, "quantity")
    assert [(reason.delta, reason.value) for reason in reasons] == [(50, 50), (10, 60), (-20, 40)]
    assert "LIC-18" in reasons[-1].rules
    assert reasons[-1].sentence == "2026-02-01: 20 returned to pool pool1 (LIC-17, LIC-18)"
    balance = await reading.explain(world.ledgers, world.scope, "pool~pool1", "quantity")
    assert [reason.value for reason in balance] == [100, 50, 40, 60]


async def test_an_expiry_is_explained(world: World) -> None:
    await world.buy(order="o1")
    await world.assign(5)
    await world.order("o1", "renew", end=date(2027, 12, 31))
    reasons = await reading.explain(world.ledgers, world.scope, KEY, "expiry")
    assert [reason.value for reason in reasons] == [None, "2026-12-31", "2027-12-31"]
    last = dates.expires_on(await world.sub(), await world.pool())
    assert str(last) == reasons[-1].value


async def test_a_preview_changes_nothing_and_says_why(world: World) -> None:
    await world.buy()
    await world.assign(50)
    rows = dict(world.table.rows)
    told = await world.preview(wishes.increase(world.place(), 10))
    assert told.allowed
    assert "LIC-18" in told.rules
    assert {"row": KEY, "field": "quantity", "before": 50, "after": 60} in told.changes
    said = await world.preview(wishes.reduce(world.place(), 10))
    assert isinstance(said.refusal, Refusal)
    assert said.refusal.extra == {"rule": "LIC-17", "firstAllowedOn": "2026-02-01"}
    assert world.table.rows == rows


async def test_a_command_is_done_once(world: World) -> None:
    await world.buy()
    first = await world.assign(5, command_id="same")
    second = await world.assign(5, command_id="same")
    assert second.replayed
    assert second.events == first.events
    with refused("COMMAND_REUSED"):
        await world.assign(6, command_id="same")
    assert (await world.pool()).assigned == 5


async def test_a_storm_of_races_ends_with_busy_and_nothing_written(world: World) -> None:
    await world.buy()
    tries = 0

    async def always(changes: object) -> None:
        nonlocal tries
        tries += 1
        raise LostRace("again")

    async def no_pause(seconds: float) -> None:
        assert 0 < seconds < 2

    world.ledgers._pause = no_pause
    batch, world.table.batch = world.table.batch, always  # type: ignore[method-assign,assignment]
    with pytest.raises(LicensingBusy):
        await world.assign(5)
    assert tries == ATTEMPTS
    world.table.batch = batch  # type: ignore[method-assign]
    assert (await world.pool()).assigned == 0


async def test_a_clock_that_jumps_back_does_not_turn_the_chain(world: World) -> None:
    await world.buy()
    world.day(date(2026, 5, 1))
    await world.assign(5)
    world.day(date(2026, 4, 1))
    await world.assign(5, customer="c2")
    with refused("LIC_MIN_TERM"):
        await world.do(wishes.reduce(world.place(), 1))
    times = [event.recorded for event in await world.ledgers.ledger(world.scope)]
    assert times == sorted(times)  # type: ignore[type-var]
    await world.adds_up()


async def test_a_sweep_reads_one_row_when_nothing_is_due(world: World) -> None:
    await world.buy()
    await world.assign(5)
    world.day(date(2026, 6, 1))
    reads = world.table.reads
    assert (await world.sweep()).skipped
    assert world.table.reads == reads + 1


async def test_a_sweep_of_many_fits_batches(world: World) -> None:
    await world.buy(quantity=1000)
    for number in range(150):
        await world.assign(1, customer=f"c{number}")
    world.day(date(2027, 1, 1))
    batches = world.table.batches
    done = await world.sweep()
    assert done.events == 151
    assert world.table.largest <= 100
    assert world.table.batches - batches <= 8
    assert (await world.pool()).assigned == 0
    await world.adds_up()


async def test_a_sweep_beside_changes(world: World) -> None:
    await world.buy(quantity=1000)
    await world.buy(pool="late", end=date(2027, 12, 31))
    for number in range(60):
        await world.assign(1, customer=f"c{number}", pool_id="pool1")
    world.day(date(2027, 1, 1))
    await asyncio.gather(
        world.sweep(), *(world.assign(1, customer=f"n{n}", pool_id="late") for n in range(20))
    )
    assert (await world.pool("pool1")).assigned == 0
    assert (await world.pool("late")).assigned == 20
    await world.adds_up()


@pytest.mark.parametrize(
    ("assigned", "free"),
    [
        (date(2028, 1, 29), date(2028, 2, 29)),
        (date(2028, 1, 30), date(2028, 3, 1)),
        (date(2027, 1, 29), date(2027, 3, 1)),
        (date(2027, 12, 31), date(2028, 1, 31)),
        (date(2027, 11, 30), date(2027, 12, 31)),
    ],
)
async def test_time_over_leap_days_months_and_years(
    world: World, assigned: date, free: date
) -> None:
    world.day(assigned)
    await world.buy(start=assigned, end=assigned + timedelta(days=500))
    await world.assign(5)
    assert dates.commitment_ends(await world.sub()) == free
    world.day(free - timedelta(days=1))
    world.clock.advance(timedelta(hours=23, minutes=59, seconds=59))
    with refused("LIC_MIN_TERM", first=free):
        await world.do(wishes.expire(world.place()))
    world.clock.advance(timedelta(seconds=1))
    await world.do(wishes.expire(world.place()))


async def test_time_the_first_at_midnight(world: World) -> None:
    await world.buy(model=PaymentModel.PAYG, end=date(2026, 2, 28))
    await world.assign(5)
    world.day(date(2026, 2, 28))
    world.clock.advance(timedelta(hours=23, minutes=59))
    assert not (await world.sweep()).events
    world.clock.advance(timedelta(minutes=1))
    await world.sweep()
    assert (await world.sub()).ended_on == date(2026, 2, 28)


async def test_cus_35_and_36_a_batch_has_a_result_for_each(world: World) -> None:
    with refused("BATCH_LIMIT", "CUS-35"):
        service.batch_plan([f"c{n}" for n in range(21)])
    await world.buy()
    for number in range(5):
        world.day(date(2026, 3 if number == 3 else 1, 1))
        await world.assign(10, customer=f"c{number}")
    world.day(date(2026, 3, 2))
    results = [
        await service.batch_edit_one(
            world.ledgers,
            world.scope,
            Command("tester", "batch"),
            customer,
            wishes.reduce(world.place(customer=customer), 5),
        )
        for customer in service.batch_plan([f"c{n}" for n in range(5)])
        for _ in range(2)  # the second run does nothing twice
    ][::2]
    assert [result.status for result in results].count("Succeeded") == 4
    assert (results[3].code, results[3].rule) == ("LIC_MIN_TERM", "LIC-17")
    assert len(service.batch_export(results)) == 6
    assert (await world.sub(customer="c0")).quantity == 5


async def test_a_cancellation_told_late_leaves_no_hole_in_the_past(world: World) -> None:
    """Seats came and went after the day on which, as we learn now, the order had ended."""
    await world.buy(order="o1")
    await world.assign(50)
    world.day(date(2026, 2, 10))
    await world.do(wishes.reduce(world.place(), 10))
    world.day(date(2026, 2, 20))
    await world.order("o1", "cancel", end=date(2026, 1, 15))
    await world.sweep()
    await world.adds_up()
    for day in (date(2026, 1, 31), date(2026, 2, 9), date(2026, 2, 10), date(2026, 2, 20)):
        book = await reading.as_of(world.ledgers, world.scope, day=day)
        assert book.pools["pool1"].assigned == book.subs[KEY].quantity
    assert book.subs[KEY].ended_on == date(2026, 1, 15)


async def test_an_add_on_switched_off_after_a_missed_night(world: World) -> None:
    """The change ends the subscription first, and with it the other add-on; both are told."""
    await world.buy()
    await world.assign(5, expires_on=date(2026, 2, 1))
    world.day(date(2026, 2, 2))
    await world.do(wishes.set_add_on(world.facts(), world.standing, "RSK", enabled=False))
    assert (await world.book()).guards["c1"].add_ons == {"RSK": "Disabled", "CMC": "Expired"}
    await world.adds_up()
