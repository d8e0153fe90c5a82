"""Mass changes by automation that were stopped: look at what waits, let it be done."""

from typing import Annotated, Literal

from fastapi import Body, Depends
from pydantic import Field

from functions.api.licensing import actor_of
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.licensing import brake
from shared.licensing.brake import Waiting
from shared.licensing.refusals import ActionForbidden
from shared.licensing.repository import TABLE
from shared.licensing.requests import Seats

router = Router(tags=["licences"])


class AdjustmentOut(ApiModel):
    """What automation would do and was stopped at."""

    state: Literal["None", "Waiting", "Approved", "Dismissed"]
    would_move: int | None = Field(default=None, description="Seats in a day")
    limit: int | None = Field(default=None, description="Seats that need no approval")
    asked_at: Instant | None = None
    approved_by: str = ""
    dismissed_by: str = ""

    @classmethod
    def of(cls, waiting: Waiting | None) -> "AdjustmentOut":
        """As partners see it."""
        return cls(**waiting.model_dump()) if waiting else cls(state="None")


class ApproveIn(ApiModel):
    """What exactly is approved."""

    would_move: Seats | None = Field(
        default=None, description="As read: 409 when it is another number by now"
    )


@router.get(
    "/licence-adjustment", operation_id="licence_adjustment_get", summary="Does something wait?"
)
async def get(caller: Annotated[Caller, Depends(requires("licences.read"))]) -> AdjustmentOut:
    """More than a tenth of your seats in a day is not done without you."""
    return AdjustmentOut.of(await brake.find(deps().tables[TABLE], caller.scope))


@router.post(
    "/licence-adjustment:approve",
    operation_id="licence_adjustment_approve",
    summary="Let it be done",
)
async def approve(
    caller: Annotated[Caller, Depends(requires("licences.write"))],
    body: Annotated[ApproveIn | None, Body()] = None,
) -> AdjustmentOut:
    """Up to that number, within ten minutes; the tenants are read anew, and more asks again."""
    _check_all(caller)
    seen = body.would_move if body else None
    done = await brake.approve(deps().tables[TABLE], caller.scope, actor_of(caller), seen)
    return AdjustmentOut.of(done)


@router.post(
    "/licence-adjustment:dismiss",
    operation_id="licence_adjustment_dismiss",
    summary="Leave everything as it is",
)
async def dismiss(caller: Annotated[Caller, Depends(requires("licences.write"))]) -> AdjustmentOut:
    """You are not asked again until the number is another one; 409 when nothing waits."""
    _check_all(caller)
    done = await brake.dismiss(deps().tables[TABLE], caller.scope, actor_of(caller))
    return AdjustmentOut.of(done)


def _check_all(caller: Caller) -> None:
    if caller.scope.customers is not None:
        raise ActionForbidden("This concerns all customers of the partner.", rule="scope")
