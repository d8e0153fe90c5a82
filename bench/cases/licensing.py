"""Licences on the storage emulator: assignments per second, and nights of a large partner.

Every request to the table service is counted where it leaves the process, retries included.
"""

import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient

from bench.figure import Figure
from local.azurite import Azurite
from shared.access.model import Scope
from shared.catalogue.model import Channel, PaymentModel, SubscriptionType
from shared.catalogue.service import catalogue
from shared.customers import nightly
from shared.kit.clock import FixedClock
from shared.kit.tables import Table
from shared.licensing import mending, service, wishes
from shared.licensing.model import CustomerFacts, PaymentOption, Standing, sub_key
from shared.licensing.repository import TABLE, Command, Ledgers
from shared.licensing.rules.adjusting import Need
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Terms
from shared.licensing.rules.purchases import Purchase

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TODAY = date(2026, 1, 1)
SLOTS = ("CBM-M365", "CMG", "CGV", "POL", "INS-M365")
CUSTOMERS = 1_000
QUIET_PARTNERS = 20
ROUNDS = {(1, 1): 60, (8, 1): 240, (32, 1): 640, (32, 4): 320}
"""(callers, processes) -> assignments."""
_PARTITION = re.compile(r"PartitionKey(?: eq |=)'([^']*)'")


@dataclass
class Wire(AioHttpTransport):  # type: ignore[misc]
    """Counts what leaves."""

    requests: int = 0
    partitions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """The transport itself."""
        super().__init__()

    async def send(self, request: Any, **config: Any) -> Any:
        """Send one request."""
        self.requests += 1
        self.partitions.update(_PARTITION.findall(unquote(request.url.replace("+", " "))))
        return await super().send(request, **config)

    def restart(self) -> None:
        """Count from nothing."""
        self.requests, self.partitions = 0, Counter()


@dataclass
class Shop:
    """A table, a clock, and processes that work on them."""

    table: Table
    clock: FixedClock
    wire: Wire

    def process(self) -> Ledgers:
        """What one process has."""
        return Ledgers(self.table, self.clock, catalogue())

    async def buy(self, partner: str, item: str, quantity: int, end: date) -> None:
        """A pool named as its item."""
        order = Purchase(
            pool_id=item, order_id=item, item=item, quantity=quantity,
            channel=Channel.DIRECT, source="Direct", payment_model=PaymentModel.PREPAID,
            payment_option=PaymentOption.ANNUAL_UPFRONT, contract_effective=TODAY, end=end,
        )  # fmt: skip
        await service.perform(
            self.process(), Scope(partner), Command("bench"), wishes.purchase(order)
        )

    async def assign(
        self, ledgers: Ledgers, partner: str, customer: str, slot: str, **terms: Any
    ) -> int:
        """Seats for a customer; the tries it took."""
        request = Assign(
            slot, SubscriptionType.SUBSCRIPTION, Terms(**({"quantity": 1} | terms), pool_id=slot)
        )
        wish = wishes.assign_seats(CustomerFacts(customer), Standing(), request)
        return (await service.perform(ledgers, Scope(partner), Command("bench"), wish)).attempts


def measure() -> list[Figure]:
    """Assignments first, then the nights."""
    with tempfile.TemporaryDirectory() as folder:
        azurite = Azurite(log=Path(folder) / "azurite.log")
        try:
            return asyncio.run(_measure(azurite.connection))
        finally:
            azurite.stop()


async def _measure(connection: str) -> list[Figure]:
    wire = Wire()
    async with TableServiceClient.from_connection_string(connection, transport=wire) as tables:
        shop = Shop(Table(await tables.create_table(TABLE)), FixedClock(_midnight(TODAY)), wire)
        figures: list[Figure] = []
        for (callers, processes), count in ROUNDS.items():
            figures += await _assignments(shop, callers, processes, count)
        return figures + await _nights(shop)


