"""What the other files do not show: reuse, tags, versions, large payloads, history, queries."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.client import OrchestrationQuery, OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc
from durabletask.worker import VersionFailureStrategy, VersioningOptions, VersionMatchStrategy

from local.host.taskhub.sqlite import delivery, queries, tries
from tests.local.hub.programs import (
    ORCHESTRATORS,
    asks_large,
    calls,
    count,
    double,
    fails_until,
    fan,
    gate,
    large,
    timer,
    version_of,
    waits,
    waits_at_gate,
)
from tests.local.hub.sdk import Running, eventually

ACTIVITIES = [double, count, fails_until, waits_at_gate, large]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    with Running(file, ORCHESTRATORS, ACTIVITIES) as running:
        yield running


@pytest.fixture(scope="module")
def stub(hub: Running) -> Iterator[Any]:
    with grpc.insecure_channel(hub.address) as channel:
        yield rpc.TaskHubSidecarServiceStub(channel)


def test_a_running_instance_makes_room_only_if_the_policy_says_so(hub: Running) -> None:
    first = hub.start(waits, 1, instance_id="reused")
    hub.until(first, "RUNNING")
    ended = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_COMPLETED])
    with pytest.raises(grpc.RpcError) as caught:
        hub.start(fan, 2, instance_id="reused", reuse_id_policy=ended)
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    running = pb.OrchestrationIdReusePolicy(replaceableStatus=[pb.ORCHESTRATION_STATUS_RUNNING])
    hub.start(fan, 2, instance_id="reused", reuse_id_policy=running)
    assert hub.end("reused").serialized_output == "2"
    assert len(hub.client.get_all_orchestration_states()) >= 1


def test_tags_stay_with_the_instance_and_its_restart(hub: Running, stub: Any) -> None:
    instance = hub.run(fan, 1, tags={"customer": "7", "kind": "nightly"}).instance_id
    again = hub.client.restart_orchestration(instance, restart_with_new_instance_id=True)
    hub.end(again)
    for each in (instance, again):
        state = stub.GetInstance(pb.GetInstanceRequest(instanceId=each)).orchestrationState
        assert dict(state.tags) == {"customer": "7", "kind": "nightly"}


def test_a_default_version_is_for_who_names_none(tmp_path: Path) -> None:
    from local.host.taskhub.sqlite.hub import SqliteHub

    versioned = SqliteHub(tmp_path / "hub.sqlite", "1.0", is_durable=False)
    with Running(tmp_path, [version_of], [], hub=versioned) as running:
        assert running.run(version_of).serialized_output == '"1.0"'
        assert running.run(version_of, version="2.0").serialized_output == '"2.0"'


def test_a_version_that_a_worker_rejects_waits_for_a_newer_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rejected more often than a start is tried, and not given up: the older worker is alive."""
    returned: list[str] = []
    give_back = delivery.Delivery.give_back

    def noted(self: Any, turn: Any) -> None:
        returned.append(turn.live.id)
        give_back(self, turn)

    monkeypatch.setattr(delivery.Delivery, "give_back", noted)
    monkeypatch.setattr(delivery, "back_off", lambda _: 0.01)
    with Running(tmp_path / "hub.sqlite", [version_of], [], workers=0) as running:
        older = running.add_worker(versioning=_only("1.0"))
        instance = running.start(version_of, version="2.0")
        eventually(lambda: len(returned) > tries.TRIES + 2)
        assert running.status(instance) == "PENDING"
        assert running.run(version_of, version="1.0").serialized_output == '"1.0"'
        running.add_worker(versioning=_only("2.0"))
        assert running.end(instance).serialized_output == '"2.0"'
        assert older is running.workers[0]


def _only(version: str) -> VersioningOptions:
    return VersioningOptions(
        version=version,
        match_strategy=VersionMatchStrategy.STRICT,
        failure_strategy=VersionFailureStrategy.REJECT,
    )


def test_payloads_of_megabytes_go_in_and_out(hub: Running, stub: Any) -> None:
    assert hub.run(asks_large, 3_000_000).serialized_output == "3000000"
    instance = hub.start(waits, 1)
    hub.client.raise_orchestration_event(instance, "go", data="y" * 3_000_000)
    assert len(hub.end(instance).serialized_output or "") == 3_000_004


def test_a_long_history_is_streamed_in_order(hub: Running, stub: Any) -> None:
    instance = hub.run(fan, 700).instance_id
    request = pb.StreamInstanceHistoryRequest(instanceId=instance)
    chunks = [list(chunk.events) for chunk in stub.StreamInstanceHistory(request)]
    assert len(chunks) > 2
    kinds = [e.WhichOneof("eventType") for chunk in chunks for e in chunk]
    assert kinds.count("taskScheduled") == kinds.count("taskCompleted") == 700
    assert kinds[1] == "executionStarted"
    assert kinds[-1] == "executionCompleted"


