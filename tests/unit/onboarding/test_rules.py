"""What may be onboarded and how a run is shown (ONB-34 to ONB-41)."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.customers.model import Customer, LegalConfirmation, Service
from shared.kit.errors import HoldfastError, TooMany
from shared.kit.operations import OperationError, OperationStatus, StepState
from shared.kit.tables import LostRace
from shared.onboarding import rules
from shared.onboarding.model import OnboardingRun, Plan, SignIn, Stage, StepName

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = Plan(
    tenant_id="t", region="uksouth", retention_years=1, services=None,
    sign_in="adminConsent", policies="recommended",
)  # fmt: skip
RUN = OnboardingRun(
    run_id="r", customer_id="c", partner_id="p", plan=PLAN, steps=rules.new_steps(),
    legal_confirmation=LegalConfirmation(confirmed_by="me", confirmed_at=NOW),
    created_at=NOW, updated_at=NOW,
)  # fmt: skip


def plan(**changed: object) -> Plan:
    return Plan.model_validate(PLAN.model_dump() | changed)


def test_onb_35_without_confirmation() -> None:
    with pytest.raises(rules.LegalConfirmationRequired):
        rules.require_legal_confirmation(False)


def test_onb_36_unsupported_region() -> None:
    with pytest.raises(rules.RegionNotSupported) as refused:
        rules.require_plan(plan(region="atlantis"), ["uksouth"])
    assert refused.value.status == 400


@pytest.mark.parametrize("years", [0, 26, -1])
def test_onb_37_retention_out_of_range(years: int) -> None:
    with pytest.raises(rules.RetentionOutOfRange) as refused:
        rules.require_plan(plan(retention_years=years), ["uksouth"])
    assert refused.value.status == 422


@pytest.mark.parametrize("years", [1, 25, None])
def test_onb_37_retention_accepted(years: int | None) -> None:
    rules.require_plan(plan(retention_years=years), ["uksouth"])


@pytest.mark.parametrize("service", ["teams", "sharepoint"])
def test_onb_41_every_service_is_offered(service: str) -> None:
    assert rules.decide_services([Service(service)], [service]) == [service]
    assert rules.decide_services(None, ["exchange", service]) == ["exchange", service]


@pytest.mark.parametrize(
    ("state", "refusal"),
    [("Active", rules.CustomerNotPending), ("Onboarding", rules.OnboardingRunning)],
)
def test_onb_34_only_a_pending_customer(state: str, refusal: type[HoldfastError]) -> None:
    customer = Customer.model_validate(
        {"customer_id": "c", "partner_id": "p", "display_name": "n", "state": state}
        | {"created_at": NOW, "updated_at": NOW}
    )
    with pytest.raises(refusal):
        rules.require_startable(customer)


def test_onb_41_default_is_what_the_tenant_has() -> None:
    assert rules.decide_services(None, {"exchange"}) == [Service.EXCHANGE]


@pytest.mark.parametrize(
    ("chosen", "present"), [([Service.ONEDRIVE], {"exchange"}), (None, set[str]())]
)
def test_onb_41_absent_services(chosen: list[Service] | None, present: set[str]) -> None:
    with pytest.raises(rules.ServiceNotInTenant):
        rules.decide_services(chosen, present)


def test_onb_38_a_code_is_renewed_only_after_expiry() -> None:
    waiting = SignIn(way="deviceCode", expires_at=NOW + timedelta(minutes=15))
    run = RUN.model_copy(update={"sign_in": waiting})
    with pytest.raises(rules.NothingToRenew):
        rules.require_renewable(run, NOW)
    rules.require_renewable(run, NOW + timedelta(minutes=15))


def test_an_ended_run_can_be_neither_canceled_nor_renewed() -> None:
    with pytest.raises(rules.OnboardingOver):
        rules.require_running(RUN.model_copy(update={"stage": Stage.FAILED}))


def test_the_failed_step_is_named_and_the_rest_skipped() -> None:
    steps = rules.with_step(RUN, StepName.LEGAL, StepState.SUCCEEDED, "ok")
    error = OperationError(code="NOT_GLOBAL_ADMIN", detail="no", step="signIn")
    states = {step.name: step.state for step in rules.ended_steps(steps, error)}
    assert states["legalConfirmation"] is StepState.SUCCEEDED
    assert states["signIn"] is StepState.FAILED
    assert states["activation"] is StepState.SKIPPED


@pytest.mark.parametrize(
    ("stage", "status"),
    [
        (Stage.STARTED, OperationStatus.NOT_STARTED),
        (Stage.AWAITING_SIGN_IN, OperationStatus.RUNNING),
        (Stage.FINISHED, OperationStatus.SUCCEEDED),
        (Stage.FAILED, OperationStatus.FAILED),
        (Stage.CANCELED, OperationStatus.CANCELED),
    ],
)
def test_a_run_is_an_operation(stage: Stage, status: OperationStatus) -> None:
    shown = rules.operation(RUN.model_copy(update={"stage": stage}))
    assert shown.status is status
    assert shown.is_final == (stage in {Stage.FINISHED, Stage.FAILED, Stage.CANCELED})


def test_passing_faults_are_not_final() -> None:
    assert not rules.is_final_refusal(LostRace())
    assert not rules.is_final_refusal(TooMany())
    assert not rules.is_final_refusal(HoldfastError())
    assert rules.is_final_refusal(rules.NotGlobalAdmin())
