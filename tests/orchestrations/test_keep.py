"""The processes of keeping on a real task hub: vaults beside each other, batches, parts."""

from datetime import timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus

from orchestrations import keep
from tests.orchestrations.hub import Hub

ORCHESTRATORS = [keep.keep_vaults, keep.keep_vault, keep.verify_snapshot]


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=2
    )
    monkeypatch.setattr(keep, "RETRY", policy)


def vault(number: int) -> dict[str, Any]:
    return {"repository_id": f"c-v{number}", "night": "2026-11-22"}


def hub(**changed: Any) -> Hub:
    activities: dict[str, Any] = {
        "list_vaults": lambda _: [vault(n) for n in range(6)],
        "open_round": lambda given: [{"task": given, "number": n} for n in range(3)],
        "keep_objects": lambda _: None,
        "close_round": lambda _: {"objects": 3},
        "verify_part": lambda given: given["part"] < 2,
        "seal_verification": lambda _: "Verified",
    }
    return Hub(ORCHESTRATORS, activities | changed)


def test_a_night_keeps_every_vault_batch_after_batch() -> None:
    with hub() as running:
        state = running.run("keep_vaults", {"night": "2026-11-22"}, "keep:2026-11-22")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
        assert len(running.inputs_of("close_round")) == 6
        kept = [
            (b["task"]["repository_id"], b["number"]) for b in running.inputs_of("keep_objects")
        ]
        for number in range(6):
            assert [n for name, n in kept if name == f"c-v{number}"] == [0, 1, 2]


def test_a_batch_that_breaks_and_a_vault_that_breaks_keep_no_other_waiting() -> None:
    def batch(given: dict[str, Any]) -> None:
        if given["number"] == 1 and given["task"]["repository_id"] == "c-v2":
            raise ValueError("damaged head")

    def opened(given: dict[str, Any]) -> list[dict[str, Any]]:
        if given["repository_id"] == "c-v4":
            raise ValueError("no such key")
        return [{"task": given, "number": n} for n in range(3)]

    with hub(keep_objects=batch, open_round=opened) as running:
        state = running.run("keep_vaults", {"night": "2026-11-22"}, "keep:2026-11-22")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
        assert state.serialized_output == '{"broken": 1}'
        closed = {given["repository_id"] for given in running.inputs_of("close_round")}
        assert closed == {f"c-v{n}" for n in range(6)} - {"c-v4"}
        after = [
            b["number"]
            for b in running.inputs_of("keep_objects")
            if b["task"]["repository_id"] == "c-v2"
        ]
        assert after[-1] == 2


@pytest.mark.parametrize("parts", [0, 2, 45])
def test_a_verification_goes_part_by_part_over_histories(parts: int) -> None:
    given = {"partner_id": "p", "verification_id": "c-k1"}
    with hub(verify_part=lambda at: at["part"] < parts) as running:
        state = running.run("verify_snapshot", given, "verify:c-k1")
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
        assert [at["part"] for at in running.inputs_of("verify_part")] == list(range(parts + 1))
        (sealed,) = running.inputs_of("seal_verification")
        assert sealed["error"] is None


def test_a_verification_whose_part_breaks_is_sealed_with_why() -> None:
    def broken(_: dict[str, Any]) -> bool:
        raise ValueError("storage is gone")

    with hub(verify_part=broken) as running:
        running.run("verify_snapshot", {"partner_id": "p", "verification_id": "c-k1"}, "verify:1")
        (sealed,) = running.inputs_of("seal_verification")
        assert "storage is gone" in sealed["error"]
