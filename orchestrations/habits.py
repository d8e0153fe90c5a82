"""What every process has in common: retries, the length of a history, its clock, its failures."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from durabletask import task

# Transient faults of our own storage; Microsoft 365's are handled below the activity (M31).
RETRY = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=3),
    max_number_of_attempts=4,
    backoff_coefficient=3,
    max_retry_interval=timedelta(minutes=1),
)
# A history is replayed at every turn: after this many slices it starts anew.
SLICES_PER_HISTORY = 20

Steps = Generator[task.Task[Any], Any, Any]


def said(broken: task.TaskFailedError) -> str:
    """What a failed step said, for people."""
    return f"{broken.details.error_type}: {broken.details.message}"[:500]


def aware(ctx: task.OrchestrationContext) -> datetime:
    """The orchestration's clock as an aware instant."""
    now: datetime = ctx.current_utc_datetime
    return now if now.tzinfo else now.replace(tzinfo=UTC)
