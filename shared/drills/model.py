"""A restore drill: which items were read back, what was found, and the signed report."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from shared.protection.model import Record, Stored, Workload


class DrillState(StrEnum):
    """States of a drill."""

    QUEUED = "Queued"
    RUNNING = "Running"
    PASSED = "Passed"
    FAILED = "Failed"
    """At least one check did not hold: the report names them."""
    EMPTY = "Empty"
    """There was nothing to read back: no restore point exists."""
    BROKEN = "Broken"
    """The drill itself could not be carried out: nothing is proved either way."""


DRILL_OVER = frozenset(DrillState) - {DrillState.QUEUED, DrillState.RUNNING}


Mode = Literal["dry", "scratch"]
"""Read back into memory only, or restore into a scratch folder as well."""


class Check(Record):
    """One item read back, or one object that could not be opened."""

    item_key: str | None = None
    name: str = ""
    kind: str = ""
    bytes: int = 0
    content_hash: str | None = None
    error: str | None = None
    """Stable code of what does not hold; None = content, hash, proof and format do."""
    way: Literal["decoded", "restored"] = "decoded"
    """Read back into memory, or also restored into the scratch folder and compared there."""
    differs: str = ""
    """What was not as it had been, or why it could not be restored."""
    took_ms: int | None = None
    """How long restoring it and reading it back took."""


class Sampled(Record):
    """What the drill found in one object."""

    object_id: str
    workload: Workload
    display_name: str
    snapshot: int
    root: str = ""
    record_hash: str = ""
    checks: list[Check] = Field(default_factory=list)
    not_restored: str = ""
    """Of a drill that restores: why nothing of this object was."""

    @property
    def failed(self) -> int:
        """Checks that do not hold."""
        return sum(check.error is not None for check in self.checks)


class Drill(Stored):
    """One drill of one customer."""

    drill_id: str
    partner_id: str
    customer_id: str
    trigger: Literal["Schedule", "Manual"]
    requested_by: str = ""
    state: DrillState = DrillState.QUEUED
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime
    mode: Mode = "dry"
    objects: list[str] = Field(default_factory=list)
    """The drawn objects."""
    scratch: list[str] = Field(default_factory=list)
    """Objects with a scratch folder that is not known to be gone."""
    restored: int = 0
    """Items that were restored and compared."""
    items: int = 0
    bytes: int = 0
    failed: int = 0
    workloads: dict[str, int] = Field(default_factory=dict)
    """Items that were read back, by workload."""
    report: dict[str, Any] | None = None
    """The signed report, exactly as signed."""
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in DRILL_OVER
