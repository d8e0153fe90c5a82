"""The one shape of long work: status, steps a person can read, result or error."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.kit.api_model import ApiModel, Instant


class OperationStatus(StrEnum):
    """Where long work stands; the last three are final."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELED = "Canceled"


FINAL = frozenset({OperationStatus.SUCCEEDED, OperationStatus.FAILED, OperationStatus.CANCELED})


class StepState(StrEnum):
    """Where one step stands."""

    WAITING = "Waiting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class Step(ApiModel):
    """One step of long work, in words for a person."""

    name: str
    state: StepState = StepState.WAITING
    message: str = ""


class OperationError(ApiModel):
    """Why it failed: the stable code, what happened, and the step that failed."""

    code: str
    detail: str
    step: str | None = None


class Operation(ApiModel):
    """Long work of any kind; its id is the id of the resource that is running."""

    id: str
    kind: str
    status: OperationStatus
    created_at: Instant
    updated_at: Instant
    percent_complete: int | None = Field(default=None, ge=0, le=100)
    steps: list[Step] = []
    error: OperationError | None = None
    result: dict[str, Any] | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL
