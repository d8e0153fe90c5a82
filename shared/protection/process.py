"""What the activities of a session do around its objects: plan, list, tally, seal."""

import logging
from collections import Counter
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.consent.service import check as check_consent
from shared.customers import repository as customers
from shared.microsoft365.errors import ConsentLost
from shared.microsoft365.quotas import default_quotas
from shared.notifications import service as notifications
from shared.notifications.rules import topic_of_session
from shared.protection import budgets, changes, log_lines, repository, rules, session_log
from shared.protection.discovery import discover
from shared.protection.memberships import note_groups
from shared.protection.model import (
    RUN_OVER,
    WORKLOADS,
    Counts,
    GraphCost,
    ObjectRun,
    Policy,
    ProtectedObject,
    RunState,
    Session,
    SessionState,
    Volume,
)
from shared.protection.tasks import (
    SLICE_SECONDS,
    WINDOW,
    ObjectTask,
    Plan,
    SessionTask,
    SliceBudget,
)
from shared.protection.vaults import ensure_vault, settle
from shared.vault.format.tree import session_root

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

# A tally reads every object of the session: often enough for a person, rare enough for the table.
TALLY_EVERY = timedelta(seconds=2)


NOTHING_FOUND = "There was nothing to protect."


async def plan_session(deps: "Deps", task: SessionTask) -> Plan:
    """Look at consent, find the objects, write their rows (architecture.md section 4)."""
    scope = Scope(task.partner_id)
    now = deps.clock.now()
    session = await changes.change_session(
        deps.tables, scope, task.session_id, lambda found: _running(found, now)
    )
    if session.is_over:
        return Plan(outcome="over")
    await session_log.add(deps.tables, session.session_id, [log_lines.started(session)])
    if session.stop_requested:
        return Plan(outcome="run", groups=0)
    customer = await customers.get(deps.tables, scope, session.customer_id)
    policy = await repository.get_policy(deps.tables, scope, session.policy_id)
    health = await check_consent(deps, customer)
    if not health.is_usable:
        detail = f"consent is {health.state.value}"
        return Plan(outcome="disconnected", detail=detail)
    try:
        counts = await discover(deps, customer)
    except ConsentLost as lost:
        return Plan(outcome="disconnected", detail=f"consent is {lost.state}")
    gone = await note_groups(deps, customer)
    await ensure_vault(deps, customer, policy.repository_id)
    found = await repository.list_objects(deps.tables, scope, customer.customer_id)
    services = [str(service) for service in customer.services]
    chosen = rules.select_objects(policy, found, services, health.workloads_off)

    def planned(at: Session) -> Session | None:
        return at.model_copy(
            update={
                "shards": at.shards or rules.shards_for(len(chosen.objects)),
                "found": len(chosen.objects),
                "excluded": chosen.excluded,
                "retention_years": policy.retention_years,
                "seats": counts.get("seats", 0),
                "objects": {RunState.PENDING.value: len(chosen.objects)},
                "updated_at": now,
            }
        )

    session = await changes.change_session(deps.tables, scope, task.session_id, planned)
    await session_log.add(deps.tables, session.session_id, log_lines.planned(session, now))
    await session_log.add(
        deps.tables, session.session_id, [log_lines.lost_group(each, now) for each in gone]
    )
    for one in chosen.objects:
        home = await settle(deps, policy, customer, one)
        await repository.add_run(deps.tables, session, _pending(session, one, home))
    return Plan(outcome="run", groups=session.shards if chosen.objects else 0)


async def list_group(deps: "Deps", task: SessionTask, group: int) -> list[ObjectTask]:
    """The objects of one group that have not ended."""
    session = await repository.get_session(deps.tables, Scope(task.partner_id), task.session_id)
    runs = [
        run
        for run in await repository.list_runs(deps.tables, session, group)
        if run.state not in RUN_OVER
    ]
    sharing = min(WINDOW, sum(run.workload in budgets.SHARE_POINT for run in runs))
    given = await _shares(deps, session, sharing)
    return [
        ObjectTask(
            partner_id=task.partner_id,
            session_id=task.session_id,
            workload=run.workload,
            object_id=run.object_id,
            budget=given[run.workload],
        )
        for run in runs
    ]


async def _shares(deps: "Deps", session: Session, sharing: int) -> dict[str, SliceBudget]:
    """The first budget of a slice by workload; `sharing` of them draw on SharePoint at once (M25).

    What the tenant's other sessions spent in a day, or are at work to spend, is not ours.
    """
    quotas, since = default_quotas(), deps.clock.now() - budgets.DAY
    spent, rivals = 0, 0
    found = repository.list_customer_sessions(
        deps.tables, Scope(session.partner_id), session.customer_id, before=None
    )
    async with aclosing(found):  # type: ignore[type-var]
        async for other in found:
            if other.created_at < since:
                break
            if other.session_id != session.session_id:
                spent += other.graph.ru
                rivals += not other.is_over
    left = budgets.day_left(quotas, session.seats, spent, rivals + 1)
    return {
        workload: budgets.slice_budget(
            quotas,
            workload,
            session.seats,
            sharing=sharing,
            sessions=rivals + 1,
            seconds=SLICE_SECONDS,
            day_left=left,
            spent=session.graph.ru,
        )
        for workload in WORKLOADS
    }


