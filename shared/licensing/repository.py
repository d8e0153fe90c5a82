"""The rows of the table "Licensing": a partner's partition, where every change moves the head.

    head                        number and hash of the newest event, the next due day
    pool~{pool}                 counters, orders, dates
    sub~{customer}~{slot}[~{tenant}]   one subscription, with `due` and `live` to find it by
    sub~{customer}~~guard       what holds over all of them, found with them by one read
    event~{number}              the ledger
    command~{id}                what a command did, so that it is done once
    standing                    what the operator has allowed the partner

A commit is one batch: rows, events, commands and the head under the ETag it was read with. So two
decisions on one book cannot both be written; the loser reads again and decides again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from shared.access.model import Scope
from shared.catalogue.model import Catalogue
from shared.kit import watch
from shared.kit.clock import Clock
from shared.kit.errors import HoldfastError, NotFound
from shared.kit.tables import LostRace, Row, Table
from shared.licensing import agenda, rows, standings
from shared.licensing.book import Book
from shared.licensing.commands import Command as Command
from shared.licensing.commands import Decide as Decide
from shared.licensing.commands import LicensingBusy as LicensingBusy
from shared.licensing.commands import Outcome as Outcome
from shared.licensing.commands import Ticket
from shared.licensing.ledger import Event
from shared.licensing.model import Guard, Head, Mode, Pool, Subscription
from shared.licensing.page import Page
from shared.licensing.refusals import ActionForbidden, CommandReused
from shared.licensing.rules import dates
from shared.licensing.turns import ATTEMPTS as ATTEMPTS
from shared.licensing.turns import Turns

TABLE = "Licensing"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read under one head."""

    head: Head
    book: Book


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
        self._turns: dict[str, Turns] = {}

    def today(self) -> date:
        """The UTC calendar day."""
        return self._clock.now().date()

    async def run(
        self, scope: Scope, command: Command, decide: Decide, *, customers: Sequence[str] = ()
    ) -> Outcome:
        """Load, decide, commit; again after a lost race. Raises what `decide` raises.

        `customers` empty: the decision concerns the partner's pools only. `LicensingBusy` (503)
        when races never end; then nothing was written. Commands of this process that wait for
        the same partner are decided one on the other and written together (`turns`).
        """
        self._check(scope, customers)
        partner = scope.partner_id
        turns = self._turns.get(partner)
        if turns is None:
            turns = self._turns[partner] = Turns(self._settle, lambda pause: self._pause(pause))
        ticket = Ticket(partner, command, decide, tuple(dict.fromkeys(customers)))
        outcome = await turns.wait(ticket)
        self._table.note(ticket.changes)
        return outcome

    async def load(self, scope: Scope, customers: Sequence[str] = ()) -> Snapshot:
        """The pools and the rows of some customers: the head first, the others side by side."""
        self._check(scope, customers)
        partner = scope.partner_id
        head, _ = await self._head(partner)
        pools, found = await asyncio.gather(
            self._read_pools(partner, head.seq),
            asyncio.gather(*(self._customer(partner, customer) for customer in customers)),
        )
        subs = {sub.key: sub for customer_subs, _ in found for sub in customer_subs}
        guards = {guard.customer_id: guard for _, guard in found if guard is not None}
        return Snapshot(head, Book(self.catalogue, self.today(), pools, subs, guards))

    async def load_all(self, scope: Scope) -> Snapshot:
        """The whole book of a partner, a thousand rows per read: for sweeps and comparisons."""
        if scope.customers is not None:
            raise ActionForbidden("This concerns all customers of the partner.", rule="scope")
        partner = scope.partner_id
        head, _ = await self._head(partner)
        # From the store, not from memory: this is also what the ledger is compared with.
        stored, found = await asyncio.gather(
            self._read(partner, "pool~"), self._read(partner, "sub~")
        )
        pools = {pool.pool_id: pool for pool in map(rows.to_pool, stored)}
        subs, guards = rows.divided(found)
        by_key = {sub.key: sub for sub in subs}
        by_customer = {guard.customer_id: guard for guard in guards}
        return Snapshot(head, Book(self.catalogue, self.today(), pools, by_key, by_customer))

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

    async def due(self, scope: Scope, pools: Sequence[str]) -> list[Subscription]:
        """Live subscriptions whose own day has come, and all of these (ended) pools."""
        today = {"yes": True, "today": self.today().isoformat()}
        found = await self._find(scope, "live eq @yes and due le @today", today)
        for pool in pools:
            of_pool = {"yes": True, "pool": pool}
            found |= await self._find(scope, "live eq @yes and pool_id eq @pool", of_pool)
        return [found[key] for key in sorted(found)]

    async def following(self, scope: Scope) -> list[Subscription]:
        """Live subscriptions whose quantity follows the tenant (LIC-41)."""
        given = {"yes": True, "mode": Mode.AUTO.value}
        found = await self._find(scope, "live eq @yes and mode eq @mode", given)
        return [found[key] for key in sorted(found)]

    async def note_night(self, scope: Scope, ended: Sequence[str]) -> bool:
        """Write when something is due next, now that a sweep has seen all that was.

        `ended`: the pools whose subscriptions it has looked through. False when somebody else
        wrote meanwhile: the earlier day stays, which is safe.
        """
        partner = scope.partner_id
        head, etag = await self._head(partner)
        if set(head.ended) - set(ended):
            return False
        pools = await self._read_pools(partner, head.seq)
        days = [dates.next_due_of_pool(pool) for pool in pools.values()]
        waiting = self._table.query(
            partner,
            prefix="sub~",
            where="live eq @yes and due gt @none",
            parameters={"yes": True, "none": ""},
            select=("PartitionKey", "RowKey", "due"),
        )
        days += [date.fromisoformat(row.values["due"]) async for row in waiting]
        day = min((day for day in days if day), default=None)
        if day is not None:
            await agenda.note_due(self._table, partner, day)
        moved = head.model_copy(update={"next_due": day, "ended": ()})
        try:
            # Written even when it says the same: a change that is under way begins again, and
            # puts its own line on the agenda again.
            await self._table.replace(rows.head_row(moved, etag))
        except LostRace:
            return False
        return True

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
        subs, guards = rows.divided(await self._read(partner, rows.of_customer(customer)))
        return subs, guards[0] if guards else None

    async def _settle(self, group: Sequence[Ticket]) -> None:
        """One try for commands of one partner: read, decide one on the other, write once.

        Answers are given when the batch is written: even a refusal may rest on what it changes.
        """
        # What is read and written for others is noted where they are, not here.
        with watch.unwatched():
            page, open_tickets = await self._laid_out(group)
            decided: list[tuple[Ticket, Outcome | HoldfastError]] = []
            for ticket in open_tickets:
                ticket.changes = ()
                try:
                    decision = ticket.decide(page.book(ticket.customers))
                except HoldfastError as refusal:
                    decided.append((ticket, refusal))
                    continue
                events: tuple[Event, ...] = ()
                if decision.events:
                    taken = page.take(ticket.command, decision)
                    if taken is None:
                        break
                    events, ticket.changes = taken
                outcome = Outcome(
                    events, decision.after, decision.notices, attempts=ticket.attempts
                )
                decided.append((ticket, outcome))
            if not page.is_empty:
                await self._write(page)
        for ticket, answer in decided:
            ticket.answer = answer

    async def _laid_out(self, group: Sequence[Ticket]) -> tuple[Page, list[Ticket]]:
        """The page with what the tickets concern, and those that were not done before.

        The head is read first: whatever changes after it moves it, so a commit on it would lose.
        """
        partner = group[0].partner
        head, etag = await self._head(partner)
        page = Page(self.catalogue, head, etag, self._clock.now())
        about = {name: ticket for ticket in group for name in ticket.customers}
        page.pools, done, found = await asyncio.gather(
            self._read_pools(partner, head.seq),
            asyncio.gather(*(self._find_command(partner, each.command.id) for each in group)),
            asyncio.gather(
                *(_as(ticket, self._customer(partner, name)) for name, ticket in about.items())
            ),
        )
        for name, (subs, guard) in zip(about, found, strict=True):
            page.lay_out(name, subs, guard)
        waiting = []
        for ticket, row in zip(group, done, strict=True):
            if row is None:
                waiting.append(ticket)
            else:
                book = page.book(ticket.customers)
                ticket.answer = await self._replay(partner, ticket.command, row, book)
        return page, waiting

    async def _write(self, page: Page) -> None:
        """Lines of the agenda first, then the batch; `LostRace` when the head has moved."""
        partner, before, after = page.head.partner_id, page.first, page.head
        self._pools.pop(partner, None)
        if not page.etag:
            await self._table.upsert(Row(standings.PARTNERS, partner))
        if page.nearer_due is not None:
            await agenda.note_due(self._table, partner, page.nearer_due)
        if after.follows and not before.follows:
            await agenda.note_following(self._table, partner)
        await self._table.batch(page.batch())
        self._pools[partner] = (after.seq, dict(page.pools))

    async def _find(
        self, scope: Scope, where: str, given: dict[str, Any]
    ) -> dict[str, Subscription]:
        found = self._table.query(scope.partner_id, prefix="sub~", where=where, parameters=given)
        return {row.key: rows.to_sub(row) async for row in found}

    async def _find_command(self, partner: str, command_id: str) -> Row | None:
        return await self._table.find(partner, rows.command_key(command_id))

    async def _read(self, partner: str, prefix: str) -> list[Row]:
        return [row async for row in self._table.query(partner, prefix=prefix)]

    async def _replay(
        self, partner: str, command: Command, done: Row, book: Book
    ) -> Outcome | HoldfastError:
        if done.values["request"] != command.digest:
            return CommandReused("Use a new id for a new request.", rule="24.1 l")
        first, last = done.values["first"], done.values["last"]
        found = self._table.query(
            partner,
            prefix="event~",
            after=rows.event_key(first - 1),
            below=rows.event_key(last + 1),
        )
        events = tuple([rows.to_event(row) async for row in found])
        return Outcome(events, book, tuple(done.values["notices"]), replayed=True)

    @staticmethod
    def _check(scope: Scope, customers: Sequence[str]) -> None:
        for customer in customers:
            if not scope.covers(customer):
                raise NotFound(f"There is no customer with the id {customer[:64]!r}.")
        if not customers and scope.customers is not None:
            raise ActionForbidden("This concerns all customers of the partner.", rule="scope")


async def _as[T](ticket: Ticket, reading: Coroutine[Any, Any, T]) -> T:
    """Read as the one who asked, so that its audit line knows what was there before."""
    return await asyncio.get_running_loop().create_task(reading, context=ticket.context.copy())
