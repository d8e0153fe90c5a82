"""Records of keeping: verifications, legal holds, erasures, and the nightly rounds."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.protection.model import Record, Stored

VERIFICATION, ERASURE, HOLD, ROUND = "k", "x", "h", "w"
"""Letters of their ids (shared.kit.ids)."""


class Finding(Record):
    """A rule of the vault that does not hold, and where."""

    rule: str
    blob: str
    what: str


class CheckState(StrEnum):
    """Where a verification stands; `Damaged` says that it was done and found something."""

    RUNNING = "Running"
    VERIFIED = "Verified"
    DAMAGED = "Damaged"
    FAILED = "Failed"


class Verification(Stored):
    """One restore point checked on demand: chain, rows, root, every pack."""

    verification_id: str
    partner_id: str
    customer_id: str
    object_id: str
    n: int
    requested_by: str
    state: CheckState = CheckState.RUNNING
    created_at: datetime
    updated_at: datetime
    packs: int = 0
    packs_done: int = 0
    items: int = 0
    bytes: int = 0
    root: str = ""
    record_hash: str = ""
    findings: list[Finding] = Field(default_factory=list)
    error: str | None = None
    report: dict[str, Any] | None = None
    """What was signed, and its signature: for the customer."""


class Hold(Stored):
    """A legal hold on an object: nothing of it expires (V58)."""

    hold_id: str
    partner_id: str
    customer_id: str
    object_id: str
    display_name: str
    reason: str
    by: str
    since: datetime


class ErasureState(StrEnum):
    """Where an erasure stands; it can be cancelled until the first key is deleted."""

    REQUESTED = "Requested"
    """Waits for a second person."""
    WAITING = "Waiting"
    """Approved: the locks of the keys run out."""
    DELETED = "Deleted"
    """The keys are deleted; their absence is verified when no worker can hold one any more."""
    DONE = "Done"
    CANCELLED = "Cancelled"


class Erasure(Stored):
    """The erasure of one person's objects (vault.md section 17)."""

    erasure_id: str
    partner_id: str
    customer_id: str
    subject: str
    """Directory id of the person, or an object's id."""
    object_ids: list[str]
    reason: str
    state: ErasureState = ErasureState.REQUESTED
    requested_by: str
    requested_at: datetime
    approved_by: str | None = None
    updated_at: datetime
    vaults: dict[str, list[str]] = Field(default_factory=dict)
    """Repository id -> names of the objects in its vault."""
    certificates: list[dict[str, Any]] = Field(default_factory=list)


class Round(Stored):
    """What one night's round through a repository did."""

    round_id: str
    partner_id: str
    customer_id: str
    repository_id: str
    night: str
    started_at: datetime
    ended_at: datetime | None = None
    objects: int = 0
    done: int = 0
    locks_extended: int = 0
    condemned: int = 0
    deleted: int = 0
    bytes_deleted: int = 0
    blobs_checked: int = 0
    alarms: list[str] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    head: dict[str, Any] | None = None
    """The signed checkpoint of all heads."""
