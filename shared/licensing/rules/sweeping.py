"""What a night does, in this order: pools, expirations, releases (24.3); each twice is once.

Everything is found by dates alone, so a missed night is caught up by the next one, and events
take effect on the day they were due.
"""

from collections.abc import Iterable

from shared.licensing.book import LIVE, Book, Decision, Draft
from shared.licensing.model import Pool, State, pool_key
from shared.licensing.rules import adjusting, dates, gates, orders, overriding


def due_pools(book: Book) -> list[str]:
    """Pools at which a sweep of today would find something."""
    due = {pool_id: dates.next_due_of_pool(pool) for pool_id, pool in book.pools.items()}
    return sorted(pool_id for pool_id, day in due.items() if day is not None and day <= book.day)


def sweep_pools(book: Book, pool_ids: Iterable[str]) -> Decision:
    """Begin and end pools; orders that ran out inside a living pool leave it (PoolLifecycle)."""
    draft = Draft(book)
    for pool_id in pool_ids:
        _sweep_pool(draft, draft.book.pools[pool_id])
    return draft.decision()


def sweep_subscriptions(book: Book, keys: Iterable[str]) -> Decision:
    """Expire what is over (ExpirationSweep), then release what is unlocked (CommitmentRelease)."""
    draft = Draft(book)
    for key in keys:
        sub = draft.book.subs.get(key)
        if sub is None or sub.state not in LIVE:
            continue
        if dates.is_over(sub, draft.book.pool_of(sub), draft.day):
            gates.expire(draft, sub, rules=("LIC-51", "LIC-40"))
        elif sub.state is State.SUPERSEDED:
            overriding.release(draft, sub)
        else:
            adjusting.release_decrease(draft, sub)
    return draft.decision()


def _sweep_pool(draft: Draft, pool: Pool) -> None:
    key = pool_key(pool.pool_id)
    if pool.recorded_phase == "Scheduled" and pool.start <= draft.day:
        draft.record(
            "PoolStarted",
            key,
            rules=("24.2 Pool",),
            sets={key: {"recorded_phase": "Active"}},
            effective=pool.start,
        )
        pool = draft.book.pools[pool.pool_id]
    if pool.recorded_phase == "Ended":
        return
    if pool.end < draft.day:
        draft.record(
            "PoolEnded",
            key,
            rules=("24.2 Pool", "LIC-05"),
            sets={key: {"recorded_phase": "Ended"}},
            effective=dates.told_late(pool.end + dates.ONE_DAY, pool.moved_on, draft.day),
        )
        return
    over = [name for name, order in pool.orders.items() if not dates.order_lives(order, draft.day)]
    for order_id in sorted(over):
        orders.drop_order(draft, draft.book.pools[pool.pool_id], order_id, ("24.2 Order",))
