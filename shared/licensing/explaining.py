"""The ledger in sentences: what an event did, why a number is what it is (LIC-49)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared.licensing.book import Book
from shared.licensing.ledger import Event, Rows, apply

_WORDS = {
    "Assigned": "assigned {n} from pool {pool}",
    "TrialStarted": "a trial began; it takes nothing from a pool",
    "TrialConverted": "the trial was converted: {n} assigned from pool {pool}",
    "Increased": "{n} more from pool {pool}, with a minimum term of their own",
    "Reduced": "{n} returned to pool {pool}",
    "Adjusted": "adjusted to the licences in use: {signed}",
    "DecreaseDeferred": "a decrease waits until its lock ends",
    "ExpirySet": "the expiry was chosen: {sets}",
    "Expired": "expired; {n} returned",
    "SourceSwitched": "moved to pool {pool}; a new minimum term began",
    "Superseded": "a licence of higher rank took over",
    "SeatsReleased": "{n} returned after the minimum term",
    "Restored": "the licence of higher rank ended; active again",
    "PoolOpened": "the pool was bought: {n}",
    "PoolIncreased": "{n} more were bought",
    "ReductionScheduled": "a reduction was scheduled: {note}",
    "PoolRenewed": "renewed: {note}",
    "OrderCancelled": "an order was cancelled: {note}",
    "OrderEnded": "an order ran out; {n} left the pool",
    "OrderSuspended": "an order was suspended",
    "OrderReinstated": "an order was reinstated",
    "PoolStarted": "the pool began",
    "PoolEnded": "the pool ended",
    "PassedOn": "{n} were passed on",
    "Received": "{n} were received from the reseller",
    "GivenBack": "{n} were given back to the reseller",
    "ReceiptRefused": "seats came after the reseller's pool had ended and were not taken",
    "ReturnRefused": "seats in use were asked back and stayed",
    "TransferDone": "a transfer was completed",
    "TransferUndone": "a transfer did not arrive and was taken back",
    "ReturnAsked": "seats were asked back from a partner",
    "SettingsChanged": "settings were changed: {sets}",
    "ModeChanged": "the quantity is decided anew: {sets}",
    "AddOnSet": "an add-on was set: {note}",
    "HiddenSet": "expired services were hidden or shown",
    "OverrideBegan": "a licence from outside the pools began",
    "OverrideEnded": "a licence from outside the pools ended",
    "Consumed": "used up for good: {sets}",
    "ProtectedNoted": "in use: {sets}",
    "PoolFollowed": "the end follows the reseller's pool",
}
_EXPIRY_FIELDS = frozenset({"expiration", "expires_on", "ended_on", "pool_id"})


@dataclass(frozen=True, slots=True)
class Reason:
    """One event's part in a number or a date."""

    seq: int
    day: date
    recorded: datetime | None
    actor: str
    sentence: str
    rules: tuple[str, ...]
    delta: int | None = None
    value: Any = None
    """The number or date after this event."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One modification of a subscription, add-on or pool (LIC-49)."""

    seq: int
    at: datetime | None
    effective: date
    actor: str
    action: str
    subject: str
    before: dict[str, Any]
    after: dict[str, Any]
    rules: tuple[str, ...]


def sentence(event: Event) -> str:
    """What the event did, in words."""
    moved = sum(move.quantity for move in event.moves)
    pool = event.moves[-1].pool if event.moves else ""
    grows = bool(event.moves) and event.moves[-1].target.startswith("sub~")
    values = event.sets.get(event.subject, {})
    text = _WORDS.get(event.kind, event.kind).format(
        n=moved,
        pool=pool,
        signed=f"{moved if grows else -moved:+d}",
        note=event.note,
        sets=", ".join(f"{name} {value}" for name, value in sorted(values.items())),
    )
    return f"{event.effective}: {text} ({', '.join(event.rules)})"


def explain_quantity(events: Iterable[Event], account: str) -> list[Reason]:
    """Every event that moved seats to or from an account, with the running sum.

    `account` is a row key: of a subscription (what it has) or of a pool (what is available).
    """
    balance, found = 0, []
    for event in events:
        arrives = sum(move.quantity for move in event.moves if move.target == account)
        leaves = sum(move.quantity for move in event.moves if move.source == account)
        if arrives or leaves:
            balance += arrives - leaves
            found.append(_reason(event, delta=arrives - leaves, value=balance))
    return found


def explain_expiry(events: Iterable[Event], key: str) -> list[Reason]:
    """Every event that chose the last day of a subscription, or moved the end of its pool."""
    found: list[Reason] = []
    ends: dict[str, Reason] = {}
    pool = ""
    for event in events:
        for row, values in event.sets.items():
            if row.startswith("pool~") and "end" in values:
                ends[row] = _reason(event, value=values["end"])
                if row == pool:
                    found.append(ends[row])
        values = event.sets.get(key, {})
        if not values.keys() & _EXPIRY_FIELDS:
            continue
        found.append(_reason(event, value=values.get("ended_on") or values.get("expires_on")))
        if values.get("pool_id"):
            pool = f"pool~{values['pool_id']}"
            if pool in ends:
                found.append(ends[pool])
    return found


def history(events: Iterable[Event], keys: Sequence[str]) -> list[Entry]:
    """What changed at some rows, event by event, with before and after (LIC-49)."""
    rows: Rows = {}
    found = []
    wanted = frozenset(keys)
    for event in events:
        touched = event.touches & wanted
        old = {key: _shown(rows.get(key, {})) for key in touched}
        apply(rows, event)
        for key in sorted(touched):
            before, after = _differing(old[key], _shown(rows.get(key, {})))
            if before != after:
                found.append(
                    Entry(
                        event.seq,
                        event.recorded,
                        event.effective,
                        event.actor,
                        event.kind,
                        key,
                        before,
                        after,
                        event.rules,
                    )
                )
    return found


def changes(before: Book, after: Book) -> list[dict[str, Any]]:
    """Row, field, before and after of everything that differs."""
    old = {**_rows(before.pools, "pool~"), **_rows(before.subs), **_rows(before.guards, "guard~")}
    new = {**_rows(after.pools, "pool~"), **_rows(after.subs), **_rows(after.guards, "guard~")}
    found = []
    for key in sorted(new):
        was, now = _differing(_shown(old.get(key, {})), _shown(new[key]))
        found += [
            {"row": key, "field": name, "before": was.get(name), "after": now.get(name)}
            for name in sorted({*was, *now})
        ]
    return found


def _rows(models: Any, prefix: str = "") -> Rows:
    return {f"{prefix}{key}": model.model_dump(mode="json") for key, model in models.items()}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    quantity = {"quantity": sum(row["lots"].values())} if "lots" in row else {}
    return {**row, **quantity}


def _differing(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in {*old, *new} if old.get(name) != new.get(name)]
    before = {name: old[name] for name in sorted(names) if name in old}
    return before, {name: new[name] for name in sorted(names) if name in new}


def _reason(event: Event, *, delta: int | None = None, value: Any = None) -> Reason:
    return Reason(
        event.seq,
        event.effective,
        event.recorded,
        event.actor,
        sentence(event),
        event.rules,
        delta,
        value,
    )
