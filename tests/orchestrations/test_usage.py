"""The close of a month that is held up: looked at daily, or at once when somebody says so."""

from datetime import timedelta
from typing import Any

from orchestrations.usage import LOOK_AGAIN, close_usage_month
from tests.orchestrations.driving import START, Driver, orchestrator_of

GIVEN = {"partner_id": "p1", "month": "2026-03"}


class Months:
    """Answers "Blocked" so many times, then "Closed"."""

    def __init__(self, blocked: int) -> None:
        self.blocked = blocked

    def __call__(self, name: str, given: Any) -> Any:
        assert (name, given) == ("close_usage", GIVEN)
        if self.blocked:
            self.blocked -= 1
            return {"state": "Blocked"}
        return {"state": "Closed", "lines": 3}


def test_a_blocked_month_is_looked_at_again_every_day() -> None:
    driver = Driver(Months(blocked=3))
    told = driver.run(orchestrator_of(close_usage_month), GIVEN)
    assert told["state"] == "Closed"
    assert driver.current_utc_datetime - START == timedelta(days=3)
    assert driver.called == ["close_usage"] * 4


def test_who_accepted_values_need_not_wait_for_tomorrow() -> None:
    driver = Driver(Months(blocked=2))
    driver.raise_event(timedelta(hours=2), LOOK_AGAIN)
    driver.raise_event(timedelta(hours=5), LOOK_AGAIN)
    driver.run(orchestrator_of(close_usage_month), GIVEN)
    assert driver.current_utc_datetime - START == timedelta(hours=5)


def test_after_a_day_without_anybody_the_next_word_is_still_heard() -> None:
    driver = Driver(Months(blocked=2))
    driver.raise_event(timedelta(hours=30), LOOK_AGAIN)
    driver.run(orchestrator_of(close_usage_month), GIVEN)
    assert driver.current_utc_datetime - START == timedelta(hours=30)
