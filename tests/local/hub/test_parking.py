"""Disaster: a poisoned message. After a bounded number of tries it fails; the others continue."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.entities import EntityInstanceId
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.choose import BadHub, make_hub
from local.host.taskhub.sqlite import delivery, entity_delivery, poison
from local.host.taskhub.sqlite.hub import SqliteHub
from tests.local.hub.sdk import Running, eventually
from tests.local.hub.test_poison import Fragile

TRIES = 6


class Mortal:
    """A worker for activities and entities that dies, with all it holds, of what is poisoned."""

    def __init__(self, address: str, names: list[str]) -> None:
        self.given: Counter[str] = Counter()
        self._filters = pb.WorkItemFilters()
        for name in names:
            self._filters.activities.add(name=name)
        self._filters.entities.add(name="e")
        self._channel = grpc.insecure_channel(address)
        self._stub: Any = rpc.TaskHubSidecarServiceStub(self._channel)
        self._stream: Any = None
        self._is_stopping = False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        while not self._is_stopping:
            self._stream = self._stub.GetWorkItems(
                pb.GetWorkItemsRequest(workItemFilters=self._filters)
            )
            held: list[Any] = []
            try:
                for item in self._stream:
                    held.append(item)
                    if not self._survives(item):
                        self._stream.cancel()
                        break
            except grpc.RpcError:
                continue

    def _survives(self, item: Any) -> bool:
        if item.HasField("entityRequestV2"):
            return self._batch(item)
        request = item.activityRequest
        self.given[request.name] += 1
        if request.name == "poisoned":
            return False
        answer = pb.ActivityResponse(completionToken=item.completionToken)
        answer.result.value = request.input.value
        if request.name == "slow":
            threading.Timer(0.1, self._answer, (answer, self._stream)).start()
        else:
            self._answer(answer, self._stream)
        return True

    def _answer(self, answer: Any, life: Any) -> None:
        """The dead do not answer, and what was slow died with them."""
        if life is self._stream and not self._is_stopping:
            self._stub.CompleteActivityTask(answer)

    def _batch(self, item: Any) -> bool:
        answer = pb.EntityBatchResult(completionToken=item.completionToken)
        asked = [
            o.entityOperationSignaled.operation for o in item.entityRequestV2.operationRequests
        ]
        self.given.update(asked)
        if "poisoned" in asked:
            return False
        before = item.entityRequestV2.entityState.value
        for _ in asked:
            answer.results.add().success.SetInParent()
        answer.entityState.value = "".join([before, *asked])
        self._stub.CompleteEntityTask(answer)
        return True

    def stop(self) -> None:
        self._is_stopping = True
        self._stream.cancel()
        self._thread.join(10)
        self._channel.close()


def sums(ctx: task.OrchestrationContext, count: int) -> Any:
    return sum((yield task.when_all([ctx.call_activity("good", input=n) for n in range(count)])))


def compensates(ctx: task.OrchestrationContext, _: Any) -> Any:
    try:
        yield ctx.call_activity("poisoned")
    except task.TaskFailedError as broken:
        undone = yield ctx.call_activity("good", input=1)
        return [broken.details.error_type, broken.details.message, undone]
    return None


def tries_again(ctx: task.OrchestrationContext, _: Any) -> Any:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=1), max_number_of_attempts=2
    )
    return (yield ctx.call_activity("poisoned", retry_policy=policy))


def among_slow_ones(ctx: task.OrchestrationContext, _: Any) -> Any:
    slow = [ctx.call_activity("slow", input=n) for n in range(5)]
    poisoned = ctx.call_activity("poisoned")
    found = yield task.when_all(slow)
    try:
        yield poisoned
    except task.TaskFailedError as broken:
        return [found, broken.details.error_type]
    return None


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (delivery, entity_delivery):
        monkeypatch.setattr(module, "back_off", lambda losses: 0.02 if losses > 1 else 0.0)
    monkeypatch.setattr(poison, "PARKING_SECONDS", 1.0)


@pytest.fixture
def running(tmp_path: Path, hurried: None) -> Iterator[Running]:
    programs = [sums, compensates, tries_again, among_slow_ones]
    hub = SqliteHub(tmp_path / "hub.sqlite", is_durable=False, tries=TRIES)
    with Running(tmp_path, programs, [], hub=hub, workers=0) as made:
        made.add_worker(takes_only_its_own=True)
        yield made


@pytest.fixture
def mortal(running: Running) -> Iterator[Mortal]:
    made = Mortal(running.address, ["good", "poisoned", "slow"])
    yield made
    made.stop()


def test_a_poisoned_activity_fails_its_task_and_the_orchestrator_decides(
    running: Running, mortal: Mortal
) -> None:
    instance = running.start(compensates)
    others = [running.start(sums, 20) for _ in range(5)]
    for other in others:
        assert running.end(other).serialized_output == "190"
    kind, said, undone = running.end(instance).get_output()
    assert kind == "PoisonedWorkItem"
    assert said == (
        "the activity 'poisoned' was lost with its worker in 6 tries: it is not handed out again"
    )
    assert undone == 1
    assert mortal.given["poisoned"] == TRIES


def test_the_orchestrators_own_retries_come_on_top(running: Running, mortal: Mortal) -> None:
    ended = running.end(running.start(tries_again))
    assert ended.runtime_status.name == "FAILED"
    assert ended.failure_details is not None
    assert "was lost with its worker in 6 tries" in ended.failure_details.message
    assert mortal.given["poisoned"] == 2 * TRIES


def test_what_is_lost_beside_it_again_and_again_is_not_parked_with_it(
    running: Running, mortal: Mortal
) -> None:
    """Each death takes five slow ones along; suspects are handed out one at a time."""
    found, kind = running.end(running.start(among_slow_ones)).get_output()
    assert found == [0, 1, 2, 3, 4]
    assert kind == "PoisonedWorkItem"
    assert mortal.given["slow"] > 5  # they were lost, too


def test_a_poisoned_operation_is_dropped_and_the_entitys_others_run(
    running: Running, mortal: Mortal
) -> None:
    entity = EntityInstanceId("e", "1")
    for name in ("a", "b", "poisoned", "c"):
        running.client.signal_entity(entity, name)

    def state() -> Any:
        found = running.client.get_entity(entity)
        return found is not None and found.get_state() == "abc"

    eventually(state)
    assert TRIES <= mortal.given["poisoned"] <= 2 * TRIES


@pytest.mark.usefixtures("hurried")
def test_a_later_turn_that_is_poisoned_fails_its_instance_restarts_or_not(tmp_path: Path) -> None:
    worker = Fragile(tmp_path / "hub.sqlite")
    worker.schedule("i")
    item = worker.take("activityRequest", loses=False)
    answer = pb.ActivityResponse(instanceId="i", taskId=1, completionToken=item.completionToken)
    worker.stub.CompleteActivityTask(answer)
    worker.stream.cancel()
    for number in range(10):
        worker.take("orchestratorRequest")
        if number in (3, 7):
            worker.again()
    request = pb.GetInstanceRequest(instanceId="i", getInputsAndOutputs=True)
    state = worker.stub.WaitForInstanceCompletion(request, timeout=20).orchestrationState
    assert state.orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert state.failureDetails.errorType == "PoisonedWorkItem"
    assert "lost with its worker in 10 tries" in state.failureDetails.errorMessage
    kept = worker.stub.StreamInstanceHistory(pb.StreamInstanceHistoryRequest(instanceId="i"))
    kinds = [event.WhichOneof("eventType") for chunk in kept for event in chunk.events]
    assert kinds[-2:] == ["taskCompleted", "executionCompleted"]
    worker.close()


@pytest.mark.parametrize("text", ["1", "0", "-3", "many", "2.5"])
def test_a_setting_that_is_no_number_of_tries_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadHub, match="TASK_HUB_TRIES is a number from 2 on"):
        make_hub(f"sqlite:{tmp_path / 'hub'}", None, None, environment={"TASK_HUB_TRIES": text})
