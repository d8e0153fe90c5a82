"""Orchestrators and activities that show one behaviour of the task hub each."""

import threading
from datetime import timedelta
from typing import Any

from durabletask import task

calls: dict[str, int] = {}
gate = threading.Event()
Context = task.OrchestrationContext


def count(_: Any, name: str) -> int:
    calls[name] = calls.get(name, 0) + 1
    return calls[name]


def double(_: Any, number: int) -> int:
    return number * 2


def fails_until(_: Any, given: list[Any]) -> str:
    name, tries = given
    calls[name] = calls.get(name, 0) + 1
    if calls[name] < tries:
        raise ValueError(f"not yet: {calls[name]}")
    return "done"


def waits_at_gate(_: Any, name: str) -> str:
    calls[name] = calls.get(name, 0) + 1
    gate.wait(20)
    return name


def fan(ctx: Context, n: int) -> Any:
    return sum((yield task.when_all([ctx.call_activity(double, input=i) for i in range(n)])))


def child(ctx: Context, n: int) -> Any:
    return (yield ctx.call_activity(double, input=n))


def parent(ctx: Context, ids: list[str]) -> Any:
    children = [
        ctx.call_sub_orchestrator(child, input=i, instance_id=x or None) for i, x in enumerate(ids)
    ]
    return sum((yield task.when_all(children)))


def who_is_my_parent(ctx: Context, _: Any) -> Any:
    return ctx.parent_instance_id


def asks_child(ctx: Context, _: Any) -> Any:
    return (yield ctx.call_sub_orchestrator(who_is_my_parent))


def parent_of_waiting(ctx: Context, name: str) -> Any:
    return (yield ctx.call_sub_orchestrator(waits, input=1, instance_id=name))


def waits(ctx: Context, how_many: int) -> Any:
    seen: list[Any] = []
    while len(seen) < how_many:
        seen.append((yield ctx.wait_for_external_event("Go")))
    return seen


def forgets(ctx: Context, name: str) -> str:
    ctx.call_activity(count, input=name)
    return "at once"


def retries(ctx: Context, given: list[Any]) -> Any:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=30),
        max_number_of_attempts=given[2],
        backoff_coefficient=2,
    )
    return (yield ctx.call_activity(fails_until, input=given[:2], retry_policy=policy))


def fails_then(ctx: Context, given: list[Any]) -> Any:
    first = yield ctx.call_activity(count, input=given[0] + "-before")
    second = yield ctx.call_activity(fails_until, input=given)
    return [first, second]


def parent_of_failing(ctx: Context, given: list[Any]) -> Any:
    return (yield ctx.call_sub_orchestrator(fails_then, input=given, instance_id=given[0] + "-c"))


def gathers(ctx: Context, given: list[Any]) -> Any:
    left, seen = given
    seen = [*seen, (yield ctx.wait_for_external_event("add"))]
    if left > 1:
        ctx.continue_as_new([left - 1, seen], save_events=True)
        return None
    return seen


def old_generation(ctx: Context, left: int) -> Any:
    ctx.call_activity(double, input=left)
    ctx.create_timer(timedelta(milliseconds=10))
    yield ctx.create_timer(timedelta(milliseconds=30))
    if left:
        ctx.continue_as_new(left - 1)
        return None
    return "last"


def status(ctx: Context, value: Any) -> Any:
    ctx.set_custom_status(value)
    yield ctx.wait_for_external_event("end")


def sends(ctx: Context, target: str) -> Any:
    ctx.send_event(target, "go", data=7)
    yield ctx.call_activity(double, input=1)
    return "sent"


def timer(ctx: Context, seconds: float) -> Any:
    before = ctx.current_utc_datetime
    yield ctx.create_timer(timedelta(seconds=seconds))
    return (ctx.current_utc_datetime - before).total_seconds()


def long_timer(ctx: Context, _: Any) -> Any:
    yield ctx.create_timer(timedelta(days=30))


def first_of(ctx: Context, _: Any) -> Any:
    event, due = ctx.wait_for_external_event("go"), ctx.create_timer(timedelta(seconds=20))
    winner = yield task.when_any([event, due])
    due.cancel()
    return winner is event


def at_gate(ctx: Context, name: str) -> Any:
    return (yield ctx.call_activity(waits_at_gate, input=name))


def version_of(ctx: Context, _: Any) -> Any:
    return ctx.version


def calls_entity(ctx: Context, _: Any) -> Any:
    from durabletask.entities import EntityInstanceId

    yield ctx.call_entity(EntityInstanceId("counter", "one"), "add", 1)


def large(_: Any, size: int) -> str:
    return "x" * size


def asks_large(ctx: Context, size: int) -> Any:
    return len((yield ctx.call_activity(large, input=size)))


ORCHESTRATORS = [
    *(fan, child, parent, who_is_my_parent, asks_child, parent_of_waiting, waits, forgets),
    *(retries, fails_then, parent_of_failing, gathers, old_generation, status, sends, timer),
    *(long_timer, first_of, at_gate, version_of, calls_entity, asks_large),
]
