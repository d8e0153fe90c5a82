"""Copies one object: opens its workload and its run, does a slice, seals the snapshot.

Every function here may run twice with the same input (vault.md V48).
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer
from shared.microsoft365.drive import Drive
from shared.microsoft365.errors import ConsentLost, ObjectUnavailable, SignInUnavailable
from shared.microsoft365.exchange import ExchangeMailbox
from shared.microsoft365.model import Budget, Workload
from shared.microsoft365.quotas import default_quotas
from shared.microsoft365.sites import Site
from shared.microsoft365.teams import Team
from shared.microsoft365.transport import GraphTransport
from shared.protection import budgets, changes, log_lines, repository, rules, session_log
from shared.protection.discovery import ACTIVE, open_vault, tenant_of
from shared.protection.model import (
    RUN_OVER,
    Completeness,
    Counts,
    GraphCost,
    ObjectRun,
    Point,
    ProtectedObject,
    RunState,
    Session,
    Volume,
)
from shared.protection.passes import Pass
from shared.protection.slices import Bounds, SliceEnd, run_slice
from shared.protection.tasks import SLICE_SECONDS, ObjectTask, SliceAnswer, SliceBudget
from shared.vault.errors import RunExpired, Superseded, VaultDamaged
from shared.vault.model import Declared, GraphUse, ObjectRef, SnapshotHead
from shared.vault.run import Run

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

DAMAGED = "stored data is damaged, the next backup lists everything anew"
# vault.md V50: a run seals what it has, so that it commits within 24 hours.
LAST_SLICE_AFTER = timedelta(hours=20)
GIVEN_UP = "it was given up after a day; what it found is kept, and the next backup goes on"


async def protect_slice(
    deps: "Deps", task: ObjectTask, bounds: Bounds | None = None
) -> SliceAnswer:
    """Do one slice of the object and write down how far it came."""
    scope = Scope(task.partner_id)
    session = await repository.get_session(deps.tables, scope, task.session_id)
    row = await repository.get_run(deps.tables, session, task.workload, task.object_id)
    if row.state in RUN_OVER:
        return SliceAnswer(outcome="over")
    if session.is_over or session.stop_requested:
        return SliceAnswer(outcome="stopped")
    now = deps.clock.now()
    if session.started_at is not None and now - session.started_at > LAST_SLICE_AFTER:
        return SliceAnswer(outcome="done")
    if row.started_at is None or row.state is not RunState.RUNNING:
        row = row.model_copy(
            update={"state": RunState.RUNNING, "started_at": row.started_at or now}
        )
        await repository.put_run(deps.tables, session, row)
    try:
        given = task.budget or SliceBudget(seconds=SLICE_SECONDS)
        end = await _slice(deps, session, row, task.number, bounds, given)
    except ConsentLost as lost:
        await _end(deps, session, row, RunState.DISCONNECTED, f"consent is {lost.state}")
        return SliceAnswer(outcome="disconnected")
    except ObjectUnavailable as unavailable:
        await _end(deps, session, row, RunState.SKIPPED, unavailable.state)
        await _set_state(deps, scope, task.object_id, unavailable.state)
        return SliceAnswer(outcome="over")
    except SignInUnavailable as later:
        return SliceAnswer(outcome="more", not_before=now + timedelta(seconds=later.retry_after_s))
    except VaultDamaged as damage:
        await _damaged(deps, session, row, damage)
        return SliceAnswer(outcome="over")
    except RunExpired:
        return SliceAnswer(outcome="done")
    if row.slices <= task.number:  # a repeated execution adds nothing
        row = _advanced(row, task.number, end)
        await repository.put_run(deps.tables, session, row)
    if not end.more:
        return SliceAnswer(outcome="done")
    session = await repository.get_session(deps.tables, scope, task.session_id)
    budget = budgets.next_budget(default_quotas(), session, row.workload, given, SLICE_SECONDS)
    not_before = end.not_before
    if not_before is not None and given.ru is not None and end.result.graph.ru >= given.ru > 0:
        rate = budgets.share_point_rate(default_quotas(), session.seats) / max(1, session.drawing)
        not_before = budgets.goes_on(now, end.result.graph.ru, budget, rate)
    return SliceAnswer(outcome="more", not_before=not_before, budget=budget)


async def seal_object(deps: "Deps", task: ObjectTask) -> None:
    """Commit what the slices found as the next snapshot, and write the object's result."""
    scope = Scope(task.partner_id)
    session = await repository.get_session(deps.tables, scope, task.session_id)
    row = await repository.get_run(deps.tables, session, task.workload, task.object_id)
    if row.state in RUN_OVER:
        return
    customer = await customers.get(deps.tables, scope, session.customer_id)
    try:
        run = await _open_run(deps, customer, session, row)
        if run.sealed is None and run.slices == 0:
            await _end(deps, session, row, RunState.STOPPED, None)
            return
        years = rules.kept_years(session.retention_years, customer.retention_years)
        head = run.sealed or await _seal(deps, years, run, row)
    except Superseded:
        await _end(deps, session, row, RunState.FAILED, "another run committed meanwhile")
        return
    except VaultDamaged as damage:
        await _damaged(deps, session, row, damage)
        return
    standing = Pass.model_validate(run.state) if run.state else Pass()
    complete = head.status == "complete"
    stopped = session.stop_requested and not complete and run.more
    state = RunState.SUCCEEDED if complete else RunState.PARTIAL
    row = row.model_copy(
        update={
            "counts": counts_of(head),
            "volume": Volume.model_validate(head.bytes),
            "oid": head.oid,
            "snapshot": head.n,
            "record": head.record_hash,
            "root": head.root,
            "items": head.items,
            "failed_items": standing.failed_items,
            "completeness": completeness_of(head, standing),
            "healed": standing.healed,
            "lost": standing.lost,
            "lost_count": standing.lost_count,
        }
    )
    error = f"{sum(row.counts.failed.values())} items failed" if row.counts.failed else None
    if not complete and not stopped and run.more:
        error = error or GIVEN_UP
    await _remember(deps, scope, task.object_id, session, head, row.completeness)
    await _end(deps, session, row, RunState.STOPPED if stopped else state, error)


