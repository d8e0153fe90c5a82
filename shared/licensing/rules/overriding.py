"""Licences from outside the pools prevail over pooled ones (LIC-34 to 36, AMB-09, AMB-10)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from shared.licensing.book import HOLDING, Book, Decision, Draft, from_pool
from shared.licensing.model import (
    RANK,
    LicenceType,
    Override,
    State,
    Subscription,
)
from shared.licensing.refusals import InvalidRequest
from shared.licensing.rules import dates, gates


@dataclass(frozen=True, slots=True)
class Licence:
    """One licence a customer has for an item, pooled or not."""

    licence_type: LicenceType
    since: date
    subscription: str | None = None
    """Row key of the pooled subscription; None for a licence from outside the pools."""


def effective(licences: Iterable[Licence]) -> Licence | None:
    """The one that counts: by rank, then the newest inside a rank (LIC-34, LIC-35)."""
    return max(licences, key=lambda each: (RANK[each.licence_type], each.since), default=None)


def of_customer(book: Book, customer_id: str) -> dict[str, Licence]:
    """Pool item -> the licence that counts for the customer today (LIC-34)."""
    found: dict[str, list[Licence]] = {}
    for item, begun in book.guard(customer_id).overrides.items():
        found.setdefault(item, []).append(Licence(begun.licence_type, begun.since))
    for sub in book.of_customer(customer_id):
        running = dates.state_on(sub, book.pool_of(sub), book.day) in HOLDING
        if running and sub.item and sub.licence_type and sub.assigned_on:
            held = Licence(sub.licence_type, sub.assigned_on, sub.key)
            found.setdefault(sub.item, []).append(held)
    return {item: best for item, each in sorted(found.items()) if (best := effective(each))}


def override(book: Book, customer_id: str, item: str, licence_type: LicenceType) -> Decision:
    """A CMP or Enterprise licence begins; pooled subscriptions of the item are superseded.

    Their seats return at once after the commitment, else on its last day; Fly's consumed never.
    """
    if RANK[licence_type] == 0:
        detail = "CMP or Enterprise."
        raise InvalidRequest([{"pointer": "/licenceType", "detail": detail}], rule="LIC-35")
    draft = Draft(book)
    guard = book.guard(customer_id)
    begun = Override(licence_type=licence_type, since=book.day)
    overrides = {**guard.overrides, item: begun}
    draft.record(
        "OverrideBegan",
        guard.key,
        rules=("LIC-34", "LIC-35"),
        sets={guard.key: {"customer_id": customer_id, "overrides": overrides}},
    )
    for sub in book.of_customer(customer_id):
        if sub.item == item and sub.state is State.ACTIVE:
            values = {
                "state": State.SUPERSEDED,
                "superseded_by": licence_type,
                "superseded_on": book.day,
                "pending_decrease": None,
                "shortfall": 0,
            }
            draft.record("Superseded", sub.key, rules=("LIC-35",), sets={sub.key: values})
            release(draft, draft.book.sub(sub.key))
    return draft.decision()


def release(draft: Draft, sub: Subscription) -> None:
    """Give a superseded subscription's seats back once its commitment is over (LIC-36, AMB-10)."""
    pool = draft.book.pool_of(sub)
    due = sub.state is State.SUPERSEDED and bool(sub.lots)
    if not due or dates.is_committed(sub, draft.day) or dates.is_over(sub, pool, draft.day):
        return
    ends = dates.commitment_ends(sub)
    began = sub.superseded_on or draft.day
    draft.record(
        "SeatsReleased",
        sub.key,
        rules=("LIC-36", "AMB-10"),
        moves=gates.returning(draft.book, sub),
        sets={sub.key: {"released": sub.quantity, "consumed": 0}},
        effective=dates.told_late(max(began, ends), sub.moved_on, draft.day) if ends else None,
    )


def end_override(book: Book, customer_id: str, item: str) -> Decision:
    """The winner has ended: what it superseded is active again inside its pool's period (24.2).

    Seats that were released are taken anew, as many as the pool has; if it has none, the
    subscription stays superseded and the shortfall is noted.
    """
    draft = Draft(book)
    guard = book.guard(customer_id)
    if item not in guard.overrides:
        return draft.decision()
    overrides = {key: value for key, value in guard.overrides.items() if key != item}
    draft.record(
        "OverrideEnded",
        guard.key,
        rules=("LIC-34",),
        sets={guard.key: {"customer_id": customer_id, "overrides": overrides}},
    )
    for sub in book.of_customer(customer_id):
        if sub.item == item and sub.state is State.SUPERSEDED:
            _restore(draft, sub)
    return draft.decision()


def _restore(draft: Draft, sub: Subscription) -> None:
    pool = draft.book.pool_of(sub)
    if pool is None or dates.is_over(sub, pool, draft.day):
        return
    missing = 0 if sub.lots else sub.released
    left = dates.free(pool, draft.day)
    taken = missing if left is None else min(missing, left)
    if missing and not (taken and _fits_guard(draft, sub)):
        draft.notice("notRestored", subscription=sub.key, missing=missing)
        return
    values = {
        "state": State.ACTIVE,
        "superseded_by": None,
        "superseded_on": None,
        "released": 0,
        "shortfall": missing - taken,
    }
    moves = [from_pool(sub.key, pool.pool_id, taken, draft.day)]
    draft.record(
        "Restored", sub.key, rules=("24.2 Subscription",), moves=moves, sets={sub.key: values}
    )


def _fits_guard(draft: Draft, sub: Subscription) -> bool:
    """Whether source and payment model still agree with what the customer took meanwhile."""
    guard = draft.book.guard(sub.customer_id)
    same_model = guard.payment_model in {None, sub.payment_model}
    return same_model and guard.sources.get(sub.item or "", sub.pool_id) == sub.pool_id
