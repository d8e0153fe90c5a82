"""Choosing a subscription's last day (LIC-07 to 16, SVC-23, AMB-01, AMB-03, table 5.2)."""

from datetime import date

from shared.licensing.book import LIVE, Book, Decision
from shared.licensing.model import CustomerFacts, Expiration, Pool, Standing, Subscription
from shared.licensing.refusals import (
    ExpiryAfterPool,
    ExpiryInPast,
    InvalidRequest,
    MinimumTerm,
    MinimumTermDate,
    SubscriptionEnded,
)
from shared.licensing.rules import dates, gates

DEFAULT = Expiration.SAME_AS_POOL
"""When nothing is chosen (AMB-01); one place to turn it."""


def for_new(
    pool: Pool, day: date, mode: Expiration | None, wanted: date | None
) -> tuple[Expiration, date | None]:
    """Mode and chosen day of a first assignment on `day` (LIC-08, LIC-09, LIC-12)."""
    mode = checked_mode(mode, wanted)
    earliest = dates.lock_ends(day)
    if mode is Expiration.SAME_AS_POOL:
        return mode, None
    if mode is Expiration.EXPIRE_NOW:
        raise MinimumTerm(
            "It has not begun.", rule="LIC-14", pointer="/expiration", first_allowed=earliest
        )
    chosen = wanted or min(earliest, pool.end)
    check_day(chosen, pool, commitment_ends=earliest, day=day)
    return mode, chosen


def checked_mode(mode: Expiration | None, wanted: date | None) -> Expiration:
    """The mode meant; a day goes with SpecifiedDate only (a day alone means it)."""
    if mode is None:
        return DEFAULT if wanted is None else Expiration.SPECIFIED_DATE
    if wanted is not None and mode is not Expiration.SPECIFIED_DATE:
        error = {"pointer": "/expiresOn", "detail": f"A day does not go with {mode}."}
        raise InvalidRequest([error], rule="SVC-23")
    return mode


def check_day(chosen: date, pool: Pool, *, commitment_ends: date, day: date) -> None:
    """The day lies in [max(today, commitment), pool end]; a pool that ends first wins (LIC-15)."""
    if chosen > pool.end:
        raise ExpiryAfterPool(
            f"The pool ends on {pool.end}.",
            rule="LIC-10",
            pointer="/expiresOn",
            lastAllowedOn=pool.end.isoformat(),
        )
    earliest = min(commitment_ends, pool.end)
    if chosen < earliest and day < commitment_ends:
        raise MinimumTermDate(
            f"{earliest} is the earliest.",
            rule="LIC-07" if earliest == commitment_ends else "LIC-15",
            pointer="/expiresOn",
            first_allowed=earliest,
        )
    if chosen < day:
        raise ExpiryInPast(
            f"Today is {day}.", rule="LIC-15", pointer="/expiresOn", first_allowed=day
        )


def check_commitment_over(
    sub: Subscription, pool: Pool | None, day: date, rule: str, *, anew: bool = False
) -> None:
    """`MinimumTerm` (409) inside the commitment; says from when (LIC-14, LIC-17, LIC-23).

    When the pool ends first there is no such day, unless the wish is possible `anew` after it.
    """
    ends = dates.commitment_ends(sub)
    if ends is None or day >= ends:
        return
    if pool is not None and pool.end < ends:
        raise MinimumTerm(
            f"It ends with its pool on {pool.end}, before its minimum term is over.",
            rule=rule,
            poolEndsOn=pool.end.isoformat(),
            first_allowed=pool.end + dates.ONE_DAY if anew else None,
        )
    raise MinimumTerm(f"Its minimum term ends on {ends}.", rule=rule, first_allowed=ends)


def set_expiration(
    book: Book,
    facts: CustomerFacts,
    standing: Standing,
    key: str,
    *,
    mode: Expiration | None = None,
    expires_on: date | None = None,
) -> Decision:
    """Change the end: same as pool, now, or a day; `assigned_on` never moves (LIC-13)."""
    draft = gates.opened(book, facts, standing)
    sub = gates.changeable(draft, key)
    pool = draft.book.pool_of(sub)
    mode = checked_mode(mode, expires_on)
    if mode is Expiration.EXPIRE_NOW:
        check_commitment_over(sub, pool, draft.day, "LIC-14")
        gates.expire(draft, sub, rules=("LIC-14", "LIC-40"))
        return draft.decision()
    chosen = None
    rules = ["LIC-11"]
    if mode is Expiration.SPECIFIED_DATE and pool is not None:
        commitment = dates.commitment_ends(sub) or draft.day
        # On editing, the day of the first assignment remains the basis (LIC-13).
        chosen = expires_on or min(max(commitment, draft.day), pool.end)
        check_day(chosen, pool, commitment_ends=commitment, day=draft.day)
        rules = ["LIC-10", "LIC-15"]
    draft.record(
        "ExpirySet", key, rules=rules, sets={key: {"expiration": mode, "expires_on": chosen}}
    )
    return draft.decision()


def expire(book: Book, facts: CustomerFacts, standing: Standing, key: str) -> Decision:
    """End it now; a trial at any time, a subscription after its commitment (LIC-14, AMB-03)."""
    draft = gates.opened(book, facts, standing)
    sub = draft.book.sub(key)
    if sub.type == "Trial" and sub.state == "Trial":
        gates.expire(draft, sub, rules=("AMB-03",))
        return draft.decision()
    return set_expiration(book, facts, standing, key, mode=Expiration.EXPIRE_NOW)


def end_early(book: Book, facts: CustomerFacts, key: str, reason: str) -> Decision:
    """The operator ends it inside its commitment; the ledger keeps the reason (AMB-03)."""
    draft = gates.opened(book, facts, Standing())
    sub = draft.book.sub(key)
    if sub.state not in LIVE:
        raise SubscriptionEnded("It has expired already.", rule="AMB-03")
    gates.expire(draft, sub, rules=("AMB-03", "LIC-40"), note=reason)
    return draft.decision()
