"""The trail on real tables: no fork, no gap, over months; listing, export, tampering."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables.aio import TableServiceClient

from shared.access.model import Scope
from shared.audit import chain, processes, repository
from shared.audit.chain import GENESIS, Kind
from shared.audit.model import Actor, Entry, Outcome, Target
from shared.audit.repository import AuditTables
from shared.audit.service import Filter, Trail
from shared.audit.signing import FileSigner
from shared.kit.blobs import MemoryBlobs
from shared.kit.clock import FixedClock
from shared.kit.ids import new_id

AT = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
P1 = Scope("p1")
type Make = Callable[[], Trail]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(AT)


@pytest.fixture
def tables(table_service: TableServiceClient) -> AuditTables:
    return AuditTables(table_service, f"t{new_id()}")


@pytest.fixture
def store() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def worker(
    tables: AuditTables, clock: FixedClock, store: MemoryBlobs, tmp_path: Path
) -> Callable[[FixedClock], Trail]:
    return lambda own=clock: Trail(tables, own, store, lambda: FileSigner(tmp_path))


def entry(number: int = 0, customer: str | None = None, **more: object) -> Entry:
    return Entry(
        actor=Actor(kind="user", subject=f"u{number % 3}"),
        action="role.delete" if number % 2 else "role.create",
        target=Target(kind="role", id=f"r{number}"),
        customer_id=customer,
        **more,  # type: ignore[arg-type]
    )


async def exported(trail: Trail) -> list[bytes]:
    return [line.removesuffix(b"\n") async for line in trail.export(P1)]


async def test_many_writers_of_several_workers_never_fork_the_chain(worker: Make) -> None:
    trails = [worker() for _ in range(3)]
    lines = await asyncio.gather(*(trails[at % 3].record("p1", entry(at)) for at in range(30)))
    assert sorted(line.seq for line in lines) == list(range(1, 31))
    assert chain.verify(await exported(trails[0]), anchor=(0, GENESIS)).ok
    assert (await trails[0].verify("p1")).ok


async def test_clocks_on_both_sides_of_midnight_share_one_chain(
    worker: Callable[[FixedClock], Trail],
) -> None:
    late, early = worker(FixedClock(AT)), worker(FixedClock(AT + timedelta(minutes=2)))
    lines = await asyncio.gather(
        *((late if at % 2 else early).record("p1", entry(at)) for at in range(16))
    )
    assert sorted(line.seq for line in lines) == list(range(1, 17))
    texts = await exported(late)
    assert chain.verify(texts, anchor=(0, GENESIS)).ok
    instants = [line.at for line in sorted(lines, key=lambda line: line.seq)]
    assert instants == sorted(instants)


@pytest.mark.parametrize("step", [1, 2, 3])
async def test_crash_while_a_month_is_opened(
    worker: Make, tables: AuditTables, clock: FixedClock, step: int
) -> None:
    """Dies after 1: pointing at the first month, 2: closing the old, 3: opening the new head."""
    if step == 1:
        await (await tables.heads()).insert(repository.Row("p1", "current", {"month": "202611"}))
    else:
        await worker().record("p1", entry())
        head = await repository.find_head(tables, "p1", "202611")
        assert head is not None
        head.next_month = "202612"
        table = await tables.month("202611")
        await table.replace(repository._head_row(head))
        if step == 3:
            await repository._opened(tables, head)
        clock.advance(timedelta(days=1))
    await worker().record("p1", entry(1))
    clock.advance(timedelta(days=70))
    await worker().record("p1", entry(2))
    report = await worker().verify("p1")
    assert (report.findings, report.lines) == ([], 2 if step == 1 else 3)


async def test_listing_pages_newest_first_over_months_and_filters(
    worker: Make, clock: FixedClock
) -> None:
    trail = worker()
    for number in range(10):
        await trail.record("p1", entry(number, customer="c1" if number % 3 == 0 else None))
        clock.advance(timedelta(days=8))
    await trail.record("p2", entry(99))
    seen: list[int] = []
    position = None
    while True:
        page = await trail.page(P1, Filter(), 3, position)
        assert len(page.lines) <= 3
        seen += [line.seq for line in page.lines]
        if (position := page.next) is None:
            break
    assert seen == list(range(10, 0, -1))

    async def numbers(wanted: Filter, scope: Scope = P1) -> list[int]:
        return [line.seq for line in (await trail.page(scope, wanted, 100)).lines]

    assert await numbers(Filter(action="role.delete")) == [10, 8, 6, 4, 2]
    assert await numbers(Filter(actor="u0", action="role.create")) == [7, 1]
    assert await numbers(Filter(customer="c1")) == [10, 7, 4, 1]
    assert await numbers(Filter(target_kind="role", target_id="r4")) == [5]
    assert await numbers(Filter(outcome=Outcome.REFUSED)) == []
    day = timedelta(days=8)
    assert await numbers(Filter(from_at=AT + 2 * day, to_at=AT + 5 * day)) == [5, 4, 3]
    assert await numbers(Filter(), Scope("p1", frozenset({"c1"}))) == [10, 7, 4, 1]
    assert await numbers(Filter(), Scope("p1", frozenset())) == []
    assert await numbers(Filter(), Scope("nobody")) == []
    assert await numbers(Filter(action="x' or '1' eq '1")) == []


async def test_touched_rows_are_named(worker: Make, tables: AuditTables) -> None:
    trail = worker()
    for number in range(8):
        await trail.record("p1", entry(number))
    table = await tables.month("202611")
    changed = await table.get("p1", "line~000000000000003")
    changed.values["line"] = changed.values["line"].replace("role.create", "role.delete")
    await table.replace(changed)
    hidden = await table.get("p1", "line~000000000000005")
    hidden.values["actor"] = "nobody"
    await table.replace(hidden)
    for gone in (6, 8):
        await table.delete("p1", f"line~{gone:015d}")
    report = await trail.verify("p1")
    assert {(found.kind, found.first, found.last) for found in report.findings} == {
        (Kind.EDITED, 3, 3),
        (Kind.EDITED, 5, 5),
        (Kind.REMOVED, 6, 6),
        (Kind.REMOVED, 8, 8),
    }


async def test_a_trail_rolled_back_whole_is_told_by_the_checkpoint(
    worker: Make, tables: AuditTables, clock: FixedClock, store: MemoryBlobs
) -> None:
    trail = worker()
    assert await trail.checkpoint("p1") is None
    await trail.record("p1", entry(0))
    table = await tables.month("202611")
    kept = await table.get("p1", "head")
    await trail.record("p1", entry(1))
    made = await trail.checkpoint("p1")
    assert made is not None
    assert made.seq == 2
    assert await trail.checkpoint("p1") == made  # the day has one
    await table.delete("p1", "line~000000000000002")
    await table.upsert(kept)
    report = await trail.verify("p1")
    assert [(found.kind, found.first) for found in report.findings] == [(Kind.REMOVED, 2)]


async def test_month_dropped_by_retention_is_no_finding_but_a_lost_one_is(
    worker: Make, tables: AuditTables, clock: FixedClock, table_service: TableServiceClient
) -> None:
    trail = worker()
    for number in range(6):
        await trail.record("p1", entry(number))
        clock.advance(timedelta(days=15))
    assert (await trail.verify("p1")).ok
    await trail.drop_month("202611")
    report = await trail.verify("p1")
    assert (report.findings, report.first) == ([], 2)
    assert len((await trail.page(P1, Filter(), 100)).lines) == 5
    lost = await tables.month("202612")
    for row in [row async for row in lost.query("p1")]:
        await lost.delete("p1", row.key)
    report = await worker().verify("p1")
    assert [found.kind for found in report.findings] == [Kind.REMOVED]


async def test_a_change_whose_doer_died_gets_its_line(
    worker: Make, tables: AuditTables, clock: FixedClock
) -> None:
    trail = worker()
    died = await trail.announce("p1", entry(0))
    clock.advance(timedelta(minutes=2))  # over the end of the month
    ended = await trail.announce("p1", entry(1))
    await trail.record("p1", entry(1), ended)
    assert await trail.partners() == ["p1"]
    assert await trail.record_interrupted("p1", timedelta(minutes=5)) == 0
    clock.advance(timedelta(minutes=10))
    assert await trail.record_interrupted("p1", timedelta(minutes=5)) == 1
    assert await trail.record_interrupted("p1", timedelta(minutes=5)) == 0
    newest, before = (await trail.page(P1, Filter(), 10)).lines
    assert (newest.target.id, newest.outcome, newest.code) == ("r0", Outcome.FAILED, "INTERRUPTED")
    assert before.target.id == "r1"
    assert await repository.announced(tables, "p1", died.month, clock.now()) == []
    assert (await trail.verify("p1")).ok


async def test_a_replayed_step_of_a_process_adds_no_second_line(
    worker: Make, clock: FixedClock
) -> None:
    async def say(step: str) -> bool:
        return (
            await processes.tell(
                worker(),
                "p1",
                process="onboard_customer",
                instance="onboarding:c1-n1",
                step=step,
                action="customers.activate",
                target=Target(kind="onboarding", id="c1-n1"),
                customer_id="c1",
            )
            is not None
        )

    assert sorted(await asyncio.gather(*(say("end") for _ in range(5)))) == [False] * 4 + [True]
    clock.advance(timedelta(minutes=2))  # a month later by name
    assert not await say("end")
    assert await say("other")
    report = await worker().verify("p1")
    assert (report.ok, report.lines) == (True, 2)
