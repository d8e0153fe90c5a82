"""State table "Order" of features.md 24.2: every state against every event, and the pool."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from shared.licensing.model import PaymentOption
from shared.marketplace import mapping
from shared.marketplace.model import OrderState, Status
from shared.marketplace.refusals import Parked
from tests.unit.marketplace.test_mapping import DAY, TERMS, Books, truth

S = OrderState
UP, DOWN, RENEWED, RENEWED_AT = "up", "down", "renewed", "renewed with a quantity"
SUSPENDED, REINSTATED, CANCELLED, OVER = "suspended", "reinstated", "cancelled", "term over"
EVENTS = (UP, DOWN, RENEWED, RENEWED_AT, SUSPENDED, REINSTATED, CANCELLED, OVER)
CUT = DAY + timedelta(days=5)
"""Day on which a cancellation takes effect."""


def books(state: OrderState, option: PaymentOption) -> Books:
    """An order of 30 seats in a state, and the truth it has heard last."""
    found = Books.empty(option)
    found.hear(truth(Status.ACTIVE, 30, 0))
    match state:
        case S.CHANGE_SCHEDULED | S.CHANGE_REFUSED:
            found.hear(truth(Status.ACTIVE, 20, 0))
        case S.SUSPENDED:
            found.hear(truth(Status.SUSPENDED, 30, 0))
        case S.CANCELLED:
            found.hear(truth(Status.CANCELLED, 30, 0))
        case S.ENDED:
            tell(found, OVER)
        case _:
            pass
    assert found.order.state is state
    return found


def tell(found: Books, event: str) -> None:
    """The channel's truth after an event."""
    now = Status.SUSPENDED if found.order.state is S.SUSPENDED else Status.ACTIVE
    if event == OVER:
        found.book = replace(found.book, day=TERMS[0] + timedelta(days=3))
    held = found.order.channel_quantity or 30
    found.hear(
        {
            UP: truth(now, 45, 0),
            DOWN: truth(now, 15, 0),
            RENEWED: truth(now, held, 1),
            RENEWED_AT: truth(now, 12, 1),
            SUSPENDED: truth(Status.SUSPENDED, held, 0),
            REINSTATED: truth(Status.ACTIVE, held, 0),
            CANCELLED: truth(Status.CANCELLED, held, 0),
            OVER: truth(now, held, 0),
        }[event]
    )


def pool(found: Books) -> tuple[int, date, bool]:
    """Total, last day and whether it is blocked."""
    (kept,) = found.book.pools.values()
    return kept.total, kept.end, any(order.suspended for order in kept.orders.values())


M, Y = PaymentOption.MONTHLY, PaymentOption.ANNUAL_UPFRONT
FIRST, SECOND = TERMS[0], TERMS[1]
# State, option, event -> next state, total, last day, blocked.
CELLS = {
    (S.ACTIVE, M, UP): (S.ACTIVE, 45, FIRST, False),
    (S.ACTIVE, M, DOWN): (S.CHANGE_SCHEDULED, 30, FIRST, False),
    (S.ACTIVE, Y, DOWN): (S.CHANGE_REFUSED, 30, FIRST, False),
    (S.ACTIVE, M, RENEWED): (S.ACTIVE, 30, SECOND, False),
    (S.ACTIVE, M, RENEWED_AT): (S.ACTIVE, 12, SECOND, False),
    (S.ACTIVE, M, SUSPENDED): (S.SUSPENDED, 30, FIRST, True),
    (S.ACTIVE, M, REINSTATED): (S.ACTIVE, 30, FIRST, False),
    (S.ACTIVE, M, CANCELLED): (S.CANCELLED, 30, CUT, False),
    (S.ACTIVE, M, OVER): (S.ENDED, 30, FIRST, False),
    (S.CHANGE_SCHEDULED, M, UP): (S.ACTIVE, 45, FIRST, False),
    (S.CHANGE_SCHEDULED, M, DOWN): (S.CHANGE_SCHEDULED, 30, FIRST, False),
    (S.CHANGE_SCHEDULED, M, RENEWED): (S.ACTIVE, 20, SECOND, False),
    (S.CHANGE_SCHEDULED, M, RENEWED_AT): (S.ACTIVE, 12, SECOND, False),
    (S.CHANGE_SCHEDULED, M, SUSPENDED): (S.SUSPENDED, 30, FIRST, True),
    (S.CHANGE_SCHEDULED, M, REINSTATED): (S.CHANGE_SCHEDULED, 30, FIRST, False),
    (S.CHANGE_SCHEDULED, M, CANCELLED): (S.CANCELLED, 30, CUT, False),
    (S.CHANGE_SCHEDULED, M, OVER): (S.ENDED, 30, FIRST, False),
    (S.CHANGE_REFUSED, Y, UP): (S.ACTIVE, 45, FIRST, False),
    (S.CHANGE_REFUSED, Y, DOWN): (S.CHANGE_REFUSED, 30, FIRST, False),
    (S.CHANGE_REFUSED, Y, RENEWED): (S.ACTIVE, 20, SECOND, False),
    (S.CHANGE_REFUSED, Y, RENEWED_AT): (S.ACTIVE, 12, SECOND, False),
    (S.CHANGE_REFUSED, Y, SUSPENDED): (S.SUSPENDED, 30, FIRST, True),
    (S.CHANGE_REFUSED, Y, REINSTATED): (S.CHANGE_REFUSED, 30, FIRST, False),
    (S.CHANGE_REFUSED, Y, CANCELLED): (S.CANCELLED, 30, CUT, False),
    (S.CHANGE_REFUSED, Y, OVER): (S.ENDED, 30, FIRST, False),
    (S.SUSPENDED, M, UP): (S.SUSPENDED, 45, FIRST, True),
    (S.SUSPENDED, M, DOWN): (S.SUSPENDED, 30, FIRST, True),
    (S.SUSPENDED, M, RENEWED): (S.SUSPENDED, 30, SECOND, True),
    (S.SUSPENDED, M, RENEWED_AT): (S.SUSPENDED, 12, SECOND, True),
    (S.SUSPENDED, M, SUSPENDED): (S.SUSPENDED, 30, FIRST, True),
    (S.SUSPENDED, M, REINSTATED): (S.ACTIVE, 30, FIRST, False),
    (S.SUSPENDED, M, CANCELLED): (S.CANCELLED, 30, CUT, True),
    (S.SUSPENDED, M, OVER): (S.ENDED, 30, FIRST, True),
}


