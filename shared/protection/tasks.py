"""What passes between the backup process and its activities: small, and cheap to import."""

from datetime import datetime
from typing import Literal

from shared.protection.model import Record


class SessionTask(Record):
    """Which session; `error` tells the seal why the process broke."""

    partner_id: str
    session_id: str
    error: str | None = None
    disconnected: bool = False


class Plan(Record):
    """How the session goes on: `groups` of objects, or straight to the seal."""

    outcome: Literal["run", "over", "disconnected"]
    groups: int = 0
    detail: str = ""


# A slice ends well before a function host would cut it (functions-facts.md section 5: 30 minutes).
SLICE_SECONDS = 240
WINDOW = 8
"""Objects of one session in work at once: each mailbox has its own quota, the drives share one."""


class SliceBudget(Record):
    """What the session's process gives a slice (M25); None = no limit of that kind."""

    seconds: int
    requests: int | None = None
    ru: int | None = None
    sessions: int = 1
    """Sessions of the tenant that were at work when the budget was made."""
    day_left: int | None = None
    """Resource units that the session may spend in all."""


class ObjectTask(Record):
    """Which object of which session; `number` is the slice, `budget` what it may spend."""

    partner_id: str
    session_id: str
    workload: Literal["mailbox", "drive", "site", "team"]
    object_id: str
    number: int = 0
    budget: SliceBudget | None = None


class SliceAnswer(Record):
    """What the process does next: another slice (`more`), seal (`done`, `stopped`), or nothing.

    `budget` is for that slice.
    """

    outcome: Literal["more", "done", "stopped", "over", "disconnected"]
    not_before: datetime | None = None
    budget: SliceBudget | None = None
