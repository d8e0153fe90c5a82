"""Questions to the books: now, on a day, as it was known, and why (`asOf`, `knownAt`, explain)."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from shared.access.model import Scope
from shared.kit.errors import NotFound
from shared.licensing import explaining, ledger
from shared.licensing.book import Book, parsed
from shared.licensing.model import guard_key, pool_key
from shared.licensing.repository import Ledgers
from shared.licensing.rules import disconnecting, views


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether the store says what the ledger says."""

    events: int
    rows: int
    differences: tuple[str, ...]
    broken: ledger.Broken | None
    """Where the hash chain does not hold."""

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not self.differences and self.broken is None


async def rebuild_and_compare(ledgers: Ledgers, scope: Scope) -> Comparison:
    """Tell every balance again from the events alone and compare it with what is stored.

    Runs beside changes: when one is written meanwhile, it looks again.
    """
    while True:
        snapshot = await ledgers.load_all(scope)
        events = await ledgers.ledger(scope)
        head = await ledgers.head(scope)
        if head.seq == snapshot.head.seq and len(events) == head.seq:
            break
        if head.seq == snapshot.head.seq and len(events) < head.seq:
            break  # events are missing: the chain will say which
    told = _dumped(*parsed(ledger.fold(events)))
    book = snapshot.book
    stored = _dumped(dict(book.pools), dict(book.subs), dict(book.guards))
    return Comparison(
        len(events),
        len(stored),
        tuple(ledger.differences(told, stored)),
        ledger.check_chain(events, head=head.hash or None),
    )


async def as_of(
    ledgers: Ledgers, scope: Scope, *, day: date | None = None, known_at: datetime | None = None
) -> Book:
    """The books as they stood at the end of `day`, from what was known at `known_at`.

    Limited to the customers of the scope.
    """
    events = ledger.known(await ledgers.ledger(scope), as_of=day, known_at=known_at)
    pools, subs, guards = parsed(ledger.fold(events))
    return Book(
        ledgers.catalogue,
        day or (known_at.date() if known_at else ledgers.today()),
        pools,
        {key: sub for key, sub in subs.items() if scope.covers(sub.customer_id)},
        {customer: guard for customer, guard in guards.items() if scope.covers(customer)},
    )


async def customer_book(ledgers: Ledgers, scope: Scope, customer_id: str) -> Book:
    """Today's books of one customer."""
    return (await ledgers.load(scope, [customer_id])).book


async def whole_book(ledgers: Ledgers, scope: Scope) -> Book:
    """Today's books of the whole partner; not for callers limited to some customers."""
    return (await ledgers.load_all(scope)).book


async def visible_book(ledgers: Ledgers, scope: Scope) -> Book:
    """Today's pools, and of the customers what the scope shows; for lists over many customers."""
    book = await whole_book(ledgers, Scope(scope.partner_id))
    return replace(
        book,
        subs={key: sub for key, sub in book.subs.items() if scope.covers(sub.customer_id)},
        guards={key: each for key, each in book.guards.items() if scope.covers(key)},
    )


async def protected_history(
    ledgers: Ledgers, scope: Scope, customer_id: str
) -> list[tuple[str, date, int]]:
    """Row key, day and number of every change of what is protected, oldest first (LIC-53)."""
    return [
        (key, event.effective, values["protected"])
        for event in await ledgers.events(scope, customer=customer_id)
        for key, values in event.sets.items()
        if key.startswith("sub~") and "protected" in values
    ]


async def pools(ledgers: Ledgers, scope: Scope) -> list[dict[str, Any]]:
    """Every pool with what is left (LIC-01, RES-03); also for callers limited to some customers."""
    whole = Scope(scope.partner_id)
    book = (await ledgers.load(whole)).book
    return [views.pool_view(book.pools[key], book) for key in sorted(book.pools)]


async def history(
    ledgers: Ledgers, scope: Scope, customer_id: str, *, key: str | None = None
) -> list[explaining.Entry]:
    """The modifications of a customer's subscriptions and add-ons, oldest first (LIC-49)."""
    events = await ledgers.events(scope, customer=customer_id)
    touched = {k for event in events for k in event.touches}
    own = [k for k in touched if k.startswith(f"sub~{customer_id}~")]
    keys = [key] if key is not None else [*own, guard_key(customer_id)]
    return explaining.history(events, [k for k in keys if customer_id in k])


async def explain(
    ledgers: Ledgers, scope: Scope, key: str, what: Literal["quantity", "expiry"]
) -> list[explaining.Reason]:
    """The events and rules that make a quantity or a last day.

    `key` is a row key: `sub~...` of a customer inside the scope, or `pool~...` for its balance.
    """
    kind, _, rest = key.partition("~")
    customer = rest.split("~")[0]
    if kind not in {"sub", "pool"} or (kind == "sub" and not scope.covers(customer)):
        raise NotFound(f"There is nothing with the key {key[:80]!r}.")
    events = await ledgers.ledger(scope)
    if what == "expiry":
        return explaining.explain_expiry(events, key)
    return explaining.explain_quantity(events, key)


async def check_disconnect(ledgers: Ledgers, scope: Scope, customer_id: str) -> None:
    """`MinimumTerm` (409) while a commitment of the customer runs (LIC-20)."""
    book = await customer_book(ledgers, scope, customer_id)
    disconnecting.check_disconnect(book, customer_id)


def _dumped(pools: dict[str, Any], subs: dict[str, Any], guards: dict[str, Any]) -> ledger.Rows:
    told = {pool_key(key): pool.model_dump(mode="json") for key, pool in pools.items()}
    told |= {key: sub.model_dump(mode="json") for key, sub in subs.items()}
    return told | {guard_key(key): guard.model_dump(mode="json") for key, guard in guards.items()}
