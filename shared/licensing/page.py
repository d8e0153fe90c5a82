"""One page of the ledger: decisions made one on the other, written as one batch or not at all."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import orjson

from shared.catalogue.model import Catalogue
from shared.kit.tables import Row
from shared.licensing import rows
from shared.licensing.book import Book, Decision
from shared.licensing.commands import Command
from shared.licensing.ledger import GENESIS, Event, sealed
from shared.licensing.model import Guard, Head, Pool, Subscription

BATCH = 100
"""Rows of one entity-group transaction."""
# Of the service's 4 MiB: escaping and the envelope of each row at most quadruple what is counted.
BATCH_BYTES = 1024 * 1024


class TooManyRows(ValueError):
    """A single decision does not fit a batch: whoever made it divides it."""


class Page:
    """The books under one head: each decision sees what those before it have changed."""

    def __init__(self, catalogue: Catalogue, head: Head, etag: str, now: datetime) -> None:
        self.first, self.etag, self.head = head, etag, head
        # A clock behind the newest event must not make time run backwards in the chain.
        self._recorded = max(now, head.recorded) if head.recorded else now
        self._catalogue, self._day = catalogue, now.date()
        self.pools: Mapping[str, Pool] = {}
        self._subs: dict[str, dict[str, Subscription]] = {}
        self._guards: dict[str, Guard] = {}
        self._written: dict[str, tuple[str, Row]] = {}
        self._bytes = 0

    def lay_out(self, customer: str, subs: Sequence[Subscription], guard: Guard | None) -> None:
        """What was read of a customer."""
        self._subs[customer] = {sub.key: sub for sub in subs}
        if guard is not None:
            self._guards[customer] = guard

    def book(self, customers: Sequence[str]) -> Book:
        """What a command about these customers is decided on: as if it were alone."""
        subs = {key: sub for name in customers for key, sub in self._subs[name].items()}
        guards = {name: self._guards[name] for name in customers if name in self._guards}
        return Book(self._catalogue, self._day, self.pools, subs, guards)

    def take(
        self, command: Command, decision: Decision
    ) -> tuple[tuple[Event, ...], list[tuple[str, Row]]] | None:
        """Put a decision on the page: its events and rows; None when there is no room left.

        `TooManyRows` when it would not fit an empty page either.
        """
        partner, events, previous = self.head.partner_id, [], self.head.hash or GENESIS
        for number, event in enumerate(decision.events, self.head.seq + 1):
            named = event.model_copy(update={"actor": command.actor, "command": command.id})
            events.append(sealed(named, seq=number, previous=previous, recorded=self._recorded))
            previous = events[-1].hash
        done = rows.command_row(partner, command.id, command.digest, events, decision.notices)
        changes: list[tuple[str, Row]] = [
            ("insert", done),
            *(("insert", rows.event_row(partner, event)) for event in events),
            *(("upsert", row) for row in rows.changed(partner, decision)),
        ]
        own = {row.key: (verb, row) for verb, row in changes}
        weight = sum(len(orjson.dumps(row.values)) for _, row in changes)
        if len(own) >= BATCH:
            raise TooManyRows(f"{len(own) + 1} rows do not fit one batch")
        crowded = len(self._written | own) >= BATCH or self._bytes + weight > BATCH_BYTES
        if self._written and crowded:
            return None
        self._written |= own
        self._bytes += weight
        self.head = rows.moved_head(self.head, events, decision, automated=command.automated)
        self._keep(decision.after)
        return tuple(events), changes

    @property
    def is_empty(self) -> bool:
        """Whether nothing was put on it."""
        return not self._written

    @property
    def nearer_due(self) -> date | None:
        """The day for which the partner must stand in the list of what is due; None: it does."""
        before, after = self.first.next_due, self.head.next_due
        return after if after is not None and (before is None or after < before) else None

    def batch(self) -> list[tuple[str, Row]]:
        """The head under the ETag it was read with, then everything else, each row once."""
        verb = "replace" if self.etag else "insert"
        return [(verb, rows.head_row(self.head, self.etag)), *self._written.values()]

    def _keep(self, after: Book) -> None:
        self.pools = after.pools
        for key, sub in after.subs.items():
            self._subs.setdefault(sub.customer_id, {})[key] = sub
        self._guards.update(after.guards)
