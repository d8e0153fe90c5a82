"""The page of a partner's books that a decision sees, and the draft in which it is decided."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pydantic_core import to_jsonable_python

from shared.catalogue import rules as catalogue_rules
from shared.catalogue.model import Catalogue
from shared.licensing.ledger import Event, Move, Rows, apply
from shared.licensing.model import (
    AddOnState,
    CustomerFacts,
    Guard,
    Pool,
    State,
    Subscription,
    guard_key,
    pool_key,
)
from shared.licensing.refusals import NotSubscribed, PoolUnknown

HOLDING = frozenset({State.ACTIVE, State.SUPERSEDED})
RUNNING = frozenset({State.ACTIVE, State.TRIAL})
LIVE = frozenset({State.ACTIVE, State.TRIAL, State.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class Book:
    """What was read: the partner's pools, and the rows of the customers concerned."""

    catalogue: Catalogue
    day: date
    pools: Mapping[str, Pool] = field(default_factory=dict)
    subs: Mapping[str, Subscription] = field(default_factory=dict)
    """By row key."""
    guards: Mapping[str, Guard] = field(default_factory=dict)
    """By customer."""

    def pool_of(self, sub: Subscription) -> Pool | None:
        """The pool a subscription draws on."""
        return self.pools.get(sub.pool_id) if sub.pool_id else None

    def of_customer(self, customer_id: str) -> list[Subscription]:
        """Everything the customer has or had."""
        return [sub for sub in self.subs.values() if sub.customer_id == customer_id]

    def guard(self, customer_id: str) -> Guard:
        """The customer's guard; a fresh one when there is none yet."""
        return self.guards.get(customer_id) or Guard(customer_id=customer_id)

    def sub(self, key: str) -> Subscription:
        """The subscription; `NotSubscribed` (404)."""
        found = self.subs.get(key)
        if found is None:
            raise NotSubscribed("The customer has no such subscription.", rule="LIC-01")
        return found

    def pool(self, pool_id: str) -> Pool:
        """The pool; `PoolUnknown` (404)."""
        found = self.pools.get(pool_id)
        if found is None:
            raise PoolUnknown("You have no such pool.", rule="LIC-01", pointer="/poolId")
        return found


@dataclass(frozen=True, slots=True)
class Decision:
    """What would happen: the events, and the book after them."""

    events: tuple[Event, ...]
    before: Book
    after: Book
    notices: tuple[dict[str, Any], ...] = ()
    """What somebody should be told: shortfall, overcommitted, cut expiries."""


class Draft:
    """A working copy: every change is an event applied to it, so the ledger explains all of it."""

    def __init__(self, book: Book, facts: CustomerFacts | None = None) -> None:
        self._before = book
        self.book = book
        self._facts = {facts.customer_id: facts} if facts else {}
        self._events: list[Event] = []
        self._notices: list[dict[str, Any]] = []

    @property
    def day(self) -> date:
        """The day of the decision."""
        return self.book.day

    def record(
        self,
        kind: str,
        subject: str,
        *,
        rules: Iterable[str],
        moves: Iterable[Move] = (),
        sets: Mapping[str, Mapping[str, Any]] | None = None,
        effective: date | None = None,
        note: str = "",
    ) -> None:
        """One event, applied at once."""
        values: dict[str, dict[str, Any]] = to_jsonable_python(sets or {})
        event = Event(
            kind=kind,
            subject=subject,
            effective=effective or self.day,
            rules=tuple(rules),
            moves=tuple(move for move in moves if move.quantity),
            sets=values,
            note=note,
        )
        self._events.append(event)
        self.book = applied(self.book, event)

    def notice(self, kind: str, **what: Any) -> None:
        """Somebody should be told."""
        self._notices.append({"kind": kind, **to_jsonable_python(what)})

    def decision(self) -> Decision:
        """The result; the guards of all customers concerned are brought up to date with it."""
        for customer_id in self._customers():
            self._keep_guard(customer_id)
        return Decision(tuple(self._events), self._before, self.book, tuple(self._notices))

    def _customers(self) -> list[str]:
        keys = [key for event in self._events for key in event.touches]
        return sorted({key.split("~")[1] for key in keys if key.startswith(("sub~", "guard~"))})

    def _keep_guard(self, customer_id: str) -> None:
        old = self.book.guard(customer_id)
        new = guard_after(self.book, customer_id, self._facts.get(customer_id))
        if new == old and customer_id in self.book.guards:
            return
        # The last event of the customer carries it, so that no later one overwrites it.
        last = max(
            index
            for index, event in enumerate(self._events)
            if any(key == old.key or key.startswith(f"sub~{customer_id}~") for key in event.touches)
        )
        event = self._events[last]
        sets = {**event.sets, new.key: new.model_dump(mode="json")}
        self._events[last] = event.model_copy(update={"sets": sets})
        self.book = replace(self.book, guards={**self.book.guards, customer_id: new})


