"""A real task hub in memory with scripted activities: every turn replays its whole history."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from durabletask import task
from durabletask.client import OrchestrationState, TaskHubGrpcClient
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend
from durabletask.worker import TaskHubGrpcWorker

from tests.orchestrations.driving import orchestrator_of


class Hub:
    """`activities` maps names to functions of the input; what was called is remembered."""

    def __init__(
        self, orchestrators: list[Any], activities: dict[str, Callable[[Any], Any]]
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.called: list[tuple[str, Any]] = []
        self._lock = threading.Lock()
        self._backend = InMemoryOrchestrationBackend(port=port)
        address = self._backend.start()
        self._worker = TaskHubGrpcWorker(host_address=address)
        for decorated in orchestrators:
            self._worker.add_orchestrator(orchestrator_of(decorated))
        for name, answer in activities.items():
            self._worker.add_activity(self._activity(name, answer))
        self.client = TaskHubGrpcClient(host_address=address)

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._worker.stop()
        self._backend.stop(grace=1)

    def run(self, name: str, given: dict[str, Any], instance_id: str) -> OrchestrationState:
        """Run to the end."""
        self.client.schedule_new_orchestration(name, input=given, instance_id=instance_id)
        state = self.client.wait_for_orchestration_completion(instance_id, timeout=60)
        assert state is not None
        return state

    def inputs_of(self, name: str) -> list[Any]:
        """What an activity was called with, call by call."""
        return [given for called, given in self.called if called == name]

    def _activity(self, name: str, answer: Callable[[Any], Any]) -> Any:
        def activity(_: task.ActivityContext, given: Any) -> Any:
            with self._lock:
                self.called.append((name, given))
            return answer(given)

        activity.__name__ = name
        return activity
