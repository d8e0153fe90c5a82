"""A partner's books in memory, and short words for what tests do with them."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any, cast

import pytest

from shared.access.model import Scope
from shared.catalogue.model import Channel, PaymentModel, SubscriptionType
from shared.catalogue.service import catalogue
from shared.kit.clock import FixedClock
from shared.kit.ids import new_id
from shared.kit.tables import Table
from shared.licensing import reading, service, wishes
from shared.licensing.book import Book
from shared.licensing.model import (
    CustomerFacts,
    PaymentOption,
    Pool,
    Standing,
    Subscription,
    sub_key,
)
from shared.licensing.refusals import Refusal
from shared.licensing.repository import Command, Ledgers, Outcome
from shared.licensing.rules.assigning import Assign
from shared.licensing.rules.offers import Measured, Terms
from shared.licensing.rules.orders import OrderChange
from shared.licensing.rules.purchases import Purchase
from shared.licensing.wishes import Wish
from tests.unit.licensing.memory import MemoryTable

GOOD = Standing()


def at(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)


class World:
    """One partner, its clock and its books; `day` moves time."""

    def __init__(self, today: date = date(2026, 1, 1), partner: str = "p1") -> None:
        self.table = MemoryTable()
        self.clock = FixedClock(at(today))
        self.scope = Scope(partner)
        self.ledgers = Ledgers(cast(Table, self.table), self.clock, catalogue())
        self.standing = GOOD
        self.mode: Any = "Partner"
        self.orders = 0

    def other(self, partner: str) -> "World":
        """Another partner in the same table under the same clock."""
        world = World.__new__(World)
        world.__dict__ |= self.__dict__ | {"scope": Scope(partner)}
        return world

    def day(self, today: date) -> None:
        self.clock.advance(at(today) - self.clock.now())

    def facts(self, customer: str = "c1") -> CustomerFacts:
        return CustomerFacts(customer, management_mode=self.mode)

    def place(self, slot: str = "CBM-M365", customer: str = "c1", tenant: str = "") -> wishes.Place:
        return wishes.Place(self.facts(customer), self.standing, slot, tenant)

    async def do(self, wish: Wish, command_id: str | None = None) -> Outcome:
        command = Command("tester", command_id or new_id())
        return await service.perform(self.ledgers, self.scope, command, wish)

    async def preview(self, wish: Wish) -> service.Preview:
        return await service.preview(self.ledgers, self.scope, wish)

    async def buy(
        self,
        item: str = "CBM-M365",
        quantity: int | None = 100,
        *,
        pool: str | None = None,
        order: str | None = None,
        channel: Channel = Channel.DIRECT,
        source: str | None = None,
        model: PaymentModel = PaymentModel.PREPAID,
        option: PaymentOption | None = None,
        start: date = date(2026, 1, 1),
        end: date = date(2026, 12, 31),
        **more: Any,
    ) -> str:
        """A pool; its id."""
        self.orders += 1
        usual = (
            PaymentOption.MONTHLY if model is PaymentModel.PAYG else PaymentOption.ANNUAL_UPFRONT
        )
        bought = Purchase(
            pool_id=pool or f"pool{self.orders}",
            order_id=order or f"order{self.orders}",
            item=item,
            quantity=quantity,
            channel=channel,
            source=source or channel.value,
            payment_model=model,
            payment_option=option or usual,
            contract_effective=start,
            end=end,
            **more,
        )
        await self.do(wishes.purchase(bought))
        return bought.pool_id

    async def order(self, order: str, action: Any, **more: Any) -> Outcome:
        return await self.do(wishes.change_order(OrderChange(order, action, **more)))

    async def assign(
        self,
        quantity: int | None = 50,
        *,
        slot: str = "CBM-M365",
        customer: str = "c1",
        tenant: str = "",
        measured: Measured | None = None,
        command_id: str | None = None,
        **terms: Any,
    ) -> Outcome:
        """A subscription; from "Direct" unless the terms say otherwise."""
        if not terms.keys() & {"source", "pool_id"}:
            terms["source"] = "Direct"
        request = Assign(
            slot, SubscriptionType.SUBSCRIPTION, Terms(quantity=quantity, **terms), tenant
        )
        wish = wishes.assign_seats(
            self.facts(customer), self.standing, request, measured or Measured()
        )
        return await self.do(wish, command_id)

    async def trial(self, slot: str = "CBM-M365", customer: str = "c1", **terms: Any) -> Outcome:
        request = Assign(slot, SubscriptionType.TRIAL, Terms(**terms))
        return await self.do(wishes.assign_seats(self.facts(customer), self.standing, request))

    async def sweep(self) -> service.Swept:
        return await service.sweep(self.ledgers, self.scope)

    async def book(self) -> Book:
        return (await self.ledgers.load_all(self.scope)).book

    async def pool(self, pool_id: str = "pool1") -> Pool:
        return (await self.book()).pools[pool_id]

    async def sub(
        self, slot: str = "CBM-M365", customer: str = "c1", tenant: str = ""
    ) -> Subscription:
        return (await self.book()).subs[sub_key(customer, slot, tenant)]

    async def adds_up(self) -> None:
        """The books agree with the ledger, and the ledger with itself."""
        compared = await reading.rebuild_and_compare(self.ledgers, self.scope)
        assert compared.ok, compared
        check_sums(await self.book())


def check_sums(book: Book) -> None:
    """Invariants (a) to (g) of 24.1 that can be seen in one book."""
    for pool in book.pools.values():
        held = [sub for sub in book.subs.values() if sub.pool_id == pool.pool_id]
        assert pool.assigned == sum(sub.quantity for sub in held), "a"
        assert pool.assigned >= 0
        assert pool.passed_on >= 0
        assert pool.burnt >= 0
        if pool.parent_end:
            assert pool.end <= pool.parent_end, "e"
    for sub in book.subs.values():
        assert all(quantity > 0 for quantity in sub.lots.values()), "c"
        if sub.state not in {"Active", "Superseded"}:
            assert not sub.lots
    for customer in {sub.customer_id for sub in book.subs.values()}:
        holding = [sub for sub in book.of_customer(customer) if sub.lots]
        assert len({sub.payment_model for sub in holding}) <= 1, "g"
        for item in {sub.item for sub in holding}:
            assert len({sub.pool_id for sub in holding if sub.item == item}) == 1, "f"


@contextlib.contextmanager
def refused(code: str, rule: str = "", *, first: date | None = None) -> Iterator[Refusal]:
    """The block is refused with this code, by this rule, until this day."""
    holder = Refusal("", rule="")
    with pytest.raises(Refusal) as caught:
        yield holder
    refusal = caught.value
    assert (refusal.code, refusal.rule if rule else "") == (code, rule)
    if first is not None:
        assert refusal.first_allowed == first
    holder.__dict__ |= refusal.__dict__
    holder.seen = refusal  # type: ignore[attr-defined]
