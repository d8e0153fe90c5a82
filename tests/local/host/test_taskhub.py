"""Both task hubs over real gRPC: lost work comes again, doubles do not count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.memory import MemoryHub
from local.host.taskhub.sqlite.hub import SqliteHub
from tests.local.host.running import eventually


class Worker:
    """A worker's connection: takes items one by one and answers as told."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)
        self.hub: Any = rpc.TaskHubSidecarServiceStub(self.channel)
        self.stream: Any = None

    def connect(self) -> None:
        self.stream = self.hub.GetWorkItems(pb.GetWorkItemsRequest(), timeout=20)

    def next(self) -> Any:
        return next(self.stream)

    def lose(self) -> None:
        """The connection breaks."""
        self.stream.cancel()

    def start(self, instance: str) -> None:
        self.hub.StartInstance(pb.CreateInstanceRequest(instanceId=instance, name="o"))

    def answer_turn(self, item: Any, *actions: Any) -> None:
        instance = item.orchestratorRequest.instanceId
        self.hub.CompleteOrchestratorTask(
            pb.OrchestratorResponse(
                instanceId=instance, completionToken=item.completionToken, actions=actions
            )
        )

    def answer_activity(self, item: Any, result: str) -> None:
        response = pb.ActivityResponse(
            instanceId=item.activityRequest.orchestrationInstance.instanceId,
            taskId=item.activityRequest.taskId,
            completionToken=item.completionToken,
        )
        response.result.value = result
        self.hub.CompleteActivityTask(response)

    def status(self, instance: str) -> int:
        answer = self.hub.GetInstance(pb.GetInstanceRequest(instanceId=instance))
        return int(answer.orchestrationState.orchestrationStatus)


def activity(number: int) -> Any:
    action = pb.OrchestratorAction(id=number)
    action.scheduleTask.name = "a"
    return action


def completed() -> Any:
    action = pb.OrchestratorAction(id=99)
    action.completeOrchestration.orchestrationStatus = pb.ORCHESTRATION_STATUS_COMPLETED
    return action


@pytest.fixture(params=["memory", "sqlite"])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryHub | SqliteHub:
    return MemoryHub() if request.param == "memory" else SqliteHub(tmp_path / "hub.sqlite")


@pytest.fixture
def worker(hub: MemoryHub | SqliteHub) -> Iterator[Worker]:
    worker = Worker(hub.start())
    worker.connect()
    yield worker
    worker.lose()
    worker.channel.close()
    hub.stop()


def test_a_turn_that_was_lost_with_its_connection_comes_again(worker: Worker) -> None:
    worker.start("i")
    lost = worker.next()
    worker.lose()
    worker.connect()
    again = worker.next()
    assert again.orchestratorRequest.instanceId == "i"
    # The first event only carries the time at which a turn was handed out.
    assert again.orchestratorRequest.newEvents[1:] == lost.orchestratorRequest.newEvents[1:]

    worker.answer_turn(lost, completed())  # a late answer to the lost turn changes nothing
    assert worker.status("i") != pb.ORCHESTRATION_STATUS_COMPLETED
    worker.answer_turn(again, completed())
    assert worker.status("i") == pb.ORCHESTRATION_STATUS_COMPLETED


def test_an_activity_that_was_lost_comes_again_and_counts_once(worker: Worker) -> None:
    worker.start("i")
    worker.answer_turn(worker.next(), activity(1))
    first = worker.next()
    assert first.activityRequest.name == "a"
    worker.lose()
    worker.connect()
    second = worker.next()
    assert second.activityRequest.taskId == 1

    worker.answer_activity(first, '"one"')  # both were run: at least once
    worker.answer_activity(second, '"two"')
    events = worker.next().orchestratorRequest.newEvents
    results = [e.taskCompleted.result.value for e in events if e.HasField("taskCompleted")]
    assert results == ['"one"']


def test_an_abandoned_activity_comes_again(worker: Worker) -> None:
    worker.start("i")
    worker.answer_turn(worker.next(), activity(1))
    item = worker.next()
    worker.hub.AbandonTaskActivityWorkItem(
        pb.AbandonActivityTaskRequest(completionToken=item.completionToken)
    )
    assert worker.next().completionToken == item.completionToken


def test_completions_of_one_moment_share_a_turn(worker: Worker) -> None:
    worker.start("i")
    worker.answer_turn(worker.next(), *[activity(n) for n in range(1, 11)])
    for item in [worker.next() for _ in range(10)]:
        worker.answer_activity(item, "1")
    seen = 0
    while seen < 10:
        turn = worker.next()
        seen += sum(e.HasField("taskCompleted") for e in turn.orchestratorRequest.newEvents)
        worker.answer_turn(turn)
    assert seen == 10


def test_an_activity_without_a_result_or_with_an_empty_message_still_ends(worker: Worker) -> None:
    worker.start("i")
    worker.answer_turn(worker.next(), activity(1))
    item = worker.next()
    response = pb.ActivityResponse(instanceId="i", taskId=1, completionToken=item.completionToken)
    response.failureDetails.errorType = "ValueError"
    worker.hub.CompleteActivityTask(response)
    events = worker.next().orchestratorRequest.newEvents
    assert [e.taskFailed.failureDetails.errorType for e in events if e.HasField("taskFailed")] == [
        "ValueError"
    ]


def test_results_after_the_end_are_dropped(worker: Worker) -> None:
    worker.start("i")
    worker.answer_turn(worker.next(), activity(1), completed())
    late = worker.next()
    worker.answer_activity(late, "1")
    worker.start("j")
    assert worker.next().orchestratorRequest.instanceId == "j"
    assert worker.status("i") == pb.ORCHESTRATION_STATUS_COMPLETED


def test_stop_releases_whoever_waits(hub: MemoryHub | SqliteHub) -> None:
    channel = grpc.insecure_channel(hub.start())
    stub: Any = rpc.TaskHubSidecarServiceStub(channel)
    stub.StartInstance(pb.CreateInstanceRequest(instanceId="i", name="o"))
    waiting = stub.WaitForInstanceCompletion.future(pb.GetInstanceRequest(instanceId="i"))
    eventually(lambda: _waiters(hub))
    hub.stop()
    with pytest.raises(grpc.RpcError):
        waiting.result(10)
    channel.close()


def _waiters(hub: MemoryHub | SqliteHub) -> Any:
    return hub._state_waiters if isinstance(hub, MemoryHub) else hub.hub._delivery.waiters
