"""What the SDK's own in-memory backend promises, re-derived for the hub on disk.

Origin: durabletask 1.12's published behaviour and functions-facts.md 7.1 and 7.2.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from durabletask.client import OrchestrationQuery, OrchestrationStatus
from durabletask.internal import orchestrator_service_pb2 as pb

from tests.local.hub.programs import (
    ORCHESTRATORS,
    asks_child,
    asks_large,
    at_gate,
    calls,
    calls_entity,
    count,
    double,
    fails_then,
    fails_until,
    fan,
    first_of,
    forgets,
    gate,
    gathers,
    large,
    long_timer,
    old_generation,
    parent,
    parent_of_failing,
    parent_of_waiting,
    retries,
    sends,
    status,
    timer,
    version_of,
    waits,
    waits_at_gate,
)
from tests.local.hub.sdk import Running, eventually


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    activities = [double, count, fails_until, waits_at_gate, large]
    with Running(file, ORCHESTRATORS, activities) as running:
        yield running


def code_of(call: Any, *given: Any, **named: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(*given, **named)
    return caught.value.code()


def test_fan_out_and_a_chain_of_children(hub: Running) -> None:
    assert hub.run(fan, 50).serialized_output == "2450"
    assert hub.run(parent, ["", "own-child", ""], instance_id="p1").serialized_output == "6"
    assert hub.status("own-child") == "COMPLETED"
    assert hub.status("p1:0001") == "COMPLETED"  # the default id is deterministic


def test_a_child_knows_its_parent(hub: Running) -> None:
    assert hub.run(asks_child, instance_id="asking").serialized_output == '"asking"'


def test_an_activity_that_is_not_awaited_runs(hub: Running) -> None:
    assert hub.run(forgets, "forgotten").serialized_output == '"at once"'
    eventually(lambda: calls.get("forgotten") == 1)


def test_retry_policy(hub: Running) -> None:
    assert hub.run(retries, ["third", 3, 5]).serialized_output == '"done"'
    assert calls["third"] == 3
    failed = hub.run(retries, ["never", 9, 2])
    assert failed.runtime_status is OrchestrationStatus.FAILED
    assert failed.failure_details is not None
    assert "not yet: 2" in failed.failure_details.message
    assert failed.serialized_output is None


def test_events_are_buffered_in_order_without_regard_to_case(hub: Running) -> None:
    instance = hub.start(waits, 3)
    for number in (1, 2, 3):
        hub.client.raise_orchestration_event(instance, "gO", data=number)
    assert hub.end(instance).serialized_output == "[1, 2, 3]"


def test_an_event_for_nobody_and_for_a_finished_instance(hub: Running) -> None:
    raising = hub.client.raise_orchestration_event
    assert code_of(raising, "nobody", "go") is grpc.StatusCode.NOT_FOUND
    raising(hub.run(fan, 1).instance_id, "go")  # accepted silently


def test_continue_as_new_carries_events(hub: Running) -> None:
    instance = hub.start(gathers, [4, []])
    for letter in "abcd":
        hub.client.raise_orchestration_event(instance, "add", data=letter)
    assert hub.end(instance).serialized_output == '["a", "b", "c", "d"]'


def test_results_and_timers_of_an_older_generation_are_dropped(hub: Running) -> None:
    assert hub.run(old_generation, 5).serialized_output == '"last"'


@pytest.mark.parametrize("value", [0, "", False, {"a": [1]}])
def test_custom_status(hub: Running, value: Any) -> None:
    import json

    instance = hub.start(status, value)
    hub.client.wait_for_orchestration_start(instance)
    found = hub.client.get_orchestration_state(instance)
    assert found is not None
    assert json.loads(found.serialized_custom_status or "null") == value
    hub.client.raise_orchestration_event(instance, "end")
    hub.end(instance)


def test_a_custom_status_that_is_too_large_fails_visibly(hub: Running) -> None:
    failed = hub.run(status, "x" * 9000)
    assert failed.failure_details is not None
    assert "custom status" in failed.failure_details.message


def test_events_between_instances(hub: Running) -> None:
    target = hub.start(waits, 1)
    assert hub.run(sends, target).serialized_output == '"sent"'
    assert hub.end(target).serialized_output == "[7]"
    assert hub.run(sends, "nobody").serialized_output == '"sent"'


def test_timers(hub: Running) -> None:
    assert float(hub.run(timer, 0.2).serialized_output or "0") >= 0.2
    instance = hub.start(first_of)
    hub.client.raise_orchestration_event(instance, "go")
    assert hub.end(instance).serialized_output == "true"
    assert hub.status(hub.start(long_timer)) in ("PENDING", "RUNNING")


def test_terminate_is_at_once_and_reaches_children(hub: Running) -> None:
    instance = hub.start(parent_of_waiting, "terminated-child")
    eventually(lambda: hub.client.get_orchestration_state("terminated-child"))
    hub.client.terminate_orchestration(instance, output="enough", recursive=True)
    assert hub.status(instance) == "TERMINATED"
    assert hub.status("terminated-child") == "TERMINATED"
    assert hub.end(instance).serialized_output == '"enough"'


def test_a_terminated_child_fails_its_parents_task(hub: Running) -> None:
    instance = hub.start(parent_of_waiting, "lonely")
    eventually(lambda: hub.client.get_orchestration_state("lonely"))
    hub.client.terminate_orchestration("lonely")
    failed = hub.end(instance)
    assert failed.failure_details is not None
    assert "terminated" in failed.failure_details.message


def test_suspend_holds_events_and_resume_lets_them_in(hub: Running) -> None:
    instance = hub.start(waits, 2)
    hub.client.wait_for_orchestration_start(instance)
    hub.client.suspend_orchestration(instance, reason="wait")
    hub.client.suspend_orchestration(instance)  # twice in a row: the SDK's worker must not see it
    hub.until(instance, "SUSPENDED")
    for number in (1, 2):
        hub.client.raise_orchestration_event(instance, "go", data=number)
    hub.client.suspend_orchestration(instance)
    assert hub.status(instance) == "SUSPENDED"
    hub.client.resume_orchestration(instance)
    assert hub.end(instance).serialized_output == "[1, 2]"
    assert code_of(hub.client.suspend_orchestration, "nobody") is grpc.StatusCode.NOT_FOUND


def test_a_suspended_instance_can_be_terminated(hub: Running) -> None:
    instance = hub.start(waits, 1)
    hub.client.suspend_orchestration(instance)
    hub.until(instance, "SUSPENDED")
    hub.client.terminate_orchestration(instance)
    assert hub.status(instance) == "TERMINATED"


def test_start_with_a_known_id(hub: Running) -> None:
    running = hub.start(waits, 1, instance_id="known")
    assert code_of(hub.start, fan, 1, instance_id="known") is grpc.StatusCode.ALREADY_EXISTS
    hub.client.raise_orchestration_event(running, "go")
    hub.end(running)
    assert code_of(hub.start, fan, 1, instance_id="known") is grpc.StatusCode.ALREADY_EXISTS
    policy = pb.OrchestrationIdReusePolicy(
        replaceableStatus=[pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_FAILED]
    )
    hub.start(fan, 3, instance_id="known", reuse_id_policy=policy)
    assert hub.end("known").serialized_output == "6"


def test_start_at(hub: Running) -> None:
    instance = hub.start(fan, 2, start_at=datetime.now(UTC) + timedelta(seconds=0.6))
    hub.client.raise_orchestration_event(instance, "early")
    assert hub.status(instance) == "PENDING"
    assert hub.end(instance).serialized_output == "2"


def test_purge(hub: Running) -> None:
    hub.run(parent, ["purged-child"], instance_id="purged")
    waiting = hub.start(waits, 1)
    assert hub.client.purge_orchestration(waiting).deleted_instance_count == 0
    assert hub.client.purge_orchestration("purged", recursive=True).deleted_instance_count == 2
    assert hub.client.get_orchestration_state("purged") is None
    assert hub.client.get_orchestration_state("purged-child") is None
    begin = datetime.now(UTC)
    for _ in range(3):
        hub.run(fan, 1)
    gone = hub.client.purge_orchestrations_by(
        created_time_from=begin, runtime_status=[OrchestrationStatus.COMPLETED]
    )
    assert gone.deleted_instance_count == 3


def test_query_pages_by_itself(hub: Running) -> None:
    for number in range(5):
        hub.run(fan, 1, instance_id=f"query-{number}")
    query = OrchestrationQuery(max_instance_count=2, fetch_inputs_and_outputs=True)
    found = hub.client.get_all_orchestration_states(query)
    mine = [s for s in found if s.instance_id.startswith("query-")]
    assert [s.instance_id for s in mine] == [f"query-{n}" for n in range(5)]
    assert {s.serialized_output for s in mine} == {"0"}
    first = hub.client.list_instance_ids(page_size=2)
    second = hub.client.list_instance_ids(page_size=2, continuation_token=first.continuation_token)
    assert not set(first.items) & set(second.items)


def test_restart(hub: Running) -> None:
    done = hub.run(fan, 4, instance_id="restarted")
    assert done.serialized_output == "12"
    again = hub.client.restart_orchestration("restarted", restart_with_new_instance_id=True)
    assert hub.end(again).serialized_output == "12"
    hub.client.restart_orchestration("restarted")
    assert hub.end("restarted").serialized_output == "12"
    restart = hub.client.restart_orchestration
    waiting = hub.start(waits, 1)
    assert code_of(restart, waiting) is grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(restart, "nobody") is grpc.StatusCode.NOT_FOUND


def test_rewind_repeats_only_what_failed(hub: Running) -> None:
    failed = hub.run(fails_then, ["rewound", 2], instance_id="rewound")
    assert failed.runtime_status is OrchestrationStatus.FAILED
    hub.client.rewind_orchestration("rewound", reason="mended")
    assert hub.end("rewound").serialized_output == '[1, "done"]'
    assert calls["rewound-before"] == 1
    rewind = hub.client.rewind_orchestration
    assert code_of(rewind, "rewound") is grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(rewind, "nobody") is grpc.StatusCode.NOT_FOUND


def test_rewind_reaches_the_failed_child(hub: Running) -> None:
    hub.run(parent_of_failing, ["deep", 2], instance_id="deep")
    hub.client.rewind_orchestration("deep")
    assert hub.end("deep").serialized_output == '[1, "done"]'
    assert calls["deep-before"] == 1


def test_a_purged_child_runs_anew_after_a_rewind(hub: Running) -> None:
    hub.run(parent_of_failing, ["anew", 3], instance_id="anew")
    hub.client.purge_orchestration("anew-c")
    calls["anew"] = 2
    hub.client.rewind_orchestration("anew")
    assert hub.end("anew").serialized_output == '[2, "done"]'


def test_tags_and_versions(hub: Running) -> None:
    instance = hub.start(version_of, tags={"a": "b"}, version="2.1")
    assert hub.end(instance).serialized_output == '"2.1"'


def test_history(hub: Running) -> None:
    instance = hub.run(fan, 2).instance_id
    kinds = [type(event).__name__ for event in hub.client.get_orchestration_history(instance)]
    assert kinds[:2] == ["OrchestratorStartedEvent", "ExecutionStartedEvent"]
    assert kinds.count("TaskCompletedEvent") == 2
    assert kinds[-1] == "ExecutionCompletedEvent"
    history = hub.client.get_orchestration_history
    assert code_of(history, "nobody") is grpc.StatusCode.NOT_FOUND


def test_waiting(hub: Running) -> None:
    assert hub.client.wait_for_orchestration_completion("nobody", timeout=5) is None
    instance = hub.start(waits, 1)
    started = hub.client.wait_for_orchestration_start(instance, timeout=20)
    assert started is not None
    with pytest.raises(TimeoutError):
        hub.client.wait_for_orchestration_completion(instance, timeout=0.2)
    waiters = hub.hub.hub._delivery.waiters
    eventually(lambda: not len(waiters))  # who gave up is forgotten
    hub.client.raise_orchestration_event(instance, "go")
    hub.end(instance)
    hub.client.wait_for_orchestration_completion(instance, timeout=20)
    assert not len(waiters)


@pytest.mark.parametrize("instance", ["a/b", "a\\b", "a#b", "a?b", "a\nb", "@entity@x", "x" * 101])
def test_forbidden_ids_are_refused_and_leave_nothing(hub: Running, instance: str) -> None:
    refused = code_of(hub.start, fan, 1, instance_id=instance)
    assert refused is grpc.StatusCode.INVALID_ARGUMENT
    assert hub.client.get_orchestration_state(instance) is None


def test_a_forbidden_child_id_fails_the_parents_task(hub: Running) -> None:
    failed = hub.run(parent, ["a/b"])
    assert failed.failure_details is not None
    assert "may not contain" in failed.failure_details.message


def test_payloads(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from local.host.taskhub.sqlite import limits

    monkeypatch.setattr(limits, "LARGEST_PAYLOAD_BYTES", 100_000)
    assert hub.run(asks_large, 90_000).serialized_output == "90000"
    failed = hub.run(asks_large, 100_001)
    assert failed.failure_details is not None
    assert "at most 100,000 are taken" in failed.failure_details.message
    refused = code_of(hub.start, fan, "x" * 100_001, instance_id="too-large")
    assert refused is grpc.StatusCode.INVALID_ARGUMENT
    assert hub.client.get_orchestration_state("too-large") is None


def test_an_entity_that_no_worker_knows_fails_the_caller(hub: Running) -> None:
    failed = hub.run(calls_entity)
    assert failed.runtime_status is OrchestrationStatus.FAILED
    assert failed.failure_details is not None
    assert "'counter' was not registered" in failed.failure_details.message


def test_unknown_names(hub: Running) -> None:
    failed = hub.run("no_such_orchestrator")
    assert failed.failure_details is not None
    assert "no_such_orchestrator" in failed.failure_details.message
    assert code_of(hub.start, "") is grpc.StatusCode.INVALID_ARGUMENT


def test_a_second_worker_takes_over_what_the_first_cannot_finish(hub: Running) -> None:
    gate.clear()
    instance = hub.start(at_gate, "gate")
    eventually(lambda: calls.get("gate") == 1)
    hub.add_worker()
    gate.set()
    assert hub.end(instance).serialized_output == '"gate"'
