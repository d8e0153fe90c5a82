"""What is protected, by which policy, and how a session of it went (features.md 24.1, 24.2)."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

WORKLOADS = ("mailbox", "drive", "site", "team")
Workload = Literal["mailbox", "drive", "site", "team"]
SERVICE_OF: dict[str, str] = {
    "mailbox": "exchange",
    "drive": "onedrive",
    "site": "sharepoint",
    "team": "teams",
}
"""Which bought service a workload belongs to (BKP-21)."""


PERSONAL = frozenset({"mailbox", "drive"})
"""Workloads whose objects belong to one user."""
ACTIVE = "active"
REMOVED = "removed"
"""State of an object whose erasure was approved: nothing of it is read or written any more."""
DELETED_STATES = frozenset({"user_deleted", "site_deleted", "team_deleted"})


class BackupType(StrEnum):
    """What a policy covers (BKP-02)."""

    ENTIRE_ORGANIZATION = "EntireOrganization"
    SELECTED_ITEMS = "SelectedItems"


class SessionState(StrEnum):
    """States of a session (features.md 24.2, BKP-20)."""

    QUEUED = "Queued"
    RUNNING = "Running"
    STOPPING = "Stopping"
    SUCCESS = "Success"
    WARNING = "Warning"
    FAILED = "Failed"
    DISCONNECTED = "Disconnected"
    STOPPED = "Stopped"


SESSION_OVER = frozenset(
    {
        SessionState.SUCCESS,
        SessionState.WARNING,
        SessionState.FAILED,
        SessionState.DISCONNECTED,
        SessionState.STOPPED,
    }
)


class RunState(StrEnum):
    """States of one object inside a session (features.md 24.2, ObjectTask)."""

    PENDING = "Pending"
    RUNNING = "Running"
    RETRYING = "Retrying"
    """Waiting behind a throttle of Microsoft 365."""
    SUCCEEDED = "Succeeded"
    PARTIAL = "Partial"
    """A valid restore point that lacks items which failed (M21)."""
    SKIPPED = "Skipped"
    """In a named state of its own, such as a drive that was never provisioned (section 5)."""
    FAILED = "Failed"
    DISCONNECTED = "Disconnected"
    STOPPED = "Stopped"


RUN_OVER = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.PARTIAL,
        RunState.SKIPPED,
        RunState.FAILED,
        RunState.DISCONNECTED,
        RunState.STOPPED,
    }
)


class Record(BaseModel):
    """Base of everything stored: unknown members are refused, values are checked on change."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Stored(Record):
    """A record with a row of its own; `etag` is the one it was read with, empty before."""

    etag: str = Field(default="", exclude=True)


class Counts(Record):
    """Items by outcome; `listed` is always the sum of the other five (vault.md V36)."""

    protected: int = 0
    metadata: int = 0
    unchanged: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, int] = Field(default_factory=dict)
    gone: int = 0

    @property
    def listed(self) -> int:
        """Live items that the enumeration returned."""
        return (
            self.protected
            + self.metadata
            + self.unchanged
            + sum(self.skipped.values())
            + sum(self.failed.values())
        )

    def plus(self, other: "Counts") -> "Counts":
        """The sum of both, cause by cause."""
        return Counts(
            protected=self.protected + other.protected,
            metadata=self.metadata + other.metadata,
            unchanged=self.unchanged + other.unchanged,
            skipped=_merge(self.skipped, other.skipped),
            failed=_merge(self.failed, other.failed),
            gone=self.gone + other.gone,
        )


class GraphCost(Record):
    """What Microsoft 365 was asked for: requests, resource units, refusals, seconds of waiting."""

    requests: int = 0
    ru: int = 0
    throttled: int = 0
    waited_s: float = 0

    def plus(self, other: "GraphCost") -> "GraphCost":
        """The sum of both."""
        return GraphCost(
            requests=self.requests + other.requests,
            ru=self.ru + other.ru,
            throttled=self.throttled + other.throttled,
            waited_s=round(self.waited_s + other.waited_s, 3),
        )


class Volume(Record):
    """Bytes: read from Microsoft 365, new to the vault, and as stored there."""

    read: int = 0
    new: int = 0
    stored: int = 0

    def plus(self, other: "Volume") -> "Volume":
        """The sum of both."""
        return Volume(
            read=self.read + other.read,
            new=self.new + other.new,
            stored=self.stored + other.stored,
        )


class Policy(Stored):
    """What of a customer is copied, and how often (BKP-01 … BKP-07)."""

    policy_id: str
    partner_id: str
    customer_id: str
    name: str
    backup_type: BackupType = BackupType.ENTIRE_ORGANIZATION
    policy_type: Literal["Flex"] = "Flex"
    services: list[str]
    include: list[str] = Field(default_factory=list)
    """What SelectedItems takes in."""
    exclude: list[str] = Field(default_factory=list)
    """What is left out whatever else is said; both lists hold selectors (selectors.py)."""
    engine: Literal["holdfast"] = "holdfast"
    retention_years: int | None = None
    """Years its restore points are kept: None as the customer says, 0 without end."""
    repository_id: str | None = None
    """Where objects that it protects first are kept; None: the customer's default one."""
    enabled: bool = True
    interval_hours: int = 24
    created_at: datetime
    created_by_system: bool = False
    next_run_at: datetime
    last_run_at: datetime | None = None
    last_status: SessionState | None = None
    running_session_id: str | None = None
    running_since: datetime | None = None
    ended_sessions: int = 0
    ended_seconds: int = 0
    last_ended_session_id: str | None = None

    @property
    def average_process_seconds(self) -> int | None:
        """Mean duration of the ended sessions (BKP-01)."""
        return round(self.ended_seconds / self.ended_sessions) if self.ended_sessions else None


