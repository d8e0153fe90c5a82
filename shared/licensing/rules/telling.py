"""Who is told what and when, each thing once (24.3 ExpiryNotices, NTF-20).

What there is to look at is `attention`; here it gets the day on which it was to be told and a key
by which it is the same however often it is found. So a missed day is caught up, late.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from shared.licensing.book import LIVE, Book
from shared.licensing.model import pool_key
from shared.licensing.rules import attention, dates
from shared.licensing.rules.attention import THRESHOLDS

Kind = Literal[
    "expiring", "poolEnding", "shortfall", "poolLow", "overcommitted", "orderCancelled",
    "massChangeWaits", "managementSuspended", "meteringDiffers", "orderParked",
]  # fmt: skip
_NEAR = {"expiring", "poolEnding"}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to tell the partner, once."""

    key: str
    """What makes it the same however often it is found."""
    kind: Kind
    rule: str
    due_on: date
    """The day on which it was to be told; earlier than today when days were missed."""
    subject: str = ""
    """Row key of the subscription or pool it is about; empty for the whole partner."""
    customer_id: str = ""
    what: dict[str, Any] = field(default_factory=dict)


def found(book: Book) -> list[Told]:
    """Everything that is to be told by today, told already or not."""
    return [*_looked_at(book), *_cancelled(book)]


def next_day(book: Book) -> date | None:
    """The first day after today on which the same book has something new to tell."""
    ends = [dates.expires_on(s, book.pool_of(s)) for s in book.subs.values() if s.state in LIVE]
    ends += [pool.end for pool in book.pools.values() if pool.recorded_phase != "Ended"]
    days = {last - timedelta(days=n) for last in ends if last for n in THRESHOLDS}
    days |= {pool.start for pool in book.pools.values()}
    if any(each.kind == "poolLow" for each in attention.notices(book)):
        days.add((_month(book.day) + timedelta(days=31)).replace(day=1))
    return min((day for day in days if day > book.day), default=None)


def mass_change(day: date, would_move: int, limit: int) -> Told:
    """Automation was stopped and asks (beyond 8): once a day."""
    what = {"wouldMove": would_move, "limit": limit}
    return Told(f"massChange~{day.isoformat()}", "massChangeWaits", "beyond 8", day, what=what)


def suspended(day: date) -> Told:
    """Licence management rests until the usage reports are in (LIC-55): once a month."""
    return Told(f"suspended~{_month(day):%Y-%m}", "managementSuspended", "LIC-55", day)


def metering_differs(
    day: date,
    external_id: str,
    dimension: str,
    used: str,
    *,
    customer_id: str,
    what: dict[str, Any],
) -> Told:
    """A marketplace counts usage otherwise than it was sent (marketplace-auth 1.7).

    Once per subscription, dimension, time of use and count: another count is news.
    """
    key = f"metering~{external_id}~{dimension}~{used}~{what.get('counted')}"
    told = {"subscription": external_id, "dimension": dimension, "used": used, **what}
    rule = "marketplace-auth 1.7"
    return Told(key, "meteringDiffers", rule, day, customer_id=customer_id, what=told)


def order_parked(
    day: date, order_id: str, event: str, *, customer_id: str, what: dict[str, Any]
) -> Told:
    """An order waits for a person (24.2 Order): once per order, event and reason."""
    key = f"parked~{order_id}~{event}~{what.get('code')}"
    return Told(key, "orderParked", "24.2 Order", day, customer_id=customer_id, what=what)


def _looked_at(book: Book) -> Iterator[Told]:
    for notice in attention.notices(book):
        if notice.kind == "pendingDecrease":
            continue  # what only waits for its day is nothing to tell
        subject = notice.subscription or pool_key(notice.pool_id or "")
        what = {
            "quantity": notice.quantity,
            "on": notice.on.isoformat() if notice.on else None,
            "daysBefore": notice.threshold,
        }
        due: date | None = book.day
        if notice.kind in _NEAR:
            due = _reached(book, notice)
            tail = f"{notice.on}~{notice.threshold}"
        elif notice.kind == "shortfall":
            tail = f"{book.subs[subject].quantity + (notice.quantity or 0)}"
        elif notice.kind == "overcommitted":
            tail = f"{book.pools[notice.pool_id or ''].total}"
        else:
            tail = f"{_month(book.day):%Y-%m}"
        if due is not None:
            told = {name: value for name, value in what.items() if value is not None}
            customer = notice.customer_id or ""
            key = f"{subject}~{notice.kind}~{tail}"
            yield Told(key, notice.kind, notice.rule, due, subject, customer, told)


def _reached(book: Book, notice: attention.Notice) -> date | None:
    """The day of the threshold; None when it was shorter than that from its start: no news."""
    if notice.on is None or notice.threshold is None:
        return None
    due = notice.on - timedelta(days=notice.threshold)
    if notice.subscription:
        since = book.subs[notice.subscription].assigned_on
    else:
        since = book.pools[notice.pool_id or ""].start
    return due if since is None or due > since else None


def _cancelled(book: Book) -> Iterator[Told]:
    for pool in book.pools.values():
        for order_id, order in sorted(pool.orders.items()):
            if order.cancelled:
                key = pool_key(pool.pool_id)
                what = {"order": order_id, "on": order.end.isoformat(), "quantity": order.quantity}
                name = f"{key}~cancelled~{order_id}"
                yield Told(name, "orderCancelled", "LIC-47", book.day, key, what=what)


def _month(day: date) -> date:
    return day.replace(day=1)
