"""The clock finds what is due, starts it once, and plans the next run; strangers see nothing."""

from datetime import timedelta

import pytest

from shared.access.model import Scope
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.tables import Row
from shared.protection import changes, queries, repository, scheduling, served, service
from shared.protection.model import SessionState
from tests.contract.engine.conftest import Ground


async def tick(ground: Ground) -> list[str]:
    """What the timer does, for this test's policy; the ids of the sessions to be started."""
    started = []
    async for due in repository.list_due(ground.deps.tables, ground.deps.clock.now()):
        if due.policy_id != ground.policy_id:
            continue
        session = await scheduling.start_due_session(ground.deps, due)
        if session is not None:
            started.append(session.session_id)
        await scheduling.plan_next(ground.deps, due)
    return started


async def test_due_policy_is_started_once_and_planned_again(ground: Ground) -> None:
    assert await tick(ground) == []
    policy = await queries.get_policy(ground.deps, ground.scope, ground.policy_id)
    await ground.cloud.clock.sleep((policy.next_run_at - ground.deps.clock.now()).total_seconds())
    (session_id,) = await tick(ground)
    assert await tick(ground) == []
    again = await queries.get_policy(ground.deps, ground.scope, ground.policy_id)
    assert again.next_run_at == policy.next_run_at + timedelta(hours=24)
    assert again.running_session_id == session_id


async def test_tick_that_died_before_planning_finds_the_same_session(ground: Ground) -> None:
    policy = await queries.get_policy(ground.deps, ground.scope, ground.policy_id)
    await ground.cloud.clock.sleep((policy.next_run_at - ground.deps.clock.now()).total_seconds())
    sessions = []
    for _ in range(2):
        due = await anext(
            one
            async for one in repository.list_due(ground.deps.tables, ground.deps.clock.now())
            if one.policy_id == ground.policy_id
        )
        sessions.append(await scheduling.start_due_session(ground.deps, due))
    first, second = sessions
    assert first is not None
    assert second is not None
    assert first.session_id == second.session_id


@pytest.mark.parametrize("days", [5, 120])
async def test_days_of_silence_collapse_into_one_run(ground: Ground, days: int) -> None:
    await served.note(ground.deps.tables, ground.deps.clock.now())
    await ground.cloud.clock.sleep(days * 86_400)
    assert len(await tick(ground)) == 1
    policy = await queries.get_policy(ground.deps, ground.scope, ground.policy_id)
    now = ground.deps.clock.now()
    assert now < policy.next_run_at <= now + timedelta(hours=24)


async def test_bkp_10_disabled_policy_is_not_started_by_the_clock(ground: Ground) -> None:
    policy = await changes.change_policy(
        ground.deps.tables,
        ground.scope,
        ground.policy_id,
        lambda found: found.model_copy(update={"enabled": False}),
    )
    await ground.cloud.clock.sleep((policy.next_run_at - ground.deps.clock.now()).total_seconds())
    assert await tick(ground) == []
    session = await service.start_session(
        ground.deps, ground.scope, ground.policy_id, requested_by="by hand"
    )
    assert session.state is SessionState.QUEUED


async def test_starter_that_died_does_not_block_the_policy_for_ever(ground: Ground) -> None:
    first = await ground.start()
    await ground.cloud.clock.sleep(660)
    await ground.start()
    dead = await ground.session(first)
    assert dead.state is SessionState.FAILED
    assert dead.error == "The session was never started."


async def test_another_partner_and_another_customer_see_nothing(ground: Ground) -> None:
    job = await ground.start()
    objects = [Scope("stranger"), Scope(ground.scope.partner_id, frozenset({"other"}))]
    for stranger in objects:
        with pytest.raises(NotFound):
            await queries.get_policy(ground.deps, stranger, ground.policy_id)
        with pytest.raises(NotFound):
            await queries.get_session(ground.deps, stranger, job.session_id)
        with pytest.raises(NotFound):
            await service.stop_session(ground.deps, stranger, job.session_id)
        with pytest.raises(NotFound):
            await queries.list_objects(
                ground.deps, stranger, ground.customer.customer_id, after="", limit=10
            )


async def test_policies_refuse_what_cannot_be_protected(ground: Ground) -> None:
    async def create(**given: object) -> None:
        customer = ground.customer.customer_id
        await service.create_policy(ground.deps, ground.scope, customer, name="P", **given)  # type: ignore[arg-type]

    with pytest.raises(service.PlanNotSellable):
        await create(policy_type="Express")
    with pytest.raises(service.ServiceNotChosen):
        await create(services=["teams"])
    with pytest.raises(service.UnknownObjects):
        await create(exclude=["nobody"])
    await create()
    found = await repository.list_policies(ground.deps.tables, ground.scope)
    assert len(found) == 2


async def test_policy_that_cannot_be_read_keeps_no_other_waiting_and_stays_due(
    ground: Ground,
) -> None:
    deps = ground.deps
    policy = await queries.get_policy(deps, ground.scope, ground.policy_id)
    await ground.cloud.clock.sleep((policy.next_run_at - deps.clock.now()).total_seconds())
    looked_at = await served.last_day(deps.tables)
    earlier = policy.next_run_at - timedelta(seconds=10)
    broken = policy.model_copy(
        update={"policy_id": ids.policy_id(policy.customer_id), "next_run_at": earlier}
    )
    await repository.put_due(deps.tables, broken)
    values = {"customer_id": policy.customer_id, "partner_id": policy.partner_id}
    await deps.tables["Policies"].insert(Row(policy.partner_id, broken.policy_id, values))
    found = [due.policy_id async for _, due in scheduling.due_sessions(deps)]
    assert ground.policy_id in found
    assert broken.policy_id not in found
    still = [due.policy_id async for due in repository.list_due(deps.tables, deps.clock.now())]
    assert broken.policy_id in still
    assert await served.last_day(deps.tables) == looked_at
    await deps.tables["Policies"].delete(policy.partner_id, broken.policy_id)
