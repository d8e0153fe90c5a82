"""What passes between the export process and its activities: small, and cheap to import."""

from typing import Literal

from shared.protection.model import Record


class ExportTask(Record):
    """Which export; `error` tells the seal why the process broke."""

    partner_id: str
    export_id: str
    number: int = 0
    error: str | None = None


class ExportAnswer(Record):
    """What the process does next."""

    outcome: Literal["more", "done"]
