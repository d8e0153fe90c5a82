"""Scenario 7 by Hypothesis: 500 deliveries in any order, doubled, lost, killed, end the same.

Everything between door and ledger is real; the tables are in memory and the channel is a story.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.access.model import Scope
from shared.catalogue.model import Channel
from shared.catalogue.service import catalogue
from shared.kit.clock import FixedClock
from shared.kit.tables import Row, RowExists
from shared.licensing.model import PaymentOption
from shared.licensing.reading import whole_book
from shared.licensing.repository import TABLE as LICENSING
from shared.licensing.repository import Ledgers
from shared.marketplace import inbox, processing, reconciling
from shared.marketplace.model import (
    MICROSOFT,
    Asked,
    Buyer,
    ChannelAnswer,
    ChannelEvent,
    ChannelSubscription,
    Kind,
    Offer,
    Order,
    Sale,
    Status,
)
from shared.marketplace.repository import TABLE, Orders
from tests.unit.licensing.memory import MemoryTable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST, SECOND = date(2026, 3, 31), date(2026, 4, 30)
STORY = (
    ("Subscribe", 30, Status.ACTIVE, FIRST),
    ("ChangeQuantity", 45, Status.ACTIVE, FIRST),
    ("Suspend", 45, Status.SUSPENDED, FIRST),
    ("Reinstate", 45, Status.ACTIVE, FIRST),
    ("ChangeQuantity", 20, Status.ACTIVE, FIRST),
    ("ChangePlan", 20, Status.ACTIVE, FIRST),
    ("Renew", 20, Status.ACTIVE, SECOND),
)
CANCELLED = ("Unsubscribe", 20, Status.CANCELLED, SECOND)
KINDS = {"Unsubscribe": Kind.CANCELLED, "Renew": Kind.RENEWED, "Suspend": Kind.SUSPENDED}


class Rows(MemoryTable):
    """With what the marketplace's repository uses beside."""

    async def get(self, partition: str, key: str) -> Row:
        found = await self.find(partition, key)
        assert found is not None
        return found

    async def insert(self, row: Row) -> Row:
        if (row.partition, row.key) in self.rows:
            raise RowExists("taken")
        return await self.upsert(row)


class Story:
    """The adapter of one channel whose story goes on while deliveries arrive."""

    source = MICROSOFT

    def __init__(self, story: tuple[Any, ...]) -> None:
        self.story, self.at, self.answered = story, 0, 0

    async def note(self, event: ChannelEvent) -> None:
        """Nothing."""

    async def fetch(self, external_id: str) -> ChannelSubscription:
        _, quantity, status, end = self.story[self.at]
        return ChannelSubscription(
            source=MICROSOFT, external_id=external_id, offer_id="o", plan_id="p",
            buyer=Buyer(tenant_ids=("t",)), quantity=quantity, status=status,
            channel_status=str(status), start=NOW.date(), end=end,
            ended_on=NOW.date() if status is Status.CANCELLED else None,
        )  # fmt: skip

    async def asked(self, event: ChannelEvent) -> Asked | None:
        number = int(event.event_id.removeprefix("op-")) if event.needs_answer else -1
        if number != self.at:  # settled otherwise meanwhile
            return None
        action, quantity, _, _ = self.story[number]
        return Asked(event.event_id, event.external_id, action, None, quantity)

    async def answer(self, answer: ChannelAnswer) -> bool:
        self.answered += 1
        return True

    async def list_all(self) -> AsyncIterator[ChannelSubscription]:
        yield await self.fetch("x")


class Channels:
    """That one channel is all there is."""

    asked = (MICROSOFT,)

    def __init__(self, story: Story) -> None:
        self.story = story

    def adapter(self, source: str) -> Story:
        assert source == MICROSOFT
        return self.story

    async def sources(self) -> tuple[str, ...]:
        return self.asked


