"""Coverage of a customer: what exists, what of it is protected, and why the rest is not."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.drills import service as drills
from shared.drills.model import Drill, DrillState
from shared.kit.api_model import ApiModel, Instant
from shared.protection import coverage
from shared.protection.coverage import Covered, Reason

router = Router(prefix="/customers/{customer_id}/coverage", tags=["objects"])
Reader = Annotated[Caller, Depends(requires("objects.read"))]


class LastDrillOut(ApiModel):
    """The latest restore drill: whether what is protected could be read back."""

    id: str
    state: DrillState
    at: Instant = Field(description="Its end; while it runs its start")
    items: int
    failed: int

    @classmethod
    def of(cls, drill: Drill) -> "LastDrillOut":
        """The drill in short."""
        return cls(
            id=drill.drill_id,
            state=drill.state,
            at=drill.ended_at or drill.created_at,
            items=drill.items,
            failed=drill.failed,
        )


class CompletenessOut(ApiModel):
    """Whether restore points hold all there was, by counting: of the newest of every object."""

    complete: int = Field(description="Objects whose restore point holds every item listed")
    partial: int = Field(description="Objects with an item whose content is missing; named there")
    items: int = Field(description="In these restore points, folders included")
    counted: int = Field(
        description="Objects of which Microsoft 365 told how many items there are, when all of it "
        "was listed; mail only"
    )
    declared: int = Field(description="What it counted in them")
    held: int = Field(description="What was held of them then")
    gaps: int = Field(description="Objects with more missing than may have changed meanwhile")


class CoverageOut(ApiModel):
    """The whole customer in numbers."""

    objects: int
    protected: int
    reasons: dict[Reason, int] = Field(description="Objects that are not protected, by why")
    licensed_users: int
    protected_users: int = Field(description="Licensed users of whom every object is protected")
    completeness: CompletenessOut
    healthy: bool = Field(
        description="Everything is protected, nothing that Microsoft 365 counts is missing, and "
        "the last restore drill did not fail"
    )
    last_drill: LastDrillOut | None = Field(description="null before the first")


class CoveredOut(ApiModel):
    """One object and whether it is protected."""

    object_id: str
    workload: str
    owner_id: str
    display_name: str
    address: str
    licensed: bool
    protected: bool
    reason: Reason | None = Field(description="Why not; the first that applies")
    policy_ids: list[str] = Field(description="Policies that cover it, enabled or not")
    last_point_at: Instant | None
    detail: str | None = Field(description="What the last backup said when it failed")

    @classmethod
    def of(cls, one: Covered) -> "CoveredOut":
        """The line as partners see it."""
        found, point = one.found, one.found.last_point
        same = ("object_id", "workload", "owner_id", "display_name", "address", "licensed")
        return cls(
            **{name: getattr(found, name) for name in same},
            protected=one.reason is None,
            reason=one.reason,
            policy_ids=one.policy_ids,
            last_point_at=point.ended_at if point else None,
            detail=found.last_error,
        )


@router.get("", operation_id="coverage_report", summary="Read the coverage of a customer")
async def report(customer_id: str, caller: Reader) -> CoverageOut:
    """How much of what exists is protected, by object and by licensed user (BKP-28)."""
    found = await coverage.report(deps(), caller.scope, customer_id)
    drill = await drills.newest_drill(deps(), caller.scope, customer_id)
    is_proved = drill is None or drill.state not in {DrillState.FAILED, DrillState.BROKEN}
    return CoverageOut(
        objects=found.objects,
        protected=found.protected,
        reasons=dict(found.reasons),
        licensed_users=found.licensed_users,
        protected_users=found.protected_users,
        completeness=CompletenessOut.model_validate(found, from_attributes=True),
        healthy=is_proved and found.protected == found.objects and not found.gaps,
        last_drill=LastDrillOut.of(drill) if drill else None,
    )


@router.get("/objects", operation_id="coverage_objects", summary="List what is protected or not")
async def list_objects(
    customer_id: str,
    caller: Reader,
    protected: Annotated[bool | None, Query(description="Left out: both")] = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[CoveredOut]:
    """Every object with the reason why it is not protected."""
    filters = {"protected": None if protected is None else str(protected).lower()}
    path = f"/customers/{customer_id}/coverage/objects"
    pages = Pages(caller, "coverage_objects", path, filters)
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await coverage.list_covered(
        deps(), caller.scope, customer_id, protected=protected, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[CoveredOut.of(one) for one in found], next_link=link)
