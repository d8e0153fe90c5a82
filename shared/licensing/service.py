"""The verbs of licensing on stored books: perform, preview, batch, sweep, adjust.

`wishes` names every verb; here a wish is carried out, told in advance, or given to many customers.
Reading is in `reading`, tier 2 and orders of resellers in `passing`. See README.md.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.access.model import Scope
from shared.kit.errors import HoldfastError
from shared.licensing import explaining
from shared.licensing.book import Book, Decision
from shared.licensing.model import BATCH_MAX_CUSTOMERS, Subscription
from shared.licensing.page import TooManyRows
from shared.licensing.refusals import BatchLimit, InvalidRequest
from shared.licensing.repository import Command, Decide, Ledgers, Outcome
from shared.licensing.rows import moved_seats
from shared.licensing.rules import adjusting, quantities, sweeping
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
    settled: bool = False
    """It is written down when something is due next."""

    def __add__(self, more: "Swept") -> "Swept":
        """Both."""
        notices = (*self.notices, *more.notices)
        return Swept(self.events + more.events, self.commits + more.commits, notices)


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
    return foreseen(decision)


def foreseen(decision: Decision) -> Preview:
    """A decision told in advance."""
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
    pools = sweeping.due_pools((await ledgers.load(scope)).book)
    swept = await _in_chunks(ledgers, scope, actor, "sweep pools", pools, sweeping.sweep_pools)
    ended = (await ledgers.head(scope)).ended
    due = [sub.key for sub in await ledgers.due(scope, ended)]
    swept += await _in_chunks(ledgers, scope, actor, "sweep", due, sweeping.sweep_subscriptions)
    return replace(swept, settled=await ledgers.note_night(scope, ended))


async def adjust(
    ledgers: Ledgers,
    scope: Scope,
    needs: Sequence[Need],
    *,
    actor: str = "timer",
    approved: int = 0,
) -> Swept:
    """Let automatic subscriptions follow what was read in the tenants (LIC-43 to 45).

    Leave out, or send None for, every tenant whose reading failed: it keeps what it has. More
    than a tenth of the partner's seats in a day raises `MassChange` and changes nothing, unless
    it is no more than a person has `approved` (seats in a day).
    """
    snapshot = await ledgers.load(scope)
    following = {sub.key: sub for sub in await ledgers.following(scope)}
    moving, moved = _foreseen(snapshot.book, following, needs)
    head, day = snapshot.head, snapshot.book.day
    before = head.automated if head.automated_on == day else 0
    held = sum(pool.assigned for pool in snapshot.book.pools.values())
    adjusting.check_mass_change(moved, before=before, held=held, approved=approved)
    by_key = {need.key: need for need in moving}

    def decide(book: Book, keys: Sequence[str]) -> Decision:
        return adjusting.adjust(book, [by_key[key] for key in keys])

    return await _in_chunks(ledgers, scope, actor, "adjust", list(by_key), decide, automated=True)


async def note_protected(
    ledgers: Ledgers, scope: Scope, protected: Mapping[str, int], *, actor: str = "timer"
) -> int:
    """Note what a night has measured, by row key (LIC-53); the events. Again does nothing."""

    def decide(book: Book, keys: Sequence[str]) -> Decision:
        return quantities.note_many(book, {key: protected[key] for key in keys})

    done = await _in_chunks(ledgers, scope, actor, "note protected", sorted(protected), decide)
    return done.events


def _foreseen(
    book: Book, subs: Mapping[str, Subscription], needs: Sequence[Need]
) -> tuple[list[Need], int]:
    """Needs by which something changes, and the seats that move; decided chunk by chunk."""
    moving: list[Need] = []
    moved = 0
    for need in needs:
        if need.key not in subs:
            continue
        page = replace(book, subs={need.key: subs[need.key]})
        decision = adjusting.adjust(page, [need])
        if decision.events:
            moving.append(need)
            moved += moved_seats(decision.events)
            book = replace(book, pools=decision.after.pools)
    return moving, moved


def _about(decide: Callable[[Book, Sequence[str]], Decision], keys: Sequence[str]) -> Decide:
    return lambda book: decide(book, keys)


async def _in_chunks(
    ledgers: Ledgers,
    scope: Scope,
    actor: str,
    name: str,
    keys: Sequence[str],
    decide: Callable[[Book, Sequence[str]], Decision],
    *,
    automated: bool = False,
) -> Swept:
    """A long piece of work in commands that fit a batch each; what one has done stays done."""
    done = Swept()
    at, step = 0, SWEEP_CHUNK
    while at < len(keys):
        chunk = keys[at : at + step]
        customers = dict.fromkeys(key.split("~")[1] for key in chunk if key.startswith("sub~"))
        command = Command(actor=actor, request=name, automated=automated)
        try:
            outcome = await ledgers.run(
                scope, command, _about(decide, chunk), customers=list(customers)
            )
        except TooManyRows:
            if len(chunk) == 1:
                raise
            step = max(1, step // 2)
            continue
        at += len(chunk)
        commits = 1 if outcome.events else 0
        done += Swept(len(outcome.events), commits, outcome.notices)
    return done
