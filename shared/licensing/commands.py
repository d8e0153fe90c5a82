"""Commands: what somebody asks of a partner's books, once per id, and what became of it."""

import hashlib
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.kit.errors import HoldfastError, Unavailable
from shared.kit.ids import new_id
from shared.kit.tables import Row
from shared.licensing.book import Book, Decision
from shared.licensing.ledger import Event

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

    @property
    def digest(self) -> str:
        """What makes two sendings of a command the same request."""
        return hashlib.sha256(orjson.dumps([self.actor, self.request])).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, now or the first time it was sent."""

    events: tuple[Event, ...]
    book: Book
    notices: tuple[dict[str, Any], ...] = ()
    replayed: bool = False
    attempts: int = 1


@dataclass(slots=True, eq=False)
class Ticket:
    """A command that waits for its turn, and its answer."""

    partner: str
    command: Command
    decide: Decide
    customers: Sequence[str]
    context: Context = field(default_factory=copy_context)
    """The caller's own: another caller may do the reading and deciding for it."""
    attempts: int = 1
    alone: bool = False
    """Together with others it failed: the next try is its own."""
    answer: Outcome | HoldfastError | None = None
    changes: Sequence[tuple[str, Row]] = ()
    """What was written for it, by whoever wrote it."""
