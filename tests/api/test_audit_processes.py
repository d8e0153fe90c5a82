"""What clocks and processes do on their own, through the functions that the host calls."""

from datetime import timedelta
from typing import Any, cast
from urllib.parse import parse_qs, urlparse

import azure.functions as func
import httpx
import pytest

from functions.timers import keep_audit, start_due_backups
from orchestrations import onboarding as process
from shared import bootstrap
from shared.access.model import Scope
from shared.audit.model import Actor, Entry, Line, Outcome, Target
from shared.audit.service import INTERRUPTED, Filter
from shared.bootstrap import Deps
from shared.kit.clock import FixedClock
from shared.kit.ids import new_id
from shared.kit.operations import OperationError
from shared.onboarding import repository as runs
from shared.onboarding import sign_in
from shared.onboarding.inputs import Ending, OnboardingJob, job_of
from shared.protection import repository as protection
from tests.api.conftest import RecordedClient, check_problem
from tests.api.test_onboarding import start
from tests.api.world import World

V1 = "/api/v1"
CANCELED = OperationError(code="CANCELED", detail="Canceled.", step="signIn")


class Tick:
    """A clock that fires on time."""

    past_due = False


TICK = cast(func.TimerRequest, Tick())


def function(built: Any) -> Any:
    """What stands behind the host's decorators."""
    found = built._function.get_user_function()
    return getattr(found, "client_function", found)


async def lines(deps: Deps, scope: Scope, **wanted: Any) -> list[Line]:
    return (await (await deps.trail()).page(scope, Filter(**wanted), 100)).lines


async def job(deps: Deps, partner: httpx.AsyncClient, customer_id: str) -> OnboardingJob:
    """A run that was started and waits for the administrator."""
    scope = Scope((await partner.get(f"{V1}/partners/me")).json()["partnerId"])
    run_id = (await start(partner, customer_id)).json()["id"]
    found = job_of(await runs.get(deps.tables, scope, run_id), deps.settings)
    await sign_in.ask(deps, found)
    return found


@pytest.mark.parametrize("canceled", [True, False])
async def test_an_onboarding_that_ends_is_told_once(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str, canceled: bool
) -> None:
    run = await job(deps, partner, customer_id)
    ending = Ending(job=run, error=CANCELED, canceled=canceled).model_dump(mode="json")
    for _ in range(2):
        await function(process.onboarding_undo)(ending)
    told = [
        line
        for line in await lines(deps, Scope(run.partner_id), customer=customer_id)
        if line.actor.kind == "system"
    ]
    action, outcome = ("cancel", Outcome.DONE) if canceled else ("end", Outcome.FAILED)
    assert [(line.action, line.outcome) for line in told] == [(f"onboarding.{action}", outcome)]
    assert told[0].actor.subject == "onboard_customer"
    assert told[0].before != told[0].after


async def test_a_consent_that_is_answered_is_told_without_its_state(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str
) -> None:
    run = await job(deps, partner, customer_id)
    shown = (await partner.get(f"{V1}/customers/{customer_id}/onboarding")).json()
    state = parse_qs(urlparse(shown["signIn"]["link"]).query)["state"][0]
    given = {"state": state, "admin_consent": "True"}
    for _ in range(2):
        await partner.get(f"{V1}/consent/callback", params=given)
    told = await lines(deps, Scope(run.partner_id), customer=customer_id, action="consent.answer")
    assert [line.details["claimed"] for line in told] == ["accepted"]
    assert told[0].actor.subject == "consent_callback"
    assert state not in told[0].model_dump_json()


async def test_operations_cancel_a_running_onboarding_and_session(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str, durable: RecordedClient, two: World
) -> None:
    run = await job(deps, partner, customer_id)
    answer = await partner.post(f"{V1}/operations/{run.run_id}:cancel")
    assert answer.status_code == 202, answer.text
    assert answer.headers["Operation-Location"].endswith(f"/operations/{run.run_id}")
    assert durable.raised == [(f"onboarding:{run.run_id}", "cancel", {})]
    ending = Ending(job=run, error=CANCELED, canceled=True).model_dump(mode="json")
    await function(process.onboarding_undo)(ending)
    shown = (await partner.get(f"{V1}/operations/{run.run_id}")).json()
    assert shown["status"] == "Canceled"
    again = await partner.post(f"{V1}/operations/{run.run_id}:cancel")
    check_problem(again, 409, "OPERATION_ENDED")
    session, headers = two.mine["session_id"], two.caller("daemon")
    answer = await partner.post(f"{V1}/operations/{session}:cancel", headers=headers)
    assert answer.status_code == 202, answer.text
    stopped = await protection.get_session(deps.tables, two.a.scope, session)
    assert stopped.stop_requested


