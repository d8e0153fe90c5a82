"""Use cases of policies and sessions: what the doors call."""

from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.licences import CustomerGone
from shared.customers.model import Customer, CustomerState
from shared.kit import ids
from shared.kit.errors import Conflict, Unprocessable
from shared.kit.tables import LostRace
from shared.protection import changes, repositories, repository, rules, session_log
from shared.protection.discovery import discover, ensure_vault
from shared.protection.model import (
    RUN_OVER,
    BackupType,
    Policy,
    RunState,
    Session,
    SessionState,
)
from shared.protection.operation import session_operation
from shared.protection.selection import (
    ServiceNotChosen,
    UnknownObjects,
    check_objects,
    check_retention,
    check_services,
    protectable,
)

if TYPE_CHECKING:
    from shared.bootstrap import Deps

__all__ = [
    "ServiceNotChosen",
    "UnknownObjects",
    "create_policy",
    "create_recommended_policy",
    "discover",
    "ensure_vault",
    "session_operation",
    "start_session",
    "stop_session",
]

RECOMMENDED_NAME = "Recommended"
# A fixed tail makes the recommended policy of a customer one and the same for every attempt.
RECOMMENDED_TAIL = "recommen"


class CustomerNotReady(Conflict):
    """Policies need an onboarded customer (BKP-04)."""

    code, title = "CUSTOMER_NOT_READY", "The customer is not onboarded yet"


class PlanNotSellable(Unprocessable):
    """Only Flex policies can be created (BKP-03)."""

    code, title = "PLAN_NOT_SELLABLE", "This policy type cannot be created"


class EngineUnavailable(Unprocessable):
    """Another engine than ours is not offered."""

    code, title = "ENGINE_UNAVAILABLE", "This engine is not offered"


class AlreadyRunning(Conflict):
    """One running session per policy (BKP-08)."""

    code, title = "ALREADY_RUNNING", "A session of this policy is running"


class NotRunning(Conflict):
    """Only a running session can be stopped (BKP-09)."""

    code, title = "NOT_RUNNING", "The session has ended"


async def create_policy(
    deps: "Deps",
    scope: Scope,
    customer_id: str,
    *,
    name: str,
    backup_type: BackupType = BackupType.ENTIRE_ORGANIZATION,
    policy_type: str = "Flex",
    services: list[str] | None = None,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    retention_years: int | None = None,
    repository_id: str | None = None,
    engine: str = "holdfast",
) -> Policy:
    """A new, enabled policy with its next run set (BKP-02, BKP-03, BKP-04)."""
    customer = await customers.get(deps.tables, scope, customer_id)
    if customer.state is not CustomerState.ACTIVE:
        raise CustomerNotReady(
            "Finish the customer's onboarding first, then create the policy.",
            state=customer.state.value,
        )
    if policy_type != "Flex":
        raise PlanNotSellable("Use policyType Flex.", pointer="/policyType")
    if engine != "holdfast":
        raise EngineUnavailable("Use engine holdfast.", pointer="/engine")
    check_retention(retention_years)
    await repositories.check(deps, customer, repository_id)
    chosen = protectable(customer) if services is None else services
    check_services(customer, chosen)
    await check_objects(deps, scope, customer_id, backup_type, include or [], exclude or [])
    policy_id = ids.policy_id(customer_id)
    now = deps.clock.now()
    return await repository.add_policy(
        deps.tables,
        scope,
        Policy(
            policy_id=policy_id,
            partner_id=scope.partner_id,
            customer_id=customer_id,
            name=name,
            backup_type=backup_type,
            services=chosen,
            include=include or [],
            exclude=exclude or [],
            retention_years=retention_years,
            repository_id=repository_id,
            created_at=now,
            next_run_at=rules.first_run(policy_id, now),
        ),
    )


def recommended_id(customer_id: str) -> str:
    """The one recommended policy that a customer may have."""
    return f"{customer_id}-{ids.POLICY}{RECOMMENDED_TAIL}"


