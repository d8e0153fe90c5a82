"""Names and inputs of the onboarding process, known to its doors and to the process itself."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from shared.kit.config import Settings
from shared.kit.operations import OperationError
from shared.onboarding.model import OnboardingRun, SignInWay

ORCHESTRATOR = "onboard_customer"
CANCEL = "cancel"
RENEW = "renew-sign-in"
CONSENT_ANSWERED = "consent-answered"


def instance_id(run_id: str) -> str:
    """The instance of a run: one run, one process."""
    return f"onboarding:{run_id}"


class OnboardingJob(BaseModel):
    """What the process is given: ids and waits, no data of the customer."""

    run_id: str
    customer_id: str
    partner_id: str
    sign_in: SignInWay
    poll_seconds: float
    patience_seconds: float


def job_of(run: OnboardingRun, settings: Settings) -> OnboardingJob:
    """The input of the run's process; the same for every start of the run."""
    return OnboardingJob(
        run_id=run.run_id,
        customer_id=run.customer_id,
        partner_id=run.partner_id,
        sign_in=run.plan.sign_in,
        poll_seconds=settings.consent_poll_seconds,
        patience_seconds=settings.consent_patience_seconds,
    )


class Answer(BaseModel):
    """What an activity tells the process: go on, wait, or stop with a reason."""

    outcome: Literal["done", "waiting", "refused"]
    detail: str = ""
    error: OperationError | None = None
    expires_at: datetime | None = None
    look_seconds: int = 0


class Ending(BaseModel):
    """Why a run is undone."""

    job: OnboardingJob
    error: OperationError
    canceled: bool = False
