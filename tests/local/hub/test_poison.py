"""Disaster: a poisoned message. What is lost with its worker again and again waits ever longer."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.sqlite import delivery, entity_delivery
from local.host.taskhub.sqlite.hub import SqliteHub
from local.host.taskhub.sqlite.pending import LONGEST_BACK_OFF_SECONDS, back_off
from tests.local.hub.sdk import eventually


class Fragile:
    """A hub on a file and a worker that loses its connection with whatever it is given."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.open()

    def open(self) -> None:
        self.hub = SqliteHub(self._file, is_durable=False)
        self.channel = grpc.insecure_channel(self.hub.start())
        self.stub: Any = rpc.TaskHubSidecarServiceStub(self.channel)

    def take(self, kind: str, *, loses: bool = True) -> Any:
        """The next item of that kind, and no other."""
        filters = pb.WorkItemFilters()
        if kind == "orchestratorRequest":
            filters.orchestrations.add(name="o")
        elif kind == "activityRequest":
            filters.activities.add(name="poisoned")
        else:
            filters.entities.add(name="E")
        request = pb.GetWorkItemsRequest(workItemFilters=filters)
        stream = self.stub.GetWorkItems(request, timeout=20)
        item = next(stream)
        assert item.HasField(kind)
        if loses:
            stream.cancel()
        self.stream = stream
        return item

    def close(self) -> None:
        self.channel.close()
        self.hub.stop()

    def again(self) -> None:
        self.close()
        self.open()

    def schedule(self, instance: str) -> None:
        self.stub.StartInstance(pb.CreateInstanceRequest(instanceId=instance, name="o"))
        item = self.take("orchestratorRequest", loses=False)
        action = pb.OrchestratorAction(id=1)
        action.scheduleTask.name = "poisoned"
        self.stub.CompleteOrchestratorTask(
            pb.OrchestratorResponse(
                instanceId=instance, completionToken=item.completionToken, actions=[action]
            )
        )
        self.stream.cancel()

    def losses(self, table: str) -> list[int]:
        def read(tx: Any) -> list[int]:
            rows = tx.db.execute(f"SELECT losses FROM {table}")
            return [count for (count,) in rows]

        import asyncio

        hub = self.hub
        assert hub._loop is not None
        asked = asyncio.run_coroutine_threadsafe(hub.hub._delivery.store.call(read), hub._loop)
        return asked.result(10)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (delivery, entity_delivery):
        monkeypatch.setattr(module, "back_off", lambda _: 0.0)


def test_the_wait_grows_to_its_limit() -> None:
    waits = [back_off(losses) for losses in range(13)]
    assert waits[:5] == [0.0, 0.0, 2.0, 4.0, 8.0]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BACK_OFF_SECONDS


@pytest.mark.usefixtures("at_once")
def test_a_start_is_given_up_after_ten_tries_restarts_or_not(tmp_path: Path) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    worker.stub.StartInstance(pb.CreateInstanceRequest(instanceId="poisoned", name="o"))
    for number in range(10):
        worker.take("orchestratorRequest")
        eventually(lambda number=number: worker.losses("instances") == [number + 1])
        if number % 4 == 3:
            worker.again()
    request = pb.GetInstanceRequest(instanceId="poisoned", getInputsAndOutputs=True)
    state = worker.stub.WaitForInstanceCompletion(request, timeout=20).orchestrationState
    assert state.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert state.failureDetails.errorType == "PoisonedWorkItem"
    worker.close()


@pytest.mark.usefixtures("at_once")
def test_losses_of_an_activity_are_remembered_and_its_result_still_counts(tmp_path: Path) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    worker.schedule("i")
    for number in range(3):
        worker.take("activityRequest")
        eventually(lambda number=number: worker.losses("activities") == [number + 1])
    worker.again()
    assert worker.losses("activities") == [3]
    item = worker.take("activityRequest", loses=False)
    answer = pb.ActivityResponse(instanceId="i", taskId=1, completionToken=item.completionToken)
    answer.result.value = "1"
    worker.stub.CompleteActivityTask(answer)
    assert worker.losses("activities") == []
    worker.stream.cancel()
    worker.close()


def test_after_a_restart_a_poisoned_activity_still_waits(tmp_path: Path) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    worker.schedule("i")
    for number in range(2):
        worker.take("activityRequest")
        eventually(lambda number=number: worker.losses("activities") == [number + 1])
    worker.again()
    [item] = worker.hub.hub._delivery._activities.values()
    assert item.losses == 2
    assert not item.is_ready  # not at once again
    worker.take("activityRequest")  # but it comes
    worker.close()


@pytest.mark.usefixtures("at_once")
def test_a_committed_turn_and_a_committed_batch_forget_their_losses(tmp_path: Path) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    worker.stub.StartInstance(pb.CreateInstanceRequest(instanceId="lost", name="o"))
    worker.take("orchestratorRequest")
    eventually(lambda: worker.losses("instances") == [1])
    item = worker.take("orchestratorRequest", loses=False)
    worker.stub.CompleteOrchestratorTask(
        pb.OrchestratorResponse(instanceId="lost", completionToken=item.completionToken)
    )
    assert worker.losses("instances") == [0]
    worker.stream.cancel()
    worker.stub.SignalEntity(pb.SignalEntityRequest(instanceId="@e@1", name="add"))
    worker.take("entityRequestV2")
    eventually(lambda: worker.losses("entities") == [1])
    worker.again()
    item = worker.take("entityRequestV2", loses=False)
    answer = pb.EntityBatchResult(completionToken=item.completionToken)
    answer.results.add().success.SetInParent()
    worker.stub.CompleteEntityTask(answer)
    assert worker.losses("entities") == [0]
    worker.stream.cancel()
    worker.close()


@pytest.mark.usefixtures("at_once")
def test_what_is_out_when_the_hub_ends_counts_as_lost(tmp_path: Path) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    worker.schedule("i")
    worker.take("activityRequest", loses=False)
    worker.again()
    assert worker.losses("activities") == [1]
    worker.close()


@pytest.mark.usefixtures("at_once")
def test_a_batch_without_results_is_handed_out_again_and_one_that_failed_is_not(
    tmp_path: Path,
) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    for number in range(3):
        worker.stub.SignalEntity(pb.SignalEntityRequest(instanceId="@e@1", name=str(number)))
    item = worker.take("entityRequestV2", loses=False)
    worker.stub.CompleteEntityTask(pb.EntityBatchResult(completionToken=item.completionToken))
    worker.stream.cancel()
    item = worker.take("entityRequestV2", loses=False)
    seen = [o.entityOperationSignaled.operation for o in item.entityRequestV2.operationRequests]
    assert seen[0] == "0"
    answer = pb.EntityBatchResult(completionToken=item.completionToken)
    answer.results.add().success.SetInParent()
    answer.entityState.value = "1"
    worker.stub.CompleteEntityTask(answer)  # the first alone is done
    worker.stream.cancel()
    item = worker.take("entityRequestV2", loses=False)
    assert item.entityRequestV2.entityState.value == "1"
    seen = [o.entityOperationSignaled.operation for o in item.entityRequestV2.operationRequests]
    assert seen == ["1", "2"]
    answer = pb.EntityBatchResult(completionToken=item.completionToken)
    answer.failureDetails.errorMessage = "cannot"
    worker.stub.CompleteEntityTask(answer)
    assert worker.losses("operations JOIN entities ON entity = key") == []
    worker.stream.cancel()
    worker.close()
