"""What passes between a process that works in slices and its activities: small, cheap to import."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class SliceTask(BaseModel):
    """Which job of which partner and which slice; `error` tells the seal why the process broke."""

    model_config = ConfigDict(extra="forbid")

    partner_id: str
    number: int = 0
    error: str | None = None


class SliceAnswer(BaseModel):
    """What the process does next: another slice, not before an instant, or the seal."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["more", "done", "failed"]
    not_before: datetime | None = None
    error: str | None = None
