"""An onboarding run: what was chosen, where it stands, what a person has to do next."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field

from shared.customers.model import LegalConfirmation, Service
from shared.kit.operations import OperationError, Step


class Stage(StrEnum):
    """Stages of a run (features.md 24.2, OnboardingRun)."""

    STARTED = "Started"
    AWAITING_SIGN_IN = "AwaitingSignIn"
    CONNECTING = "Connecting"
    PREPARING_POLICIES = "PreparingPolicies"
    FINISHED = "Finished"
    FAILED = "Failed"
    CANCELED = "Canceled"


OVER = frozenset({Stage.FINISHED, Stage.FAILED, Stage.CANCELED})


class StepName(StrEnum):
    """The steps of a run, in order."""

    LEGAL = "legalConfirmation"
    PLAN = "plan"
    SIGN_IN = "signIn"
    VERIFICATION = "verification"
    TENANT = "tenant"
    SERVICES = "services"
    VAULT = "vault"
    DISCOVERY = "discovery"
    POLICIES = "policies"
    ACTIVATION = "activation"


class SignInWay(StrEnum):
    """How the customer's administrator lets us in (microsoft365.md section 12 A and B)."""

    ADMIN_CONSENT = "adminConsent"
    DEVICE_CODE = "deviceCode"


class PolicyChoice(StrEnum):
    """Who makes the first policies (ONB-44, ONB-45)."""

    RECOMMENDED = "recommended"
    MANUAL = "manual"


class SignIn(BaseModel):
    """What the administrator needs now: a link, or a code to enter."""

    way: SignInWay
    link: str | None = None
    user_code: str | None = None
    verification_uri: str | None = None
    interval_seconds: int = 5
    expires_at: datetime
    state: Literal["waiting", "expired", "done"] = "waiting"
    secret: str | None = None
    """State of the link or device code: never leaves the service, dropped when done."""


class Plan(BaseModel):
    """What the partner chose for the customer."""

    tenant_id: str
    region: str
    retention_years: int | None
    """None means without end."""
    services: list[Service] | None
    """None means every service the tenant has and we protect."""
    sign_in: SignInWay
    policies: PolicyChoice
    acknowledgements: list[str] = []


class OnboardingRun(BaseModel):
    """The one status of a run; written by the start and then only by the process."""

    run_id: str
    customer_id: str
    partner_id: str
    stage: Stage = Stage.STARTED
    plan: Plan
    legal_confirmation: LegalConfirmation
    steps: list[Step]
    sign_in: SignIn | None = None
    error: OperationError | None = None
    result: dict[str, int | str] | None = None
    created_at: datetime
    created_by: str = ""
    updated_at: datetime
    etag: str = Field(default="", exclude=True)