async def tally(deps: "Deps", task: SessionTask) -> Session:
    """Write the sums over the objects into the session's row: counting again is idempotent."""
    scope = Scope(task.partner_id)
    session = await repository.get_session(deps.tables, scope, task.session_id)
    now = deps.clock.now()
    if session.is_over or now - session.updated_at < TALLY_EVERY:
        return session
    sums = _sums(await _all_runs(deps, session))

    def counted(found: Session) -> Session | None:
        return None if found.is_over else found.model_copy(update={**sums, "updated_at": now})

    return await changes.change_session(deps.tables, scope, task.session_id, counted)


async def seal_session(deps: "Deps", task: SessionTask) -> SessionState:
    """End the session: its outcome follows from the objects' rows, never from a belief."""
    scope = Scope(task.partner_id)
    now = deps.clock.now()
    session = await repository.get_session(deps.tables, scope, task.session_id)
    if not session.is_over:
        await _end_leftovers(deps, session, task)
    runs = await _all_runs(deps, session)
    states = Counter(run.state for run in runs)
    records = sorted((run.oid, run.record) for run in runs if run.record)
    root = session_root([bytes.fromhex(str(record)) for _, record in records])

    def ended(found: Session) -> Session | None:
        if found.is_over:
            return None
        outcome = rules.decide_outcome(
            states,
            stopped=found.stop_requested,
            disconnected=task.disconnected,
            error=task.error is not None,
        )
        return found.model_copy(
            update={
                **_sums(runs),
                "state": outcome,
                "error": task.error or (None if runs else NOTHING_FOUND),
                "root": root.hex() if records else None,
                "started_at": found.started_at or now,
                "ended_at": now,
                "updated_at": now,
            }
        )

    session = await changes.change_session(deps.tables, scope, task.session_id, ended)
    await session_log.close(deps.tables, session, runs)
    await _note_in_policy(deps, scope, session)
    await notifications.tell(
        deps.tables,
        session.customer_id,
        topic_of_session(session.state),
        subject=session.session_id,
        outcome=session.state,
        at=session.ended_at or now,
    )
    return session.state


async def _end_leftovers(deps: "Deps", session: Session, task: SessionTask) -> None:
    state = rules.leftover(stopped=session.stop_requested, disconnected=task.disconnected)
    error = "its process ended without a result" if state is RunState.FAILED else None
    for run in await _all_runs(deps, session):
        if run.state not in RUN_OVER:
            ended = {"state": state, "error": error, "ended_at": deps.clock.now()}
            await repository.put_run(deps.tables, session, run.model_copy(update=ended))


async def _note_in_policy(deps: "Deps", scope: Scope, session: Session) -> None:
    def noted(policy: Policy) -> Policy | None:
        if policy.last_ended_session_id == session.session_id:
            return None
        started = session.started_at or session.created_at
        spent = (session.ended_at or started) - started
        mine = policy.running_session_id == session.session_id
        return policy.model_copy(
            update={
                "last_ended_session_id": session.session_id,
                "last_run_at": session.started_at,
                "last_status": session.state,
                "ended_sessions": policy.ended_sessions + 1,
                "ended_seconds": policy.ended_seconds + round(spent.total_seconds()),
                "running_session_id": None if mine else policy.running_session_id,
                "running_since": None if mine else policy.running_since,
            }
        )

    if await repository.find_policy(deps.tables, scope, session.policy_id) is not None:
        await changes.change_policy(deps.tables, scope, session.policy_id, noted)


async def _all_runs(deps: "Deps", session: Session) -> list[ObjectRun]:
    runs: list[ObjectRun] = []
    for shard in range(session.shards):
        runs += await repository.list_runs(deps.tables, session, shard)
    return runs


def _running(session: Session, now: datetime) -> Session | None:
    if session.is_over or session.state is not SessionState.QUEUED:
        return None
    return session.model_copy(
        update={"state": SessionState.RUNNING, "started_at": now, "updated_at": now}
    )


def _pending(session: Session, one: ProtectedObject, home: str) -> ObjectRun:
    return ObjectRun(
        repository_id=home,
        session_id=session.session_id,
        object_id=one.object_id,
        workload=one.workload,
        source_id=one.source_id,
        display_name=one.display_name,
        address=one.address,
    )


def _sums(runs: list[ObjectRun]) -> dict[str, object]:
    counts, volume, graph = Counts(), Volume(), GraphCost()
    for run in runs:
        counts, volume = counts.plus(run.counts), volume.plus(run.volume)
        graph = graph.plus(run.graph)
    states = Counter(run.state.value for run in runs)
    return {
        "objects": dict(states),
        "drawing": budgets.drawing(runs),
        "counts": counts,
        "volume": volume,
        "graph": graph,
        "compute_s": round(sum(run.compute_s for run in runs), 3),
    }
