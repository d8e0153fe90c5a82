"""The brake on mass changes by automation: what waits for a person, and what one has approved."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from shared.access.model import Scope
from shared.kit.errors import Conflict
from shared.kit.tables import Row, Table
from shared.licensing.refusals import MassChange

_KEY = "brake"


class NothingWaits(Conflict):
    """No mass change waits for anybody."""

    code, title = "NOTHING_TO_APPROVE", "Nothing waits for an approval"


class Waiting(BaseModel):
    """A mass change that was stopped."""

    state: Literal["Waiting", "Approved"] = "Waiting"
    would_move: int
    limit: int
    asked_at: datetime
    approved_by: str = ""


async def find(table: Table, scope: Scope) -> Waiting | None:
    """What waits, or None."""
    row = await table.find(scope.partner_id, _KEY)
    return Waiting.model_validate(row.values) if row else None


async def ask(table: Table, scope: Scope, stopped: MassChange, now: datetime) -> None:
    """Note that automation was stopped; the newest number replaces an older one."""
    waiting = Waiting(
        would_move=stopped.extra["wouldMove"], limit=stopped.extra["limit"], asked_at=now
    )
    await _write(table, scope, waiting)


async def approve(table: Table, scope: Scope, actor: str) -> Waiting:
    """Let it be done; `NothingWaits` (409)."""
    waiting = await find(table, scope)
    if waiting is None:
        raise NothingWaits("Automation was not stopped.")
    approved = waiting.model_copy(update={"state": "Approved", "approved_by": actor})
    await _write(table, scope, approved)
    return approved


async def is_approved(table: Table, scope: Scope) -> bool:
    """Whether a person has said yes."""
    waiting = await find(table, scope)
    return waiting is not None and waiting.state == "Approved"


async def release(table: Table, scope: Scope) -> None:
    """It was done: the brake is as new."""
    await table.delete(scope.partner_id, _KEY)


async def _write(table: Table, scope: Scope, waiting: Waiting) -> None:
    await table.upsert(Row(scope.partner_id, _KEY, waiting.model_dump(mode="json")))