class World:
    """The collaborators that the process asks for."""

    def __init__(self, story: tuple[Any, ...]) -> None:
        self.clock = FixedClock(NOW)
        self.tables = {TABLE: Rows(), LICENSING: Rows()}
        self.orders = Orders(self.tables[TABLE], self.clock)  # type: ignore[arg-type]
        self.ledgers = Ledgers(self.tables[LICENSING], self.clock, catalogue())  # type: ignore[arg-type]
        self.story, self.partners = Story(story), self
        self.channels = Channels(self.story)
        self.lines = 0

    async def of_tenant(self, tenant: str) -> str:
        return f"partner-{tenant}"

    async def trail(self) -> "World":
        return self

    async def record_once(self, *_: Any) -> None:
        self.lines += 1

    async def deliver(self, number: int, *, dies: bool) -> None:
        """A webhook, and its process unless that dies before it begins."""
        action, quantity, status, _ = self.story.story[number]
        event = ChannelEvent(
            source=MICROSOFT, event_id=f"op-{number}", external_id="x", action=action,
            kind=KINDS.get(action, Kind.CHANGED), quantity=quantity, status=str(status),
            received_at=NOW, needs_answer=action in ("ChangeQuantity", "Reinstate"),
        )  # fmt: skip
        kept = await inbox.keep(self, event)  # type: ignore[arg-type]
        if kept.is_due and not dies:
            await self.process(event.event_id)

    async def process(self, event_id: str) -> None:
        await processing.answer_event(self, MICROSOFT, event_id)  # type: ignore[arg-type]
        await processing.settle_event(self, MICROSOFT, event_id)  # type: ignore[arg-type]

    async def walk(self) -> None:
        """The hourly reconciliation: also what lost its process."""
        self.clock.advance(timedelta(hours=1))
        found = await reconciling.walk(self)  # type: ignore[arg-type]
        assert found.failed == []
        for _, event_id in found.started:
            await self.process(event_id)

    async def end(self) -> tuple[Any, ...]:
        """What counts: the order and the pools."""
        order = await self.orders.of_channel(MICROSOFT, "x")
        assert isinstance(order, Order)
        book = await whole_book(self.ledgers, Scope("partner-t"))
        pools = [(pool.total, pool.end, pool.available) for pool in book.pools.values()]
        waiting = await self.orders.waiting(MICROSOFT)
        return order.state, order.quantity, order.end, order.code, pools, len(waiting)


async def run(story: tuple[Any, ...], deliveries: list[tuple[int, bool, int]]) -> tuple[Any, ...]:
    """Deliver; the story is always at least where the newest delivery says."""
    world = World(story)
    sale = Sale(
        item="CBM-M365", channel=Channel.MARKETPLACE, source="M",
        payment_option=PaymentOption.MONTHLY,
    )  # fmt: skip
    await world.orders.save_offer(Offer(source=MICROSOFT, offer_id="o", plan_id="p", sale=sale))
    for number, dies, ahead in deliveries:
        last = len(story) - 1
        world.story.at = max(world.story.at, min(number + ahead, last))
        await world.deliver(number, dies=dies)
    world.story.at = len(story) - 1
    await world.walk()
    await world.walk()
    return await world.end()


numbers = st.integers(0, len(STORY) - 1)
late = st.tuples(st.integers(0, len(STORY)), st.booleans(), st.integers(0, 3))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.large_base_example])
@given(
    st.permutations(range(len(STORY))),
    st.lists(st.tuples(numbers, st.booleans(), st.integers(0, 3)), min_size=493, max_size=493),
)
def test_scenario_07_500_deliveries_in_any_order_end_as_once_in_order(
    first: list[int], more: list[tuple[int, bool, int]]
) -> None:
    everything = [*more[::2], *[(number, False, 0) for number in first], *more[1::2]]
    assert len(everything) == 500
    straight = asyncio.run(run(STORY, [(number, False, 0) for number in range(len(STORY))]))
    shuffled = asyncio.run(run(STORY, everything))
    assert straight == shuffled
    assert straight[:4] == ("Active", 20, SECOND, "")
    assert straight[4:] == ([(20, SECOND, 20)], 0)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(STORY)), st.booleans(), st.integers(0, 3)), max_size=60)
)
def test_scenario_07_what_was_cancelled_stays_so_whatever_arrives(
    deliveries: list[tuple[int, bool, int]],
) -> None:
    story = (*STORY, CANCELLED)
    ended = asyncio.run(run(story, [*deliveries, (len(STORY), False, 0), *deliveries]))
    assert ended[0] == "Cancelled"
    assert all(end <= NOW.date() for _, end, _ in ended[4])
    assert ended[5] == 0
