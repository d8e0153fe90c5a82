"""The rows of the table "Licensing": a partner's partition, where every change moves the head.

    head                        number and hash of the newest event, the next due day
    pool~{pool}                 counters, orders, dates
    sub~{customer}~{slot}[~{tenant}]   one subscription, with `due` and `live` to find it by
    guard~{customer}            what holds over all of a customer's subscriptions
    event~{number}              the ledger
    command~{id}                what a command did, so that it is done once
    standing                    what the operator has allowed the partner

A commit is one batch: rows, events, command and the head under the ETag it was read with. So two
decisions on one book cannot both be written; the loser reads again and decides again.
"""

import asyncio
import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from random import SystemRandom
from typing import Any

import orjson

from shared.access.model import Scope
from shared.catalogue.model import Catalogue
from shared.kit.clock import Clock
from shared.kit.errors import NotFound, Unavailable
from shared.kit.ids import new_id
from shared.kit.tables import LostRace, Row, Table
from shared.licensing import rows, standings
from shared.licensing.book import Book, Decision
from shared.licensing.ledger import GENESIS, Event, sealed
from shared.licensing.model import Guard, Head, Pool, Subscription
from shared.licensing.refusals import ActionForbidden, CommandReused

TABLE = "Licensing"
BATCH = 100
"""Rows of one entity-group transaction."""
# Each lost race means that another change of this partner was written; so many in a row mean
# more writers than one partition takes.
ATTEMPTS = 200
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.5
_random = SystemRandom()

Decide = Callable[[Book], Decision]


class LicensingBusy(Unavailable):
    """Too many others change the partner's licences at this moment."""

    code, title = "LICENSING_BUSY", "Too many changes at the same time"


