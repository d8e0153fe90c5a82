"""The activities of onboarding on real tables: each may run twice, and undoing leaves no trace."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.azurite import Azurite
from shared.access.model import Caller, Principal, Scope
from shared.bootstrap import Deps, prepare
from shared.consent import repository as consents
from shared.consent import rules as consent_rules
from shared.consent import service as consent
from shared.customers import repository as customers
from shared.customers import service as customer_service
from shared.customers.model import Customer, CustomerState
from shared.kit.clock import FixedClock
from shared.kit.config import Settings
from shared.kit.errors import HoldfastError
from shared.kit.ids import new_id
from shared.kit.operations import OperationError, StepState
from shared.microsoft365 import permissions
from shared.microsoft365.errors import ConsentLost, SignInUnavailable
from shared.microsoft365.tokens import AppToken
from shared.onboarding import connect, service, sign_in
from shared.onboarding.inputs import OnboardingJob, job_of
from shared.onboarding.model import OnboardingRun, Plan, Stage
from shared.onboarding.progress import RunSuperseded, run_of

START = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = "33333333-2222-3333-4444-555555555555"
EVERY_ROLE = permissions.needed(consent_rules.workloads(consent_rules.WORKLOADS))
ERROR = OperationError(code="SOME_CODE", detail="Do something.", step="signIn")


class Tokens:
    """Answers with the roles, or the refusal, that a test sets."""

    def __init__(self) -> None:
        self.roles: frozenset[str] | HoldfastError = ConsentLost("revoked", 700016)
        self.tenant = TENANT

    async def get(self, tenant_id: str, client_id: str, *, fresh: bool = False) -> AppToken:
        """A token with the roles set."""
        assert fresh, "a proof never comes from a cache (M40)"
        if isinstance(self.roles, HoldfastError):
            raise self.roles
        return AppToken("secret", self.roles, START, self.tenant)

    async def close(self) -> None:
        """Nothing to close."""


class Case:
    """One customer with a run, and everything a test wants to look at."""

    def __init__(self, deps: Deps, tokens: Tokens) -> None:
        self.deps, self.tokens = deps, tokens
        self.scope = Scope(new_id())
        who = Principal(self.scope.partner_id, "t", "me", "application", frozenset())
        self.caller = Caller(who, self.scope, frozenset())
        self.customer_id = self.run_id = ""

    async def start(self) -> OnboardingJob:
        if not self.customer_id:
            customer = await customer_service.create_customer(
                self.deps, self.caller, display_name="Contoso"
            )
            self.customer_id = customer.customer_id
        plan = Plan.model_validate(
            {"tenant_id": TENANT, "region": "uksouth", "retention_years": None, "services": None}
            | {"sign_in": "adminConsent", "policies": "manual"}
        )
        run = await service.start_run(
            self.deps, self.caller, self.customer_id, plan, legally_confirmed=True
        )
        return job_of(run, self.deps.settings)

    async def customer(self) -> Customer:
        return await customers.get(self.deps.tables, self.scope, self.customer_id)

    async def run(self, job: OnboardingJob) -> OnboardingRun:
        return await run_of(self.deps, job)

    def states(self, run: OnboardingRun) -> dict[str, StepState]:
        return {step.name: step.state for step in run.steps}


@pytest.fixture
async def case(azurite: Azurite) -> AsyncIterator[Case]:
    settings: Any = {"storage_connection": azurite.connection, "reader_client_id": "reader"}
    deps, tokens = Deps(Settings(**settings), clock=FixedClock(START)), Tokens()
    deps.__dict__["tokens"] = tokens  # where the cached property keeps the real ones
    await prepare(deps)
    yield Case(deps, tokens)
    await deps.close()


def clock(case: Case) -> FixedClock:
    assert isinstance(case.deps.clock, FixedClock)
    return case.deps.clock


async def test_asking_twice_hands_out_the_same_link(case: Case) -> None:
    job = await case.start()
    first = await sign_in.ask(case.deps, job)
    link = (await case.run(job)).sign_in
    assert await sign_in.ask(case.deps, job) == first
    assert (await case.run(job)).sign_in == link


async def test_onb_38_after_expiry_another_link_is_issued(case: Case) -> None:
    job = await case.start()
    await sign_in.ask(case.deps, job)
    old = (await case.run(job)).sign_in
    clock(case).advance(timedelta(minutes=30))
    await sign_in.expire(case.deps, job)
    await service.require_renewable(case.deps, case.scope, case.customer_id)
    await sign_in.ask(case.deps, job)
    new = (await case.run(job)).sign_in
    assert old is not None
    assert new is not None
    assert new.link != old.link
    assert new.state == "waiting"


async def test_looking_waits_until_somebody_answers(case: Case) -> None:
    job = await case.start()
    await sign_in.ask(case.deps, job)
    assert (await sign_in.look(case.deps, job)).outcome == "waiting"


async def test_a_lost_redirect_is_healed_by_looking(case: Case) -> None:
    job = await case.start()
    await sign_in.ask(case.deps, job)
    case.tokens.roles = EVERY_ROLE
    for _ in range(2):
        assert (await sign_in.look(case.deps, job)).outcome == "done"
    run = await case.run(job)
    assert run.sign_in is not None
    assert run.sign_in.secret is run.sign_in.link is None


async def test_a_call_back_without_a_grant_leads_to_verification_only(case: Case) -> None:
    """M40: anybody with the link can forge a call-back; it opens nothing."""
    job = await case.start()
    await sign_in.ask(case.deps, job)
    run = await case.run(job)
    assert run.sign_in is not None
    await consent.take_callback(
        case.deps, state=run.sign_in.secret or "", admin_consent="True", error=None, detail=""
    )
    assert (await sign_in.look(case.deps, job)).outcome == "done"
    assert (await connect.verify(case.deps, job)).outcome == "waiting"


async def test_a_declined_consent_ends_the_run(case: Case) -> None:
    job = await case.start()
    await sign_in.ask(case.deps, job)
    run = await case.run(job)
    assert run.sign_in is not None
    await consent.take_callback(
        case.deps, state=run.sign_in.secret or "", admin_consent=None, error="denied", detail="no"
    )
    with pytest.raises(sign_in.ConsentDeclined, match="no"):
        await sign_in.look(case.deps, job)


async def test_m40_a_token_of_another_tenant_proves_nothing(case: Case) -> None:
    job = await case.start()
    case.tokens.roles, case.tokens.tenant = EVERY_ROLE, "another"
    with pytest.raises(connect.ConsentRefused):
        await connect.verify(case.deps, job)


@pytest.mark.parametrize("state", ["blocked", "tenant_gone", "denied"])
async def test_a_hopeless_refusal_is_not_waited_out(case: Case, state: str) -> None:
    job = await case.start()
    case.tokens.roles = ConsentLost(state)
    with pytest.raises(connect.ConsentRefused):
        await connect.verify(case.deps, job)


async def test_m37_missing_roles_are_waited_for_and_named(case: Case) -> None:
    job = await case.start()
    case.tokens.roles = EVERY_ROLE - {"Mail.Read"}
    answer = await connect.verify(case.deps, job)
    assert answer.outcome == "waiting"
    assert "Mail.Read" in answer.detail
    case.tokens.roles = EVERY_ROLE
    assert (await connect.verify(case.deps, job)).outcome == "done"
    (kept,) = await consents.list_of(case.deps.tables, case.scope, case.customer_id)
    assert kept.missing == []
    assert set(kept.granted) == EVERY_ROLE


async def test_what_was_never_granted_is_not_revoked(case: Case) -> None:
    job = await case.start()

    async def state() -> str:
        await connect.verify(case.deps, job)
        (kept,) = await consents.list_of(case.deps.tables, case.scope, case.customer_id)
        return kept.state.value

    assert await state() == "invited"
    case.tokens.roles = EVERY_ROLE
    assert await state() == "healthy"
    case.tokens.roles = ConsentLost("revoked", 700016)
    assert await state() == "revoked"
    assert await state() == "revoked"


async def test_an_unreachable_sign_in_service_is_no_verdict(case: Case) -> None:
    job = await case.start()
    case.tokens.roles = SignInUnavailable()
    with pytest.raises(SignInUnavailable):
        await connect.verify(case.deps, job)
    assert await consents.list_of(case.deps.tables, case.scope, case.customer_id) == []


async def test_onb_51_activation_happens_once(case: Case) -> None:
    job = await case.start()
    await connect.activate(case.deps, job)
    clock(case).advance(timedelta(hours=1))
    await connect.activate(case.deps, job)
    customer = await case.customer()
    assert (customer.state, customer.activation_at) == (CustomerState.ACTIVE, START)
    assert (await case.run(job)).stage is Stage.FINISHED


async def test_undo_frees_customer_and_tenant_and_says_why(case: Case) -> None:
    job = await case.start()
    customer = await case.customer()
    await customers.claim_tenant(case.deps.tables, case.scope, customer, TENANT)
    bound = customer.model_copy(update={"tenant_id": TENANT, "region": "uksouth"})
    await customers.save(case.deps.tables, case.scope, bound)
    for _ in range(2):
        await connect.undo(case.deps, job, ERROR, canceled=False)
    customer, run = await case.customer(), await case.run(job)
    assert (customer.state, customer.tenant_id, customer.region) == ("Pending", None, None)
    assert (run.stage, run.error) == (Stage.FAILED, ERROR)
    assert case.states(run)["signIn"] is StepState.FAILED
    again = await case.start()
    assert again.run_id != job.run_id
    await customers.claim_tenant(case.deps.tables, case.scope, await case.customer(), TENANT)
    await customers.release_tenant(case.deps.tables, case.scope, await case.customer(), TENANT)


async def test_a_late_undo_does_not_touch_a_newer_run(case: Case) -> None:
    old = await case.start()
    await connect.undo(case.deps, old, ERROR, canceled=True)
    clock(case).advance(timedelta(seconds=1))
    new = await case.start()
    await connect.undo(case.deps, old, ERROR, canceled=True)
    assert (await case.customer()).state is CustomerState.ONBOARDING
    assert (await case.run(new)).stage is Stage.STARTED
    with pytest.raises(RunSuperseded):
        await connect.begin(case.deps, old)


async def test_undo_of_a_run_whose_last_line_was_lost_finishes_it(case: Case) -> None:
    job = await case.start()
    customer = await case.customer()
    active = customer.model_copy(update={"state": CustomerState.ACTIVE})
    await customers.save(case.deps.tables, case.scope, active)
    await connect.undo(case.deps, job, ERROR, canceled=False)
    assert (await case.run(job)).stage is Stage.FINISHED


async def test_a_cut_off_start_is_taken_up_again(case: Case) -> None:
    first = await case.start()
    assert await case.start() == first
