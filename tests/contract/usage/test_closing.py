"""Months on real tables: measured, closed once, held up by what is unknown, amended, kept."""

import asyncio
import uuid
from datetime import date, time, timedelta
from decimal import Decimal

import pytest

from shared.customers import repository as customers
from shared.customers.model import CustomerState
from shared.kit.errors import NotFound
from shared.licensing import wishes
from shared.licensing.ledger import Event, Move
from shared.licensing.repository import Command
from shared.protection import leaving
from shared.protection.model import Point
from shared.usage import amending, closing, measuring, rules, service, snapshots
from shared.usage.model import Agreement, Commitment, ReportState
from shared.usage.refusals import MonthRunning, UsageUnknown
from tests.contract.usage.conftest import Ground
from tests.ledgers import plant

MARCH, APRIL, MAY = "2026-03", "2026-04", "2026-05"
APRIL1, MAY1 = date(2026, 4, 1), date(2026, 5, 1)


async def closed(ground: Ground, month: str = MARCH) -> closing.Closed:
    ground.day(rules.first_of(rules.month_after(month)), time(1))
    return await closing.close(ground.deps, ground.rows, ground.scope, month)


async def test_usg_01_a_month_closes_once_however_often_and_from_wherever(ground: Ground) -> None:
    customer = await ground.customer()
    await ground.protect(customer, 14)
    with pytest.raises(MonthRunning):
        await closing.close(ground.deps, ground.rows, ground.scope, MARCH)
    ground.day(APRIL1, time(1))
    made = await asyncio.gather(
        *(closing.close(ground.deps, ground.rows, ground.scope, MARCH) for _ in range(5))
    )
    assert sum(each.is_new for each in made) == 1
    assert {each.invoice.digest for each in made} == {made[0].invoice.digest}
    [report] = await ground.rows.reports(ground.scope)
    assert (report.month, report.state) == (MARCH, ReportState.PENDING_REVIEW)
    [line] = made[0].report.saas
    assert (line.units, line.points, line.crm_id) == (14, Decimal("35.0"), "crm-Contoso")
    # What was measured afterwards says so, and each user that counts has its reason.
    days = await ground.rows.days(ground.scope, rules.first_of(MARCH))
    assert len(days) == 31
    assert all(day.is_late for day in days)
    told = await service.explain(ground.deps, ground.rows, ground.scope, MARCH, line.line_id)
    assert [each["name"] for each in told.objects][:2] == ["user000", "user001"]
    assert "kept in the enabled policy All" in told.objects[0]["reason"]
    assert told.explanation.arithmetic == "14 × 2.5 = 35.0 points"


async def test_usg_14_the_peak_of_the_measured_days_counts(ground: Ground) -> None:
    ground.day(date(2026, 3, 1))
    customer = await ground.customer()
    await ground.protect(customer, 10)
    await ground.measure(date(2026, 3, 1), date(2026, 3, 2))
    await ground.protect(customer, 12, since=10)
    await ground.measure(date(2026, 3, 3))
    objects = ground.deps.tables["Objects"]
    async for row in objects.query(customer.customer_id):
        if row.values["owner_id"] in {"user010", "user011"}:
            await objects.delete(row.partition, row.key)
    await ground.measure(*(date(2026, 3, day) for day in range(4, 32)))
    done = await closed(ground)
    [line] = done.report.saas
    assert line.units == 12
    [rated] = [each for each in done.invoice.lines if each.item == "Flex"]
    assert rated.counted_on == date(2026, 3, 3)


async def test_usg_12_who_left_during_the_month_is_billed_for_it(ground: Ground) -> None:
    ground.day(date(2026, 3, 1))
    customer = await ground.customer("Fabrikam")
    await ground.protect(customer, 14)
    await ground.measure(*(date(2026, 3, day) for day in range(1, 10)))
    left = customer.model_copy(update={"state": CustomerState.DISCONNECTED})
    await customers.save(ground.deps.tables, ground.scope, left)
    await ground.deps.tables["Customers"].delete(ground.scope.partner_id, customer.customer_id)
    done = await closed(ground)
    [line] = done.report.saas
    assert (line.units, line.points, line.is_deleted) == (14, Decimal("35.0"), True)
    assert line.customer_name == "Fabrikam"


