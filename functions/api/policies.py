"""Policies: what of a customer is protected; starting a session by hand."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from functions.api.paging import Pages, address
from functions.api.protection_models import (
    RETRY_SECONDS,
    PageOf,
    PageSize,
    PolicyInCreate,
    PolicyOut,
    SessionOut,
    SkipToken,
)
from functions.api.security import requires
from functions.api.sessions import run_session
from functions.binding import WITH_DURABLE
from shared.access.model import Caller
from shared.access.permissions import PermissionMissing
from shared.bootstrap import deps
from shared.kit.operations import Operation
from shared.protection import queries, service
from shared.protection.operation import session_operation

router = APIRouter(tags=["policies"])
Reader = Annotated[Caller, Depends(requires("policies.read"))]
SessionReader = Annotated[Caller, Depends(requires("sessions.read"))]


@router.post(
    "/customers/{customer_id}/policies",
    operation_id="policies_create",
    summary="Create a policy",
    status_code=201,
)
async def create(
    customer_id: str,
    body: PolicyInCreate,
    response: Response,
    caller: Annotated[Caller, Depends(requires("policies.create"))],
) -> PolicyOut:
    """Enabled at once, with its next run set; the customer must be onboarded (BKP-04).

    A partner needs Advanced Backup Management for the second and every further one (BKP-05).
    """
    given, scope = deps(), caller.scope
    if caller.grants is not None:
        existing, _ = await queries.list_policies(
            given, scope, customer_id=customer_id, after="", limit=1
        )
        if existing and not caller.allow("policies.add").scope.covers(customer_id):
            raise PermissionMissing("For this customer you may create the first policy only.")
    policy = await service.create_policy(
        given,
        scope,
        customer_id,
        name=body.name,
        backup_type=body.backup_type,
        policy_type=body.policy_type,
        services=list(body.services) if body.services is not None else None,
        include=body.include,
        exclude=body.exclude,
    )
    response.headers["Location"] = address(f"/policies/{policy.policy_id}")
    return PolicyOut.of(policy)


@router.get(
    "/customers/{customer_id}/policies",
    operation_id="policies_list_of_customer",
    summary="List the policies of a customer",
)
async def list_of_customer(
    customer_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[PolicyOut]:
    """In the order of their ids (BKP-32)."""
    pages = Pages(caller, "policies_list_of_customer", f"/customers/{customer_id}/policies", {})
    return await _page(caller, pages, customer_id, maxpagesize, skip_token)


@router.get("/policies", operation_id="policies_list", summary="List policies")
async def list_all(
    caller: Reader,
    customer_id: Annotated[str | None, Query(alias="customerId", max_length=64)] = None,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[PolicyOut]:
    """Across customers, in the order of their ids (BKP-01, BKP-12)."""
    pages = Pages(caller, "policies_list", "/policies", {"customerId": customer_id})
    return await _page(caller, pages, customer_id, maxpagesize, skip_token)


@router.get("/policies/{policy_id}", operation_id="policies_get", summary="Read a policy")
async def get(policy_id: str, caller: Reader) -> PolicyOut:
    """With last status and next run."""
    return PolicyOut.of(await queries.get_policy(deps(), caller.scope, policy_id))


@router.post(
    "/policies/{policy_id}/sessions",
    operation_id="sessions_start",
    summary="Run a policy now",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start_session(
    policy_id: str,
    response: Response,
    caller: Annotated[Caller, Depends(requires("sessions.start"))],
) -> Operation:
    """409 ALREADY_RUNNING while another session of the policy runs (BKP-08)."""
    given = deps()
    try:
        session = await service.start_session(
            given, caller.scope, policy_id, requested_by=caller.principal.subject
        )
    except service.AlreadyRunning as running:
        if running_id := running.extra.get("sessionId"):
            await run_session(caller, str(running_id))  # its process may have been lost
        raise
    await run_session(caller, session.session_id)
    response.headers["Operation-Location"] = address(f"/operations/{session.session_id}")
    response.headers["Location"] = address(f"/sessions/{session.session_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await session_operation(given, caller.scope, session.session_id)


@router.get(
    "/policies/{policy_id}/sessions",
    operation_id="sessions_list",
    summary="List the sessions of a policy",
)
async def list_sessions(
    policy_id: str,
    caller: SessionReader,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[SessionOut]:
    """Newest first (BKP-13)."""
    pages = Pages(caller, "sessions_list", f"/policies/{policy_id}/sessions", {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await queries.list_sessions(
        deps(), caller.scope, policy_id, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[SessionOut.of(one) for one in found], next_link=link)


async def _page(
    caller: Caller, pages: Pages, customer_id: str | None, size: int, skip_token: str | None
) -> PageOf[PolicyOut]:
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await queries.list_policies(
        deps(), caller.scope, customer_id=customer_id, after=after, limit=size
    )
    link = await pages.link({"after": last} if last else None, size)
    return PageOf(value=[PolicyOut.of(one) for one in found], next_link=link)
