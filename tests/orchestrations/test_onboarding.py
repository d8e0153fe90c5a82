"""The onboarding process: order, waits, expiry, cancel, failures, and compensation each time."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from orchestrations import onboarding
from shared.onboarding.inputs import CANCEL, CONSENT_ANSWERED, RENEW, Answer, OnboardingJob
from tests.orchestrations.driving import START, Driver, orchestrator_of

JOB = OnboardingJob(
    run_id="c-n1", customer_id="c", partner_id="p", sign_in="adminConsent",
    poll_seconds=10, patience_seconds=600,
).model_dump(mode="json")  # fmt: skip
DONE = {"outcome": "done"}
WAITING = {"outcome": "waiting"}
CONNECTING = [activity for _, activity in onboarding.CONNECTING]
MINUTE = timedelta(minutes=1)
LINK_LIFE = 30 * MINUTE

Script = dict[str, Callable[[int, Any], Any]]


def refused(code: str, step: str) -> dict[str, Any]:
    error = {"code": code, "detail": "Do something.", "step": step}
    return Answer.model_validate({"outcome": "refused", "error": error}).model_dump(mode="json")


class World:
    """Plays the activities: everything works unless the script says otherwise."""

    def __init__(self, **script: Callable[[int], Any]) -> None:
        self.driver = Driver(self._answer)
        self.undone: list[dict[str, Any]] = []
        self._script = script
        self._times: dict[str, int] = {}

    def run(self) -> Any:
        return self.driver.run(orchestrator_of(onboarding.onboard_customer), JOB)

    def _answer(self, name: str, given: Any) -> Any:
        self._times[name] = time = self._times.get(name, 0) + 1
        short = name.removeprefix("onboarding_")
        if short in self._script:
            return self._script[short](time)
        if short == "undo":
            self.undone.append(given)
        if short == "ask":
            expires = self.driver.current_utc_datetime + LINK_LIFE
            return Answer(outcome="waiting", expires_at=expires, look_seconds=10).model_dump(
                mode="json"
            )
        return DONE


def test_the_straight_way() -> None:
    world = World()
    world.driver.raise_event(5 * timedelta(seconds=1), CONSENT_ANSWERED, {})
    assert world.run() == {"outcome": "FINISHED"}
    assert world.driver.called == [
        *("onboarding_begin", "onboarding_ask", "onboarding_look", "onboarding_verify"),
        *CONNECTING,
    ]


def test_onb_40_the_run_waits_for_a_sign_in_elsewhere() -> None:
    world = World(look=lambda time: DONE if time == 20 else WAITING)
    assert world.run() == {"outcome": "FINISHED"}
    assert START + 3 * MINUTE < world.driver.current_utc_datetime < START + 5 * MINUTE


def test_an_answer_that_proves_nothing_is_waited_out() -> None:
    """M40: the call-back only makes us look sooner."""
    world = World(look=lambda time: DONE if time == 2 else WAITING)
    world.driver.raise_event(timedelta(seconds=1), CONSENT_ANSWERED, {"outcome": "accepted"})
    assert world.run() == {"outcome": "FINISHED"}
    assert world.driver.current_utc_datetime == START + timedelta(seconds=1 + 12.5)


def test_onb_38_after_expiry_a_new_code_is_issued_on_request() -> None:
    world = World(look=lambda time: DONE if time > 150 else WAITING)
    world.driver.raise_event(3 * timedelta(hours=1), RENEW)
    assert world.run() == {"outcome": "FINISHED"}
    called = world.driver.called
    assert called.count("onboarding_expire") == 1
    assert called.count("onboarding_ask") == 2


def test_an_abandoned_run_ends_and_is_undone() -> None:
    world = World(look=lambda _: WAITING)
    assert world.run() == {"outcome": "SIGN_IN_ABANDONED"}
    assert world.undone[0]["error"]["step"] == "signIn"
    assert world.driver.current_utc_datetime == START + LINK_LIFE + timedelta(days=7)


def test_onb_39_not_a_global_admin_fails_the_step_and_undoes() -> None:
    world = World(look=lambda _: refused("NOT_GLOBAL_ADMIN", "signIn"))
    assert world.run() == {"outcome": "NOT_GLOBAL_ADMIN"}
    assert world.undone[0]["error"]["code"] == "NOT_GLOBAL_ADMIN"
    assert not set(CONNECTING) & set(world.driver.called)


def test_m40_roles_that_appear_late_are_polled_with_growing_waits() -> None:
    world = World(verify=lambda time: DONE if time == 5 else WAITING)
    assert world.run() == {"outcome": "FINISHED"}
    waited = world.driver.current_utc_datetime - START - timedelta(seconds=10)
    assert waited == timedelta(seconds=10 + 15 + 22.5 + 33.75)


def test_m40_roles_that_never_appear_end_the_run() -> None:
    world = World(verify=lambda _: WAITING)
    assert world.run() == {"outcome": "CONSENT_NOT_EFFECTIVE"}
    assert world.undone[0]["error"]["step"] == "verification"


@pytest.mark.parametrize("activity", CONNECTING)
def test_a_refusal_while_connecting_is_undone(activity: str) -> None:
    short = activity.removeprefix("onboarding_")
    world = World(**{short: lambda _: refused("SOME_CODE", short)})
    assert world.run() == {"outcome": "SOME_CODE"}
    assert len(world.undone) == 1
    assert world.driver.called[-2:] == [activity, "onboarding_undo"]


@pytest.mark.parametrize("activity", ["begin", "ask", "look", "verify", "discover", "activate"])
def test_a_fault_that_outlives_the_retries_names_its_step(activity: str) -> None:
    def broken(_: int) -> Any:
        raise RuntimeError("storage is away")

    world = World(**{activity: broken})
    assert world.run() == {"outcome": "STEP_FAILED"}
    error = world.undone[0]["error"]
    assert "storage is away" in error["detail"]
    assert error["step"]


@pytest.mark.parametrize("after", [timedelta(seconds=1), 10 * MINUTE, timedelta(days=2)])
def test_cancel_while_waiting_for_the_administrator(after: timedelta) -> None:
    world = World(look=lambda _: WAITING)
    world.driver.raise_event(after, CANCEL, {})
    assert world.run() == {"outcome": "CANCELED"}
    assert world.undone[0]["canceled"] is True
    assert world.driver.current_utc_datetime == START + after


def test_cancel_while_roles_are_awaited() -> None:
    world = World(verify=lambda _: WAITING)
    world.driver.raise_event(timedelta(seconds=45), CANCEL, {})
    assert world.run() == {"outcome": "CANCELED"}
    assert not set(CONNECTING) & set(world.driver.called)


def test_a_history_is_bounded_however_often_the_code_is_renewed() -> None:
    world = World(look=lambda _: WAITING)
    for hour in range(1, 40):
        world.driver.raise_event(timedelta(hours=hour), RENEW)
    assert world.run() == {"outcome": "SIGN_IN_ABANDONED"}
    assert world.driver.called.count("onboarding_ask") == onboarding.MOST_ROUNDS