async def test_usg_12_cus_59_who_left_before_any_evening_was_measured_is_billed(
    ground: Ground,
) -> None:
    """The clock of evenings stood still until after the customer had left."""
    ground.day(date(2026, 3, 1))
    customer = await ground.customer("Fabrikam")
    await ground.protect(customer, 14)
    ground.day(date(2026, 3, 5), time(9))
    objects = ground.deps.tables["Objects"]
    point = {"n": 1, "status": "complete", "ended_at": ground.clock.now(), "items": 1, "root": "",
             "record": ""}  # fmt: skip
    async for row in objects.query(customer.customer_id):
        row.values["last_point"] = Point.model_validate(point).model_dump(mode="json")
        await objects.replace(row)
    ground.day(date(2026, 3, 10), time(12))
    gone, _ = await leaving.disconnect(
        ground.deps, ground.scope, Command("ann"), customer.customer_id
    )
    assert gone.left_at == ground.clock.now()
    ground.day(date(2026, 3, 20))
    await customers.save(
        ground.deps.tables, ground.scope, gone.model_copy(update={"updated_at": ground.clock.now()})
    )
    done = await closed(ground)
    [line] = done.report.saas
    assert (line.units, line.points, line.is_deleted) == (14, Decimal("35.0"), True)
    days = await ground.rows.days(ground.scope, date(2026, 3, 1))
    assert [day.day.day for day in days] == list(range(1, 11))
    assert (await closed(ground, APRIL)).report.saas == ()


async def test_a_month_waits_for_what_is_unknown_and_names_it(ground: Ground) -> None:
    ground.day(date(2026, 3, 30))
    good = await ground.customer("Good")
    await ground.protect(good, 3)
    dark = await ground.customer("Dark", tenant_id=str(uuid.uuid4()))
    with pytest.raises(UsageUnknown) as refused:
        await closed(ground)
    assert list(refused.value.extra["customers"]) == [dark.customer_id]
    [(month, noted)] = await ground.rows.months(ground.scope)
    unknown = await ground.rows.unknown(noted)
    assert (month, list(unknown)) == (MARCH, [dark.customer_id])
    assert unknown[dark.customer_id]["licensedAccounts"].startswith(
        "2 days from 2026-03-30 to 2026-03-31: USAGE_UNREAD"
    )
    with pytest.raises(service.MonthOpen):
        await service.invoice(ground.rows, ground.scope, MARCH)
    taken = await service.accept_unknown(ground.rows, ground.scope, MARCH, dark.customer_id, "ann")
    assert taken == 2
    with pytest.raises(NotFound):
        await service.accept_unknown(ground.rows, ground.scope, MARCH, dark.customer_id, "ann")
    assert (await closed(ground)).is_new
    days = await ground.rows.days(ground.scope, rules.first_of(MARCH), dark.customer_id)
    assert {day.accepted_by for day in days} == {"ann, without older values"}


async def test_accepted_values_are_the_newest_known_ones_of_the_month_before(
    ground: Ground,
) -> None:
    ground.day(date(2026, 2, 28))
    customer = await ground.customer("Dark")
    await ground.protect(customer, 4)
    await ground.measure(date(2026, 2, 28))
    [known] = await ground.rows.days(ground.scope, date(2026, 2, 1))
    await ground.rows.put_days(
        ground.scope, [known.model_copy(update={"licensed_accounts": 7, "stored_bytes": 10})]
    )
    ground.day(date(2026, 3, 31), time(23, 50))
    held = await customers.get(ground.deps.tables, ground.scope, customer.customer_id)
    lost = held.model_copy(update={"tenant_id": str(uuid.uuid4())})
    await customers.save(ground.deps.tables, ground.scope, lost)
    with pytest.raises(UsageUnknown):
        await closed(ground)
    await service.accept_unknown(ground.rows, ground.scope, MARCH, customer.customer_id, "ann")
    days = await ground.rows.days(ground.scope, rules.first_of(MARCH), customer.customer_id)
    assert {(day.licensed_accounts, day.stored_bytes) for day in days} == {(7, 0)}
    assert days[0].accepted_by == "ann, values of 2026-02-28"


