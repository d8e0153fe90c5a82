"""Truths in any order, doubled and dropped, end where the last one does (Hypothesis)."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.catalogue.model import Channel
from shared.catalogue.service import catalogue
from shared.licensing.book import Book
from shared.licensing.model import PaymentOption
from shared.licensing.refusals import Refusal
from shared.marketplace import mapping, processing
from shared.marketplace.model import (
    Buyer,
    ChannelSubscription,
    Order,
    OrderState,
    Sale,
    Status,
)

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TERMS = (date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 31))


@dataclass
class Books:
    """One partner's pools, and one order that follows what it is told."""

    book: Book
    order: Order

    @classmethod
    def empty(cls, option: PaymentOption) -> "Books":
        order = Order(
            order_id="o", source="s", external_id="x", partner_id="p",
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        made = cls(Book(catalogue(), DAY), order)
        made.sale = Sale(
            item="CBM-M365", channel=Channel.MARKETPLACE, source="M", payment_option=option
        )
        return made

    sale: Any = None

    def hear(self, truth: ChannelSubscription) -> None:
        """As the process does it."""
        plan = mapping.transitions(self.order, truth, self.sale, self.book)
        after = plan.order
        for step in plan.steps:
            try:
                self.book = step.wish.decide(self.book).after
            except Refusal as refused:
                assert step.verb == "quantity"
                after = processing._refused(after, self.order, refused)
        self.order = after

    def end(self) -> tuple[Any, ...]:
        """What counts."""
        pools = [
            (
                pool.total,
                pool.end,
                pool.available,
                sorted(o.suspended for o in pool.orders.values()),
            )
            for pool in self.book.pools.values()
        ]
        return self.order.state, self.order.quantity, self.order.end, pools


def truth(status: Status, quantity: int, term: int) -> ChannelSubscription:
    """What the channel says."""
    ended = DAY + timedelta(days=5) if status is Status.CANCELLED else None
    return ChannelSubscription(
        source="s", external_id="x", buyer=Buyer(), plan_id="p", quantity=quantity, status=status,
        start=DAY, end=TERMS[term], ended_on=ended,
    )  # fmt: skip


truths = st.builds(
    truth,
    st.sampled_from([Status.ACTIVE, Status.SUSPENDED]),
    st.integers(1, 40),
    st.just(0),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(truths, max_size=8), st.lists(st.integers(0, 500), max_size=20))
def test_repeats_anywhere_change_nothing(heard: list[ChannelSubscription], at: list[int]) -> None:
    once, often = Books.empty(PaymentOption.MONTHLY), Books.empty(PaymentOption.MONTHLY)
    for told in heard:
        once.hear(told)
    for number, told in enumerate(heard):
        for _ in range(1 + at.count(number)):
            often.hear(told)
    assert once.end() == often.end()
    assert once.book.pools == often.book.pools


@settings(max_examples=150, deadline=None)
@given(st.permutations(range(1, 9)), st.integers(1, 500))
def test_deliveries_in_any_order_end_as_in_order(order: list[int], copies: int) -> None:
    """A delivery is a hint: whatever arrives, the channel's truth of that moment is applied."""
    last = truth(Status.ACTIVE, 90, 2)
    story = [truth(Status.ACTIVE, 30 + number, number // 4) for number in range(8)]
    straight, shuffled = Books.empty(PaymentOption.MONTHLY), Books.empty(PaymentOption.MONTHLY)
    for told in (*story, last):
        straight.hear(told)
    now = 0
    for arrived in order:  # each arrives at some time, and finds what is true by then
        now = max(now, arrived)
        shuffled.hear(story[now - 1] if now < 8 else last)
    for _ in range(min(copies, 5)):
        shuffled.hear(last)
    assert straight.end() == shuffled.end()


@settings(max_examples=100, deadline=None)
@given(st.lists(truths, min_size=1, max_size=6))
def test_a_cancelled_order_stays_so(heard: list[ChannelSubscription]) -> None:
    books = Books.empty(PaymentOption.MONTHLY)
    for told in heard:
        books.hear(told)
    gone = truth(Status.CANCELLED, 5, 0)
    books.hear(gone)
    first = books.end()
    books.hear(gone)
    assert books.end() == first
    assert books.order.state is OrderState.CANCELLED
    assert gone.ended_on is not None
    assert all(pool.end <= gone.ended_on for pool in books.book.pools.values())


def test_a_refused_reduction_leaves_everything_else_in_force() -> None:
    books = Books.empty(PaymentOption.ANNUAL_UPFRONT)
    books.hear(truth(Status.ACTIVE, 30, 1))
    books.hear(truth(Status.SUSPENDED, 20, 2))
    (pool,) = books.book.pools.values()
    assert (pool.total, pool.end) == (20, TERMS[2])  # at a renewal the quantity may fall
    books.hear(truth(Status.ACTIVE, 10, 2))
    (pool,) = books.book.pools.values()
    assert (books.order.state, pool.total) == (OrderState.CHANGE_REFUSED, 20)
    assert not any(order.suspended for order in pool.orders.values())


def test_a_scheduled_reduction_is_taken_back() -> None:
    books = Books.empty(PaymentOption.MONTHLY)
    for quantity in (30, 20, 20, 30):
        books.hear(truth(Status.ACTIVE, quantity, 0))
    (pool,) = books.book.pools.values()
    (held,) = pool.orders.values()
    assert (held.quantity, held.reduce_to, books.order.state) == (30, None, OrderState.ACTIVE)


def test_a_late_renewal_begins_a_new_pool() -> None:
    books = Books.empty(PaymentOption.MONTHLY)
    books.hear(truth(Status.ACTIVE, 30, 0))
    books.book = replace(books.book, day=TERMS[0] + timedelta(days=3))
    renewed = truth(Status.ACTIVE, 30, 1).model_copy(update={"start": TERMS[0]})
    books.hear(renewed)
    books.hear(renewed)
    assert books.order.licence_order == "o.1"
    assert sorted(pool.total for pool in books.book.pools.values()) == [30, 30]
