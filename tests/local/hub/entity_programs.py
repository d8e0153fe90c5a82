"""Entities, and orchestrators that use them, for one behaviour each."""

from datetime import timedelta
from typing import Any

from durabletask import task
from durabletask.entities import DurableEntity, EntityContext, EntityInstanceId

Context = task.OrchestrationContext


class Account(DurableEntity):
    """A balance; an operation that would make it negative fails and changes nothing."""

    def add(self, amount: int) -> int:
        balance = int(self.get_state(int, 0)) + amount
        self.set_state(balance)
        if balance < 0:
            raise ValueError(f"no money: {balance}")
        return balance

    def get(self, _: Any = None) -> int:
        return int(self.get_state(int, 0))

    def wake_later(self, seconds: float) -> None:
        at = timedelta(seconds=seconds)
        from datetime import UTC, datetime

        self.signal_entity(self.entity_context.entity_id, "add", 100, datetime.now(UTC) + at)


def recorder(ctx: EntityContext, given: Any) -> Any:
    """Keeps what it is told, in order; passes on and starts what it is asked to."""
    if ctx.operation == "tell":
        ctx.set_state([*(ctx.get_state(list, [])), given])
    elif ctx.operation == "large":
        ctx.set_state("x" * given)
    elif ctx.operation == "pass_on":
        ctx.signal_entity(EntityInstanceId("recorder", given[0]), "tell", given[1])
    elif ctx.operation == "start":
        ctx.schedule_new_orchestration("adds", input=given[0], instance_id=given[1])
    elif ctx.operation == "broken":
        ctx.set_state("never kept")
        ctx.signal_entity(EntityInstanceId("recorder", "nobody"), "tell", "never sent")
        raise LookupError("as asked")
    return ctx.get_state()


def account(name: str) -> EntityInstanceId:
    return EntityInstanceId("account", name)


def record(name: str) -> EntityInstanceId:
    return EntityInstanceId("recorder", name)


def adds(ctx: Context, name: str) -> Any:
    first = yield ctx.call_entity(account(name), "add", 1)
    second = yield ctx.call_entity(account(name), "add", 2)
    return [first, second]


def adds_at_once(ctx: Context, given: list[Any]) -> Any:
    calls = [ctx.call_entity(account(given[0]), "add", 1) for _ in range(given[1])]
    return (yield task.when_all(calls))


def signals(ctx: Context, names: list[str]) -> Any:
    for name in names:
        ctx.signal_entity(record(name), "tell", name)
    yield ctx.create_timer(timedelta(milliseconds=1))
    return "told"


def signals_later(ctx: Context, given: list[Any]) -> Any:
    at = ctx.current_utc_datetime + timedelta(seconds=given[1])
    ctx.signal_entity(record(given[0]), "tell", "late", signal_time=at)
    yield ctx.call_entity(record(given[0]), "tell", "now")


def overdraws(ctx: Context, name: str) -> Any:
    try:
        yield ctx.call_entity(account(name), "add", -5)
    except task.TaskFailedError as failed:
        after = yield ctx.call_entity(account(name), "get")
        return [str(failed), after]
    return None


def fails_in_entity(ctx: Context, name: str) -> Any:
    yield ctx.call_entity(record(name), "broken")


def transfer(ctx: Context, given: list[Any]) -> Any:
    """Reads both sides and writes both sides: only a lock keeps the sum right."""
    source, target, amount = given
    with (yield ctx.lock_entities([account(source), account(target)])):
        has = yield ctx.call_entity(account(source), "get")
        if has < amount:
            return False
        yield ctx.call_entity(account(source), "add", -amount)
        yield ctx.call_entity(account(target), "add", amount)
    return True


def holds_until_told(ctx: Context, names: list[str]) -> Any:
    with (yield ctx.lock_entities([record(name) for name in names])):
        ctx.set_custom_status("holding")
        yield ctx.call_entity(record(names[0]), "tell", "held")
        yield ctx.wait_for_external_event("go")
        yield ctx.call_entity(record(names[0]), "tell", "still held")
    return "let go"


def fails_while_holding(ctx: Context, name: str) -> Any:
    with (yield ctx.lock_entities([record(name)])):
        yield ctx.call_entity(record(name), "tell", "before the fall")
        raise ValueError("fell")


def again_while_holding(ctx: Context, given: list[Any]) -> Any:
    left, name = given
    with (yield ctx.lock_entities([account(name)])):
        yield ctx.call_entity(account(name), "add", 1)
        if left:
            ctx.continue_as_new([left - 1, name])
            return None
    return (yield ctx.call_entity(account(name), "get"))


def calls_wrong_key(ctx: Context, key: str) -> Any:
    yield ctx.call_entity(EntityInstanceId("account", key), "add", 1)


ENTITIES = [Account, recorder]
ORCHESTRATORS = [
    *(adds, adds_at_once, signals, signals_later, overdraws, fails_in_entity, transfer),
    *(holds_until_told, fails_while_holding, again_while_holding, calls_wrong_key),
]
