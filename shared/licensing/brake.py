"""The brake on mass changes by automation: what waits for a person, and what one has decided.

A dismissal holds for the number it was about: another number asks again. An approval holds for up
to the number that was asked: the next run of the clock reads the tenants again and does it once;
when more would change by then, it asks anew.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from shared.access.model import Scope
from shared.kit.errors import Conflict
from shared.kit.tables import Row, Table
from shared.licensing import noticing
from shared.licensing.refusals import MassChange
from shared.licensing.rules import telling

_KEY = "brake"


class NothingWaits(Conflict):
    """No mass change waits for anybody."""

    code, title = "NOTHING_TO_APPROVE", "Nothing waits for an approval"


class AnotherNumber(Conflict):
    """The number to approve is no longer the one that its reader saw."""

    code, title = "ANOTHER_NUMBER", "Another number of seats waits"


class Waiting(BaseModel):
    """A mass change that was stopped."""

    state: Literal["Waiting", "Approved", "Dismissed"] = "Waiting"
    would_move: int
    limit: int
    asked_at: datetime
    approved_by: str = ""
    dismissed_by: str = ""


async def find(table: Table, scope: Scope) -> Waiting | None:
    """What waits, or None."""
    row = await table.find(scope.partner_id, _KEY)
    return Waiting.model_validate(row.values) if row else None


async def ask(table: Table, scope: Scope, stopped: MassChange, now: datetime) -> None:
    """Note that automation was stopped, and that somebody is to be told.

    What was decided about the same number stays decided, an approval also for less; another
    number asks anew.
    """
    moves, limit = stopped.extra["wouldMove"], stopped.extra["limit"]
    known = await find(table, scope)
    if known is not None and known.state == "Dismissed" and known.would_move == moves:
        return
    if known is not None and known.state == "Approved" and moves <= known.would_move:
        return
    await _write(table, scope, Waiting(would_move=moves, limit=limit, asked_at=now))
    await noticing.note(table, scope, [telling.mass_change(now.date(), moves, limit)], now)


async def approve(table: Table, scope: Scope, actor: str, would_move: int | None = None) -> Waiting:
    """Let up to so many seats be moved as were asked about; `NothingWaits` (409).

    `AnotherNumber` (409) when by now it is not `would_move`, the number that the person saw.
    """
    waiting = await find(table, scope)
    if waiting is None or waiting.state == "Dismissed":
        raise NothingWaits("Automation was not stopped.")
    if would_move not in {None, waiting.would_move}:
        raise AnotherNumber(f"{waiting.would_move} seats would change; look at it again.")
    approved = waiting.model_copy(update={"state": "Approved", "approved_by": actor})
    await _write(table, scope, approved)
    return approved


async def dismiss(table: Table, scope: Scope, actor: str) -> Waiting:
    """Leave everything as it is; `NothingWaits` (409)."""
    waiting = await find(table, scope)
    if waiting is None or waiting.state == "Dismissed":
        raise NothingWaits("Automation was not stopped.")
    dismissed = waiting.model_copy(
        update={"state": "Dismissed", "dismissed_by": actor, "approved_by": ""}
    )
    await _write(table, scope, dismissed)
    return dismissed


async def approved(table: Table, scope: Scope) -> int:
    """Up to how many seats a person has said yes; 0 without that."""
    waiting = await find(table, scope)
    return waiting.would_move if waiting is not None and waiting.state == "Approved" else 0


async def release(table: Table, scope: Scope) -> None:
    """It was done: the brake is as new."""
    await table.delete(scope.partner_id, _KEY)


async def _write(table: Table, scope: Scope, waiting: Waiting) -> None:
    await table.upsert(Row(scope.partner_id, _KEY, waiting.model_dump(mode="json")))