@pytest.mark.parametrize(("state", "option", "event"), list(CELLS))
def test_order_table_every_cell(state: OrderState, option: PaymentOption, event: str) -> None:
    found = books(state, option)
    tell(found, event)
    assert (found.order.state, *pool(found)) == CELLS[state, option, event]
    once = found.end()
    tell(found, event)  # the same again changes nothing
    assert found.end() == once


def test_order_table_has_no_empty_cell() -> None:
    live = {S.ACTIVE, S.CHANGE_SCHEDULED, S.CHANGE_REFUSED, S.SUSPENDED}
    assert {(state, event) for state, _, event in CELLS} == {(s, e) for s in live for e in EVENTS}


@pytest.mark.parametrize("event", EVENTS)
def test_order_table_a_cancelled_order_hears_its_end_again_only(event: str) -> None:
    """Unsubscribed is terminal: what the marketplace says stays cancelled."""
    found = books(S.CANCELLED, M)
    found.hear(truth(Status.CANCELLED, 45 if event == UP else 30, 1 if event == RENEWED else 0))
    assert (found.order.state, *pool(found)) == (S.CANCELLED, 30, CUT, False)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.SUSPENDED])
def test_order_table_an_ended_order_begins_again_with_a_late_renewal(status: Status) -> None:
    found = books(S.ENDED, M)
    late = truth(status, 40, 1).model_copy(update={"start": TERMS[0]})
    found.hear(late)
    assert found.order.state is (S.SUSPENDED if status is Status.SUSPENDED else S.ACTIVE)
    assert [each.total for each in found.book.pools.values()] == [30, 40]


@pytest.mark.parametrize("status", [Status.PENDING, Status.CANCELLED])
def test_order_table_received_is_accepted_without_a_pool(status: Status) -> None:
    """Accepted waits for the activation; what was cancelled before it never begins."""
    found = Books.empty(M)
    plan = mapping.transitions(found.order, truth(status, 30, 0), found.sale, found.book)
    assert plan.steps == ()
    expected = S.CANCELLED if status is Status.CANCELLED else S.RECEIVED
    assert plan.order.state is expected


def test_order_table_activated_creates_or_merges_but_fly_never_merges() -> None:
    for item, pools in (("CBM-M365", 1), ("FLY-AVIATOR", 2)):
        first = Books.empty(Y)
        first.sale = first.sale.model_copy(update={"item": item})
        first.hear(truth(Status.ACTIVE, 30, 1))
        second = Books.empty(Y)
        second.sale, second.book = first.sale, first.book
        second.order = second.order.model_copy(update={"order_id": "o2", "external_id": "y"})
        second.hear(truth(Status.ACTIVE, 20, 1).model_copy(update={"external_id": "y"}))
        assert len(second.book.pools) == pools
        assert sum(each.total for each in second.book.pools.values()) == 50


def test_order_table_received_without_a_plan_or_a_term_is_parked() -> None:
    found = Books.empty(M)
    with pytest.raises(Parked) as refused:
        mapping.transitions(found.order, truth(Status.ACTIVE, 30, 0), None, found.book)
    assert refused.value.why == "PLAN_UNKNOWN"
    endless = truth(Status.ACTIVE, 30, 0).model_copy(update={"end": None})
    with pytest.raises(Parked) as refused:
        mapping.transitions(found.order, endless, found.sale, found.book)
    assert refused.value.why == "TERM_MISSING"
