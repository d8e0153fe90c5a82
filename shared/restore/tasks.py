"""What passes between the restore process and its activities: small, and cheap to import."""

from datetime import datetime
from typing import Literal

from shared.protection.model import Record


class RestoreTask(Record):
    """Which restore; `error` tells the seal why the process broke."""

    partner_id: str
    restore_id: str
    number: int = 0
    error: str | None = None


class RestoreAnswer(Record):
    """What the process does next."""

    outcome: Literal["more", "done", "failed"]
    not_before: datetime | None = None
    error: str | None = None
