"""A clock that moves when somebody sleeps."""

from datetime import UTC, datetime, timedelta

import pytest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class MovingClock:
    """Time as the code under test sees it."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()
