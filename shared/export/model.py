"""An export, and how far its ZIP is written."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.protection.model import Record, Stored, Workload

Layout = Literal["files", "mbox"]
"""One file per item, or of mail one mbox per folder."""


class ExportState(StrEnum):
    """States of an export."""

    QUEUED = "Queued"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    COMPLETED = "Completed"
    COMPLETED_WITH_ERRORS = "CompletedWithErrors"
    FAILED = "Failed"
    CANCELED = "Canceled"
    EXPIRED = "Expired"


EXPORT_OVER = frozenset(ExportState) - {
    ExportState.QUEUED,
    ExportState.RUNNING,
    ExportState.CANCELLING,
}
READY = frozenset({ExportState.COMPLETED, ExportState.COMPLETED_WITH_ERRORS})
"""There is a file to fetch."""


class OpenEntry(Record):
    """A file inside the ZIP that a later slice goes on with (an mbox)."""

    name: str
    at: int
    """Offset of its local header."""
    crc: int = 0
    size: int = 0
    packed: int = 0
    modified: int = 0


class Position(Record):
    """How far the ZIP is written; enough to go on after a crash."""

    offset: int = 0
    """Bytes of the ZIP."""
    entries: int = 0
    directory: int = 0
    """Bytes of the central directory so far."""
    done: int = 0
    """Keys of the plan that are dealt with."""
    failed: int = 0
    bytes: int = 0
    """Bytes of the items, as exported."""
    entry: OpenEntry | None = None


class SliceRow(Record):
    """One slice that is done; of two executions the one whose row stands has done it."""

    number: int
    nonce: str
    """Part of the names of its blocks and pieces."""
    blocks: int
    position: Position


class Export(Stored):
    """One request to take items out."""

    export_id: str
    partner_id: str
    customer_id: str
    object_id: str
    workload: Workload
    snapshot: int
    region: str = ""
    layout: Layout = "files"
    whole: bool = False
    folder_key: str | None = None
    requested_by: str = ""
    state: ExportState = ExportState.QUEUED
    cancel_requested: bool = False
    planned: bool = False
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime
    expires_at: datetime | None = None
    """When the file is deleted; None before it is there."""
    total: int = 0
    told: int = 0
    """Messages that are written once more, into the page of their channel."""
    done: int = 0
    failed: int = 0
    bytes: int = 0
    size: int = 0
    """Bytes of the ZIP."""
    manifest_sha256: str | None = None
    links: int = 0
    """How often a link was handed out."""
    error: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in EXPORT_OVER

    @property
    def steps(self) -> int:
        """Length of the plan."""
        return self.total + self.told


class Folder(Record):
    """A folder of the restore point, as the slices need it."""

    name: str
    parent: str | None = None
    mark: str = Field(description="First letters of its item key")
    chosen: bool = False