async def fail_object(deps: "Deps", task: ObjectTask, error: str) -> None:
    """Write down that an object's process broke: counted, never lost."""
    scope = Scope(task.partner_id)
    session = await repository.get_session(deps.tables, scope, task.session_id)
    row = await repository.get_run(deps.tables, session, task.workload, task.object_id)
    if row.state not in RUN_OVER:
        log.error("object %s of session %s: %s", task.object_id, task.session_id, error)
        await _end(deps, session, row, RunState.FAILED, error[:500])


def counts_of(head: SnapshotHead) -> Counts:
    """The counters of a snapshot as a session shows them (vault.md section 11)."""
    counts = head.counts
    return Counts(
        protected=counts["protected"],
        metadata=counts["metadata"],
        unchanged=counts["unchanged"],
        skipped=counts["skipped"],
        failed=counts["failed"],
        gone=counts["gone"],
    )


def completeness_of(head: SnapshotHead, standing: Pass) -> Completeness | None:
    """Declared against held, where a run listed all of an object: its first, and one a month."""
    source = head.counts["source"]
    if source is None or (head.kind != "full" and not standing.relisted):
        return None
    held = head.items - head.counts["folders"] - standing.beside
    return Completeness(declared=source["declared"], held=held, as_of=source["as_of"])


async def _slice(
    deps: "Deps",
    session: Session,
    row: ObjectRun,
    number: int,
    bounds: Bounds | None,
    given: SliceBudget,
) -> SliceEnd:
    customer = await customers.get(deps.tables, Scope(session.partner_id), session.customer_id)
    run = await _open_run(deps, customer, session, row)
    if bounds is None:
        deadline = deps.clock.now() + timedelta(seconds=given.seconds)
        bounds = Bounds(deadline=deadline)
    transport = GraphTransport(
        deps.settings,
        deps.tokens,
        tenant_of(customer),
        Budget(deadline=bounds.deadline, requests=given.requests, ru=given.ru),
        client_id=customer.consent.reader_client_id if customer.consent else None,
        seats=session.seats,
        fences=deps.fences,
    )

    def spent() -> GraphUse:
        use = transport.use
        return GraphUse(use.requests, use.ru, use.throttled, use.waited_s)

    workload = open_workload(transport, row.workload, row.source_id)
    # A try that wrote no checkpoint, because sign-in had to wait, used up a number.
    at = min(number, run.slices)
    return await run_slice(workload, run, at, bounds=bounds, clock=deps.clock, meter=spent)


def open_workload(transport: GraphTransport, workload: str, source_id: str) -> Workload:
    """The reader of an object."""
    if workload == "mailbox":
        return ExchangeMailbox(transport, source_id)
    if workload == "site":
        return Site(transport, source_id)
    if workload == "team":
        return Team(transport, source_id)
    return Drive(transport, source_id)


