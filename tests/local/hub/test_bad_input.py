"""Bad input: a clear error at the caller, and nothing half written."""

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.client import OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.sqlite import limits
from tests.local.hub.programs import ORCHESTRATORS, calls, count, double, fan, waits
from tests.local.hub.sdk import Running

SMALL = 10_000
TOO_LARGE = "x" * (SMALL + 1)
Context = task.OrchestrationContext


def asks_unknown(ctx: Context, _: Any) -> Any:
    yield ctx.call_activity("no_such_activity")


def catches_unknown(ctx: Context, _: Any) -> Any:
    try:
        yield ctx.call_activity("no_such_activity")
    except task.TaskFailedError as failed:
        return failed.details.message
    return None


def unknown_child(ctx: Context, _: Any) -> Any:
    yield ctx.call_sub_orchestrator("no_such_child")


def _counted_first(ctx: Context, name: str) -> None:
    """Asked for in the same turn as what is refused: it may not run."""
    ctx.call_activity(count, input=f"beside-{name}")


def large_activity_input(ctx: Context, _: Any) -> Any:
    _counted_first(ctx, "activity")
    yield ctx.call_activity(double, input=TOO_LARGE)


def large_output(ctx: Context, _: Any) -> Any:
    _counted_first(ctx, "output")
    return TOO_LARGE


def large_generation(ctx: Context, given: Any) -> Any:
    _counted_first(ctx, "generation")
    ctx.continue_as_new(TOO_LARGE)


def large_event(ctx: Context, target: str) -> Any:
    _counted_first(ctx, "event")
    ctx.send_event(target, "go", data=TOO_LARGE)
    yield ctx.call_activity(double, input=1)


def large_child_input(ctx: Context, _: Any) -> Any:
    yield ctx.call_sub_orchestrator(fan, input=TOO_LARGE, instance_id="too-large-child")


BAD = [
    *(asks_unknown, catches_unknown, unknown_child, large_activity_input, large_output),
    *(large_generation, large_event, large_child_input),
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    with Running(file, [*ORCHESTRATORS, *BAD], [double, count]) as running:
        yield running


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LARGEST_PAYLOAD_BYTES", SMALL)


@pytest.fixture(scope="module")
def stub(hub: Running) -> Iterator[Any]:
    with grpc.insecure_channel(hub.address) as channel:
        yield rpc.TaskHubSidecarServiceStub(channel)


def refused(call: Any, *given: Any, **named: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call(*given, **named)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(caught.value.details())


def rows(hub: Running, table: str) -> int:
    inner = hub.hub
    asked = inner.hub._delivery.store.call(
        lambda tx: tx.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    )
    return int(asyncio.run_coroutine_threadsafe(asked, inner._loop).result(10))


def test_unknown_names_say_the_name(hub: Running) -> None:
    for orchestrator, name in (
        ("no_such_orchestrator", "no_such_orchestrator"),
        (asks_unknown, "no_such_activity"),
        (unknown_child, "no_such_child"),
    ):
        failed = hub.run(orchestrator)
        assert failed.runtime_status is OrchestrationStatus.FAILED
        assert failed.failure_details is not None
        assert name in failed.failure_details.message
    assert "no_such_activity" in (hub.run(catches_unknown).serialized_output or "")


@pytest.mark.usefixtures("small")
def test_oversized_input_of_clients_leaves_nothing(hub: Running) -> None:
    waiting = hub.start(waits, 1)
    hub.until(waiting, "RUNNING")
    before = {table: rows(hub, table) for table in ("instances", "messages", "payloads")}
    assert f"at most {SMALL:,} are taken" in refused(hub.start, fan, TOO_LARGE)
    raising = hub.client.raise_orchestration_event
    assert "put it into a blob" in refused(raising, waiting, "go", data=TOO_LARGE)
    refused(hub.client.terminate_orchestration, waiting, output=TOO_LARGE)
    refused(hub.client.suspend_orchestration, waiting, reason=TOO_LARGE)
    refused(hub.start, fan, 1, tags={"a": "x" * (limits.LARGEST_TAGS_BYTES + 1)})
    assert {table: rows(hub, table) for table in before} == before
    assert hub.status(waiting) == "RUNNING"
    raising(waiting, "go", data="fits")
    assert hub.end(waiting).serialized_output == '["fits"]'


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("orchestrator", "name", "what"),
    [
        (large_activity_input, "activity", "the input of the activity 'double'"),
        (large_output, "output", "the orchestration's output"),
        (large_generation, "generation", "the input of the next generation"),
        (large_event, "event", "the event"),
    ],
)
def test_an_oversized_action_fails_the_instance_and_nothing_of_its_turn_is_kept(
    hub: Running, orchestrator: Any, name: str, what: str
) -> None:
    target = hub.start(waits, 1)
    failed = hub.run(orchestrator, target)
    assert failed.runtime_status is OrchestrationStatus.FAILED
    assert failed.failure_details is not None
    assert f"{what} has" in failed.failure_details.message
    assert rows(hub, "activities") == 0
    assert f"beside-{name}" not in calls
    hub.client.raise_orchestration_event(target, "go", data="mine")
    assert hub.end(target).serialized_output == '["mine"]'


@pytest.mark.usefixtures("small")
def test_an_oversized_child_fails_its_parents_task(hub: Running) -> None:
    failed = hub.run(large_child_input)
    assert failed.failure_details is not None
    assert "the sub-orchestration's input has" in failed.failure_details.message
    assert hub.client.get_orchestration_state("too-large-child") is None


def test_events_need_a_name_of_bounded_length(hub: Running, stub: Any) -> None:
    waiting = hub.start(waits, 1)
    for name in ("", "  ", "x" * 1_001):
        request = pb.RaiseEventRequest(instanceId=waiting, name=name)
        assert "name" in refused(stub.RaiseEvent, request)
    hub.client.terminate_orchestration(waiting)


@pytest.mark.parametrize("entity", ["counter", "@counter", "@counter@", "@@key", "@a@b@c", ""])
def test_what_is_no_entity_id_is_refused(hub: Running, stub: Any, entity: str) -> None:
    before = rows(hub, "entities")
    request = pb.SignalEntityRequest(instanceId=entity, name="add")
    assert "@name@key" in refused(stub.SignalEntity, request)
    assert "@name@key" in refused(stub.GetEntity, pb.GetEntityRequest(instanceId=entity))
    assert rows(hub, "entities") == before


def test_tokens_that_are_none_change_nothing(hub: Running, stub: Any) -> None:
    for token in ("", "nonsense", "-1", "999999999999"):
        stub.CompleteActivityTask(pb.ActivityResponse(completionToken=token))
        stub.CompleteOrchestratorTask(pb.OrchestratorResponse(completionToken=token))
        stub.CompleteEntityTask(pb.EntityBatchResult(completionToken=token))
        stub.AbandonTaskActivityWorkItem(pb.AbandonActivityTaskRequest(completionToken=token))
        stub.AbandonTaskOrchestratorWorkItem(
            pb.AbandonOrchestrationTaskRequest(completionToken=token)
        )
        stub.AbandonTaskEntityWorkItem(pb.AbandonEntityTaskRequest(completionToken=token))
    huge = "9" * 30
    refused(stub.CompleteActivityTask, pb.ActivityResponse(completionToken=huge))
    query = pb.QueryInstancesRequest()
    query.query.continuationToken.value = huge
    refused(stub.QueryInstances, query)
    assert hub.run(fan, 3).serialized_output == "6"
