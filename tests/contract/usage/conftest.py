"""A partner with customers, pools, seats and protected objects, on real tables and blobs."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from local.azurite import Azurite
from shared.access.model import Scope
from shared.bootstrap import Deps, prepare
from shared.catalogue.model import Channel, PaymentModel, SubscriptionType
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState, Service
from shared.kit import ids
from shared.kit.clock import FixedClock
from shared.kit.config import Settings
from shared.licensing import service, wishes
from shared.licensing.model import CustomerFacts, PaymentOption, Standing
from shared.licensing.repository import Command
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Terms
from shared.licensing.rules.purchases import Purchase
from shared.protection import repository as protection
from shared.protection.model import Policy, ProtectedObject
from shared.usage import measuring
from shared.usage.repository import UsageRows

NOBODY = "http://127.0.0.1:9"
"""An address at which nothing answers: tenants that cannot be read."""
YEAR = date(2026, 1, 1)
SLOT = "CBM-M365"


class Ground:
    """Words of tests: add, protect, buy, assign, measure; `day` moves time."""

    def __init__(self, deps: Deps, clock: FixedClock, rows: UsageRows) -> None:
        self.deps, self.clock, self.rows = deps, clock, rows
        self.scope = Scope(ids.new_id())

    def day(self, today: date, at: time = time(0)) -> None:
        """Go to a day."""
        self.clock.advance(datetime.combine(today, at, UTC) - self.clock.now())

    async def customer(self, name: str = "Contoso", **changed: Any) -> Customer:
        """A connected customer."""
        now = self.clock.now()
        return await customers.add(
            self.deps.tables,
            self.scope,
            Customer(
                partner_id=self.scope.partner_id, customer_id=ids.new_id(), display_name=name,
                state=CustomerState.ACTIVE, created_at=now, updated_at=now, activation_at=now,
                services=[Service.EXCHANGE], external_id=f"crm-{name}", **changed,
            ),
        )  # fmt: skip

    async def protect(self, customer: Customer, users: int, *, since: int = 0) -> None:
        """A policy over all mailboxes, and so many licensed mailboxes."""
        tables, now = self.deps.tables, self.clock.now()
        whose = {"partner_id": self.scope.partner_id, "customer_id": customer.customer_id}
        if not await protection.list_policies(tables, self.scope, customer_id=customer.customer_id):
            policy = Policy(
                policy_id=ids.policy_id(customer.customer_id), **whose, name="All",
                services=["exchange"], created_at=now, next_run_at=now,
            )  # fmt: skip
            await protection.add_policy(tables, self.scope, policy)
        for number in range(since, users):
            name = f"user{number:03}"
            await protection.add_object(
                tables,
                self.scope,
                ProtectedObject(
                    object_id=ids.object_id(customer.customer_id, "mailbox", name), **whose,
                    workload="mailbox", source_id=name, owner_id=name, display_name=name,
                    address=f"{name}@contoso.example", discovered_at=now,
                ),
            )  # fmt: skip

    async def buy(self, pool: str, *, item: str = SLOT, payg: bool = True) -> None:
        """A pool of its own id: open pay-as-you-go, or 1000 prepaid seats."""
        order = Purchase(
            pool_id=pool, order_id=pool, item=item, quantity=None if payg else 1000,
            channel=Channel.DIRECT, source="Direct",
            payment_model=PaymentModel.PAYG if payg else PaymentModel.PREPAID,
            payment_option=PaymentOption.MONTHLY if payg else PaymentOption.ANNUAL_UPFRONT,
            contract_effective=YEAR, end=date(2026, 12, 31),
        )  # fmt: skip
        await self.do(wishes.purchase(order))

    async def assign(self, customer: Customer, quantity: int, slot: str = SLOT) -> None:
        """Seats from the pool of the slot's item."""
        terms = Terms(source="Direct", quantity=quantity)
        request = Assign(slot, SubscriptionType.SUBSCRIPTION, terms)
        await self.do(wishes.assign_seats(self.facts(customer), Standing(), request))

    def place(self, customer: Customer, slot: str = SLOT) -> wishes.Place:
        """Where a wish is about."""
        return wishes.Place(self.facts(customer), Standing(), slot)

    def facts(self, customer: Customer) -> CustomerFacts:
        """What licensing knows of the customer."""
        return CustomerFacts(customer.customer_id)

    async def do(self, wish: Any) -> None:
        """Have it done."""
        await service.perform(self.deps.ledgers, self.scope, Command("tester"), wish)

    async def measure(self, *days: date) -> None:
        """The evenings of some days."""
        for day in days:
            self.day(day, time(23, 50))
            await measuring.measure(self.deps, self.rows, self.scope, day)


@pytest.fixture
async def ground(
    azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ground]:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    settings = Settings(
        storage_connection=azurite.connection,  # type: ignore[arg-type]
        authority=NOBODY,
        graph=NOBODY,
        reader_client_id="reader",
        restorer_client_id="restorer",
        key_store=f"file:{tmp_path_factory.getbasetemp() / 'usage-keys'}",
    )
    deps = Deps(settings, clock=clock)
    await prepare(deps)
    yield Ground(deps, clock, await deps.usage())
    await deps.close()
