"""The onboarding process on a real task hub: every turn replays its whole history."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend
from durabletask.worker import TaskHubGrpcWorker

from orchestrations import onboarding
from shared.onboarding.inputs import CANCEL, CONSENT_ANSWERED, Answer, OnboardingJob
from tests.orchestrations.driving import orchestrator_of

DONE = {"outcome": "done"}
ACTIVITIES = (
    *("onboarding_begin", "onboarding_ask", "onboarding_look", "onboarding_verify"),
    *(activity for _, activity in onboarding.CONNECTING),
    *("onboarding_expire", "onboarding_undo"),
)
JOB = OnboardingJob(
    run_id="c-n1", customer_id="c", partner_id="p", sign_in="adminConsent",
    poll_seconds=0.01, patience_seconds=60,
).model_dump(mode="json")  # fmt: skip


class Hub:
    """A task hub, a worker with the process and scripted activities, and a client."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.backend = InMemoryOrchestrationBackend(port=port)
        address = self.backend.start()
        self.called: list[str] = []
        self.answers: dict[str, list[Any]] = {}
        self.worker = TaskHubGrpcWorker(host_address=address)
        self.worker.add_orchestrator(orchestrator_of(onboarding.onboard_customer))
        for name in ACTIVITIES:
            self.worker.add_activity(self._activity(name))
        self.worker.start()
        self.client = TaskHubGrpcClient(host_address=address)

    def _activity(self, name: str) -> Any:
        def activity(_: task.ActivityContext, given: Any) -> Any:
            self.called.append(name)
            if self.answers.get(name):
                return self.answers[name].pop(0)
            if name == "onboarding_ask":
                expires = datetime.now(UTC) + timedelta(minutes=30)
                asked = Answer(outcome="waiting", expires_at=expires, look_seconds=600)
                return asked.model_dump(mode="json")
            return DONE

        activity.__name__ = name
        return activity

    def stop(self) -> None:
        self.worker.stop()
        self.backend.stop(grace=1)


@pytest.fixture
def hub() -> Iterator[Hub]:
    running = Hub()
    yield running
    running.stop()


def test_the_process_replays_cleanly_to_its_end(hub: Hub) -> None:
    waiting = {"outcome": "waiting"}
    hub.answers = {"onboarding_look": [waiting], "onboarding_verify": [waiting, waiting]}
    instance = hub.client.schedule_new_orchestration(
        "onboard_customer", input=JOB, instance_id="onboarding:c-n1"
    )
    for _ in range(2):
        hub.client.raise_orchestration_event(instance, CONSENT_ANSWERED, data={"outcome": "x"})
    state = hub.client.wait_for_orchestration_completion(instance, timeout=60)
    assert state is not None
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
    assert hub.called.count("onboarding_verify") == 3
    assert hub.called[-1] == "onboarding_activate"


def test_cancel_on_a_real_hub_undoes(hub: Hub) -> None:
    instance = hub.client.schedule_new_orchestration(
        "onboard_customer", input=JOB, instance_id="onboarding:c-n2"
    )
    hub.client.wait_for_orchestration_start(instance, timeout=30)
    hub.client.raise_orchestration_event(instance, CANCEL, data={})
    state = hub.client.wait_for_orchestration_completion(instance, timeout=60)
    assert state is not None
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state.failure_details
    assert "CANCELED" in str(state.serialized_output)
    assert hub.called[-1] == "onboarding_undo"
