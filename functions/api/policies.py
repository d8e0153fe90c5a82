"""Policies: what of a customer is protected, on or off; starting a session by hand."""

from typing import Annotated, Literal

from fastapi import Depends, Query, Response

from functions.api.access_models import IfMatch
from functions.api.paging import Pages, address
from functions.api.pools import scope_of
from functions.api.protection_models import (
    RETRY_SECONDS,
    PageOf,
    PageSize,
    PolicyInCreate,
    PolicyInEdit,
    PolicyOut,
    ScheduleIn,
    SkipToken,
)
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.sessions import run_session
from functions.binding import WITH_DURABLE
from shared.access.model import Caller
from shared.access.permissions import PermissionMissing
from shared.bootstrap import deps
from shared.kit.etags import strong_etag
from shared.kit.operations import Operation
from shared.protection import editing, queries, service
from shared.protection.model import Policy
from shared.protection.operation import session_operation

router = Router(tags=["policies"])
Reader = Annotated[Caller, Depends(requires("policies.read"))]
Writer = Annotated[Caller, Depends(requires("policies.write"))]
LastStatus = Literal["Success", "Warning", "Failed", "Disconnected", "Stopped", "Running"]


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
    await check_further(caller, customer_id)
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
        retention_years=body.retention_years,
        repository_id=body.repository_id,
        engine=body.engine,
    )
    response.headers["Location"] = address(f"/policies/{policy.policy_id}")
    return _shown(response, policy)


async def check_further(caller: Caller, customer_id: str) -> None:
    """`PermissionMissing` when a partner's caller may make a first policy only, and there is one.

    The second and every further one need Advanced Backup Management (BKP-05).
    """
    if caller.grants is None:
        return  # the customer's own people are bound by flags
    existing, _ = await queries.list_policies(
        deps(), caller.scope, customer_id=customer_id, after="", limit=1
    )
    if existing and not caller.allow("policies.add").scope.covers(customer_id):
        raise PermissionMissing("For this customer you may create the first policy only.")


@router.get(
    "/customers/{customer_id}/policies",
    operation_id="policies_list_of_customer",
    summary="List the policies of a customer",
)
async def list_of_customer(
    customer_id: str,
    caller: Reader,
    status: Annotated[list[LastStatus], Query(description="Any of these")] = [],  # noqa: B006
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[PolicyOut]:
    """In the order of their ids (BKP-32)."""
    filters = {"status": sorted(status) or None}
    path = f"/customers/{customer_id}/policies"
    pages = Pages(caller, "policies_list_of_customer", path, filters)
    return await _page(caller, pages, customer_id, status, maxpagesize, skip_token)


@router.get("/policies", operation_id="policies_list", summary="List policies")
async def list_all(
    caller: Reader,
    customer_id: Annotated[str | None, Query(alias="customerId", max_length=64)] = None,
    status: Annotated[list[LastStatus], Query(description="Any of these")] = [],  # noqa: B006
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[PolicyOut]:
    """Across customers, in the order of their ids (BKP-01, BKP-12).

    `status` is the last one; `Running` gives policies with a session under way.
    """
    filters = {"customerId": customer_id, "status": sorted(status) or None}
    pages = Pages(caller, "policies_list", "/policies", filters)
    return await _page(caller, pages, customer_id, status, maxpagesize, skip_token)


@router.get("/policies/{policy_id}", operation_id="policies_get", summary="Read a policy")
async def get(policy_id: str, response: Response, caller: Reader) -> PolicyOut:
    """With last status, next run and its ETag."""
    return _shown(response, await queries.get_policy(deps(), caller.scope, policy_id))


@router.patch("/policies/{policy_id}", operation_id="policies_edit", summary="Edit a policy")
async def edit(
    policy_id: str,
    body: PolicyInEdit,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> PolicyOut:
    """Members that are left out stay. Restore points of objects taken out stay (BKP-06).

    403 SCHEDULE_SUPPORT_ONLY for `intervalHours`: open a support case (BKP-07).
    """
    wanted = editing.Wanted(
        name=body.name,
        backup_type=body.backup_type,
        services=list(body.services) if body.services is not None else None,
        include=body.include,
        exclude=body.exclude,
        interval_hours=body.interval_hours,
        others=body.model_dump(
            include={"retention_years", "repository_id"}, exclude_unset=True, by_alias=False
        ),
    )
    policy = await editing.edit_policy(deps(), caller.scope, policy_id, if_match, wanted)
    return _shown(response, policy)


@router.post(
    "/policies/{policy_id}:setSchedule",
    operation_id="policies_set_schedule",
    summary="Set how often a policy runs",
)
async def set_schedule(
    policy_id: str,
    body: ScheduleIn,
    response: Response,
    _: Annotated[Caller, Depends(requires("schedules.set"))],
) -> PolicyOut:
    """For a support case, by the operator only; counted from the last run (BKP-07)."""
    scope = await scope_of(body.partner_id)
    found = await editing.set_interval(deps(), scope, policy_id, body.interval_hours)
    return _shown(response, found)


@router.post(
    "/policies/{policy_id}:enable", operation_id="policies_enable", summary="Enable a policy"
)
async def enable(policy_id: str, response: Response, caller: Writer) -> PolicyOut:
    """Its schedule resumes with the next run it answers (BKP-10)."""
    return _shown(response, await editing.enable_policy(deps(), caller.scope, policy_id))


@router.post(
    "/policies/{policy_id}:disable", operation_id="policies_disable", summary="Disable a policy"
)
async def disable(policy_id: str, response: Response, caller: Writer) -> PolicyOut:
    """No scheduled starts; running it by hand stays possible (BKP-10)."""
    return _shown(response, await editing.disable_policy(deps(), caller.scope, policy_id))


@router.delete(
    "/policies/{policy_id}",
    operation_id="policies_delete",
    summary="Delete a policy",
    status_code=204,
)
async def delete(
    policy_id: str,
    caller: Annotated[Caller, Depends(requires("policies.delete"))],
    if_match: IfMatch = None,
) -> None:
    """Backed-up data is kept by its retention, sessions stay readable by their id (BKP-11).

    409 ALREADY_RUNNING while a session of it runs.
    """
    await editing.delete_policy(deps(), caller.scope, policy_id, if_match)


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


async def _page(
    caller: Caller,
    pages: Pages,
    customer_id: str | None,
    status: list[LastStatus],
    size: int,
    skip_token: str | None,
) -> PageOf[PolicyOut]:
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await queries.list_policies(
        deps(),
        caller.scope,
        customer_id=customer_id,
        after=after,
        limit=size,
        statuses=frozenset(status),
    )
    link = await pages.link({"after": last} if last else None, size)
    return PageOf(value=[PolicyOut.of(one) for one in found], next_link=link)


def _shown(response: Response, policy: Policy) -> PolicyOut:
    response.headers["ETag"] = strong_etag(policy.etag)
    return PolicyOut.of(policy)
