"""A restore and the ledger of its items (features.md 24.2, RST-09; microsoft365.md M36)."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.protection.model import GraphCost, Record, Stored, Workload

Collision = Literal["skip", "copy", "replace"]


class RestoreState(StrEnum):
    """States of a restore (RST-09)."""

    QUEUED = "Queued"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    COMPLETED = "Completed"
    COMPLETED_WITH_ERRORS = "CompletedWithErrors"
    FAILED = "Failed"
    CANCELED = "Canceled"


RESTORE_OVER = frozenset(
    {
        RestoreState.COMPLETED,
        RestoreState.COMPLETED_WITH_ERRORS,
        RestoreState.FAILED,
        RestoreState.CANCELED,
    }
)


class EntryState(StrEnum):
    """States of one item in the ledger."""

    PENDING = "Pending"
    STARTED = "Started"
    """Written before the request: after a crash the item is searched before it is made again."""
    CREATED = "Created"
    REPLACED = "Replaced"
    SKIPPED = "Skipped"
    FAILED = "Failed"


class Target(Record):
    """Where the items go: their own place, or below a folder; of this or another object."""

    place: Literal["original", "folder"] = "folder"
    folder: list[str] = Field(default_factory=list)
    """Names from the top, for `folder`."""
    object_id: str
    source_id: str
    """Mailbox or drive that is written to."""
    customer_id: str = ""
    """Whose tenant it is in, when that is another customer's; empty: the restored one's."""


class Restore(Stored):
    """One request to bring items back."""

    restore_id: str
    partner_id: str
    customer_id: str
    object_id: str
    workload: Workload
    source_id: str
    snapshot: int
    whole: bool = False
    """Every item of the snapshot, or of `folder_key`."""
    folder_key: str | None = None
    target: Target
    collision: Collision = "skip"
    with_permissions: bool = False
    """Shares of files and folders are given back."""
    requested_by: str = ""
    state: RestoreState = RestoreState.QUEUED
    cancel_requested: bool = False
    planned: bool = False
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime
    total: int = 0
    entries: dict[str, int] = Field(default_factory=dict)
    """Items by ledger state."""
    graph: GraphCost = Field(default_factory=GraphCost)
    slices: int = 0
    migrating: list[str] = Field(default_factory=list)
    """Channels that this restore opened for import and closes at its end (M35)."""
    held_by: str = ""
    held_beats: int = 0
    held_until: datetime | None = None
    """The execution that writes at the moment, how often holds were taken and renewed, and until
    when this one is good; for people: who waits counts beats."""
    error: str | None = None
    refused: str = ""
    """Code of what kept the whole restore from writing anything."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in RESTORE_OVER


class Entry(Stored):
    """One line of the ledger."""

    item_key: str
    source_id: str
    kind: str
    name: str
    size: int = 0
    folder: list[str] = Field(default_factory=list)
    """Names of the folders it stood in, from the top."""
    state: EntryState = EntryState.PENDING
    target_id: str | None = None
    notes: list[str] = Field(default_factory=list)
    error: str | None = None
