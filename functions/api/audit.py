"""The audit trail: list, export, verify; the signed checkpoints to verify against elsewhere."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import Depends, Query, Response
from pydantic import Field

from functions.api.paging import Pages, address
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller, Scope
from shared.audit.chain import Finding, Kind
from shared.audit.model import Actor, Line, Outcome, Source, Target, instant, read
from shared.audit.service import Filter
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import Forbidden

router = Router(prefix="/audit-events", tags=["audit"])

Reader = Annotated[Caller, Depends(requires("audit.read"))]
From = Annotated[
    Instant | None, Query(alias="from", description="Inclusive", examples=["2026-11-01T00:00:00Z"])
]
To = Annotated[Instant | None, Query(description="Exclusive", examples=["2026-12-01T00:00:00Z"])]
Word = Annotated[str | None, Query(max_length=128, pattern=r"^[^\x00-\x1f]+$")]
MOST_EXPORTED = 20_000
JSON_LINES = "application/jsonl"


class WholeTrailOnly(Forbidden):
    """A caller limited to some customers would get a chain with gaps."""

    code, title = "WHOLE_TRAIL_ONLY", "This is for callers who see every customer"


class ActorOut(ApiModel):
    """Who acted; the identity is tenant and subject, the name is for reading."""

    kind: Literal["user", "application", "apiKey", "customerUser", "system"]
    subject: str
    tenant_id: str
    name: str


class TargetOut(ApiModel):
    """What was acted upon."""

    kind: str
    id: str


class SourceOut(ApiModel):
    """From where: address, program, trace id of the request."""

    address: str
    agent: str
    trace_id: str


class AuditEvent(ApiModel):
    """One line of the trail."""

    seq: int = Field(description="1, 2, 3 … without a gap")
    at: str = Field(description="RFC 3339 in UTC with microseconds")
    actor: ActorOut
    on_behalf_of: ActorOut | None = Field(description="The second identity inside a context")
    context_id: str | None
    customer_id: str | None = Field(description="For whom; null for the partner itself")
    action: str = Field(examples=["customers.create"])
    target: TargetOut
    outcome: Outcome
    code: str | None = Field(description="Code of the refusal or failure")
    before: str | None = Field(description="SHA-256 over the changed rows as they were")
    after: str | None = Field(description="SHA-256 over the changed rows as they became")
    source: SourceOut
    details: dict[str, str]
    previous: str = Field(description="Hash of the line before")
    hash: str = Field(description="Hash of this line")

    @classmethod
    def of(cls, line: Line) -> "AuditEvent":
        """The line as partners see it."""
        same = ("seq", "context_id", "customer_id", "action", "outcome", "code", "before", "after")
        more = ("details", "previous", "hash")
        return cls(
            **{name: getattr(line, name) for name in (*same, *more)},
            at=instant(line.at),
            actor=_actor(line.actor),
            on_behalf_of=_actor(line.on_behalf_of) if line.on_behalf_of else None,
            target=_target(line.target),
            source=_source(line.source),
        )


class FindingOut(ApiModel):
    """Lines that were touched."""

    kind: Kind
    first: int | None
    last: int | None
    detail: str

    @classmethod
    def of(cls, found: Finding) -> "FindingOut":
        """The finding as partners see it."""
        return cls(kind=found.kind, first=found.first, last=found.last, detail=found.detail)


class VerificationOut(ApiModel):
    """What a check of the whole stored trail saw."""

    ok: bool
    lines: int
    first: int | None
    last: int | None
    last_hash: str | None
    findings: list[FindingOut]


class CheckpointsOut(ApiModel):
    """Signed checkpoints, newest first, and the key that signed them."""

    public_key_pem: str
    value: list[str] = Field(description="Documents as stored; save each to a file of its own")


@router.get("", operation_id="audit_list", summary="List audit events")
async def list_page(
    caller: Reader,
    begin: From = None,
    to: To = None,
    actor: Annotated[Word, Query(description="Subject of who acted")] = None,
    customer_id: Annotated[Word, Query(alias="customerId")] = None,
    action: Annotated[Word, Query(examples=["customers.create"])] = None,
    target_kind: Annotated[Word, Query(alias="targetKind")] = None,
    target_id: Annotated[Word, Query(alias="targetId")] = None,
    outcome: Outcome | None = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[AuditEvent]:
    """Newest first. A page may be short, even empty, and still have a nextLink: follow it."""
    filters = {
        "from": instant(begin) if begin else None,
        "to": instant(to) if to else None,
        "actor": actor,
        "customerId": customer_id,
        "action": action,
        "targetKind": target_kind,
        "targetId": target_id,
        "outcome": outcome and str(outcome),
    }
    wanted = Filter(begin, to, actor, customer_id, action, target_kind, target_id, outcome)
    pages = Pages(caller, "audit_list", "/audit-events", filters)
    place = await pages.place(skip_token)
    trail = await deps().trail()
    page = await trail.page(caller.scope, wanted, maxpagesize, place or None)
    link = await pages.link(page.next, maxpagesize)
    return PageOf(value=[AuditEvent.of(line) for line in page.lines], next_link=link)


@router.get(
    ":export",
    operation_id="audit_export",
    summary="Export audit events as JSON lines",
    response_class=Response,
    responses={200: {"content": {JSON_LINES: {"schema": {"type": "string"}}}}},
)
async def export(
    caller: Reader,
    begin: From = None,
    to: To = None,
    after: Annotated[int, Query(ge=0, le=10**15 - 2, description="Lines above this seq")] = 0,
) -> Response:
    """Oldest first, as stored: what the offline check reads. `Link: …; rel="next"` when cut."""
    scope = _whole(caller)
    trail = await deps().trail()
    lines: list[bytes] = []
    async for line in trail.export(scope, begin, to, above=after):
        if len(lines) == MOST_EXPORTED:
            break
        lines.append(line)
    else:
        return Response(b"".join(lines), media_type=JSON_LINES)
    last = read(lines[-1]).seq
    times = {"from": begin and instant(begin), "to": to and instant(to)}
    query = urlencode({name: at for name, at in times.items() if at} | {"after": last})
    link = f'<{address("/audit-events:export")}?{query}>; rel="next"'
    return Response(b"".join(lines), media_type=JSON_LINES, headers={"Link": link})


@router.get("/verify", operation_id="audit_verify", summary="Verify the audit trail")
async def verify(caller: Reader) -> VerificationOut:
    """Checks every stored line against its neighbours and the signed checkpoints."""
    report = await (await deps().trail()).verify(_whole(caller).partner_id)
    return VerificationOut(
        ok=report.ok,
        lines=report.lines,
        first=report.first,
        last=report.last,
        last_hash=report.last_hash,
        findings=[FindingOut.of(found) for found in report.findings],
    )


@router.get("/checkpoints", operation_id="audit_checkpoints", summary="Read signed checkpoints")
async def checkpoints(caller: Reader) -> CheckpointsOut:
    """For `python -m shared.audit.verify`: keep them where we cannot reach them."""
    trail = await deps().trail()
    documents = await trail.documents(_whole(caller).partner_id)
    key = await trail.public_pem()
    return CheckpointsOut(public_key_pem=key.decode(), value=[each.decode() for each in documents])


def _whole(caller: Caller) -> Scope:
    if caller.scope.customers is not None:
        raise WholeTrailOnly("List the events of your customers instead.")
    return caller.scope


def _actor(of: Actor) -> ActorOut:
    return ActorOut(kind=of.kind, subject=of.subject, tenant_id=of.tenant_id, name=of.name)


def _target(of: Target) -> TargetOut:
    return TargetOut(kind=of.kind, id=of.id)


def _source(of: Source) -> SourceOut:
    return SourceOut(address=of.address, agent=of.agent, trace_id=of.trace_id)
