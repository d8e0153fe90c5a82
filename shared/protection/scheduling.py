"""When policies run: what is due now, and when each runs next (BKP-07, BKP-10)."""

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.kit import ids
from shared.protection import changes, repository, rules, served
from shared.protection.model import Policy, Session
from shared.protection.service import AlreadyRunning, claim_session

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)


async def due_sessions(deps: "Deps") -> AsyncIterator[tuple[Session | None, repository.Due]]:
    """Every due policy with its claimed session; None when it is not to be run now.

    One policy's trouble keeps no other waiting: it is logged, and stays due for the next tick.
    """
    now, broken = deps.clock.now(), 0
    async for due in repository.list_due(deps.tables, now):
        try:
            session = await start_due_session(deps, due)
        except Exception:
            log.exception("policy %s is due and could not be started", due.policy_id)
            broken += 1
            continue
        yield session, due
    if not broken:
        await served.note(deps.tables, now)


async def start_due_session(deps: "Deps", due: repository.Due) -> Session | None:
    """Claim the session of a due policy and plan the next one; None when nothing is to be run.

    The id follows from policy and due time: a second tick finds the first one's session. A run in
    progress counts for this day and comes back instead: a process that was lost with its task hub
    goes on when it is started again, for one that runs it changes nothing.
    """
    scope = Scope(due.partner_id)
    policy = await repository.find_policy(deps.tables, scope, due.policy_id)
    if policy is None or policy.next_run_at.replace(microsecond=0) != due.due_at:
        return None
    session: Session | None = None
    if policy.enabled:
        tail = rules.scheduled_tail(policy.policy_id)
        session_id = ids.newest_first(policy.customer_id, ids.SESSION, due.due_at, tail)
        now = deps.clock.now()
        session = Session(
            session_id=session_id,
            policy_id=policy.policy_id,
            partner_id=policy.partner_id,
            customer_id=policy.customer_id,
            trigger="Schedule",
            created_at=now,
            updated_at=now,
        )
        try:
            session = await claim_session(deps, scope, policy, session)
        except AlreadyRunning as running:
            running_id = running.extra.get("sessionId")
            session = (
                await repository.find_session(deps.tables, scope, running_id)
                if running_id
                else None
            )
    return session


async def plan_next(deps: "Deps", due: repository.Due) -> None:
    """Write the next due time, then forget this one: after the orchestration was started."""
    scope = Scope(due.partner_id)
    now = deps.clock.now()

    def later(policy: Policy) -> Policy | None:
        if policy.next_run_at.replace(microsecond=0) != due.due_at:
            return None
        following = rules.next_run(policy.next_run_at, policy.interval_hours, now)
        return policy.model_copy(update={"next_run_at": following})

    policy = await repository.find_policy(deps.tables, scope, due.policy_id)
    if policy is not None:
        policy = await changes.change_policy(deps.tables, scope, due.policy_id, later)
        await repository.put_due(deps.tables, policy)
    await repository.drop_due(deps.tables, due)
