"""Restore drills: proof that backups can be read back, each month and on demand, signed."""

from typing import Annotated, Any, Literal

from fastapi import Body, Depends, Response
from pydantic import Field

from functions.api.paging import Pages, address
from functions.api.protection_models import PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.drill import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.drills import service
from shared.drills.model import Drill, DrillState, Mode
from shared.kit.api_model import ApiModel, Instant

router = Router(tags=["drills"])
Reader = Annotated[Caller, Depends(requires("drills.read"))]
Starter = Annotated[Caller, Depends(requires("drills.start"))]


class DrillInStart(ApiModel):
    """How deep the drill goes; without a body it is dry."""

    mode: Mode = Field(
        default="dry",
        description="dry: items are read back into memory. scratch: mails and files are also "
        "restored into a folder of the drill's own, read back through Graph, compared and "
        "removed; needs the Restorer's consent; nothing under legal hold is touched",
    )


class DrillOut(ApiModel):
    """A drill: the only status there is."""

    id: str
    customer_id: str
    trigger: Literal["Schedule", "Manual"]
    mode: Mode
    requested_by: str
    state: DrillState = Field(
        description="Failed: something does not hold; Broken: the drill could not be carried out; "
        "Empty: there was nothing to read back"
    )
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    objects: int = Field(description="Drawn by lot, some of every workload")
    items: int = Field(description="Read back and checked")
    restored: int = Field(description="Of these, restored into the scratch folder and compared")
    left_behind: int = Field(description="Scratch folders still to be removed; tried every day")
    bytes: int
    failed: int
    workloads: dict[str, int] = Field(description="Items by workload")
    error: str | None

    @classmethod
    def of(cls, drill: Drill) -> "DrillOut":
        """The drill as partners see it."""
        own = {"id", "objects", "left_behind"}
        values = {name: getattr(drill, name) for name in cls.model_fields if name not in own}
        left = len(drill.scratch)
        return cls(id=drill.drill_id, objects=len(drill.objects), left_behind=left, **values)


class DrillWithReport(DrillOut):
    """A drill with its report."""

    report: dict[str, Any] | None = Field(
        description="`report` as signed (members sorted, no white space), `signature` ES256, "
        "base64url, `publicKey` PEM; null before the end"
    )


async def _run(drill: Drill) -> None:
    """Start the drill's process unless it is there: harmless when repeated."""
    task = {"partner_id": drill.partner_id, "drill_id": drill.drill_id}
    await start(current_client(), "restore_drill", instance_of(drill.drill_id), task)


@router.post(
    "/customers/{customer_id}/drills",
    operation_id="drills_start",
    summary="Start a restore drill",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start_drill(
    customer_id: str,
    response: Response,
    caller: Starter,
    body: Annotated[DrillInStart | None, Body()] = None,
) -> DrillOut:
    """Reads items of every workload back into memory; 409 DRILL_RUNNING while another one runs.

    With `scratch` it also writes into the tenant, which asks for the right to restore.
    """
    mode: Mode = body.mode if body is not None else "dry"
    if mode == "scratch":
        caller = caller.allow("restores.start")
    try:
        drill = await service.start_drill(
            deps(), caller.scope, customer_id, requested_by=caller.principal.subject, mode=mode
        )
    except service.DrillRunning:
        newest = await service.newest_drill(deps(), caller.scope, customer_id)
        if newest is not None and not newest.is_over:
            await _run(newest)  # a drill whose start was refused would be in the way for ever
        raise
    await _run(drill)
    response.headers["Location"] = address(f"/drills/{drill.drill_id}")
    return DrillOut.of(drill)


@router.get(
    "/customers/{customer_id}/drills", operation_id="drills_list", summary="List restore drills"
)
async def list_of_customer(
    customer_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[DrillOut]:
    """Newest first."""
    pages = Pages(caller, "drills_list", f"/customers/{customer_id}/drills", {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await service.list_drills(
        deps(), caller.scope, customer_id, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[DrillOut.of(one) for one in found], next_link=link)


@router.get("/drills/{drill_id}", operation_id="drills_get", summary="Read a restore drill")
async def get(drill_id: str, caller: Reader) -> DrillWithReport:
    """With the signed report."""
    drill = await service.get_drill(deps(), caller.scope, drill_id)
    return DrillWithReport(**DrillOut.of(drill).model_dump(by_alias=False), report=drill.report)