@dataclass(frozen=True, slots=True)
class Command:
    """One wish to change: who, and an id under which it happens once."""

    actor: str
    id: str = field(default_factory=new_id)
    request: str = ""
    """What was asked for, in any stable words: the same id with other words is refused."""
    automated: bool = False
    """Done by a timer, not by a person: counted for the mass-change brake."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read under one head."""

    head: Head
    etag: str
    book: Book
    command: Row | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, now or the first time it was sent."""

    events: tuple[Event, ...]
    book: Book
    notices: tuple[dict[str, Any], ...] = ()
    replayed: bool = False
    attempts: int = 1


class Ledgers:
    """All partners' books in one table; one instance per process."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        catalogue: Catalogue,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table, self._clock, self.catalogue, self._pause = table, clock, catalogue, pause
        self._pools: dict[str, tuple[int, dict[str, Pool]]] = {}
        # Callers of one process queue here instead of losing races against each other.
        self._turn: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def today(self) -> date:
        """The UTC calendar day."""
        return self._clock.now().date()

    async def run(
        self, scope: Scope, command: Command, decide: Decide, *, customers: Sequence[str] = ()
    ) -> Outcome:
        """Load, decide, commit; again after a lost race. Raises what `decide` raises.

        `customers` empty: the decision concerns the partner's pools only. `LicensingBusy` (503)
        when races never end; then nothing was written.
        """
        async with self._turn[scope.partner_id]:
            pause = _FIRST_PAUSE_SECONDS
            for attempt in range(1, ATTEMPTS + 1):
                snapshot = await self.load(scope, customers, command_id=command.id)
                if snapshot.command is not None:
                    return await self._replay(scope, command, snapshot)
                decision = decide(snapshot.book)
                if not decision.events:
                    return Outcome((), decision.after, decision.notices, attempts=attempt)
                try:
                    events = await self.commit(scope, snapshot, decision, command)
                except LostRace:
                    await self._pause(pause * _random.uniform(0.1, 1.9))
                    pause = min(pause * 1.6, _LONGEST_PAUSE_SECONDS)
                    continue
                return Outcome(events, decision.after, decision.notices, attempts=attempt)
        raise LicensingBusy("Repeat the request in a moment.", retryAfter=2)

    async def load(
        self, scope: Scope, customers: Sequence[str] = (), *, command_id: str | None = None
    ) -> Snapshot:
        """The pools and the rows of some customers: the head first, the others side by side.

        Whatever changes between the reads moves the head, so a commit on it would lose.
        """
        for customer in customers:
            if not scope.covers(customer):
                raise NotFound(f"There is no customer with the id {customer[:64]!r}.")
        if not customers and scope.customers is not None:
            raise ActionForbidden("This concerns all customers of the partner.", rule="scope")
        partner = scope.partner_id
        head, etag = await self._head(partner)
        pools, command, found = await asyncio.gather(
            self._read_pools(partner, head.seq),
            self._find_command(partner, command_id),
            asyncio.gather(*(self._customer(partner, customer) for customer in customers)),
        )
        subs = {sub.key: sub for customer_subs, _ in found for sub in customer_subs}
        guards = {guard.customer_id: guard for _, guard in found if guard is not None}
        book = Book(self.catalogue, self.today(), pools, subs, guards)
        return Snapshot(head, etag, book, command)

    async def load_all(self, scope: Scope) -> Snapshot:
        """The whole book of a partner, a thousand rows per read: for sweeps and comparisons."""
        if scope.customers is not None:
            raise ActionForbidden("This concerns all customers of the partner.", rule="scope")
        partner = scope.partner_id
        head, etag = await self._head(partner)
        # From the store, not from memory: this is also what the ledger is compared with.
        stored, subs, guards = await asyncio.gather(
            self._read(partner, "pool~"),
            self._read(partner, "sub~"),
            self._read(partner, "guard~"),
        )
        pools = {pool.pool_id: pool for pool in map(rows.to_pool, stored)}
        by_key = {row.key: rows.to_sub(row) for row in subs}
        by_customer = {guard.customer_id: guard for guard in map(rows.to_guard, guards)}
        return Snapshot(head, etag, Book(self.catalogue, self.today(), pools, by_key, by_customer))

    async def commit(
        self, scope: Scope, snapshot: Snapshot, decision: Decision, command: Command
    ) -> tuple[Event, ...]:
        """Write everything of the decision in one batch; `LostRace` when the head has moved."""
        head = snapshot.head
        # A clock behind the newest event must not make time run backwards in the chain.
        now = self._clock.now()
        recorded = max(now, head.recorded) if head.recorded else now
        previous, events = head.hash or GENESIS, []
        for number, event in enumerate(decision.events, head.seq + 1):
            named = event.model_copy(update={"actor": command.actor, "command": command.id})
            events.append(sealed(named, seq=number, previous=previous, recorded=recorded))
            previous = events[-1].hash
        moved = rows.moved_head(head, events, decision, automated=command.automated)
        partner = scope.partner_id
        done = rows.command_row(partner, command.id, digest(command), events, decision.notices)
        changes: list[tuple[str, Row]] = [
            ("replace" if snapshot.etag else "insert", rows.head_row(moved, snapshot.etag)),
            ("insert", done),
            *(("insert", rows.event_row(partner, event)) for event in events),
            *(("upsert", row) for row in rows.changed(partner, decision)),
        ]
        if len(changes) > BATCH:
            raise ValueError(f"{len(changes)} rows do not fit one batch")
        self._pools.pop(partner, None)
        if not snapshot.etag:  # first the list of partners: a sweep may find an empty ledger
            await self._table.batch([("upsert", Row(standings.PARTNERS, partner))])
        await self._table.batch(changes)
        self._pools[partner] = (moved.seq, dict(decision.after.pools))
        return tuple(events)

    async def events(
        self,
        scope: Scope,
        *,
        after: int = 0,
        customer: str | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """The ledger after the event `after`, at most `limit`, all or what concerns a customer."""
        if customer is None and scope.customers is not None:
            raise ActionForbidden("This concerns all customers of the partner.", rule="scope")
        if customer is not None and not scope.covers(customer):
            raise NotFound(f"There is no customer with the id {customer[:64]!r}.")
        where = {"where": "customer eq @customer", "parameters": {"customer": customer}}
        found = self._table.query(
            scope.partner_id,
            prefix="event~",
            after=rows.event_key(after),
            **(where if customer else {}),  # type: ignore[arg-type]
        )
        events: list[Event] = []
        async for row in found:
            events.append(rows.to_event(row))
            if len(events) == limit:
                break
        return events

    async def ledger(self, scope: Scope) -> list[Event]:
        """The whole ledger, to be folded: callers limited to some customers see no more of it."""
        found = self._table.query(scope.partner_id, prefix="event~")
        return [rows.to_event(row) async for row in found]

    async def again(self, scope: Scope, book: Book, seq: int) -> Snapshot | None:
        """The head as it is now, if nobody has moved it since `book` was written as `seq`."""
        head, etag = await self._head(scope.partner_id)
        return Snapshot(head, etag, book) if head.seq == seq else None

    async def note_due(self, snapshot: Snapshot, day: date | None) -> None:
        """Write when something is due next; a lost race leaves the earlier day, which is safe."""
        if snapshot.head.next_due == day or not snapshot.etag:
            return
        head = snapshot.head.model_copy(update={"next_due": day})
        with contextlib.suppress(LostRace):
            await self._table.replace(rows.head_row(head, snapshot.etag))

    async def head(self, scope: Scope) -> Head:
        """Where the partner's ledger stands: one read tells whether anything is due."""
        return (await self._head(scope.partner_id))[0]

    async def _head(self, partner: str) -> tuple[Head, str]:
        row = await self._table.find(partner, "head")
        if row is None:
            return Head(partner_id=partner), ""
        return rows.to_head(row), row.etag

    async def _read_pools(self, partner: str, seq: int) -> dict[str, Pool]:
        cached = self._pools.get(partner)
        if cached is not None and cached[0] == seq:
            return cached[1]
        found = map(rows.to_pool, await self._read(partner, "pool~"))
        pools = {pool.pool_id: pool for pool in found}
        # Had they changed since the head was read, the head would have another number by now.
        self._pools[partner] = (seq, pools)
        return pools

    async def _customer(
        self, partner: str, customer: str
    ) -> tuple[list[Subscription], Guard | None]:
        guard, subs = await asyncio.gather(
            self._table.find(partner, f"guard~{customer}"), self._read(partner, f"sub~{customer}~")
        )
        return [rows.to_sub(row) for row in subs], rows.to_guard(guard) if guard else None

    async def _find_command(self, partner: str, command_id: str | None) -> Row | None:
        if command_id is None:
            return None
        return await self._table.find(partner, rows.command_key(command_id))

    async def _read(self, partner: str, prefix: str) -> list[Row]:
        return [row async for row in self._table.query(partner, prefix=prefix)]

    async def _replay(self, scope: Scope, command: Command, snapshot: Snapshot) -> Outcome:
        done = snapshot.command
        if done is None or done.values["request"] != digest(command):
            raise CommandReused("Use a new id for a new request.", rule="24.1 l")
        first, last = done.values["first"], done.values["last"]
        found = self._table.query(
            scope.partner_id,
            prefix="event~",
            after=rows.event_key(first - 1),
            below=rows.event_key(last + 1),
        )
        events = tuple([rows.to_event(row) async for row in found])
        return Outcome(events, snapshot.book, tuple(done.values["notices"]), replayed=True)


def digest(command: Command) -> str:
    """What makes two sendings of a command the same request."""
    return hashlib.sha256(orjson.dumps([command.actor, command.request])).hexdigest()


def size(decision: Decision) -> int:
    """Rows that a commit of the decision writes."""
    return 2 + len(decision.events) + len(rows.changed("", decision))
