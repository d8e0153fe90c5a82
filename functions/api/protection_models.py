"""JSON contracts of policies, sessions, objects and snapshots."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field, StringConstraints

from shared.kit.api_model import ApiModel, Instant
from shared.protection.log_lines import duration
from shared.protection.model import (
    BackupType,
    ObjectRun,
    Policy,
    ProtectedObject,
    RunState,
    Session,
    SessionState,
)
from shared.protection.selectors import PATTERN
from shared.protection.service import progress_percent

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
ObjectId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Selector = Annotated[
    str,
    StringConstraints(pattern=PATTERN, max_length=210),
    Field(examples=["user:1c7e...", "group:9d0b..."]),
]
RetentionYears = Annotated[int, Field(ge=0, le=1000, strict=True)]
RETENTION = "1 to 25; 0: without end; null: as the customer's"
SELECTORS = "Object ids, `user:<id>`, `group:<id>` (its members, nested ones too), `site:<id>`, "
SELECTORS += "`team:<id>`"
PageSize = Annotated[int, Query(ge=1, le=1000)]
SkipToken = Annotated[str | None, Query(alias="skipToken", max_length=4096)]
From = Annotated[
    Instant | None, Query(alias="from", description="Inclusive", examples=["2026-11-01T00:00:00Z"])
]
To = Annotated[Instant | None, Query(description="Exclusive", examples=["2026-12-01T00:00:00Z"])]

ServiceName = Literal["exchange", "onedrive", "sharepoint", "teams"]

RETRY_SECONDS = 2
"""How long to wait between two looks at an operation."""


class PageOf[T](ApiModel):
    """One page; `nextLink` is absent on the last."""

    value: list[T]
    next_link: str | None = Field(default=None, exclude_if=lambda link: link is None)


class PolicyInCreate(ApiModel):
    """What a new policy protects (BKP-02 to BKP-04)."""

    name: Name
    backup_type: BackupType = BackupType.ENTIRE_ORGANIZATION
    policy_type: Annotated[str, StringConstraints(max_length=50)] = "Flex"
    services: list[ServiceName] | None = Field(
        default=None, description="Default: every service of the customer"
    )
    include: list[Selector] = Field(default=[], max_length=500, description=SELECTORS)
    exclude: list[Selector] = Field(default=[], max_length=500, description=SELECTORS)
    retention_years: RetentionYears | None = Field(default=None, description=RETENTION)
    repository_id: ObjectId | None = Field(
        default=None, description="Where what it protects first is kept; null: the default one"
    )
    engine: Annotated[str, StringConstraints(max_length=50)] = "holdfast"


class PolicyInEdit(ApiModel):
    """What to change; what is left out stays (BKP-06)."""

    name: Name | None = None
    backup_type: BackupType | None = Field(
        default=None, description="EntireOrganization: send an empty `include` with it"
    )
    services: list[ServiceName] | None = None
    include: Annotated[list[Selector], Field(max_length=500)] | None = None
    exclude: Annotated[list[Selector], Field(max_length=500)] | None = None
    retention_years: RetentionYears | None = Field(default=None, description=RETENTION)
    repository_id: ObjectId | None = None
    interval_hours: Annotated[int, Field(ge=1, le=8760, strict=True)] | None = Field(
        default=None, description="Support only: 403 SCHEDULE_SUPPORT_ONLY (BKP-07)"
    )


class ScheduleIn(ApiModel):
    """How often a policy of a partner runs."""

    partner_id: ObjectId
    interval_hours: Annotated[int, Field(ge=1, le=8760, strict=True)]


class PolicyOut(ApiModel):
    """A policy with its last and next run (BKP-01)."""

    id: str
    customer_id: str
    name: str
    backup_type: BackupType
    policy_type: str
    services: list[str]
    include: list[str]
    exclude: list[str]
    retention_years: int | None = Field(description=RETENTION)
    repository_id: str | None = Field(description="null: the customer's default one")
    engine: str
    enabled: bool
    interval_hours: int
    created_by_system: bool
    created_at: Instant
    next_run_at: Instant | None = Field(description="null while disabled")
    last_run_at: Instant | None
    last_status: SessionState | None
    running_session_id: str | None
    average_process_seconds: int | None
    average_process_time: str | None = Field(description="The same as hh:mm:ss")

    @classmethod
    def of(cls, policy: Policy) -> "PolicyOut":
        """The policy as partners see it."""
        names = cls.model_fields.keys() - {"id", "next_run_at", "average_process_time"}
        values = {name: getattr(policy, name) for name in names}
        seconds = policy.average_process_seconds
        return cls(
            id=policy.policy_id,
            next_run_at=policy.next_run_at if policy.enabled else None,
            average_process_time=None if seconds is None else f"{duration(seconds):0>8}",
            **values,
        )


class CountsOut(ApiModel):
    """Items by outcome: `listed` is the sum of the five below it."""

    listed: int
    protected: int
    metadata: int
    unchanged: int
    skipped: dict[str, int]
    failed: dict[str, int]
    gone: int


class BytesOut(ApiModel):
    """Bytes read from Microsoft 365, new to the vault, and as stored there."""

    read: int
    new: int
    stored: int


class GraphOut(ApiModel):
    """What Microsoft 365 was asked for."""

    requests: int
    ru: int
    throttled: int
    waited_seconds: float


class SessionOut(ApiModel):
    """One run of a policy: the only status there is (BKP-13)."""

    id: str
    policy_id: str
    customer_id: str
    trigger: Literal["Schedule", "Manual"]
    state: SessionState
    progress_percent: int
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    found: int
    excluded: int
    processed: int = Field(description="Objects with a new restore point")
    failed: int = Field(description="Objects without one")
    objects: dict[RunState, int]
    counts: CountsOut
    bytes: BytesOut
    graph: GraphOut
    session_root: str | None = Field(description="Root over the record hashes of this session")
    error: str | None

    @classmethod
    def of(cls, session: Session) -> "SessionOut":
        """The session as partners see it."""
        states = {RunState(name): number for name, number in session.objects.items()}
        made = states.get(RunState.SUCCEEDED, 0) + states.get(RunState.PARTIAL, 0)
        same = ("policy_id", "customer_id", "trigger", "state", "created_at", "started_at")
        more = ("ended_at", "found", "excluded", "error")
        return cls(
            id=session.session_id,
            **{name: getattr(session, name) for name in (*same, *more)},
            progress_percent=progress_percent(session),
            processed=made,
            failed=states.get(RunState.FAILED, 0) + states.get(RunState.DISCONNECTED, 0),
            objects=states,
            **_sums(session),
            session_root=session.root,
        )


class CompletenessOut(ApiModel):
    """What Microsoft says there is, beside what the restore point holds."""

    declared: int = Field(description="Items by Microsoft's own counts of the mail folders")
    held: int
    gap: int = Field(description="declared - held; negative when items came after the count")
    as_of: Instant


class ObjectRunOut(ApiModel):
    """One object inside one session."""

    object_id: str
    workload: str
    display_name: str
    address: str
    state: RunState
    slices: int
    started_at: Instant | None
    ended_at: Instant | None
    counts: CountsOut
    bytes: BytesOut
    graph: GraphOut
    items: int
    snapshot: int | None
    record_hash: str | None
    root: str | None
    error: str | None
    failed_items: list[dict[str, Any]] = Field(description="The first few that failed")
    completeness: CompletenessOut | None = Field(
        description="Only where a run listed everything and Microsoft counts it: null otherwise"
    )

    @classmethod
    def of(cls, run: ObjectRun) -> "ObjectRunOut":
        """The run as partners see it."""
        told = run.completeness
        complete = None if told is None else CompletenessOut(gap=told.gap, **told.model_dump())
        given = ("counts", "bytes", "graph", "record_hash", "completeness")
        names = [name for name in cls.model_fields if name not in given]
        values = {name: getattr(run, name) for name in names}
        return cls(**values, record_hash=run.record, completeness=complete, **_sums(run))


class PointOut(ApiModel):
    """The newest restore point of an object."""

    n: int
    status: str
    ended_at: Instant
    items: int
    root: str
    record_hash: str


class ObjectOut(ApiModel):
    """A mailbox or drive with its last good point (BKP-28)."""

    id: str
    customer_id: str
    workload: str
    owner_id: str
    display_name: str
    address: str
    licensed: bool
    state: str
    last_point: PointOut | None
    last_complete_at: Instant | None
    rpo_age_seconds: int | None = Field(description="Age of the last good point")

    @classmethod
    def of(cls, found: ProtectedObject, rpo_age_seconds: int | None) -> "ObjectOut":
        """The object as partners see it."""
        point = found.last_point
        last = None
        if point is not None:
            last = PointOut(
                n=point.n,
                status=point.status,
                ended_at=point.ended_at,
                items=point.items,
                root=point.root,
                record_hash=point.record,
            )
        hidden = {"id", "last_point", "rpo_age_seconds"}
        values = {name: getattr(found, name) for name in cls.model_fields if name not in hidden}
        return cls(id=found.object_id, last_point=last, rpo_age_seconds=rpo_age_seconds, **values)


def _sums(of: Session | ObjectRun) -> dict[str, Any]:
    counts, volume, use = of.counts, of.volume, of.graph
    return {
        "counts": CountsOut(listed=counts.listed, **counts.model_dump()),
        "bytes": BytesOut(**volume.model_dump()),
        "graph": GraphOut(
            requests=use.requests,
            ru=use.ru,
            throttled=use.throttled,
            waited_seconds=round(use.waited_s, 3),
        ),
    }
