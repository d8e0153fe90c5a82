"""Subscriptions that follow the tenant's licences; the brake on too much of it (LIC-43 to 45)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Basis
from shared.licensing.book import Book, Decision, Draft, from_pool
from shared.licensing.model import CustomerFacts, Mode, Pool, Standing, State, Subscription
from shared.licensing.refusals import MassChange, TenantNotRead
from shared.licensing.rules import dates, gates
from shared.licensing.rules.quantities import take_back

MASS_CHANGE_SHARE = 0.10
"""Of a partner's seats in a day: more by automation stops and asks."""
MASS_CHANGE_FLOOR = 10
"""Seats that are never a mass change, so that small partners are not asked every night."""


def check_mass_change(moved: int, *, before: int, held: int, approved: int = 0) -> None:
    """`MassChange` (409) when automation would pass its share of the day.

    `moved` seats now, `before` already moved today by automation, `held` by all customers. More
    than the share passes up to what a person has `approved`.
    """
    most = max(MASS_CHANGE_FLOOR, int(held * MASS_CHANGE_SHARE))
    if moved + before > max(most, approved):
        raise MassChange(
            f"{moved + before} of {held} seats would change today; {most} may.",
            rule="beyond 8",
            wouldMove=moved + before,
            limit=most,
        )


@dataclass(frozen=True, slots=True)
class Need:
    """What a subscription should have by what was read in the tenant."""

    key: str
    licences: int | None = None
    """Counted assigned licences; None: the reading failed, so nothing may change."""
    protected: int | None = None


def adjust(book: Book, needs: Iterable[Need]) -> Decision:
    """Let automatic subscriptions follow the tenant (LIC-43 to 45, AMB-12, SVC-26).

    A failed reading changes nothing. Decreases inside a lock wait; an increase takes what the
    pool has and notes the shortfall. No protected user is ever cut off by it.
    """
    draft = Draft(book)
    for need in needs:
        sub = draft.book.subs.get(need.key)
        if sub is not None:
            _adjust_one(draft, sub, need)
    return draft.decision()


def follow(
    book: Book,
    facts: CustomerFacts,
    standing: Standing,
    counted: Mapping[Basis, int] | None,
) -> Decision:
    """The same for one customer, because somebody asks; `TenantNotRead` (409) without a reading.

    A person has asked, so there is no brake; the locks of decreases hold all the same.
    """
    draft = gates.opened(book, facts, standing)
    if counted is None:
        raise TenantNotRead("The tenant's licences could not be read now.", rule="beyond 8")
    for sub in draft.book.of_customer(facts.customer_id):
        basis = draft.book.catalogue.service_by_code[sub.service].licence_basis
        if basis is not None:
            _adjust_one(draft, sub, Need(sub.key, counted.get(basis)))
    return draft.decision()


def release_decrease(draft: Draft, sub: Subscription) -> None:
    """Apply as much of a waiting decrease as is unlocked by today (LIC-44)."""
    if sub.state is not State.ACTIVE or sub.pending_decrease is None:
        return
    wanted = sub.quantity - max(sub.pending_decrease, 1)
    possible = min(wanted, dates.unlocked(sub, draft.day), sub.quantity - sub.consumed)
    values = {"pending_decrease": None} if possible >= wanted else {}
    if possible > 0 or values:
        take_back(draft, sub, max(possible, 0), kind="Adjusted", rules=("LIC-44",), values=values)


def _adjust_one(draft: Draft, sub: Subscription, need: Need) -> None:
    pool = draft.book.pool_of(sub)
    follows = sub.mode is Mode.AUTO and pool is not None
    if dates.state_on(sub, pool, draft.day) is not State.ACTIVE or not follows or pool is None:
        return
    service = draft.book.catalogue.service_by_code[sub.service]
    at = catalogue_rules.place(draft.book.catalogue, sub.slot)
    measured = catalogue_rules.is_measured(draft.book.catalogue.part_of(at), sub.settings)
    target = need.licences if service.licence_basis and not measured else need.protected
    if target is None or (target == 0 and not measured):
        return  # nothing read, or no assigned licences: an existing one keeps its number (SVC-26)
    target = max(1, target)
    values: dict[str, Any] = {}
    if need.protected is not None and need.protected != sub.protected:
        values["protected"] = need.protected
    if target > sub.quantity:
        _grow(draft, sub, pool, target, values)
    elif target < sub.quantity:
        _shrink(draft, sub, target, values)
    elif sub.shortfall or sub.pending_decrease is not None or values:
        values |= {"shortfall": 0, "pending_decrease": None}
        draft.record("Adjusted", sub.key, rules=("LIC-43",), sets={sub.key: values})


def _grow(draft: Draft, sub: Subscription, pool: Pool, target: int, values: dict[str, Any]) -> None:
    missing = target - sub.quantity
    left = dates.free(pool, draft.day)
    taken = missing if left is None else min(missing, left)
    shortfall = missing - taken
    values |= {"shortfall": shortfall, "pending_decrease": None}
    if shortfall:
        draft.notice(
            "shortfall", subscription=sub.key, pool=pool.pool_id, missing=shortfall, need=target
        )
    if not taken and all(getattr(sub, name) == value for name, value in values.items()):
        return
    rules = ("LIC-43", "LIC-45") if shortfall else ("LIC-43",)
    moves = [from_pool(sub.key, pool.pool_id, taken, draft.day)]
    draft.record("Adjusted", sub.key, rules=rules, moves=moves, sets={sub.key: values})


def _shrink(draft: Draft, sub: Subscription, target: int, values: dict[str, Any]) -> None:
    wanted = sub.quantity - target
    possible = min(wanted, dates.unlocked(sub, draft.day))
    waiting = target if possible < wanted else None
    values |= {"shortfall": 0, "pending_decrease": waiting}
    if possible:
        take_back(draft, sub, possible, kind="Adjusted", rules=("LIC-43", "LIC-44"), values=values)
    elif any(getattr(sub, name) != value for name, value in values.items()):
        draft.record("DecreaseDeferred", sub.key, rules=("LIC-44",), sets={sub.key: values})
