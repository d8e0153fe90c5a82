"""Licensing's models as table rows and back, and the columns that rows are found by."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from shared.kit.tables import Row
from shared.licensing.book import LIVE, Decision
from shared.licensing.ledger import Event
from shared.licensing.model import Guard, Head, Mode, Pool, Subscription, pool_key
from shared.licensing.rules import dates

_FOUND_BY = frozenset({"due", "live"})
_GUARD = "~guard"


def event_key(seq: int) -> str:
    """Row key of an event: text order is the order of the ledger."""
    return f"event~{seq:012d}"


def command_key(command_id: str) -> str:
    """Row key of a command."""
    return f"command~{command_id}"


def of_customer(customer_id: str) -> str:
    """What the row keys of everything of a customer begin with."""
    return f"sub~{customer_id}~"


def guard_row_key(customer_id: str) -> str:
    """Row key of a guard: among its customer's subscriptions, where no slot is named like that."""
    return f"{of_customer(customer_id)}{_GUARD}"


def divided(found: Iterable[Row]) -> tuple[list[Subscription], list[Guard]]:
    """Rows of customers as what they are."""
    subs, guards = [], []
    for row in found:
        if row.key.endswith(_GUARD):
            guards.append(to_guard(row))
        else:
            subs.append(to_sub(row))
    return subs, guards


def to_pool(row: Row) -> Pool:
    """A stored pool."""
    return Pool.model_validate(_values(row))


def to_sub(row: Row) -> Subscription:
    """A stored subscription."""
    return Subscription.model_validate(_values(row))


def to_guard(row: Row) -> Guard:
    """A stored guard."""
    return Guard.model_validate(_values(row))


def to_head(row: Row) -> Head:
    """A stored head."""
    return Head.model_validate(_values(row))


def to_event(row: Row) -> Event:
    """A stored event."""
    return Event.model_validate_json(row.values["event"])


def head_row(head: Head, etag: str) -> Row:
    """The head, to be written under the ETag it was read with."""
    return Row(head.partner_id, "head", head.model_dump(mode="json"), etag)


def event_row(partner: str, event: Event) -> Row:
    """An event; `customer` is the one it concerns, so that a history is one filtered read."""
    owners = {key.split("~")[1] for key in event.touches if key.startswith(("sub~", "guard~"))}
    values = {
        "kind": event.kind,
        "customer": min(owners, default=""),
        "event": event.model_dump_json(),
    }
    return Row(partner, event_key(event.seq), values)


def command_row(
    partner: str,
    command_id: str,
    digest: str,
    events: Sequence[Event],
    notices: Sequence[dict[str, Any]],
) -> Row:
    """What a command did."""
    values = {
        "request": digest,
        "first": events[0].seq,
        "last": events[-1].seq,
        "notices": list(notices),
    }
    return Row(partner, command_key(command_id), values)


def changed(partner: str, decision: Decision) -> list[Row]:
    """The rows that differ after the decision."""
    before, after = decision.before, decision.after
    found = [
        Row(partner, pool_key(pool_id), pool.model_dump(mode="json"))
        for pool_id, pool in after.pools.items()
        if before.pools.get(pool_id) != pool
    ]
    for key, sub in after.subs.items():
        if before.subs.get(key) != sub:
            due = dates.next_due_of_sub(sub)
            columns = {"due": due.isoformat() if due else None, "live": sub.state in LIVE}
            found.append(Row(partner, key, sub.model_dump(mode="json") | columns))
    found += [
        Row(partner, guard_row_key(customer), guard.model_dump(mode="json"))
        for customer, guard in after.guards.items()
        if before.guards.get(customer) != guard
    ]
    return found


def moved_head(head: Head, events: Sequence[Event], decision: Decision, *, automated: bool) -> Head:
    """The head after these events; the due day can only come nearer, a sweep sets it anew."""
    values: dict[str, Any] = {
        "seq": events[-1].seq,
        "hash": events[-1].hash,
        "recorded": events[-1].recorded,
        "next_due": min((d for d in (head.next_due, due_day(decision)) if d), default=None),
        "ended": tuple(sorted({*head.ended, *_ended_by(decision)})),
        "follows": head.follows or any(sub.mode is Mode.AUTO for sub in _changed_subs(decision)),
    }
    if automated:
        day = decision.after.day
        so_far = head.automated if head.automated_on == day else 0
        values |= {"automated_on": day, "automated": so_far + moved_seats(events)}
    return head.model_copy(update=values)


def due_day(decision: Decision) -> date | None:
    """The first day on which one of the changed rows is due."""
    before, after = decision.before, decision.after
    days = [dates.next_due_of_sub(sub) for sub in _changed_subs(decision)]
    days += [
        dates.next_due_of_pool(pool)
        for pool_id, pool in after.pools.items()
        if before.pools.get(pool_id) != pool
    ]
    return min((day for day in days if day), default=None)


def moved_seats(events: Sequence[Event]) -> int:
    """Seats that went to or from customers."""
    return sum(
        move.quantity
        for event in events
        for move in event.moves
        if move.source.startswith("sub~") or move.target.startswith("sub~")
    )


def _changed_subs(decision: Decision) -> list[Subscription]:
    before, after = decision.before.subs, decision.after.subs
    return [sub for key, sub in after.items() if before.get(key) != sub]


def _ended_by(decision: Decision) -> list[str]:
    """Pools whose end the decision records."""
    kinds = [event.subject for event in decision.events if event.kind == "PoolEnded"]
    return [key.removeprefix("pool~") for key in kinds]


def _values(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.values.items() if name not in _FOUND_BY}