async def _assignments(shop: Shop, callers: int, processes: int, count: int) -> list[Figure]:
    partner = f"rate{callers}x{processes}"
    await shop.buy(partner, SLOTS[0], 10 * count, date(2026, 12, 31))
    ledgers = [shop.process() for _ in range(processes)]
    numbers = iter(range(count))
    tries = 0
    shop.wire.restart()

    async def caller(which: int) -> None:
        nonlocal tries
        for number in numbers:
            taken = await shop.assign(ledgers[which % processes], partner, f"c{number}", SLOTS[0])
            tries += taken

    began = time.perf_counter()
    await asyncio.gather(*(caller(which) for which in range(callers)))
    taken = time.perf_counter() - began
    name = f"{callers} callers" + (f" in {processes} processes" if processes > 1 else "")
    beside = f"{tries / count - 1:.2f} retries, {shop.wire.requests / count:.2f} requests each"
    return [Figure(f"assignments of one pool, {name}", count / taken, "/s", beside)]


async def _nights(shop: Shop) -> list[Figure]:
    """A partner of many customers beside quiet ones: few are due, all are, all follow tenants."""
    chosen = TODAY + timedelta(days=60)
    few = CUSTOMERS // 20
    for slot in SLOTS:
        await shop.buy("large", slot, 100 * CUSTOMERS, date(2026, 12, 31))
    for number in range(QUIET_PARTNERS):
        await shop.buy(f"quiet{number}", SLOTS[0], 10, date(2027, 12, 31))
    ledgers = shop.process()
    customers = iter(range(CUSTOMERS))

    async def fill() -> None:
        for number in customers:
            for slot in SLOTS:
                ends = {"expires_on": chosen} if number < few and slot == SLOTS[0] else {}
                await shop.assign(ledgers, "large", f"c{number:04}", slot, quantity=20, **ends)

    await asyncio.gather(*(fill() for _ in range(32)))
    following = [
        Need(sub_key(f"c{number:04}", slot), 21) for number in range(CUSTOMERS) for slot in SLOTS
    ]
    adjusted = await _counted(
        shop, lambda: _adjusted(shop, following), "auto-adjust", len(following)
    )
    shop.clock.advance(timedelta(days=61))
    sparse = await _counted(shop, lambda: _swept(shop), "sweep, one of a hundred due", few)
    shop.clock.advance(_midnight(date(2027, 1, 1)) - shop.clock.now())
    rest = len(following) - few
    dense = await _counted(shop, lambda: _swept(shop), "sweep, all due", rest)
    idle = await _counted(shop, lambda: _swept(shop), "a sweep after it", 0)
    return [*adjusted, *sparse, *dense, *idle]


async def _adjusted(shop: Shop, needs: list[Need]) -> int:
    return (await service.adjust(shop.process(), Scope("large"), needs, approved=10**9)).events


async def _swept(shop: Shop) -> int:
    deps = SimpleNamespace(tables={TABLE: shop.table}, clock=shop.clock, ledgers=shop.process())
    return sum((await nightly.sweep_all(cast("Deps", deps))).values())


async def _counted(
    shop: Shop, work: Callable[[], Awaitable[int]], name: str, due: int
) -> list[Figure]:
    # What a month's first night does once, one read for each partner, is not a night's usual work.
    await mending.complete_agenda(shop.table, shop.clock.now().date())
    shop.wire.restart()
    began = time.perf_counter()
    events = await work()
    taken = time.perf_counter() - began
    assert events >= due, f"{name}: {events} events of {due}"
    wire = shop.wire
    partners = sum(name.startswith(("large", "quiet")) for name in wire.partitions)
    beside = f"{due:,} due, {wire.requests:,} requests, {taken:.1f} s"
    found = [Figure(f"{name}: partners read", partners, "", beside, min(due, 1) or None)]
    if due:
        each = wire.requests / due
        found += [Figure(f"{name}: requests each", each, "", beside, 2.0)]
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
