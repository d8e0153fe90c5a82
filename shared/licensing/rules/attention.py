"""What somebody should look at: ends that come near, seats that are missing, pools that run low.

Everything follows from the books of a day, so nothing is stored and nothing is announced twice or
forgotten. Whoever notifies remembers what it has sent.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from shared.licensing.book import LIVE, Book
from shared.licensing.model import Pool, PoolPhase, State, Subscription
from shared.licensing.rules import dates

POOL_LOW_SHARE = 0.05
"""A pool with less than this share left is low."""
THRESHOLDS = (30, 7, 1)
"""Days before an end at which a notice is due (24.3 ExpiryNotices)."""

Kind = Literal["expiring", "poolEnding", "shortfall", "pendingDecrease", "poolLow", "overcommitted"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to look at; what does not apply is empty."""

    kind: Kind
    rule: str
    pool_id: str | None = None
    customer_id: str | None = None
    subscription: str | None = None
    """Row key."""
    on: date | None = None
    """The last usable day, or the day on which a waiting decrease happens."""
    threshold: int | None = None
    """The smallest of 30, 7 and 1 days that has been reached."""
    quantity: int | None = None
    """Seats that end, are missing, are left over, or are left."""


def notices(book: Book, *, within: int = THRESHOLDS[0]) -> list[Notice]:
    """Everything to look at, ends within so many days included; pools first, each by its id."""
    found: list[Notice] = []
    for pool_id in sorted(book.pools):
        found += _of_pool(book.pools[pool_id], book.day, within)
    for key in sorted(book.subs):
        found += _of_subscription(book, book.subs[key], within)
    return found


def threshold(last: date, day: date) -> int | None:
    """The smallest of the thresholds that has been reached; None while the end is far."""
    left = (last - day).days
    return min((each for each in THRESHOLDS if left <= each), default=None)


def _of_pool(pool: Pool, day: date, within: int) -> list[Notice]:
    stands = dates.phase(pool, day)
    if stands is PoolPhase.ENDED:
        return []
    found = []
    if (pool.end - day).days <= within:
        reached = threshold(pool.end, day)
        found.append(
            Notice(
                "poolEnding",
                "LIC-11",
                pool.pool_id,
                on=pool.end,
                threshold=reached,
                quantity=pool.assigned,
            )
        )
    if stands is PoolPhase.OVERCOMMITTED:
        missing = -pool.available
        found.append(Notice("overcommitted", "AMB-08", pool.pool_id, quantity=missing))
    elif not pool.is_open and pool.total and pool.available < pool.total * POOL_LOW_SHARE:
        found.append(Notice("poolLow", "24.3", pool.pool_id, quantity=pool.available))
    return found


def _of_subscription(book: Book, sub: Subscription, within: int) -> list[Notice]:
    pool = book.pool_of(sub)
    if sub.state not in LIVE or dates.is_over(sub, pool, book.day):
        return []
    about: dict[str, Any] = {
        "pool_id": sub.pool_id,
        "customer_id": sub.customer_id,
        "subscription": sub.key,
    }
    found = []
    last = dates.expires_on(sub, pool)
    if last is not None and (last - book.day).days <= within:
        reached = threshold(last, book.day)
        found.append(
            Notice("expiring", "24.3", on=last, threshold=reached, quantity=sub.quantity, **about)
        )
    if sub.shortfall:
        found.append(Notice("shortfall", "LIC-45", quantity=sub.shortfall, **about))
    if sub.state is State.ACTIVE and sub.pending_decrease is not None and sub.lots:
        waits = dates.lock_ends(min(sub.lots))
        over = sub.quantity - sub.pending_decrease
        found.append(Notice("pendingDecrease", "LIC-44", on=waits, quantity=over, **about))
    return found
