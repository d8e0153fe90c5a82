"""The process of a session on a real task hub: groups, slices, stops, children that break."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from orchestrations import backup
from tests.orchestrations.hub import Hub

SESSION = "c-s1"
GIVEN = {"partner_id": "p", "session_id": SESSION}
ORCHESTRATORS = [backup.backup_session, backup.protect_group, backup.protect_object]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=2
    )
    monkeypatch.setattr(backup, "RETRY", policy)


def an_object(number: int) -> dict[str, Any]:
    return {
        "partner_id": "p",
        "session_id": SESSION,
        "workload": "mailbox",
        "object_id": f"c-o{number:03d}",
        "number": 0,
    }


class Script:
    """Activities of a session with `objects` per group; `slices` may be overridden."""

    def __init__(self, *groups: int) -> None:
        self.groups = groups
        self.plan: dict[str, Any] = {"outcome": "run", "groups": len(groups), "detail": ""}
        self.sealed: list[dict[str, Any]] = []
        self.flying: Counter[str] = Counter()
        self.most = 0
        self._lock = threading.Lock()

    def slices(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"outcome": "done"}

    def list_group(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        group = given["group"]
        return [an_object(100 * group + n) for n in range(self.groups[group])]

    def seal(self, given: dict[str, Any]) -> str:
        self.sealed.append(given)
        return "Success"

    def protect(self, given: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.flying[given["object_id"]] += 1
            self.most = max(self.most, len(+self.flying))
        try:
            return self.slices(given)
        finally:
            with self._lock:
                self.flying[given["object_id"]] -= 1

    def activities(self) -> dict[str, Any]:
        return {
            "plan_session": lambda _: self.plan,
            "list_group": self.list_group,
            "protect_slice": self.protect,
            "seal_object": lambda _: None,
            "fail_object": lambda _: None,
            "seal_session": self.seal,
        }


def run(script: Script) -> Hub:
    with Hub(ORCHESTRATORS, script.activities()) as hub:
        state = hub.run("backup_session", GIVEN, f"backup:{SESSION}")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
    return hub


def test_every_object_of_every_group_is_protected_and_sealed_once() -> None:
    script = Script(12, 5)
    hub = run(script)
    sealed = [given["object_id"] for given in hub.inputs_of("seal_object")]
    assert len(sealed) == len(set(sealed)) == 17
    assert script.most <= backup.WINDOW
    assert script.sealed == [GIVEN | {"error": None, "disconnected": False}]


def test_child_that_breaks_is_written_down_and_the_others_go_on() -> None:
    script = Script(4)

    def slices(given: dict[str, Any]) -> dict[str, Any]:
        if given["object_id"] == "c-o001":
            raise ConnectionError("storage is gone")
        return {"outcome": "done"}

    script.slices = slices  # type: ignore[method-assign]
    hub = run(script)
    (failed,) = hub.inputs_of("fail_object")
    assert failed["object"]["object_id"] == "c-o001"
    assert "storage is gone" in failed["error"]
    assert len(hub.inputs_of("seal_object")) == 3
    assert len(script.sealed) == 1


def test_object_of_many_slices_continues_as_new_and_keeps_counting() -> None:
    script = Script(1)
    last = 2 * backup.SLICES_PER_HISTORY + 3
    script.slices = lambda given: {  # type: ignore[method-assign]
        "outcome": "more" if given["number"] < last else "done"
    }
    hub = run(script)
    numbers = [given["number"] for given in hub.inputs_of("protect_slice")]
    assert numbers == list(range(last + 1))
    assert len(hub.inputs_of("seal_object")) == 1


def test_throttled_slice_waits_on_a_timer_and_goes_on() -> None:
    script = Script(1)

    def slices(given: dict[str, Any]) -> dict[str, Any]:
        if given["number"] == 0:
            later = datetime.now(UTC) + timedelta(milliseconds=200)
            return {"outcome": "more", "not_before": later.isoformat()}
        return {"outcome": "done"}

    script.slices = slices  # type: ignore[method-assign]
    assert len(run(script).inputs_of("protect_slice")) == 2


def test_stop_seals_what_has_slices_and_ends() -> None:
    script = Script(3)
    script.slices = lambda _: {"outcome": "stopped"}  # type: ignore[method-assign]
    hub = run(script)
    assert len(hub.inputs_of("protect_slice")) == 3  # each object looks once at the flag
    assert len(hub.inputs_of("seal_object")) == 3
    assert len(script.sealed) == 1


def test_consent_lost_in_the_middle_starts_no_further_object() -> None:
    script = Script(60, 60)
    script.slices = lambda _: {"outcome": "disconnected"}  # type: ignore[method-assign]
    hub = run(script)
    assert len(hub.inputs_of("protect_slice")) <= backup.WINDOW
    assert len(hub.inputs_of("list_group")) == 1
    assert script.sealed[0]["disconnected"]


@pytest.mark.parametrize("outcome", ["disconnected", "run"])
def test_nothing_to_do_goes_straight_to_the_seal(outcome: str) -> None:
    script = Script()
    script.plan = {"outcome": outcome, "groups": 0, "detail": ""}
    hub = run(script)
    assert hub.inputs_of("list_group") == []
    assert script.sealed[0]["disconnected"] == (outcome == "disconnected")


def test_discovery_that_fails_seals_the_session_with_its_error() -> None:
    script = Script()

    def broken(_: Any) -> Any:
        raise RuntimeError("the directory does not answer")

    activities = script.activities() | {"plan_session": broken}
    with Hub(ORCHESTRATORS, activities) as hub:
        hub.run("backup_session", GIVEN, f"backup:{SESSION}")
    assert "the directory does not answer" in script.sealed[0]["error"]


def test_session_that_is_over_is_left_alone() -> None:
    script = Script()
    script.plan = {"outcome": "over", "groups": 0, "detail": ""}
    run(script)
    assert script.sealed == []
