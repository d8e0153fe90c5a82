"""Closing a month of 1,000 customers with five services: seconds, and requests per customer.

Measured evenings and seats lie in real tables of the storage emulator; every request to the table
service is counted where it leaves the process.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from azure.data.tables.aio import TableServiceClient

from bench.cases.licensing import SLOTS, Shop, Wire
from bench.figure import Figure
from local.azurite import Azurite
from shared.access.model import Scope
from shared.billing.model import Metric, Price, PriceBook, Profile
from shared.bootstrap import Deps, prepare
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.kit.clock import FixedClock
from shared.kit.config import Settings
from shared.kit.ids import ALPHABET, CUSTOMER_LENGTH
from shared.licensing.repository import TABLE
from shared.usage import amending, closing, reselling
from shared.usage.days import Day

if TYPE_CHECKING:
    from shared.usage.repository import UsageRows

CUSTOMERS = 1_000
MONTH, FIRST, CLOSED = "2026-03", date(2026, 3, 1), datetime(2026, 4, 1, 1, tzinfo=UTC)
PARTNER = "large"


@dataclass
class Ground:
    """A partner whose month is over."""

    deps: Deps
    rows: "UsageRows"
    wire: Wire
    scope: Scope


def measure() -> list[Figure]:
    """Close, bill, look back."""
    with tempfile.TemporaryDirectory() as folder:
        azurite = Azurite(log=Path(folder) / "azurite.log")
        try:
            return asyncio.run(_measure(azurite.connection))
        finally:
            azurite.stop()


async def _measure(connection: str) -> list[Figure]:
    wire = Wire()
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    deps = Deps(Settings(storage_connection=connection), clock=clock)
    service = TableServiceClient.from_connection_string(connection, transport=wire)
    deps.storage.__dict__["table_service"] = service  # the counted connection
    try:
        await prepare(deps)
        ground = Ground(deps, await deps.usage(), wire, Scope(PARTNER))
        await _fill(ground, clock)
        clock.advance(CLOSED - clock.now())
        return await _close(ground)
    finally:
        await service.close()
        await deps.close()


async def _fill(ground: Ground, clock: FixedClock) -> None:
    """Customers, their seats, their evenings, prices."""
    deps, scope = ground.deps, ground.scope
    shop = Shop(deps.tables[TABLE], clock, ground.wire)
    for slot in SLOTS:
        await shop.buy(PARTNER, slot, 100 * CUSTOMERS, date(2026, 12, 31))
    ledgers = shop.process()
    ids = iter(list(_ids()))

    async def some() -> None:
        for customer_id in ids:
            await customers.add(deps.tables, scope, _customer(customer_id))
            for slot in SLOTS:
                await shop.assign(ledgers, PARTNER, customer_id, slot, quantity=20)

    await asyncio.gather(*(some() for _ in range(16)))
    every = list(_ids())
    for offset in range(31):
        day = FIRST + timedelta(days=offset)
        await ground.rows.put_days(scope, [_day(customer_id, day) for customer_id in every])
    prices = {slot: Price(unit_price=Decimal("2.5")) for slot in SLOTS}
    prices["Flex"] = Price(unit_price=Decimal(3), metric=Metric.PROTECTED_USERS)
    book = PriceBook(book_id="standard", currency="EUR", prices=prices)
    await deps.prices.add_version(scope, book, name="S", valid_from="2026-01", by="bench")
    profile = Profile(profile_id="default", name="D", book_id="standard")
    await deps.prices.put_profile(scope, profile)


async def _close(ground: Ground) -> list[Figure]:
    deps, rows, scope, wire = ground.deps, ground.rows, ground.scope, ground.wire
    figures = []
    for name, work in (
        ("close a month", lambda: closing.close(deps, rows, scope, MONTH)),
        ("bill its customers", lambda: reselling.bill(deps, rows, scope, MONTH)),
        ("look back at it", lambda: amending.amend(deps, rows, scope, MONTH)),
    ):
        wire.restart()
        began = time.perf_counter()
        await work()
        taken = time.perf_counter() - began
        beside = f"{CUSTOMERS:,} customers x {len(SLOTS)} services, {wire.requests:,} requests"
        each = wire.requests / CUSTOMERS
        figures.append(Figure(name, taken, "s", beside, 60.0))
        figures.append(Figure(f"{name}: table requests per customer", each, "", beside, 1.0))
    return figures


def _ids() -> Iterable[str]:
    for number in range(CUSTOMERS):
        text = ""
        for _ in range(CUSTOMER_LENGTH):
            number, digit = divmod(number, len(ALPHABET))
            text = ALPHABET[digit] + text
        yield text


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
