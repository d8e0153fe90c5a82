"""The process of a restore on a real task hub."""

from datetime import timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from orchestrations import habits, restore
from tests.orchestrations.hub import Hub

GIVEN = {"partner_id": "p", "restore_id": "c-r1"}


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=2
    )
    monkeypatch.setattr(habits, "RETRY", policy)


def run(slices: Any) -> Hub:
    activities = {
        "plan_restore": lambda _: None,
        "restore_slice": slices,
        "seal_restore": lambda _: "Completed",
    }
    with Hub([restore.restore_items], activities) as hub:
        state = hub.run("restore_items", GIVEN, "restore:c-r1")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
    return hub


def test_slices_go_on_over_histories_and_the_plan_is_made_once() -> None:
    last = habits.SLICES_PER_HISTORY + 2
    hub = run(lambda given: {"outcome": "more" if given["number"] < last else "done"})
    assert [given["number"] for given in hub.inputs_of("restore_slice")] == list(range(last + 1))
    assert len(hub.inputs_of("plan_restore")) == 1
    assert [given["error"] for given in hub.inputs_of("seal_restore")] == [None]


def test_slice_that_breaks_is_repeated_once_then_sealed_with_its_error() -> None:
    def broken(_: Any) -> Any:
        raise ConnectionError("storage is gone")

    hub = run(broken)
    assert len(hub.inputs_of("restore_slice")) == 2
    (sealed,) = hub.inputs_of("seal_restore")
    assert "storage is gone" in sealed["error"]


def test_lost_consent_seals_with_its_reason() -> None:
    hub = run(lambda _: {"outcome": "failed", "error": "consent is revoked"})
    (sealed,) = hub.inputs_of("seal_restore")
    assert sealed["error"] == "consent is revoked"
