"""The processes of an export and of a restore drill on a real task hub."""

from datetime import timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from orchestrations import drill, export, habits
from tests.orchestrations.hub import Hub

EXPORT = {"partner_id": "p", "export_id": "c-e1"}
DRILL = {"partner_id": "p", "drill_id": "c-d1"}


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=2
    )
    for module in (habits, drill):
        monkeypatch.setattr(module, "RETRY", policy)


def exported(slices: Any) -> Hub:
    activities = {
        "plan_export": lambda _: None,
        "export_slice": slices,
        "seal_export": lambda _: "Completed",
    }
    with Hub([export.export_items], activities) as hub:
        state = hub.run("export_items", EXPORT, "export:c-e1")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
    return hub


def test_slices_of_an_export_go_on_over_histories_and_the_plan_is_made_once() -> None:
    last = habits.SLICES_PER_HISTORY + 2
    hub = exported(lambda given: {"outcome": "more" if given["number"] < last else "done"})
    assert [given["number"] for given in hub.inputs_of("export_slice")] == list(range(last + 1))
    assert len(hub.inputs_of("plan_export")) == 1
    assert [given["error"] for given in hub.inputs_of("seal_export")] == [None]


def test_slice_that_breaks_twice_seals_with_its_error() -> None:
    def broken(_: Any) -> Any:
        raise ConnectionError("storage is gone")

    (sealed,) = exported(broken).inputs_of("seal_export")
    assert "storage is gone" in sealed["error"]


@pytest.mark.parametrize("broken", ["", "b"])
def test_object_that_breaks_a_drill_does_not_end_the_others(broken: str) -> None:
    def read(given: Any) -> Any:
        if given["object_id"] == broken:
            raise ConnectionError("storage is gone")

    activities = {
        "plan_drill": lambda _: {"objects": ["a", "b", "c"]},
        "drill_object": read,
        "seal_drill": lambda _: "Passed",
    }
    with Hub([drill.restore_drill], activities) as hub:
        state = hub.run("restore_drill", DRILL, "drill:c-d1")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
    read_back = [given["object_id"] for given in hub.inputs_of("drill_object")]
    assert list(dict.fromkeys(read_back)) == ["a", "b", "c"]
    (sealed,) = hub.inputs_of("seal_drill")
    assert bool(sealed["error"]) is bool(broken)
