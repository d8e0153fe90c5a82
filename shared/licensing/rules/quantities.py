"""More and fewer seats: increases at any time, reductions lot by lot (LIC-17 to 19, 41 to 45)."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from shared.catalogue import rules as catalogue_rules
from shared.licensing.book import LIVE, Book, Decision, Draft, from_pool, to_pool
from shared.licensing.ledger import Move
from shared.licensing.model import CustomerFacts, Mode, Standing, State, Subscription
from shared.licensing.refusals import (
    AutoNotSupported,
    InvalidRequest,
    MinimumTerm,
    PoolExhausted,
    StorageMigration,
)
from shared.licensing.rules import dates, expiration, gates, pools
from shared.licensing.rules.offers import checked_settings


def increase(book: Book, facts: CustomerFacts, standing: Standing, key: str, by: int) -> Decision:
    """Take `by` more from the pool, as a lot of its own (LIC-18, LIC-19)."""
    draft = gates.opened(book, facts, standing)
    sub = gates.changeable(draft, key)
    _check_by(draft.book, sub, by)
    _increase(draft, sub, by, kind="Increased", rules=("LIC-18", "LIC-19"))
    return draft.decision()


def reduce(book: Book, facts: CustomerFacts, standing: Standing, key: str, by: int) -> Decision:
    """Give `by` back, oldest lots first, none younger than 31 days (LIC-17, LIC-18)."""
    draft = gates.opened(book, facts, standing)
    sub = gates.changeable(draft, key)
    _check_by(draft.book, sub, by)
    _check_reducible(draft.book, sub, by, draft.day)
    take_back(draft, sub, by, kind="Reduced", rules=("LIC-17", "LIC-18"))
    return draft.decision()


def set_quantity(
    book: Book, facts: CustomerFacts, standing: Standing, key: str, to: int
) -> Decision:
    """Go to a total; only the difference is charged or returned (SVC-41)."""
    draft = gates.opened(book, facts, standing)
    held = gates.changeable(draft, key).quantity
    if to > held:
        return increase(book, facts, standing, key, to - held)
    if to < held:
        return reduce(book, facts, standing, key, held - to)
    return draft.decision()


def set_mode(
    book: Book, facts: CustomerFacts, standing: Standing, key: str, mode: Mode
) -> Decision:
    """Automatic or manual (LIC-41 to 43); a wish to shrink that was waiting is dropped."""
    draft = gates.opened(book, facts, standing)
    sub = gates.changeable(draft, key)
    item = book.catalogue.item_by_code.get(sub.item or "")
    if mode is Mode.AUTO and not (item and item.auto_adjust):
        raise AutoNotSupported("Enter the quantity yourself.", rule="LIC-43", pointer="/mode")
    if mode is not sub.mode:
        values = {"mode": mode, "pending_decrease": None, "shortfall": 0}
        draft.record("ModeChanged", key, rules=("LIC-41",), sets={key: values})
    return draft.decision()


def change_settings(
    book: Book,
    facts: CustomerFacts,
    standing: Standing,
    key: str,
    *,
    settings: Mapping[str, Any] | None = None,
    contract_end: date | None = None,
) -> Decision:
    """Change settings of 4.2 and the informational contract end (SVC-24, SVC-30 to 43)."""
    draft = gates.opened(book, facts, standing)
    sub = gates.changeable(draft, key)
    at = catalogue_rules.place(book.catalogue, sub.slot)
    values: dict[str, Any] = {}
    if settings:
        merged = {**sub.settings, **settings}
        merged = {name: value for name, value in merged.items() if value is not None}
        _check_migration(book, sub, merged)
        values["settings"] = checked_settings(
            book, at, merged, draft.book.pool_of(sub), held=sub.settings
        )
    if contract_end is not None:
        values["contract_end"] = contract_end
    if any(getattr(sub, name) != value for name, value in values.items()):
        draft.record("SettingsChanged", key, rules=("SVC-24", "4.2"), sets={key: values})
    return draft.decision()


def note_protected(book: Book, key: str, protected: int) -> Decision:
    """How many are backed up, or how much (LIC-53, SVC-35); each change is a point of history."""
    draft = Draft(book)
    sub = book.sub(key)
    if protected < 0:
        error = {"pointer": "/protected", "detail": "At least 0."}
        raise InvalidRequest([error], rule="LIC-53")
    if sub.state in LIVE and protected != sub.protected:
        draft.record("ProtectedNoted", key, rules=("LIC-53",), sets={key: {"protected": protected}})
    return draft.decision()


def note_many(book: Book, protected: Mapping[str, int]) -> Decision:
    """The same for several, by row key, as a night measured them; those that ended are left out."""
    draft = Draft(book)
    for key, number in protected.items():
        sub = book.subs.get(key)
        if sub is not None and sub.state in LIVE and number != sub.protected:
            sets = {key: {"protected": number}}
            draft.record("ProtectedNoted", key, rules=("LIC-53",), sets=sets)
    return draft.decision()


def note_consumption(book: Book, key: str, consumed: int) -> Decision:
    """What is used up for good (LIC-38): it never falls and never passes the quantity."""
    draft = Draft(book)
    sub = book.sub(key)
    if consumed < 0:
        error = {"pointer": "/consumed", "detail": "At least 0."}
        raise InvalidRequest([error], rule="LIC-38")
    wanted = min(max(sub.consumed, consumed), sub.quantity)
    if sub.state is State.ACTIVE and wanted != sub.consumed:
        draft.record("Consumed", key, rules=("LIC-38",), sets={key: {"consumed": wanted}})
    return draft.decision()


def _increase(
    draft: Draft, sub: Subscription, by: int, *, kind: str, rules: tuple[str, ...]
) -> None:
    pool = draft.book.pool_of(sub)
    if pool is None:
        raise InvalidRequest(
            [{"pointer": "/quantity", "detail": "It has no quantity of its own."}], rule="LIC-53"
        )
    pools.check_open(pool, draft.day)
    pools.check_enough(pool, by, draft.day)
    draft.record(
        kind,
        sub.key,
        rules=rules,
        moves=[from_pool(sub.key, pool.pool_id, by, draft.day)],
        sets={sub.key: {"pending_decrease": None}} if sub.pending_decrease is not None else None,
    )


def take_back(
    draft: Draft,
    sub: Subscription,
    by: int,
    *,
    kind: str,
    rules: tuple[str, ...],
    values: Mapping[str, Any] | None = None,
) -> None:
    """Return `by` to the pool, oldest lots first, and set `values` beside it."""
    sets = {sub.key: dict(values)} if values else None
    draft.record(kind, sub.key, rules=rules, moves=_oldest_first(sub, by), sets=sets)


def _oldest_first(sub: Subscription, by: int) -> list[Move]:
    moves = []
    for lot in sorted(sub.lots):
        leaving = min(by, sub.lots[lot])
        by -= leaving
        moves.append(to_pool(sub, leaving, lot=lot))
    return moves


def _check_by(book: Book, sub: Subscription, by: int) -> None:
    pointer = "/quantity"
    if by < 1:
        raise InvalidRequest([{"pointer": pointer, "detail": "At least 1."}], rule="LIC-19")
    at = catalogue_rules.place(book.catalogue, sub.slot)
    if catalogue_rules.is_measured(book.catalogue.part_of(at), sub.settings):
        detail = "It equals the protected capacity and cannot be sent."
        raise InvalidRequest([{"pointer": pointer, "detail": detail}], rule="SVC-35")


def _check_reducible(book: Book, sub: Subscription, by: int, day: date) -> None:
    """The minimum that must stay is what is still locked (LIC-17, LIC-18)."""
    expiration.check_commitment_over(sub, book.pool_of(sub), day, "LIC-17")
    if by >= sub.quantity:
        detail = "At least 1 stays; expire the subscription instead."
        raise InvalidRequest([{"pointer": "/quantity", "detail": detail}], rule="LIC-17")
    item = book.catalogue.item_by_code.get(sub.item or "")
    if item and item.consumed_stay and sub.quantity - by < sub.consumed:
        raise PoolExhausted(
            f"{sub.consumed} are consumed and stay.", rule="LIC-38", pointer="/quantity"
        )
    may_leave = dates.unlocked(sub, day)
    if by > may_leave:
        raise MinimumTerm(
            f"{may_leave} of {sub.quantity} are free to leave, the others are locked.",
            rule="LIC-18",
            pointer="/quantity",
            first_allowed=dates.unlocks_for(sub, by),
            minimumQuantity=sub.quantity - may_leave,
        )


def _check_migration(book: Book, sub: Subscription, wanted: Mapping[str, Any]) -> None:
    at = catalogue_rules.place(book.catalogue, sub.slot)
    schema = catalogue_rules.part_settings(book.catalogue, book.catalogue.part_of(at))
    storage = schema.get("storage")
    moves = sub.settings.get("storage", "Vendor") == "Vendor" and wanted.get("storage") == "Own"
    if storage is not None and storage.migration_by_support and moves:
        raise StorageMigration(
            "Earlier backups lie in the vendor's storage.",
            rule="SVC-32",
            pointer="/settings/storage",
            supportTicket="/support/tickets",
        )
