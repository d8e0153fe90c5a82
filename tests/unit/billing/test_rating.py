"""Rating, adjustments, explanations and what-if: one pure function and what follows from it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.billing.model import Counting, Invoice, Measurement, Metric, Price, PriceBook, Tier
from shared.billing.refusals import PriceMissing, SuppositionImpossible
from shared.billing.rules import explaining, supposing
from shared.billing.rules.adjusting import adjustments
from shared.billing.rules.rating import RatingInput, rate
from shared.licensing.ledger import Event, Move, sealed

CLOSED = datetime(2026, 4, 1, 2, tzinfo=UTC)
MARCH = date(2026, 3, 1)
POOLS = {"payg": "CBM-M365", "other": "CBM-M365", "fly": "FLY"}


def book(**price: object) -> PriceBook:
    prices = {"CBM-M365": Price(unit_price=Decimal("3.20"), **price), "FLY": Price()}  # type: ignore[arg-type]
    return PriceBook(book_id="standard", currency="EUR", prices=prices)


def seats(
    day: date,
    by: int,
    *,
    customer: str = "c1",
    pool: str = "payg",
    recorded: datetime | None = None,
    seq: int = 1,
) -> Event:
    sub, stock = f"sub~{customer}~{POOLS[pool]}", f"pool~{pool}"
    source, target = (stock, sub) if by > 0 else (sub, stock)
    event = Event(
        kind="Increased" if by > 0 else "Reduced",
        subject=sub,
        effective=day,
        rules=("LIC-18",),
        moves=(Move(source=source, target=target, quantity=abs(by), pool=pool, lot=day),),
    )
    at = recorded or datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    return sealed(event, seq=seq, previous="0" * 64, recorded=at)


def march(*events: Event, **changes: object) -> RatingInput:
    base = RatingInput("p1", MARCH, CLOSED, book(), events, POOLS)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_usg_16_peak_counts_after_a_reduction() -> None:
    invoice = rate(march(seats(date(2026, 1, 5), 40), seats(date(2026, 3, 15), -10, seq=2)))
    [line] = invoice.lines
    assert (line.counted, line.counted_on, line.amount) == (40, date(2026, 3, 1), Decimal("128.00"))
    assert [(run.first.day, run.last.day, run.quantity) for run in line.runs] == [
        (1, 14, 40),
        (15, 31, 30),
    ]


@pytest.mark.parametrize(
    ("counting", "counted"),
    [(Counting.PEAK, "40"), (Counting.LAST_DAY, "30"), (Counting.AVERAGE, "34.516129")],
)
def test_amb_23_the_counting_is_the_price_books(counting: Counting, counted: str) -> None:
    events = (seats(date(2026, 1, 5), 40), seats(date(2026, 3, 15), -10, seq=2))
    [line] = rate(march(*events, book=book(counting=counting))).lines
    assert line.counted == Decimal(counted)


def test_amb_50_a_last_day_at_the_months_end_is_not_billed_in_the_next() -> None:
    events = (seats(date(2026, 1, 5), 40), seats(date(2026, 4, 1), -40, seq=2))
    assert rate(march(*events)).lines[0].counted == 40
    april = march(*events, month=date(2026, 4, 1), known_at=datetime(2026, 5, 1, tzinfo=UTC))
    assert rate(april).lines == ()


def test_usg_07_tiers_minimum_and_included_units_add_up_exactly() -> None:
    tiers = (
        Tier(up_to=10, unit_price=Decimal(3)),
        Tier(up_to=20, unit_price=Decimal("2.5")),
        Tier(unit_price=Decimal("2.005")),
    )
    [line] = rate(march(seats(MARCH, 28), book=book(tiers=tiers, included=3))).lines
    assert [step.quantity for step in line.steps] == [10, 10, 5]
    assert line.amount == Decimal("65.02")  # 30 + 25 + 10.025, half to even
    [few] = rate(march(seats(MARCH, 2), book=book(minimum=5))).lines
    assert (few.counted, few.billed, few.amount) == (2, 5, Decimal("16.00"))


def test_usg_14_ten_users_and_twelve_on_one_day_are_twelve() -> None:
    days = [MARCH + timedelta(days=n) for n in range(31)]
    measured = [
        Measurement(
            day=day,
            customer_id="c1",
            item="CBM-M365",
            metric=Metric.PROTECTED_USERS,
            quantity=Decimal(12 if day.day == 9 else 10),
            recorded=datetime(2026, 3, day.day, 23, 50, tzinfo=UTC),
            evidence=f"objects/{day}",
        )
        for day in days
    ]
    [line] = rate(march(measurements=measured, book=book(metric=Metric.PROTECTED_USERS))).lines
    assert (line.counted, line.counted_on) == (12, date(2026, 3, 9))
    assert line.runs[1].evidence == "objects/2026-03-09"


def test_an_item_without_a_price_is_named_and_nothing_is_rated() -> None:
    empty = PriceBook(book_id="empty", currency="EUR", prices={})
    with pytest.raises(PriceMissing) as refused:
        rate(march(seats(MARCH, 1), book=empty))
    assert refused.value.extra["items"] == ["CBM-M365"]


def test_a_late_event_makes_an_adjustment_and_leaves_the_invoice_as_it_was() -> None:
    early = seats(date(2026, 3, 2), 10)
    late = seats(date(2026, 3, 20), 5, recorded=CLOSED + timedelta(days=3), seq=2)
    billed = rate(march(early))
    assert rate(march(early, late)).lines == billed.lines
    again = rate(march(early, late, known_at=CLOSED + timedelta(days=5)))
    [change] = adjustments(billed, again)
    assert (change.billed_quantity, change.right_quantity, change.amount) == (
        10,
        15,
        Decimal("16.00"),
    )
    assert change.events == (2,)
    assert adjustments(again, again) == ()


def test_a_line_explains_itself_to_its_amount() -> None:
    events = (seats(date(2026, 3, 2), 10), seats(date(2026, 3, 20), 5, seq=2))
    [line] = rate(march(*events)).lines
    told = explaining.explain(line, {event.seq: event for event in events}, "EUR")
    assert told.arithmetic == "15 × 3.2 = 48.00 EUR"
    assert "From 2026-03-02 to 2026-03-19: 10 assigned." in told.sentences
    assert "Counted is the highest daily value of the month (AMB-23): 15, first reached on " in (
        " ".join(told.sentences)
    )
    assert {"LIC-18", "LIC-31", "AMB-23"} <= set(told.rules)


def test_what_if_forty_users_move_to_another_source() -> None:
    changes = (
        supposing.MoveSeats(
            customer_id="c1", from_pool="payg", to_pool="fly", quantity=40, on=MARCH
        ),
    )
    asked = march(seats(date(2026, 1, 5), 50))
    answer = supposing.suppose(asked, changes)
    assert [(d.now and d.now.billed, d.then and d.then.billed) for d in answer.differences] == (
        [(None, Decimal(40)), (Decimal(50), Decimal(10))]
        if answer.differences[0].now is None
        else [(Decimal(50), Decimal(10)), (None, Decimal(40))]
    )
    assert answer.amount == Decimal("-128.00")
    assert rate(asked) == answer.now


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"customer_id": "c1", "pool": "nowhere", "by": 1, "on": MARCH}, "/changes/0/pool"),
        ({"customer_id": "c1", "pool": "payg", "by": -51, "on": MARCH}, "/changes/0/pool"),
        ({"customer_id": "c1", "pool": "payg", "by": 1, "on": date(2026, 4, 1)}, "/changes/0/on"),
    ],
)
def test_what_cannot_be_supposed_is_named(change: dict[str, object], pointer: str) -> None:
    with pytest.raises(SuppositionImpossible) as refused:
        supposing.suppose(
            march(seats(date(2026, 1, 5), 50)), [supposing.ChangeSeats.model_validate(change)]
        )
    assert refused.value.errors[0]["pointer"] == pointer


@st.composite
def ledgers(draw: st.DrawFn) -> list[Event]:
    """Events that never take more than a customer has, recorded in any order of days."""
    found: list[Event] = []
    held: dict[tuple[str, str], int] = {}
    day = date(2026, 2, 20)
    for seq in range(1, draw(st.integers(1, 25)) + 1):
        day += timedelta(days=draw(st.integers(0, 4)))
        key = (draw(st.sampled_from(["c1", "c2", "c3"])), draw(st.sampled_from(["payg", "other"])))
        by = draw(st.integers(-held.get(key, 0), 30)) or 1
        held[key] = held.get(key, 0) + by
        found.append(seats(day, by, customer=key[0], pool=key[1], seq=seq))
    return found


@given(ledgers(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_same_input_same_bytes_and_the_total_is_the_sum(
    events: list[Event], random: object
) -> None:
    known_at = datetime(2027, 1, 1, tzinfo=UTC)
    asked = march(*events, known_at=known_at)
    invoice = rate(asked)
    again = Invoice.model_validate_json(invoice.content)
    assert rate(asked).content == invoice.content == again.content
    assert invoice.total == sum((line.amount for line in invoice.lines), Decimal(0))
    for line in invoice.lines:
        assert line.counted == max(run.quantity for run in line.runs)


@given(ledgers(), st.integers(0, 25))
@settings(max_examples=150, deadline=None)
def test_billed_plus_adjustments_is_what_is_right(events: list[Event], cut: int) -> None:
    moment = datetime(2026, 4, 2, tzinfo=UTC)
    late = [
        event
        if event.seq <= cut
        else sealed(event, seq=event.seq, previous="0" * 64, recorded=moment)
        for event in events
    ]
    billed = rate(march(*late, known_at=moment - timedelta(hours=1)))
    right = rate(march(*late, known_at=moment))
    corrections = sum((each.amount for each in adjustments(billed, right)), Decimal(0))
    assert billed.total + corrections == right.total