async def create_recommended_policy(deps: "Deps", scope: Scope, customer: Customer) -> Policy:
    """The policy that protects everything the customer chose (BKP-19); repeats find the first."""
    policy_id = recommended_id(customer.customer_id)
    found = await repository.find_policy(deps.tables, scope, policy_id)
    if found is not None:
        return found
    now = deps.clock.now()
    return await repository.add_policy(
        deps.tables,
        scope,
        Policy(
            policy_id=policy_id,
            partner_id=scope.partner_id,
            customer_id=customer.customer_id,
            name=RECOMMENDED_NAME,
            services=protectable(customer),
            created_at=now,
            created_by_system=True,
            next_run_at=rules.first_run(policy_id, now),
        ),
    )


async def start_session(
    deps: "Deps", scope: Scope, policy_id: str, *, requested_by: str
) -> Session:
    """Claim a session for a manual run (BKP-08); the caller starts its orchestration.

    `AlreadyRunning` while another one runs. A disabled policy may be run by hand (BKP-10), but
    none of a customer that was disconnected: `CustomerGone`.
    """
    policy = await repository.get_policy(deps.tables, scope, policy_id)
    await check_connected(deps, scope, policy.customer_id)
    now = deps.clock.now()
    session = Session(
        session_id=ids.newest_first(policy.customer_id, ids.SESSION, now),
        policy_id=policy_id,
        partner_id=policy.partner_id,
        customer_id=policy.customer_id,
        trigger="Manual",
        requested_by=requested_by,
        created_at=now,
        updated_at=now,
    )
    return await claim_session(deps, scope, policy, session)


async def check_connected(deps: "Deps", scope: Scope, customer_id: str) -> None:
    """`CustomerGone` (409) for a customer that was disconnected: its policies rest (AMB-38)."""
    customer = await customers.get(deps.tables, scope, customer_id)
    if customer.state is CustomerState.DISCONNECTED:
        raise CustomerGone("Its policies rest; restore points stay until their retention.")


async def stop_session(deps: "Deps", scope: Scope, session_id: str) -> Session:
    """Ask a running session to stop: no further object starts (BKP-09). Asking twice is fine."""
    now = deps.clock.now()

    def stop(session: Session) -> Session | None:
        if session.is_over:
            raise NotRunning(f"The session ended as {session.state.value}.")
        if session.stop_requested:
            return None
        return session.model_copy(
            update={"stop_requested": True, "state": SessionState.STOPPING, "updated_at": now}
        )

    return await changes.change_session(deps.tables, scope, session_id, stop)


def progress_percent(session: Session) -> int:
    """Percent of the session's objects that have ended (BKP-13)."""
    if session.is_over:
        return 100
    states = {RunState(state): number for state, number in session.objects.items()}
    return rules.progress(states, RUN_OVER, session.found)


async def claim_session(deps: "Deps", scope: Scope, policy: Policy, session: Session) -> Session:
    """Claim first, then create: an unclaimed session never exists (features.md 24.1 (i))."""
    now = deps.clock.now()
    for _ in range(2):
        if policy.running_session_id not in {None, session.session_id}:
            running = await repository.find_session(
                deps.tables, scope, str(policy.running_session_id)
            )
            if rules.is_running(policy, running, now):
                raise AlreadyRunning(
                    "Wait until it has ended, or stop it.", sessionId=policy.running_session_id
                )
            if running is not None and not running.is_over:
                await _give_up(deps, scope, running)
        claimed: dict[str, Any] = {"running_session_id": session.session_id, "running_since": now}
        try:
            await repository.save_policy(deps.tables, scope, policy.model_copy(update=claimed))
        except LostRace:  # somebody else claimed or changed it: look again, once
            policy = await repository.get_policy(deps.tables, scope, policy.policy_id)
            continue
        return await repository.add_session(deps.tables, scope, session)
    raise AlreadyRunning("Another request is starting a session of this policy.")


async def _give_up(deps: "Deps", scope: Scope, session: Session) -> None:
    now = deps.clock.now()

    def fail(found: Session) -> Session | None:
        if found.state is not SessionState.QUEUED:
            return None
        return found.model_copy(
            update={
                "state": SessionState.FAILED,
                "error": "The session was never started.",
                "ended_at": now,
                "updated_at": now,
            }
        )

    found = await changes.change_session(deps.tables, scope, session.session_id, fail)
    if found.is_over:
        await session_log.close(deps.tables, found, [])