def test_queries_by_status_prefix_and_time(hub: Running, stub: Any) -> None:
    begin = datetime.now(UTC)
    hub.run(fan, 1, instance_id="find-ended")
    hub.until(hub.start(waits, 1, instance_id="find-running"), "RUNNING")
    after = datetime.now(UTC)

    def found(**query: Any) -> set[str]:
        states = hub.client.get_all_orchestration_states(OrchestrationQuery(**query))
        return {s.instance_id for s in states if s.instance_id.startswith("find-")}

    assert found(created_time_from=begin) == {"find-ended", "find-running"}
    assert found(created_time_from=after) == set()
    assert found(created_time_to=begin) == set()
    assert found(runtime_status=[OrchestrationStatus.RUNNING]) == {"find-running"}
    assert found(runtime_status=[OrchestrationStatus.COMPLETED]) == {"find-ended"}
    asked = pb.QueryInstancesRequest()
    asked.query.instanceIdPrefix.value = "find-e"
    states = stub.QueryInstances(asked).orchestrationState
    assert [s.instanceId for s in states] == ["find-ended"]
    asked.query.continuationToken.value = "not one of ours"
    with pytest.raises(grpc.RpcError) as caught:
        stub.QueryInstances(asked)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_page_of_large_payloads_ends_early_and_nothing_is_left_out(
    hub: Running, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "FULL_PAGE_BYTES", 50_000)
    names = [
        hub.run("who_is_my_parent", "x" * 20_000, instance_id=f"wide-{n}").instance_id
        for n in range(7)
    ]
    asked = pb.QueryInstancesRequest()
    asked.query.instanceIdPrefix.value, asked.query.fetchInputsAndOutputs = "wide-", True
    pages = []
    while not pages or asked.query.continuationToken.value:
        answer = stub.QueryInstances(asked)
        pages.append([state.instanceId for state in answer.orchestrationState])
        asked.query.continuationToken.CopyFrom(answer.continuationToken)
    assert pages == [names[:3], names[3:6], names[6:]]


def test_a_result_that_comes_during_a_suspension_waits_for_the_resumption(hub: Running) -> None:
    gate.clear()
    instance = hub.start("at_gate", "suspended-gate")
    eventually(lambda: calls.get("suspended-gate") == 1)
    hub.client.suspend_orchestration(instance)
    hub.until(instance, "SUSPENDED")
    gate.set()
    hub.run(fan, 20)  # time for the result to arrive
    assert hub.status(instance) == "SUSPENDED"
    hub.client.resume_orchestration(instance)
    assert hub.end(instance).serialized_output == '"suspended-gate"'


def test_events_timers_and_suspensions_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    with Running(file, ORCHESTRATORS, ACTIVITIES, workers=0) as before:
        before.start(waits, 3, instance_id="buffered")
        for number in (1, 2, 3):
            before.client.raise_orchestration_event("buffered", "GO", data=number)
        before.add_worker()
        before.start(timer, 1.2, instance_id="timed")
        before.until("timed", "RUNNING")
        held = before.start(waits, 1, instance_id="held")
        before.until(held, "RUNNING")
        before.client.suspend_orchestration(held)
        before.until(held, "SUSPENDED")
        before.client.raise_orchestration_event(held, "go", data="kept")
    with Running(file, ORCHESTRATORS, ACTIVITIES) as after:
        assert after.end("buffered").serialized_output == "[1, 2, 3]"
        assert float(after.end("timed").serialized_output or 0) >= 1.2
        assert after.status("held") == "SUSPENDED"
        after.client.resume_orchestration("held")
        assert after.end("held").serialized_output == '["kept"]'


def test_a_purge_by_filter_leaves_what_runs_and_stops_at_its_time(hub: Running) -> None:
    begin = datetime.now(UTC)
    running = hub.start(waits, 1)
    hub.until(running, "RUNNING")
    for _ in range(3):
        hub.run(fan, 1)
    none = hub.client.purge_orchestrations_by(
        created_time_from=begin, timeout=timedelta(microseconds=1)
    )
    assert (none.deleted_instance_count, none.is_complete) == (0, False)
    some = hub.client.purge_orchestrations_by(created_time_from=begin)
    assert (some.deleted_instance_count, some.is_complete) == (3, True)
    assert hub.status(running) == "RUNNING"