def applied(book: Book, event: Event) -> Book:
    """The book after one event; only the rows it touches are rebuilt."""
    rows: Rows = {}
    pools, subs, guards = dict(book.pools), dict(book.subs), dict(book.guards)
    for key in event.touches:
        kind, _, rest = key.partition("~")
        stored: Pool | Subscription | Guard | None = None
        if kind == "pool":
            stored = pools.get(rest)
        elif kind == "sub":
            stored = subs.get(key)
        elif kind == "guard":
            stored = guards.get(rest)
        if stored is not None:
            rows[key] = stored.model_dump(mode="json")
    apply(rows, event)
    for key, row in rows.items():
        kind, _, rest = key.partition("~")
        if kind == "pool":
            pools[rest] = Pool.model_validate(row)
        elif kind == "sub":
            subs[key] = Subscription.model_validate(row)
        elif kind == "guard":
            guards[rest] = Guard.model_validate(row)
    return replace(book, pools=pools, subs=subs, guards=guards)


def parsed(rows: Rows) -> tuple[dict[str, Pool], dict[str, Subscription], dict[str, Guard]]:
    """The folded rows as what they mean."""
    pools, subs, guards = {}, {}, {}
    for key, row in rows.items():
        kind, _, rest = key.partition("~")
        if kind == "pool":
            pools[rest] = Pool.model_validate(row)
        elif kind == "sub":
            subs[key] = Subscription.model_validate(row)
        elif kind == "guard":
            guards[rest] = Guard.model_validate(row)
    return pools, subs, guards


def guard_after(book: Book, customer_id: str, facts: CustomerFacts | None) -> Guard:
    """The guard that follows from the customer's subscriptions (LIC-22, LIC-24, SVC-04, SVC-05)."""
    guard = book.guard(customer_id)
    holding = [
        sub
        for sub in book.of_customer(customer_id)
        if sub.pool_id and sub.state in HOLDING and (sub.lots or sub.state is State.ACTIVE)
    ]
    models = {sub.payment_model for sub in holding if sub.payment_model}
    return guard.model_copy(
        update={
            "payment_model": min(models, default=None),
            "sources": {sub.item: sub.pool_id for sub in holding if sub.item},
            "add_ons": add_ons_after(book, guard, facts),
        }
    )


def add_ons_after(book: Book, guard: Guard, facts: CustomerFacts | None) -> dict[str, AddOnState]:
    """Add-ons come with the first prerequisite and go with the last (SVC-04, SVC-05).

    Without facts about the customer (a nightly sweep) they only go; the next change brings them.
    """
    catalogue = book.catalogue
    subs = book.of_customer(guard.customer_id)
    running = {sub.service for sub in subs if sub.state in RUNNING}
    held = {sub.service for sub in subs if sub.state in LIVE}
    may_begin = facts is not None and facts.management_mode == "Partner"
    closed = facts is not None and facts.management_mode == "Customer"
    states: dict[str, AddOnState] = dict(guard.add_ons)
    for add_on in (service for service in catalogue.services if service.add_on):
        now = states.get(add_on.code)
        if now == "Disabled":
            continue
        if closed and now == "Enabled":
            states[add_on.code] = "Expired"
        elif now == "Enabled":
            if not catalogue_rules.meets_prerequisite(catalogue, add_on, held):
                states[add_on.code] = "Expired"
        elif may_begin and catalogue_rules.meets_prerequisite(catalogue, add_on, running):
            states[add_on.code] = "Enabled"
    return states


def from_pool(sub_key: str, pool_id: str, quantity: int, lot: date) -> Move:
    """Seats from a pool to a customer, as a lot of that day."""
    return Move(source=pool_key(pool_id), target=sub_key, quantity=quantity, pool=pool_id, lot=lot)


def to_pool(sub: Subscription, quantity: int, *, lot: date, burn: bool = False) -> Move:
    """Seats of one lot back to the pool, or into what is used up."""
    pool_id = sub.pool_id or ""
    target = f"burnt~{pool_id}" if burn else pool_key(pool_id)
    return Move(source=sub.key, target=target, quantity=quantity, pool=pool_id, lot=lot)


def guard_row(customer_id: str, **values: Any) -> dict[str, dict[str, Any]]:
    """Values of a guard as an event sets them."""
    return {guard_key(customer_id): {"customer_id": customer_id, **values}}
