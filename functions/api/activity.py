"""What your account did in a month."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.restore import activity

router = Router(tags=["sessions"])
Month = Annotated[
    str, Query(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", description="YYYY-MM", examples=["2026-11"])
]


class ActivityOut(ApiModel):
    """Jobs and restores of your own account (RES-11)."""

    month: str
    customers: int
    jobs: int = Field(description="Sessions begun")
    jobs_by_state: dict[str, int]
    restores: int


@router.get("/activity", operation_id="activity_get", summary="Jobs and restores of a month")
async def get(
    month: Month, caller: Annotated[Caller, Depends(requires("sessions.read"))]
) -> ActivityOut:
    """At the customers you see; a partner above you does not count yours, nor you its."""
    found = await activity.count(deps(), caller.scope, month)
    return ActivityOut(**{name: getattr(found, name) for name in ActivityOut.model_fields})
