"""Days that decide: commitments, locks, expiries, phases. Nothing here is stored."""

from datetime import date, timedelta

from shared.catalogue.model import SubscriptionType
from shared.licensing.model import (
    MIN_COMMITMENT_DAYS,
    Order,
    Pool,
    PoolPhase,
    State,
    Subscription,
)

ONE_DAY = timedelta(days=1)
COMMITMENT = timedelta(days=MIN_COMMITMENT_DAYS)


def lock_ends(lot: date) -> date:
    """First day on which a lot may leave (LIC-07: assigned 2 January, free on 2 February)."""
    return lot + COMMITMENT


def commitment_ends(sub: Subscription) -> date | None:
    """First day after the minimum term of the first assignment; never moved (LIC-13)."""
    return lock_ends(sub.assigned_on) if sub.assigned_on else None


def is_committed(sub: Subscription, day: date) -> bool:
    """Whether the minimum term is still running (LIC-07)."""
    ends = commitment_ends(sub)
    return sub.type is SubscriptionType.SUBSCRIPTION and ends is not None and day < ends


def expires_on(sub: Subscription, pool: Pool | None) -> date | None:
    """Last usable day: the chosen one, never past the pool's (LIC-10, LIC-11, AMB-50).

    Following from the pool instead of being copied, it moves with the pool in the same instant.
    """
    if sub.ended_on is not None:
        return sub.ended_on
    if pool is None:
        return sub.expires_on
    return pool.end if sub.expires_on is None else min(sub.expires_on, pool.end)


def is_over(sub: Subscription, pool: Pool | None, day: date) -> bool:
    """Whether the last usable day is behind us (LIC-51)."""
    last = expires_on(sub, pool)
    return last is not None and last < day


def state_on(sub: Subscription, pool: Pool | None, day: date) -> State:
    """The state that counts, whether or not a nightly sweep has come by."""
    if sub.state in {State.EXPIRED, State.SKIPPED}:
        return sub.state
    if is_over(sub, pool, day):
        return State.EXPIRED
    if sub.state is State.ACTIVE and pool is not None and is_suspended(pool):
        return State.SUSPENDED
    return sub.state


def unlocked(sub: Subscription, day: date) -> int:
    """How much may leave on that day: lots at least 31 days old (LIC-18)."""
    return sum(quantity for lot, quantity in sub.lots.items() if lock_ends(lot) <= day)


def unlocks_for(sub: Subscription, leaving: int) -> date | None:
    """First day on which `leaving` seats may leave; None when it never holds so many."""
    left = leaving
    for lot in sorted(sub.lots):
        left -= sub.lots[lot]
        if left <= 0:
            return lock_ends(lot)
    return None


def told_late(due: date, moved_on: date | None, today: date) -> date:
    """Effective day of what was due earlier: not before what it undoes, not after today."""
    return min(today, max(due, moved_on or due))


def order_lives(order: Order, day: date) -> bool:
    """Whether the order still counts on that day."""
    return order.end >= day


def is_suspended(pool: Pool) -> bool:
    """Whether every order of the pool is suspended."""
    return bool(pool.orders) and all(order.suspended for order in pool.orders.values())


def phase(pool: Pool, day: date) -> PoolPhase:
    """Where the pool stands on that day (24.2)."""
    if day > pool.end or pool.recorded_phase == "Ended":
        return PoolPhase.ENDED
    if day < pool.start:
        return PoolPhase.SCHEDULED
    if is_suspended(pool):
        return PoolPhase.SUSPENDED
    if pool.available < 0 and not pool.is_open:
        return PoolPhase.OVERCOMMITTED
    return PoolPhase.ACTIVE


def free(pool: Pool, day: date) -> int | None:
    """What can be given on that day; None means without limit (open pay-as-you-go)."""
    if phase(pool, day) is not PoolPhase.ACTIVE:
        return 0
    if pool.is_open:
        return None
    blocked = sum(order.quantity for order in pool.orders.values() if order.suspended)
    return max(0, pool.available - blocked)


def years_after(day: date, years: int) -> date:
    """The anniversary; that of 29 February is 1 March in a common year."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def next_due_of_sub(sub: Subscription) -> date | None:
    """The next day on which a sweep has something to do with it, its pool's end left aside."""
    due: list[date] = []
    if sub.state in {State.TRIAL, State.ACTIVE, State.SUPERSEDED} and sub.expires_on:
        due.append(sub.expires_on + ONE_DAY)
    if sub.state is State.SUPERSEDED and sub.lots and sub.assigned_on:
        due.append(lock_ends(sub.assigned_on))
    if sub.state is State.ACTIVE and sub.pending_decrease is not None and sub.lots:
        due.append(lock_ends(min(sub.lots)))
    return min(due, default=None)


def next_due_of_pool(pool: Pool) -> date | None:
    """The next day on which a sweep has something to do with it."""
    if pool.recorded_phase == "Ended":
        return None
    due = [order.end + ONE_DAY for order in pool.orders.values()] + [pool.end + ONE_DAY]
    if pool.recorded_phase == "Scheduled":
        due.append(pool.start)
    return min(due)