async def _open_run(deps: "Deps", customer: Customer, session: Session, row: ObjectRun) -> Run:
    vault = await open_vault(deps, customer, row.repository_id)
    ref = ObjectRef(row.workload, row.source_id, row.display_name, row.address)
    return await vault.open_run(ref, session.session_id)


async def _seal(deps: "Deps", years: int | None, run: Run, row: ObjectRun) -> SnapshotHead:
    standing = Pass.model_validate(run.state) if run.state else Pass()
    ended = deps.clock.now()
    source = standing.source()
    return await run.seal(
        enumerated=standing.enumerated(),
        since=standing.since(),
        containers_total=standing.containers(),
        started=row.started_at or ended,
        ended=ended,
        expires=rules.expires(ended, years),
        kind="reset" if run.fresh else standing.kind(has_parent=run.parent is not None),
        declared=None if source is None else Declared(*source, how="totalItemCount"),
    )


def _advanced(row: ObjectRun, number: int, end: SliceEnd) -> ObjectRun:
    result = end.result
    part = Counts(
        protected=result.counts.get("protected", 0),
        metadata=result.counts.get("metadata", 0),
        unchanged=result.counts.get("unchanged", 0),
        gone=result.counts.get("gone", 0),
    )
    use = result.graph
    cost = GraphCost(
        requests=use.requests, ru=use.ru, throttled=use.throttled, waited_s=use.waited_s
    )
    volume = Volume(read=result.read, new=result.new, stored=result.stored)
    return row.model_copy(
        update={
            "state": RunState.RETRYING if end.not_before else RunState.RUNNING,
            "slices": number + 1,
            "counts": row.counts.plus(part),
            "volume": row.volume.plus(volume),
            "graph": row.graph.plus(cost),
        }
    )


async def _end(
    deps: "Deps", session: Session, row: ObjectRun, state: RunState, error: str | None
) -> None:
    ended = row.model_copy(update={"state": state, "error": error, "ended_at": deps.clock.now()})
    await repository.put_run(deps.tables, session, ended)
    await session_log.add(deps.tables, session.session_id, [log_lines.ended_object(ended)])

    def noted(found: ProtectedObject) -> ProtectedObject | None:
        update = {"last_run_state": state, "last_error": error}
        changed = found.model_copy(update=update)
        return None if changed == found else changed

    await changes.change_object(deps.tables, Scope(session.partner_id), row.object_id, noted)


async def _damaged(deps: "Deps", session: Session, row: ObjectRun, damage: VaultDamaged) -> None:
    """The next run finds the note, lists everything anew and leaves the damage behind."""
    customer = await customers.get(deps.tables, Scope(session.partner_id), session.customer_id)
    vault = await open_vault(deps, customer, row.repository_id)
    ref = ObjectRef(row.workload, row.source_id, row.display_name, row.address)
    await vault.note_damage(ref, [damage.blob])
    log.error("object %s: %s", row.object_id, damage.detail)
    await _end(deps, session, row, RunState.FAILED, f"{DAMAGED}: {damage.detail}"[:500])


async def _set_state(deps: "Deps", scope: Scope, object_id: str, state: str) -> None:
    def named(found: ProtectedObject) -> ProtectedObject | None:
        return found.model_copy(update={"state": state}) if found.state != state else None

    await changes.change_object(deps.tables, scope, object_id, named)


async def _remember(
    deps: "Deps",
    scope: Scope,
    object_id: str,
    session: Session,
    head: SnapshotHead,
    counted: Completeness | None,
) -> None:
    """The object's newest point; an older one never replaces a newer one."""
    point = Point(
        n=head.n,
        status="complete" if head.status == "complete" else "partial",
        ended_at=head.ended,
        items=head.items,
        root=head.root,
        record=head.record_hash,
    )

    def newer(found: ProtectedObject) -> ProtectedObject | None:
        if found.last_point is not None and found.last_point.n > point.n:
            return None
        complete = point.ended_at if point.status == "complete" else found.last_complete_at
        # A run that followed changes counted nothing: what the last full listing told still stands.
        known = counted or (found.last_point.completeness if found.last_point else None)
        return found.model_copy(
            update={
                "state": ACTIVE,
                "last_session_id": session.session_id,
                "last_point": point.model_copy(update={"completeness": known}),
                "last_complete_at": complete,
            }
        )

    await changes.change_object(deps.tables, scope, object_id, newer)
