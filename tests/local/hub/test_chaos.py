"""Random orchestrator programs give the same output with and without chaos (functions-facts 10)."""

import random
import threading
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask import task
from durabletask.entities import EntityContext, EntityInstanceId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.host.taskhub.sqlite.chaos import BadSwitch, Chaos, Switches, parse
from tests.local.hub.sdk import Running

Context = task.OrchestrationContext
ran: Counter[tuple[str, int, int]] = Counter()
lock = threading.Lock()

# A program is a list of steps; what a step gives is a pure function of the step and the input.
leaf = st.one_of(
    st.tuples(st.just("act"), st.integers(0, 99)),
    st.tuples(st.just("all"), st.lists(st.integers(0, 99), min_size=1, max_size=8)),
    st.tuples(st.just("any"), st.integers(0, 99)),
    st.tuples(st.just("fail"), st.integers(0, 99)),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("event"), st.integers(0, 99)),
    st.tuples(st.just("entity"), st.integers(1, 99)),
    st.tuples(st.just("lock"), st.integers(1, 99)),
)
programs = st.lists(
    st.one_of(
        leaf,
        st.tuples(st.just("child"), st.lists(leaf, min_size=1, max_size=3)),
        st.tuples(st.just("again"), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=5,
)


def work(ctx: task.ActivityContext, number: int) -> int:
    with lock:
        ran[(ctx.orchestration_id, ctx.task_id, number)] += 1
    return number * 3 + 1


def breaks(_: Any, number: int) -> int:
    raise LookupError(str(number))


def tally(ctx: EntityContext, number: int) -> int:
    """What is added twice shows."""
    ctx.set_state(ctx.get_state(int, 0) + number)
    return int(ctx.get_state(int, 0))


def program(ctx: Context, steps: list[Any]) -> Any:
    seen: list[Any] = []
    for place, (kind, value) in enumerate(steps):
        if kind == "act":
            seen.append((yield ctx.call_activity(work, input=value)))
        elif kind == "all":
            seen.append((yield task.when_all([ctx.call_activity(work, input=v) for v in value])))
        elif kind == "any":
            first = yield task.when_any([ctx.call_activity(work, input=value)])
            seen.append(first.get_result())
        elif kind == "fail":
            try:
                yield ctx.call_activity(breaks, input=value)
            except task.TaskFailedError as failed:
                seen.append(failed.details.message)
        elif kind == "wait":
            yield ctx.create_timer(timedelta(milliseconds=value))
            seen.append("waited")
        elif kind == "event":
            yield ctx.call_sub_orchestrator(sender, input=[ctx.instance_id, value])
            seen.append((yield ctx.wait_for_external_event(f"e{value}")))
        elif kind == "child":
            seen.append((yield ctx.call_sub_orchestrator(program, input=value)))
        elif kind == "again":
            seen.append((yield ctx.call_sub_orchestrator(counts, input=[value, []])))
        elif kind == "entity":
            mine = EntityInstanceId("tally", f"{ctx.instance_id}-{place}")
            both = [ctx.call_entity(mine, "add", value) for _ in range(2)]
            seen.append(sorted((yield task.when_all(both))))
        elif kind == "lock":
            mine = EntityInstanceId("tally", f"{ctx.instance_id}-{place}")
            with (yield ctx.lock_entities([mine, EntityInstanceId("tally", "shared")])):
                yield ctx.call_entity(EntityInstanceId("tally", "shared"), "add", 1)
                seen.append((yield ctx.call_entity(mine, "add", value)))
    return seen


def sender(ctx: Context, given: list[Any]) -> Any:
    yield ctx.call_activity(work, input=given[1])
    ctx.send_event(given[0], f"e{given[1]}", data=given[1])


def counts(ctx: Context, given: list[Any]) -> Any:
    left, seen = given
    seen = [*seen, (yield ctx.call_activity(work, input=left))]
    if left:
        ctx.continue_as_new([left - 1, seen])
        return None
    return seen


def expected(steps: list[Any]) -> list[Any]:
    """What a program gives when nothing ever goes wrong."""
    found: list[Any] = []
    for kind, value in steps:
        match kind:
            case "act" | "any":
                found.append(value * 3 + 1)
            case "all":
                found.append([v * 3 + 1 for v in value])
            case "fail":
                found.append(str(value))
            case "wait":
                found.append("waited")
            case "entity":
                found.append([value, 2 * value])
            case "event" | "lock":
                found.append(value)
            case "child":
                found.append(expected(value))
            case "again":
                found.append([n * 3 + 1 for n in range(value, -1, -1)])
    return found


CHAOS = Switches(
    activity_twice=0.2,
    crash_before_commit=0.01,
    crash_after_commit=0.01,
    delay=0.005,
    reorder=0.3,
    drop_worker=0.01,
)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("calm") / "hub.sqlite"
    with Running(file, [program, sender, counts], [work, breaks], entities=[tally]) as running:
        yield running


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=programs)
def test_without_chaos(calm: Running, steps: list[Any]) -> None:
    ran.clear()
    state = calm.run(program, steps)
    assert state.get_output() == expected(steps)
    assert set(ran.values()) <= {1}  # nothing ran twice


@pytest.mark.parametrize("seed", range(4))
def test_with_chaos(tmp_path: Path, seed: int) -> None:
    """Activities may run more than once; what comes out is the same."""
    chance = random.Random(seed)
    many = [_random_program(chance) for _ in range(12)]
    switches = Switches(**{**CHAOS.__dict__, "seed": seed})
    functions = [program, sender, counts], [work, breaks]
    file = tmp_path / "hub.sqlite"
    with Running(file, *functions, entities=[tally], workers=2, switches=switches) as hub:
        names = [f"i{number}" for number in range(len(many))]
        for name, steps in zip(names, many, strict=True):
            _insist(partial(hub.start, program, steps, instance_id=name))
        for name, steps in zip(names, many, strict=True):
            state = _insist(partial(hub.end, name))
            assert state.get_output() == expected(steps), steps
        assert hub.hub.hub.crashes > 0
        shared = hub.client.get_entity(EntityInstanceId("tally", "shared"))
        locked = sum(_locks(steps) for steps in many)
        assert (int(shared.get_state()) if shared else 0) == locked


ALONE = {
    "activity_twice": 0.5,
    "crash_before_commit": 0.05,
    "crash_after_commit": 0.05,
    "delay": 0.02,
    "reorder": 0.8,
    "drop_worker": 0.05,
}


@pytest.mark.parametrize("name", ALONE)
def test_each_switch_alone_strikes_and_changes_nothing(tmp_path: Path, name: str) -> None:
    steps = [["all", list(range(8))], ["child", [["act", 3]]], ["again", 3], ["lock", 5]] * 2
    switches = Switches(**{"seed": 11, name: ALONE[name]})
    file, functions = tmp_path / "hub.sqlite", ([program, sender, counts], [work, breaks])
    with Running(file, *functions, entities=[tally], workers=2, switches=switches) as hub:
        chaos = hub.hub.hub._chaos
        for number in range(20):
            instance = f"alone-{number}"
            _insist(partial(hub.start, program, steps, instance_id=instance))
            assert _insist(partial(hub.end, instance)).get_output() == expected(steps)
            if chaos.done[name]:
                break
        assert set(+chaos.done) == {name}


def test_the_same_seed_decides_the_same() -> None:
    def decisions(seed: int) -> list[bool]:
        chaos = Chaos(Switches(seed=seed, activity_twice=0.5))
        return [chaos.again() for _ in range(40)]

    assert decisions(7) == decisions(7) != decisions(8)


def _locks(steps: list[Any]) -> int:
    return sum(
        1 if kind == "lock" else _locks(value) if kind == "child" else 0 for kind, value in steps
    )


def _insist(call: Any) -> Any:
    """A client tries again while the hub is away; a start that was kept says so."""
    while True:
        try:
            return call()
        except grpc.RpcError as fault:
            if fault.code() is grpc.StatusCode.ALREADY_EXISTS:
                return None
            if fault.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(0.05)


def _random_program(chance: random.Random) -> list[Any]:
    def step(depth: int) -> list[Any]:
        kind = chance.choice(
            ["act", "all", "any", "fail", "wait", "event", "entity", "lock"]
            + ["child", "again"] * depth
        )
        match kind:
            case "all":
                return [kind, [chance.randrange(99) for _ in range(chance.randint(1, 8))]]
            case "child":
                return [kind, [step(0) for _ in range(chance.randint(1, 3))]]
            case "again":
                return [kind, chance.randrange(4)]
            case "wait":
                return [kind, chance.randint(1, 30)]
        return [kind, chance.randrange(99)]

    return [step(1) for _ in range(chance.randint(1, 5))]


def test_switches_are_read_and_nonsense_is_refused() -> None:
    assert parse("seed=7,activity-twice=0.5,replay-twice") == Switches(
        seed=7, activity_twice=0.5, replay_twice=True
    )
    for wrong in ("nothing=1", "reorder=2", "seed=x"):
        with pytest.raises(BadSwitch):
            parse(wrong)
