"""Entities and locks: the same tests on the hub on disk and on durabletask's in-memory backend.

Where the two differ on purpose the hub keeps what the cloud documents, and the test says so.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.client import EntityQuery, OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend

from local.stack import free_port
from tests.local.hub.entity_programs import (
    ENTITIES,
    ORCHESTRATORS,
    account,
    adds,
    adds_at_once,
    again_while_holding,
    calls_wrong_key,
    fails_in_entity,
    fails_while_holding,
    holds_until_told,
    overdraws,
    record,
    signals,
    signals_later,
    transfer,
)
from tests.local.hub.sdk import Running, eventually


@pytest.fixture(scope="module", params=["sqlite", "memory"])
def both(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    port = free_port()
    memory = InMemoryOrchestrationBackend(port=port) if request.param == "memory" else None
    with Running(file, ORCHESTRATORS, [], entities=ENTITIES, hub=memory) as running:
        yield running


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("hub") / "hub.sqlite"
    with Running(file, ORCHESTRATORS, [], entities=ENTITIES) as running:
        yield running


def state_of(hub: Running, entity: EntityInstanceId) -> Any:
    found = hub.client.get_entity(entity)
    state = found.get_state() if found is not None else None
    return json.loads(state) if state else None


def output(hub: Running, orchestrator: Any, given: Any) -> Any:
    state = hub.run(orchestrator, given)
    assert state.failure_details is None, state.failure_details
    return json.loads(state.serialized_output or "null")


# --- operations


def test_calls_give_results_in_order(both: Running) -> None:
    assert output(both, adds, "calls") == [1, 3]
    assert state_of(both, account("calls")) == 3


def test_calls_at_once_each_run_once(both: Running) -> None:
    assert sorted(output(both, adds_at_once, ["many", 40])) == list(range(1, 41))
    assert state_of(both, account("many")) == 40


def test_signals_of_a_client_arrive_in_order(both: Running) -> None:
    for number in range(20):
        both.client.signal_entity(record("client"), "tell", number)
    eventually(lambda: state_of(both, record("client")) == list(range(20)))


def test_signals_of_an_orchestration(both: Running) -> None:
    assert output(both, signals, ["a", "b"]) == "told"
    for name in ("a", "b"):
        eventually(lambda name=name: state_of(both, record(name)) == [name])


def test_an_entity_signals_another_and_starts_an_orchestration(both: Running) -> None:
    both.client.signal_entity(record("first"), "pass_on", ["second", "hello"])
    eventually(lambda: state_of(both, record("second")) == ["hello"])
    both.client.signal_entity(record("first"), "start", ["started-account", "by-entity"])
    eventually(lambda: both.client.get_orchestration_state("by-entity"))
    assert both.end("by-entity").serialized_output == "[1, 3]"


def test_a_failed_operation_changes_nothing_and_can_be_caught(both: Running) -> None:
    why, after = output(both, overdraws, "poor")
    assert "no money: -5" in why
    assert after == 0


def test_a_failed_operation_fails_who_does_not_catch_it(both: Running) -> None:
    failed = both.run(fails_in_entity, "broken")
    assert failed.runtime_status is OrchestrationStatus.FAILED
    assert failed.failure_details is not None
    assert "as asked" in failed.failure_details.message
    assert state_of(both, record("broken")) is None
    assert both.client.get_entity(record("nobody")) is None


# --- later


def test_scheduled_signals_wait(both: Running) -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.5)
    both.client.signal_entity(record("later"), "tell", "late", signal_time=at)
    both.client.signal_entity(record("later"), "tell", "at once")
    eventually(lambda: state_of(both, record("later")) == ["at once"])
    eventually(lambda: state_of(both, record("later")) == ["at once", "late"])
    assert datetime.now(UTC) >= at
    both.run(signals_later, ["later-too", 0.3])
    eventually(lambda: state_of(both, record("later-too")) == ["now", "late"])
    both.client.signal_entity(account("alarm"), "wake_later", 0.2)
    eventually(lambda: state_of(both, account("alarm")) == 100)


# --- locks


def test_a_lock_over_two_entities_keeps_their_sum(both: Running) -> None:
    for name in ("x", "y", "z"):
        both.client.signal_entity(account(name), "add", 100)
    pairs = [("x", "y"), ("y", "x"), ("y", "z"), ("z", "x")] * 4
    started = [both.start(transfer, [*pair, 7]) for pair in pairs]
    assert {both.end(each).serialized_output for each in started} == {"true"}
    left = {name: state_of(both, account(name)) for name in ("x", "y", "z")}
    assert left == {"x": 128, "y": 72, "z": 100}


def test_a_second_critical_section_waits_for_the_first(both: Running) -> None:
    first = both.start(holds_until_told, ["shared", "other"])
    eventually(lambda: state_of(both, record("shared")) == ["held"])
    second = both.start(holds_until_told, ["other", "shared"])
    both.client.raise_orchestration_event(second, "go")
    both.client.wait_for_orchestration_start(second, timeout=20)
    assert state_of(both, record("other")) is None
    both.client.raise_orchestration_event(first, "go")
    assert both.end(first).serialized_output == '"let go"'
    assert both.end(second).serialized_output == '"let go"'
    assert state_of(both, record("shared")) == ["held", "still held"]
    assert state_of(both, record("other")) == ["held", "still held"]


def test_a_failing_holder_lets_go(both: Running) -> None:
    assert both.run(fails_while_holding, "fallen").runtime_status is OrchestrationStatus.FAILED
    assert output(both, signals, ["fallen"]) == "told"
    eventually(lambda: state_of(both, record("fallen")) == ["before the fall", "fallen"])
    assert both.run(fails_while_holding, "fallen").runtime_status is OrchestrationStatus.FAILED


def test_continue_as_new_lets_go(both: Running) -> None:
    assert output(both, again_while_holding, [3, "again"]) == 4


def test_a_locked_entity_makes_others_wait(disk: Running) -> None:
    """As the cloud documents; the in-memory backend runs them in the middle of the section."""
    holder = disk.start(holds_until_told, ["closed"])
    eventually(lambda: state_of(disk, record("closed")) == ["held"])
    disk.client.signal_entity(record("closed"), "tell", "from outside")
    found = disk.client.get_entity(record("closed"))
    assert found is not None
    assert found._locked_by == holder
    assert found.backlog_queue_size == 1
    disk.client.raise_orchestration_event(holder, "go")
    disk.end(holder)
    eventually(lambda: len(state_of(disk, record("closed"))) == 3)
    assert state_of(disk, record("closed")) == ["held", "still held", "from outside"]


def test_a_terminated_holder_and_a_terminated_waiter_let_go(disk: Running) -> None:
    """The cloud keeps such locks until its storage is cleaned; here they end with their holder."""
    holder, waiter, last = (
        disk.start(holds_until_told, ["ended", "also"], instance_id=f"lock-{n}") for n in range(3)
    )
    eventually(lambda: state_of(disk, record("ended")) == ["held"])
    disk.client.terminate_orchestration(waiter)
    disk.client.terminate_orchestration(holder)
    disk.client.raise_orchestration_event(last, "go")
    assert disk.end(last).serialized_output == '"let go"'
    assert state_of(disk, record("ended")) == ["held", "held", "still held"]
    disk.client.purge_orchestration(holder)
    cleaned = disk.client.clean_entity_storage()
    assert cleaned.orphaned_locks_released == 0


# --- reading


def test_query_pages_and_cleaning(both: Running) -> None:
    for number in range(5):
        both.client.signal_entity(account(f"q{number}"), "add", number + 1)
    eventually(lambda: state_of(both, account("q4")) == 5)
    query = EntityQuery(instance_id_starts_with="@account@q", page_size=2)
    found = both.client.get_all_entities(query)
    assert [e.id.key for e in found] == [f"q{n}" for n in range(5)]
    assert [json.loads(e.get_state()) for e in found] == list(range(1, 6))
    none = EntityQuery("@account@q", last_modified_from=datetime.now(UTC) + timedelta(days=1))
    assert both.client.get_all_entities(none) == []
    bare = both.client.get_all_entities(EntityQuery("@account@q", include_state=False))
    assert [e.includes_state for e in bare] == [False] * 5
    both.client.signal_entity(account("q0"), "delete")
    eventually(lambda: not state_of(both, account("q0")))
    assert both.client.clean_entity_storage().empty_entities_removed >= 1
    assert both.client.get_entity(account("q0")) is None
    left = both.client.get_all_entities(EntityQuery("@account@q"))
    assert [e.id.key for e in left] == ["q1", "q2", "q3", "q4"]
    assert both.client.get_entity(account("never")) is None


# --- bad input


@pytest.mark.parametrize("key", ["a/b", "a#b", "a\nb", "x" * 101])
def test_forbidden_entity_keys_are_refused_and_leave_nothing(disk: Running, key: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        disk.client.signal_entity(account(key), "add", 1)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    failed = disk.run(calls_wrong_key, key)
    assert failed.failure_details is not None
    assert "instance id" in failed.failure_details.message
    everything = disk.client.get_all_entities(EntityQuery(include_transient=True))
    assert key not in [e.id.key for e in everything]


def test_a_state_that_is_too_large_is_not_kept(
    disk: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from local.host.taskhub.sqlite import limits

    monkeypatch.setattr(limits, "LARGEST_PAYLOAD_BYTES", 1_000)
    disk.client.signal_entity(record("sized"), "tell", "small")
    eventually(lambda: state_of(disk, record("sized")) == ["small"])
    disk.client.signal_entity(record("sized"), "large", 2_000)
    eventually(lambda: disk.client.get_entity(record("sized")).backlog_queue_size == 0)
    assert state_of(disk, record("sized")) == ["small"]
    with pytest.raises(grpc.RpcError) as caught:
        disk.client.signal_entity(record("sized"), "tell", "x" * 2_000)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# --- what survives


def test_state_backlog_locks_and_alarms_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    with Running(file, ORCHESTRATORS, [], entities=ENTITIES) as before:
        holder = before.start(holds_until_told, ["kept"])
        eventually(lambda: state_of(before, record("kept")) == ["held"])
        before.client.signal_entity(record("kept"), "tell", "in the backlog")
        before.client.signal_entity(record("dated"), "tell", "late", signal_time=at)
    with Running(file, ORCHESTRATORS, [], entities=ENTITIES) as after:
        assert state_of(after, record("kept")) == ["held"]
        after.client.raise_orchestration_event(holder, "go")
        assert after.end(holder).serialized_output == '"let go"'
        wanted = ["held", "still held", "in the backlog"]
        eventually(lambda: state_of(after, record("kept")) == wanted)
        eventually(lambda: state_of(after, record("dated")) == ["late"])
