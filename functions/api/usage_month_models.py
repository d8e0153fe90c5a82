"""Contract of a month: closed, or what holds it up."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from pydantic import Field

from shared.kit.api_model import ApiModel, Instant


class MonthOut(ApiModel):
    """A month: closed, or what holds it up."""

    month: str
    state: str = Field(
        description="Closed; Blocked by what could not be read; or Unpriced: closed, but no "
        "customer is billed before every item has a price"
    )
    closed_at: Instant | None = None
    snapshot_date: date | None = None
    input_hash: str | None = None
    unknown: dict[str, dict[str, str]] = Field(
        default={}, description="Customer -> what could not be read, and why"
    )
    unpriced: list[str] = Field(default=[], description="Items that were used and have no price")

    @classmethod
    def of(cls, month: str, noted: dict[str, Any], unpriced: Sequence[str]) -> "MonthOut":
        """What is noted of the month."""
        known = cls.model_fields.keys() & noted.keys()
        values = {name: noted[name] for name in known} | {"unpriced": list(unpriced)}
        if unpriced:
            values["state"] = "Unpriced"
        return cls(month=month, **values)
