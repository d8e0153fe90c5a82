"""The `@app.retry` policy of a timer function: how often, and how long to wait. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from local.host.indexing import Function


@dataclass(frozen=True)
class RetryPolicy:
    """Retries after a failed run; -1 means for ever."""

    max_retries: int
    first_seconds: float
    longest_seconds: float
    doubles: bool

    def pause_seconds(self, retry: int) -> float | None:
        """Seconds before retry number `retry` (from 1), or None when there is none left."""
        if 0 <= self.max_retries < retry:
            return None
        if not self.doubles:
            return self.first_seconds
        return min(self.first_seconds * 2.0 ** min(retry - 1, 30), self.longest_seconds)


NO_RETRY = RetryPolicy(0, 0.0, 0.0, doubles=False)


def retry_policy(function: Function) -> RetryPolicy:
    """The function's policy; without one a failed run is not repeated."""
    given = function.retry
    if not given:
        return NO_RETRY
    count = int(given.get("max_retry_count", 0))
    if given.get("strategy") == "fixed_delay":
        seconds = _seconds(given.get("delay_interval", "00:00:00"))
        return RetryPolicy(count, seconds, seconds, doubles=False)
    return RetryPolicy(
        count,
        _seconds(given.get("minimum_interval", "00:00:01")),
        _seconds(given.get("maximum_interval", "01:00:00")),
        doubles=True,
    )


def _seconds(text: str) -> float:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()
