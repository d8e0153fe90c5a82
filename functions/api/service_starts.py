"""Start services: from a bought backup to a first session."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field, StringConstraints

from functions.api.paging import address
from functions.api.policies import check_further
from functions.api.protection_models import RETRY_SECONDS
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.sessions import run_session
from functions.binding import WITH_DURABLE
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.kit.operations import Operation
from shared.protection import service_starts
from shared.protection.operation import session_operation

router = Router(prefix="/customers/{customer_id}", tags=["sessions"])


class ServiceIn(ApiModel):
    """Which service."""

    service: Annotated[str, StringConstraints(min_length=1, max_length=20)] = Field(
        default="CBM", description="Code of the catalogue"
    )


@router.post(
    "/services:start",
    operation_id="services_start",
    summary="Start services",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start(
    customer_id: str,
    body: ServiceIn,
    response: Response,
    caller: Annotated[Caller, Depends(requires("policies.create"))],
) -> Operation:
    """Finds the objects, protects them and queues a first session (ONB-16, BKP-22).

    409 without an available subscription; 422 for services that run their backup by themselves.
    """
    given = deps()
    if not await service_starts.has_policy(given, caller.scope, customer_id):
        await check_further(caller, customer_id)
    session = await service_starts.start_services(
        given,
        caller.scope,
        customer_id,
        body.service,
        requested_by=caller.principal.subject,
        as_partner=caller.grants is not None,
    )
    await run_session(caller, session.session_id)
    response.headers["Operation-Location"] = address(f"/operations/{session.session_id}")
    response.headers["Location"] = address(f"/sessions/{session.session_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await session_operation(given, caller.scope, session.session_id)
