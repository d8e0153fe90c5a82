"""The verbs of licensing on stored books: perform, preview, batch, sweep, adjust.

`wishes` names every verb; here a wish is carried out, told in advance, or given to many customers.
Reading is in `reading`, tier 2 and orders of resellers in `passing`. See README.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.kit.tables import LostRace
from shared.licensing import explaining
from shared.licensing.book import Book, Decision
from shared.licensing.ledger import Event
from shared.licensing.model import BATCH_MAX_CUSTOMERS
from shared.licensing.refusals import BatchLimit, InvalidRequest
from shared.licensing.repository import BATCH, Command, Ledgers, Outcome, size
from shared.licensing.rows import moved_seats
from shared.licensing.rules import adjusting, dates, sweeping
from shared.licensing.rules.adjusting import Need
from shared.licensing.wishes import Wish

SWEEP_CHUNK = 30
"""Subscriptions of one batch: each writes itself, its event and its guard."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a wish would do now, and why, or why not; nothing was changed."""

    allowed: bool
    effects: tuple[str, ...] = ()
    """One sentence per event."""
    rules: tuple[str, ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    """Row, field, before, after."""
    refusal: HoldfastError | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one customer of a batch (CUS-36)."""

    customer_id: str
    status: str
    """Succeeded or Failed."""
    code: str = ""
    detail: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did."""

    events: int = 0
    commits: int = 0
    notices: tuple[dict[str, Any], ...] = ()
    skipped: bool = False
    """Nothing was due: one read was made."""


async def perform(ledgers: Ledgers, scope: Scope, command: Command, wish: Wish) -> Outcome:
    """Carry out a wish once per command id. Raises the rule's refusal, `LicensingBusy`."""
    worded = replace(command, request=wish.words)
    return await ledgers.run(scope, worded, wish.decide, customers=wish.customers)


async def preview(ledgers: Ledgers, scope: Scope, wish: Wish) -> Preview:
    """What the wish would do on today's books."""
    snapshot = await ledgers.load(scope, wish.customers)
    try:
        decision = wish.decide(snapshot.book)
    except HoldfastError as refusal:
        return Preview(False, refusal=refusal)
    return Preview(
        True,
        effects=tuple(explaining.sentence(event) for event in decision.events),
        rules=tuple(dict.fromkeys(rule for event in decision.events for rule in event.rules)),
        changes=tuple(explaining.changes(decision.before, decision.after)),
    )


def batch_plan(customers: Sequence[str]) -> tuple[str, ...]:
    """The customers of a batch edit, each once; `BatchLimit` (422) over 20 (CUS-35)."""
    once = tuple(dict.fromkeys(customers))
    if not once:
        error = {"pointer": "/customers", "detail": "At least one customer."}
        raise InvalidRequest([error], rule="CUS-35")
    if len(once) > BATCH_MAX_CUSTOMERS:
        raise BatchLimit(
            f"{len(once)} customers; at most {BATCH_MAX_CUSTOMERS}.",
            rule="CUS-35",
            pointer="/customers",
        )
    return once


async def batch_edit_one(
    ledgers: Ledgers, scope: Scope, command: Command, customer_id: str, wish: Wish
) -> BatchResult:
    """One customer of a batch: a refusal is its result, not the batch's end (CUS-36).

    The command id is the batch's with the customer's: a repeated run does nothing twice.
    """
    own = replace(command, id=f"{command.id}~{customer_id}")
    try:
        await perform(ledgers, scope, own, wish)
    except HoldfastError as refusal:
        rule = getattr(refusal, "rule", "")
        return BatchResult(customer_id, "Failed", refusal.code, refusal.detail, rule)
    return BatchResult(customer_id, "Succeeded")


def batch_export(results: Iterable[BatchResult]) -> list[list[str]]:
    """The result as a table with a heading (CUS-36)."""
    lines = [[r.customer_id, r.status, r.code, r.rule, r.detail] for r in results]
    return [["customerId", "status", "code", "rule", "detail"], *lines]


async def sweep(ledgers: Ledgers, scope: Scope, *, actor: str = "timer") -> Swept:
    """A night of one partner: pools, expirations, releases, in this order; again does nothing.

    Reads the head only when nothing is due. Raises `LicensingBusy` when races never end.
    """
    head = await ledgers.head(scope)
    if head.next_due is None or head.next_due > ledgers.today():
        return Swept(skipped=True)
    command = Command(actor=actor, request="sweep pools")
    pools = await ledgers.run(scope, command, sweeping.sweep_pools)
    events, commits = len(pools.events), 1 if pools.events else 0
    notices = list(pools.notices)
    while True:
        try:
            subs = await _sweep_subscriptions(ledgers, scope, actor)
        except LostRace:
            continue  # somebody's change was written: look again
        return Swept(events + subs.events, commits + subs.commits, (*notices, *subs.notices))


async def adjust(
    ledgers: Ledgers,
    scope: Scope,
    needs: Sequence[Need],
    *,
    actor: str = "timer",
    approved: bool = False,
) -> Swept:
    """Let automatic subscriptions follow what was read in the tenants (LIC-43 to 45).

    Leave out, or send None for, every tenant whose reading failed: it keeps what it has. More
    than a tenth of the partner's seats in a day raises `MassChange` and changes nothing, until a
    person approves.
    """
    while True:
        snapshot = await ledgers.load_all(scope)
        if not approved:
            whole = adjusting.adjust(snapshot.book, needs)
            head, day = snapshot.head, snapshot.book.day
            before = head.automated if head.automated_on == day else 0
            held = sum(pool.assigned for pool in snapshot.book.pools.values())
            adjusting.check_mass_change(moved_seats(whole.events), before=before, held=held)

        def decide(book: Book, chunk: Sequence[Need]) -> Decision:
            return adjusting.adjust(book, chunk)

        try:
            return await _in_chunks(ledgers, scope, actor, snapshot, needs, decide, automated=True)
        except LostRace:
            continue


async def _sweep_subscriptions(ledgers: Ledgers, scope: Scope, actor: str) -> Swept:
    snapshot = await ledgers.load_all(scope)
    due = [key for key in sorted(snapshot.book.subs) if sweeping.is_due(snapshot.book, key)]
    swept = await _in_chunks(
        ledgers, scope, actor, snapshot, due, sweeping.sweep_subscriptions, automated=False
    )
    if not swept.events:
        await ledgers.note_due(snapshot, next_due(snapshot.book))
        return swept
    latest = await ledgers.load_all(scope)
    await ledgers.note_due(latest, next_due(latest.book))
    return swept


async def _in_chunks(
    ledgers: Ledgers,
    scope: Scope,
    actor: str,
    snapshot: Any,
    things: Sequence[Any],
    decide: Any,
    *,
    automated: bool,
) -> Swept:
    """Commit a long piece of work in batches; `LostRace` when somebody else writes between."""
    events: list[Event] = []
    notices: list[dict[str, Any]] = []
    commits, at, step = 0, 0, SWEEP_CHUNK
    while at < len(things):
        decision = decide(snapshot.book, things[at : at + step])
        if size(decision) > BATCH and step > 1:
            step = max(1, step // 2)
            continue
        at += step
        notices += decision.notices
        if not decision.events:
            continue
        command = Command(actor=actor, request="sweep", automated=automated)
        events += await ledgers.commit(scope, snapshot, decision, command)
        commits += 1
        again = await ledgers.again(scope, decision.after, events[-1].seq)
        if again is None:
            raise LostRace("Somebody else has written.")
        snapshot = again
    return Swept(len(events), commits, tuple(notices))


def next_due(book: Book) -> date | None:
    """The first day on which a sweep of this book has something to do."""
    days = [dates.next_due_of_sub(sub) for sub in book.subs.values()]
    days += [dates.next_due_of_pool(pool) for pool in book.pools.values()]
    return min((day for day in days if day), default=None)
