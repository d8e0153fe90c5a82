"""Whether the platform works, region by region."""

from typing import Annotated, Literal

from fastapi import Depends
from pydantic import Field

from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.restore import availability

router = Router(tags=["status"])


class ComponentOut(ApiModel):
    """One component of one region."""

    region: Literal["APJ", "EMEA", "AMER"]
    name: str
    status: Literal["Operational", "Degraded", "Unavailable"]
    checked: int = Field(description="Runs, restores or accounts it is told from; 0: none known")
    failed: int


class StatusOut(ApiModel):
    """The platform as the caller's customers meet it."""

    read_at: Instant
    components: list[ComponentOut]


@router.get("/status", operation_id="status_get", summary="Read the state of the platform")
async def get(caller: Annotated[Caller, Depends(requires("customers.read"))]) -> StatusOut:
    """Backup of four workloads, storage and restores in three regions (OPS-03, RST-08).

    Told from the newest runs, the last day's restores and whether the storage answers.
    """
    given = deps()
    found = await availability.read(given, caller.scope)
    return StatusOut(
        read_at=given.clock.now(),
        components=[
            ComponentOut(
                region=one.area, name=one.name, status=one.health, checked=one.checked,
                failed=one.failed,
            )
            for one in found
        ],
    )  # fmt: skip
