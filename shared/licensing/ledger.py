"""The ledger: append-only events, chained by hash, from which every balance can be told again.

An event moves seats between accounts (`moves`) and sets plain values (`sets`). Moves are sums, so
their order does not matter; of two values the one recorded later counts. Therefore the fold of a
part of the events is the state as it was on a day, or as it was known at an instant.

Accounts: `order~{pool}` outside the books, `pool~{pool}` available, `sub~...` with a customer,
`passed~{pool}` with another partner, `burnt~{pool}` used up, `parent~{pool}` at the reseller.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict

GENESIS = "0" * 64
_PREFIX = b"holdfast-licences-1\n"
Rows = dict[str, dict[str, Any]]
"""Row key -> JSON of a pool, subscription or guard."""
_OUTSIDE = ("order", "parent")
_COUNTER = {"passed": "passed_on", "burnt": "burnt"}


class Move(BaseModel):
    """Seats from one account to another; `lot` is the lot of the subscription concerned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    target: str
    quantity: int
    pool: str
    lot: date | None = None


class Event(BaseModel):
    """One thing that happened: what it moved and set, by which rules, who asked, when."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seq: int = 0
    kind: str
    subject: str
    """Row key of what it is about."""
    effective: date
    recorded: datetime | None = None
    actor: str = ""
    command: str = ""
    rules: tuple[str, ...] = ()
    note: str = ""
    moves: tuple[Move, ...] = ()
    sets: dict[str, dict[str, Any]] = {}
    previous: str = ""
    hash: str = ""

    @property
    def touches(self) -> frozenset[str]:
        """Row keys this event changes."""
        ends = {end for move in self.moves for end in (move.source, move.target)}
        pools = {f"pool~{move.pool}" for move in self.moves}
        return frozenset({self.subject, *self.sets, *pools, *ends})


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the chain does not hold."""

    seq: int
    detail: str


def sealed(event: Event, *, seq: int, previous: str, recorded: datetime) -> Event:
    """The event with its number, time and hash."""
    numbered = event.model_copy(update={"seq": seq, "previous": previous, "recorded": recorded})
    return numbered.model_copy(update={"hash": hash_of(numbered)})


def hash_of(event: Event) -> str:
    """SHA-256 over a fixed prefix and the canonical JSON without `hash`."""
    body = event.model_dump(mode="json", exclude={"hash"})
    return hashlib.sha256(_PREFIX + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_chain(events: Iterable[Event], *, head: str | None = None) -> Broken | None:
    """The first event that was changed, removed or added, or None; `head` is the expected end."""
    previous, expected = GENESIS, 1
    for event in events:
        if event.seq != expected:
            return Broken(expected, f"event {expected} is missing, {event.seq} stands there")
        if event.previous != previous or event.hash != hash_of(event):
            return Broken(event.seq, f"event {event.seq} is not what was written")
        previous, expected = event.hash, expected + 1
    if head is not None and head != previous:
        return Broken(expected, "the head does not end this chain")
    return None


def apply(rows: Rows, event: Event) -> None:
    """Change `rows` by one event."""
    for key, values in event.sets.items():
        rows.setdefault(key, {}).update(values)
    for move in event.moves:
        _credit(rows, move, move.source, -move.quantity)
        _credit(rows, move, move.target, move.quantity)
        for account in (move.source, move.target):
            _date(rows, move, account, event.effective.isoformat())


def fold(events: Iterable[Event]) -> Rows:
    """The rows that the events make, in the order of recording."""
    rows: Rows = {}
    for event in events:
        apply(rows, event)
    return rows


def known(
    events: Iterable[Event], *, as_of: date | None = None, known_at: datetime | None = None
) -> list[Event]:
    """The events effective by the end of `as_of` that were recorded by `known_at`."""
    return [
        event
        for event in events
        if (as_of is None or event.effective <= as_of)
        and (known_at is None or (event.recorded is not None and event.recorded <= known_at))
    ]


def differences(told: Mapping[str, Mapping[str, Any]], stored: Rows) -> list[str]:
    """What the fold and the store do not agree on, in words; empty when they do."""
    found = [f"{key}: only in the ledger" for key in told if key not in stored]
    found += [f"{key}: not in the ledger" for key in stored if key not in told]
    for key in told.keys() & stored.keys():
        ours, theirs = told[key], stored[key]
        found += [
            f"{key}.{name}: the ledger says {ours.get(name)!r}, the store {theirs.get(name)!r}"
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]
    return sorted(found)


def _date(rows: Rows, move: Move, account: str, day: str) -> None:
    """Note the latest day on which a subscription's lots or a pool's total moved."""
    kind, _, _ = account.partition("~")
    if kind in _OUTSIDE or kind == "sub":
        row = rows[account if kind == "sub" else f"pool~{move.pool}"]
        row["moved_on"] = max(row.get("moved_on") or day, day)


def _credit(rows: Rows, move: Move, account: str, delta: int) -> None:
    kind, _, _ = account.partition("~")
    pool = rows.setdefault(f"pool~{move.pool}", {})
    if kind in _OUTSIDE:
        pool["total"] = pool.get("total", 0) - delta
    elif kind in _COUNTER:
        name = _COUNTER[kind]
        pool[name] = pool.get(name, 0) + delta
    elif kind == "sub":
        pool["assigned"] = pool.get("assigned", 0) + delta
        lots = dict(rows.setdefault(account, {}).get("lots", {}))
        day = move.lot.isoformat() if move.lot else ""
        lots[day] = lots.get(day, 0) + delta
        rows[account]["lots"] = {key: lots[key] for key in sorted(lots) if lots[key]}
