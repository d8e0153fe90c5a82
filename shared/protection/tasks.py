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


class ObjectTask(Record):
    """Which object of which session; `number` is the slice."""

    partner_id: str
    session_id: str
    workload: Literal["mailbox", "drive", "site", "team"]
    object_id: str
    number: int = 0


class SliceAnswer(Record):
    """What the process does next: another slice (`more`), seal (`done`, `stopped`), or nothing."""

    outcome: Literal["more", "done", "stopped", "over", "disconnected"]
    not_before: datetime | None = None