async def test_usg_16_lic_31_payg_is_billed_by_its_peak_per_pool(ground: Ground) -> None:
    await ground.buy("payg")
    customer = await ground.customer()
    ground.day(date(2026, 2, 1))
    await ground.assign(customer, 40)
    ground.day(date(2026, 3, 15))
    await ground.do(wishes.reduce(ground.place(customer), 10))
    done = await closed(ground)
    [line] = [each for each in done.invoice.lines if each.item == "CBM-M365"]
    assert (line.billed, line.pool_id, line.customer_id) == (40, "payg", customer.customer_id)
    [reported] = done.report.lines
    assert (reported.auto, reported.current, reported.previous) == (40, 40, None)
    assert [run.quantity for run in line.runs] == [40, 30]


async def test_lic_32_a_payg_term_is_billed_in_both_months_it_touches(ground: Ground) -> None:
    await ground.buy("payg")
    customer = await ground.customer()
    ground.day(date(2026, 1, 20))
    await ground.assign(customer, 7)
    ground.day(date(2026, 2, 20))
    await ground.do(wishes.expire(ground.place(customer)))
    billed = []
    for month in ("2026-01", "2026-02", "2026-03"):
        lines = (await closed(ground, month)).invoice.lines
        billed.append([line.billed for line in lines if line.pool_id == "payg"])
    assert billed == [[7], [7], []]


async def test_usg_17_18_the_month_before_and_the_commitment_of_the_month(ground: Ground) -> None:
    ground.day(date(2026, 3, 1))
    agreement = Agreement(
        number="RA-1",
        aggregator="Distri",
        commitments=(
            Commitment(points=Decimal(100), since="2026-01"),
            Commitment(points=Decimal(300), since="2026-05"),
        ),
        valid_from=date(2026, 1, 1),
    )
    await ground.rows.put_agreement(ground.scope, agreement)
    await ground.protect(await ground.customer(), 20)
    first = (await closed(ground, MARCH)).report
    second = (await closed(ground, APRIL)).report
    third = (await closed(ground, MAY)).report
    assert [report.minimum_commit for report in (first, second, third)] == [100, 100, 300]
    assert [report.saas[0].previous for report in (first, second, third)] == [None, 20, 20]
    assert rules.totals(second).enforcement == Decimal(50)


async def late(ground: Ground, customer_id: str, by: int, day: date) -> None:
    """An event of the ledger that was recorded long after it took effect."""
    held, stock = f"sub~{customer_id}~CBM-M365", "pool~payg"
    ends = (stock, held) if by > 0 else (held, stock)
    event = Event(
        kind="Increased", subject=held, effective=day,
        moves=(Move(source=ends[0], target=ends[1], quantity=abs(by), pool="payg", lot=day),),
    )  # fmt: skip
    await plant(ground.deps, ground.scope, event)