async def test_a_session_started_by_the_clock_is_told_once(
    deps: Deps, two: World, durable: RecordedClient
) -> None:
    policy = await protection.get_policy(deps.tables, two.b.scope, two.theirs["policy_id"])
    session = await protection.get_session(deps.tables, two.b.scope, two.theirs["session_id"])
    for trigger in ("Manual", "Schedule", "Schedule"):
        await start_due_backups._tell(session.model_copy(update={"trigger": trigger}))
    [line] = await lines(deps, two.b.scope, target_id=session.session_id)
    assert (line.action, line.actor.subject) == ("sessions.start", "start_due_backups")
    assert line.details["policy"] == policy.policy_id


class Kept:
    """A partner with a trail of its own, and a clock that the test sets."""

    def __init__(self, deps: Deps) -> None:
        self.deps, self.scope = deps, Scope(new_id())
        self.clock = FixedClock(deps.clock.now())

    def entry(self, number: int) -> Entry:
        actor = Actor(kind="user", subject="u")
        return Entry(actor=actor, action="role.create", target=Target(kind="r", id=str(number)))


@pytest.fixture
async def kept(deps: Deps) -> Kept:
    """The same storage with another clock."""
    found = Kept(deps)
    found.deps = Deps(deps.settings, clock=found.clock)
    return found


async def test_the_daily_clock_signs_and_drops_what_is_past_retention(
    deps: Deps, kept: Kept
) -> None:
    try:
        bootstrap.use(kept.deps)
        trail = await kept.deps.trail()
        partner = kept.scope.partner_id
        # Long before any other trail of this storage, so that only these months are dropped.
        kept.clock.advance(timedelta(days=-4000))
        await trail.record(partner, kept.entry(1))
        first = f"{kept.clock.now():%Y%m}"
        kept.clock.advance(timedelta(days=40))
        await trail.record(partner, kept.entry(2))
        kept.clock.advance(timedelta(days=4000 - 40))
        for _ in range(2):
            await function(keep_audit.sign_audit)(TICK)
        assert len(await trail.documents(partner)) == 1
        assert first not in await trail.months_before(kept.clock.now(), 1)
        report = await trail.verify(partner)
        assert (report.findings, report.lines) == ([], 0)
        line = await trail.record(partner, kept.entry(3))
        assert (line.seq, (await trail.verify(partner)).ok) == (3, True)
    finally:
        bootstrap.use(deps)
        await kept.deps.close()


async def test_a_change_whose_doer_died_is_told_as_interrupted(deps: Deps, kept: Kept) -> None:
    try:
        bootstrap.use(kept.deps)
        trail = await kept.deps.trail()
        partner = kept.scope.partner_id
        await trail.record(partner, kept.entry(1))
        await trail.announce(partner, kept.entry(2))
        await function(keep_audit.tell_interrupted)(TICK)
        assert len(await lines(kept.deps, kept.scope)) == 1  # it may still be at work
        kept.clock.advance(keep_audit.CUT_OFF_AFTER + timedelta(seconds=1))
        for _ in range(2):
            await function(keep_audit.tell_interrupted)(TICK)
        newest, *others = await lines(kept.deps, kept.scope)
        assert (newest.code, newest.outcome) == (INTERRUPTED, Outcome.FAILED)
        assert (newest.target.id, len(others)) == ("2", 1)
        assert (await trail.verify(partner)).ok
    finally:
        bootstrap.use(deps)
        await kept.deps.close()


async def test_the_hourly_clock_reaps_answers_that_nobody_may_ask_for(
    deps: Deps, kept: Kept
) -> None:
    from functions.timers.reap_answers import reap_answers

    try:
        bootstrap.use(kept.deps)
        partner = kept.scope.partner_id
        await (await kept.deps.trail()).record(partner, kept.entry(1))
        store = await kept.deps.idempotency()
        await store.begin(partner, "me", "key", "request")
        kept.clock.advance(timedelta(hours=47))
        await function(reap_answers)(TICK)
        rows = [row async for row in kept.deps.tables["Idempotency"].query(partner)]
        assert len(rows) == 1
        kept.clock.advance(timedelta(hours=2))
        await function(reap_answers)(TICK)
        rows = [row async for row in kept.deps.tables["Idempotency"].query(partner)]
        assert rows == []
    finally:
        bootstrap.use(deps)
        await kept.deps.close()
