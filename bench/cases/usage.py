"""Closing a month of 1,000 customers with five services: seconds, and requests per customer.

Measured evenings and seats lie in real tables of the storage emulator, which is helped to find one
row among 31,000 (`bench/lookups.cjs`); every request to the table service is counted where it
leaves the process.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.data.tables.aio import TableServiceClient

from bench.cases.licensing import SLOTS, Shop, Wire
from bench.figure import Figure
from local.azurite import Azurite
from shared.access.model import Scope
from shared.billing.model import Metric, Price, PriceBook, Profile
from shared.bootstrap import Deps, prepare
from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import PaymentModel
from shared.catalogue.service import catalogue
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.kit.clock import FixedClock
from shared.kit.config import Settings
from shared.kit.ids import ALPHABET, CUSTOMER_LENGTH
from shared.kit.tables import Row
from shared.licensing import rows as ledger_rows
from shared.licensing.ledger import Event, Move, sealed
from shared.licensing.model import Subscription
from shared.licensing.repository import TABLE
from shared.usage import keeping
from shared.usage.days import Day

if TYPE_CHECKING:
    from shared.usage.repository import UsageRows

CUSTOMERS = 1_000
MONTH, FIRST, CLOSED = "2026-03", date(2026, 3, 1), datetime(2026, 4, 1, 1, tzinfo=UTC)
PARTNER = "large"
FILLED = f"{31 * CUSTOMERS:,} measured evenings in batches of 100, {5 * CUSTOMERS:,} events"
LOOKUPS = Path(__file__).parents[1] / "lookups.cjs"


@dataclass
class Ground:
    """A partner whose month is over."""

    deps: Deps
    rows: "UsageRows"
    wire: Wire
    scope: Scope


def measure() -> list[Figure]:
    """Close, bill, look back."""
    with tempfile.TemporaryDirectory() as folder, _quick_lookups():
        azurite = Azurite(log=Path(folder) / "azurite.log")
        try:
            return asyncio.run(_measure(azurite.connection))
        finally:
            azurite.stop()


@contextmanager
def _quick_lookups() -> Iterator[None]:
    """Node processes that start here find rows by their key first."""
    before = os.environ.get("NODE_OPTIONS", "")
    os.environ["NODE_OPTIONS"] = f'{before} --require "{LOOKUPS}"'.strip()
    try:
        yield
    finally:
        os.environ["NODE_OPTIONS"] = before


async def _measure(connection: str) -> list[Figure]:
    wire = Wire()
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    deps = Deps(Settings(storage_connection=connection), clock=clock)
    service = TableServiceClient.from_connection_string(connection, transport=wire)
    deps.storage.__dict__["table_service"] = service  # the counted connection
    try:
        await prepare(deps)
        ground = Ground(deps, await deps.usage(), wire, Scope(PARTNER))
        began = time.perf_counter()
        await _fill(ground, clock)
        filled = Figure("fill the month before it closes", time.perf_counter() - began, "s", FILLED)
        clock.advance(CLOSED - clock.now())
        return [filled, *await _close(ground)]
    finally:
        await service.close()
        await deps.close()


async def _fill(ground: Ground, clock: FixedClock) -> None:
    """Customers, their seats, their evenings, prices."""
    deps, scope = ground.deps, ground.scope
    shop = Shop(deps.tables[TABLE], clock, ground.wire)
    for slot in SLOTS:
        await shop.buy(PARTNER, slot, 100 * CUSTOMERS, date(2026, 12, 31))
    every = list(_ids())
    await _seats(ground, every)
    made = [_customer(customer_id) for customer_id in every]
    rows = [Row(PARTNER, each.customer_id, each.model_dump(mode="json")) for each in made]
    for some in batched(rows, 100, strict=False):
        await deps.tables[customers.TABLE].batch([("insert", row) for row in some])
    # In the order of their keys: the emulator sorts every answer, and is quick where it is sorted.
    days = [FIRST + timedelta(days=offset) for offset in range(31)]
    evenings = [_day(customer_id, day) for customer_id in sorted(every) for day in days]
    await ground.rows.put_days(scope, evenings)
    prices = {slot: Price(unit_price=Decimal("2.5")) for slot in SLOTS}
    prices["Flex"] = Price(unit_price=Decimal(3), metric=Metric.PROTECTED_USERS)
    book = PriceBook(book_id="standard", currency="EUR", prices=prices)
    await deps.prices.add_version(scope, book, name="S", valid_from="2026-01", by="bench")
    profile = Profile(profile_id="default", name="D", book_id="standard")
    await deps.prices.put_profile(scope, profile)


async def _seats(ground: Ground, every: list[str]) -> None:
    """Twenty seats of each service for everybody: the events that so many changes leave behind."""
    table, scope = ground.deps.tables[TABLE], ground.scope
    head = await ground.deps.ledgers.head(scope)
    seq, previous, day = head.seq, head.hash, date(2026, 1, 1)
    events = []
    for customer_id in every:
        for slot in SLOTS:
            held = f"sub~{customer_id}~{slot}"
            move = Move(source=f"pool~{slot}", target=held, quantity=20, pool=slot, lot=day)
            event = Event(
                kind="Assigned", subject=held, effective=day, moves=(move,),
                sets={held: _seat(customer_id, slot, day)},
            )  # fmt: skip
            at = datetime(2026, 1, 1, tzinfo=UTC)
            events.append(sealed(event, seq=seq + 1, previous=previous, recorded=at))
            seq, previous = events[-1].seq, events[-1].hash
    for some in batched(events, 100, strict=False):
        await table.batch([("insert", ledger_rows.event_row(PARTNER, each)) for each in some])


async def _close(ground: Ground) -> list[Figure]:
    """The month's process and the night's, as the activities run them."""
    deps, scope, wire = ground.deps, ground.scope, ground.wire
    figures = []
    for name, work in (
        ("close a month, bill its customers", lambda: keeping.close_month(deps, scope, MONTH)),
        ("look back at it and its invoices", lambda: keeping.amend_partner(deps, scope)),
    ):
        wire.restart()
        began, spent = time.perf_counter(), time.process_time()
        told = await work()
        taken, spent = time.perf_counter() - began, time.process_time() - spent
        beside = f"{CUSTOMERS:,} customers x {len(SLOTS)} services, {wire.requests:,} requests"
        each = wire.requests / CUSTOMERS
        figures.append(Figure(name, taken, "s", f"{beside}; {told}", 60.0))
        figures.append(Figure(f"{name}: processor time", spent, "s", beside))
        figures.append(Figure(f"{name}: table requests per customer", each, "", beside, 1.0))
    return figures


def _ids() -> Iterable[str]:
    for number in range(CUSTOMERS):
        text = ""
        for _ in range(CUSTOMER_LENGTH):
            number, digit = divmod(number, len(ALPHABET))
            text = ALPHABET[digit] + text
        yield text


def _seat(customer_id: str, slot: str, day: date) -> dict[str, Any]:
    """What a new subscription is, as the ledger has it."""
    place = catalogue_rules.place(catalogue(), slot)
    sub = Subscription(
        customer_id=customer_id, slot=slot, service=place.service, part=place.part,
        item=place.item, pool_id=slot, source="Direct", payment_model=PaymentModel.PREPAID,
        assigned_on=day,
    )  # fmt: skip
    return sub.model_dump(mode="json", exclude={"lots"})


def _customer(customer_id: str) -> Customer:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Customer(
        partner_id=PARTNER, customer_id=customer_id, display_name=f"Customer {customer_id}",
        state=CustomerState.ACTIVE, created_at=at, updated_at=at, activation_at=at,
    )  # fmt: skip


def _day(customer_id: str, day: date) -> Day:
    return Day(
        customer_id=customer_id, customer_name=f"Customer {customer_id}", day=day,
        recorded=datetime(day.year, day.month, day.day, 23, 50, tzinfo=UTC),
        protected_users=20, licensed_accounts=20, stored_bytes=10**11, restores=0,
    )  # fmt: skip