class Session(Stored):
    """One run of a policy; this row is the only status anybody sees."""

    session_id: str
    policy_id: str
    partner_id: str
    customer_id: str
    trigger: Literal["Schedule", "Manual"]
    requested_by: str = ""
    state: SessionState = SessionState.QUEUED
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime
    stop_requested: bool = False
    error: str | None = None
    retention_years: int | None = None
    """Of its policy when it was planned: None as the customer says, 0 without end."""
    seats: int = 0
    """Licences of the tenant: they decide the bands of Microsoft's quotas."""
    shards: int = 0
    """ObjectRuns partitions; 0 until the objects are known."""
    found: int = 0
    excluded: int = 0
    objects: dict[str, int] = Field(default_factory=dict)
    """Objects of the session by state."""
    counts: Counts = Field(default_factory=Counts)
    volume: Volume = Field(default_factory=Volume)
    graph: GraphCost = Field(default_factory=GraphCost)
    drawing: int = 0
    """Its slices at work that draw on the tenant's SharePoint: they divide its budget (M25)."""
    compute_s: float = 0
    """Seconds its objects were worked on, without waiting behind a throttle."""
    root: str | None = None
    """Session root over the record hashes of this session's snapshots (vault.md 12.4)."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in SESSION_OVER


class Completeness(Record):
    """What Microsoft says there is beside what the restore point holds (vault.md V40).

    Only of a run that listed everything: no delta says how much there is.
    """

    declared: int
    held: int
    """Rows of the items that the count is about, without folders, events and contacts."""
    as_of: datetime

    @property
    def gap(self) -> int:
        """Items that are missing; negative when some came after the count."""
        return self.declared - self.held

    @property
    def is_alarming(self) -> bool:
        """More than what may have changed meanwhile."""
        return self.gap > max(20, self.declared * 0.005)


class Point(Record):
    """One restore point as the Objects row remembers it; the vault is the truth."""

    n: int
    status: Literal["complete", "partial"]
    ended_at: datetime
    items: int
    root: str
    record: str
    completeness: Completeness | None = None
    """Of the newest run that listed everything; None where Microsoft tells no count."""


class ProtectedObject(Stored):
    """One mailbox, drive, site or team that can be protected."""

    object_id: str
    customer_id: str
    partner_id: str
    workload: Workload
    source_id: str
    owner_id: str
    """Id of the user whose mailbox or drive it is; a site's or team's own id."""
    site_id: str | None = None
    """Of a team: the site in which its files lie."""
    team_id: str | None = None
    """Of a site: the team whose files lie in it."""
    display_name: str
    address: str
    licensed: bool = True
    state: str = "active"
    """`active`, or the named state of microsoft365.md section 5."""
    discovered_at: datetime
    groups: list[str] = Field(default_factory=list)
    """Groups that a policy names and the owner belongs to."""
    repository_id: str | None = None
    """Where its restore points are; None before the first copy, and in the default one."""
    last_session_id: str | None = None
    last_point: Point | None = None
    last_complete_at: datetime | None = None
    last_run_state: RunState | None = None
    """How its latest run ended; None before the first."""
    last_error: str | None = None

    def rpo_age(self, now: datetime) -> timedelta | None:
        """Time since the last good point; None while there is none."""
        return now - self.last_point.ended_at if self.last_point else None


def services_of(found: ProtectedObject) -> frozenset[str]:
    """The services that cover an object: a team's files are protected with Teams as well."""
    own = SERVICE_OF[found.workload]
    return frozenset({own, "teams"} if found.team_id else {own})


class ObjectRun(Stored):
    """One object inside one session."""

    session_id: str
    object_id: str
    workload: Workload
    source_id: str
    display_name: str
    address: str
    state: RunState = RunState.PENDING
    repository_id: str | None = None
    slices: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    counts: Counts = Field(default_factory=Counts)
    volume: Volume = Field(default_factory=Volume)
    graph: GraphCost = Field(default_factory=GraphCost)
    error: str | None = None
    failed_items: list[dict[str, Any]] = Field(default_factory=list)
    """The first few items that failed: name, code, request id; the vault keeps all of them."""
    oid: str = ""
    """The object's name in the vault."""
    snapshot: int | None = None
    record: str | None = None
    root: str | None = None
    items: int = 0
    completeness: Completeness | None = None
    healed: int = 0
    """Items whose stored content was damaged and was read from the source again."""
    lost: list[str] = Field(default_factory=list)
    """Names of the first items whose stored content is damaged and that are gone at the source."""
    lost_count: int = 0

    @property
    def compute_s(self) -> float:
        """Seconds it was worked on: from start to end without waiting behind a throttle."""
        if self.started_at is None or self.ended_at is None:
            return 0
        return max(0.0, (self.ended_at - self.started_at).total_seconds() - self.graph.waited_s)


def _merge(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
