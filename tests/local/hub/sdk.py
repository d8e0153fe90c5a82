"""The SDK's own worker and client on a hub."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from durabletask.client import OrchestrationState, TaskHubGrpcClient
from durabletask.grpc_options import GrpcWorkerResiliencyOptions
from durabletask.worker import TaskHubGrpcWorker, VersioningOptions

from local.host.taskhub.sqlite.chaos import Switches
from local.host.taskhub.sqlite.hub import SqliteHub

QUIET = logging.getLogger("tests.sdk")
QUIET.setLevel(logging.CRITICAL)
QUICK = GrpcWorkerResiliencyOptions(
    reconnect_backoff_base_seconds=0.05, reconnect_backoff_cap_seconds=0.2
)


class Running:
    """A hub on a file, any number of workers with the same functions, and a client."""

    def __init__(
        self,
        file: Path,
        orchestrators: list[Any],
        activities: list[Any],
        *,
        entities: Sequence[Any] = (),
        workers: int = 1,
        switches: Switches | None = None,
        hub: Any = None,
    ) -> None:
        self.hub = hub or SqliteHub(file, is_durable=False, switches=switches)
        self.address = self.hub.start()
        self._functions = orchestrators, activities, entities
        self.workers: list[TaskHubGrpcWorker] = []
        for _ in range(workers):
            self.add_worker()
        self.client = TaskHubGrpcClient(host_address=self.address, logger=QUIET)

    def add_worker(
        self, *, versioning: VersioningOptions | None = None, takes_only_its_own: bool = False
    ) -> TaskHubGrpcWorker:
        worker = TaskHubGrpcWorker(
            host_address=self.address, resiliency_options=QUICK, logger=QUIET
        )
        for orchestrator in self._functions[0]:
            worker.add_orchestrator(orchestrator)
        for activity in self._functions[1]:
            worker.add_activity(activity)
        for entity in self._functions[2]:
            worker.add_entity(entity)
        if versioning is not None:
            worker.use_versioning(versioning)
        if takes_only_its_own:
            worker.use_work_item_filters()
        worker.start()
        self.workers.append(worker)
        return worker

    def start(self, name: Any, given: Any = None, **options: Any) -> str:
        instance: str = self.client.schedule_new_orchestration(name, input=given, **options)
        return instance

    def end(self, instance: str, seconds: float = 30) -> OrchestrationState:
        state = self.client.wait_for_orchestration_completion(instance, timeout=seconds)
        assert state is not None
        return state

    def run(self, name: Any, given: Any = None, **options: Any) -> OrchestrationState:
        return self.end(self.start(name, given, **options))

    def status(self, instance: str) -> str:
        state = self.client.get_orchestration_state(instance)
        assert state is not None
        return str(state.runtime_status.name)

    def until(self, instance: str, status: str) -> None:
        eventually(lambda: self.status(instance) == status)

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.client.close()
        self.hub.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.stop()


def eventually(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")