async def test_late_data_becomes_corrections_of_the_next_month_and_edits_nothing(
    ground: Ground,
) -> None:
    await ground.buy("payg")
    customer = await ground.customer()
    ground.day(date(2026, 2, 1))
    await ground.assign(customer, 40)
    done = await closed(ground)
    before = (await ground.rows.report(ground.scope, MARCH), done.invoice.content)
    assert not await amending.amend(ground.deps, ground.rows, ground.scope, MARCH)
    ground.day(date(2026, 4, 2))
    await late(ground, customer.customer_id, 5, date(2026, 3, 10))
    ground.day(date(2026, 4, 3))
    [found] = await amending.amend(ground.deps, ground.rows, ground.scope, MARCH)
    assert (found.billed_quantity, found.right_quantity) == (40, 45)
    assert not await amending.amend(ground.deps, ground.rows, ground.scope, MARCH)
    # It is taken back again: the second adjustment starts from the first, not from the bill.
    ground.day(date(2026, 4, 4))
    await late(ground, customer.customer_id, -5, date(2026, 3, 10))
    ground.day(date(2026, 4, 5))
    [back] = await amending.amend(ground.deps, ground.rows, ground.scope, MARCH)
    assert (back.billed_quantity, back.right_quantity) == (45, 40)
    assert set(back.events).isdisjoint(found.events)
    assert await ground.rows.report(ground.scope, MARCH) == before[0]
    april = await closed(ground, APRIL)
    assert [each.units for each in april.report.corrections] == [5, -5]
    told = await service.adjustments(ground.rows, ground.scope, MARCH)
    assert [billed_in for _, billed_in in told] == [APRIL, APRIL]
    may = await closed(ground, MAY)
    assert may.report.corrections == ()
    invoice = await service.invoice(ground.rows, ground.scope, MARCH)
    assert invoice.content == before[1]


async def test_rpt_05_usg_15_the_picture_of_the_first_stays_and_today_moves(
    ground: Ground,
) -> None:
    await ground.buy("pre", payg=False)
    customer = await ground.customer()
    ground.day(date(2026, 2, 10))
    await ground.assign(customer, 40)
    with pytest.raises(MonthRunning):
        await snapshots.take(ground.deps, ground.rows, ground.scope, "2026-02")
    ground.day(date(2026, 3, 1), time(0, 5))
    digest = await snapshots.take(ground.deps, ground.rows, ground.scope, "2026-02")
    ground.day(date(2026, 3, 2))
    await ground.do(wishes.increase(ground.place(customer), 10))
    assert await snapshots.take(ground.deps, ground.rows, ground.scope, "2026-02") == digest
    kept = await snapshots.kept(ground.rows, ground.scope, date(2026, 3, 1))
    assert (kept.usage_month, kept.snapshot_date) == ("2026-02", date(2026, 3, 1))
    [held] = kept.held
    assert (held.assigned, held.source, held.expires_on) == (40, "Direct", date(2026, 12, 31))
    [now] = (await snapshots.live(ground.deps, ground.scope)).held
    assert now.assigned == 50
    with pytest.raises(NotFound):
        await snapshots.kept(ground.rows, ground.scope, date(2026, 3, 2))


async def test_usg_10_20_two_months_overdue_suspend_and_handing_in_releases(
    ground: Ground,
) -> None:
    ground.day(date(2026, 3, 1))
    await ground.protect(await ground.customer(), 2)
    for month in (MARCH, APRIL):
        await closed(ground, month)

    async def looked(day: date) -> tuple[bool, list[bool]]:
        ground.day(day, time(6))
        suspended = await service.keep_deadlines(ground.deps, ground.rows, ground.scope)
        return suspended, [each.is_late for each in await ground.rows.reports(ground.scope)]

    assert await looked(date(2026, 4, 30)) == (False, [False, False])
    assert await looked(MAY1) == (False, [True, False])
    assert await looked(date(2026, 6, 1)) == (True, [True, True])
    for month in (MARCH, APRIL):
        _, tag = await service.read(ground.rows, ground.scope, month)
        _, tag = await service.change(
            ground.rows, ground.scope, month, tag, lambda each: rules.saved(each, "ann")
        )
        await service.confirm(ground.deps, ground.rows, ground.scope, month, tag, "ann")
    assert not await ground.rows.was_suspended(ground.scope)


async def test_a_measurement_may_run_twice_and_belongs_to_its_evening(ground: Ground) -> None:
    ground.day(date(2026, 3, 1))
    await ground.protect(await ground.customer(), 5)
    await ground.measure(date(2026, 3, 1))
    ground.clock.advance(timedelta(minutes=20))
    day = measuring.day_of(ground.clock.now())
    [again] = await measuring.measure(ground.deps, ground.rows, ground.scope, day)
    assert (again.day, again.is_late) == (date(2026, 3, 1), True)
    assert len(await ground.rows.days(ground.scope, day)) == 1
