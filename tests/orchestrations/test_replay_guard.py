"""Running instances survive a deployment: recorded histories are replayed against today's code.

A turn of a recorded history is given to today's orchestrator as the host would give it; it must ask
for the same as then: same number, kind and name. `python -m local.histories` records.
"""

import asyncio
import base64
import importlib
import inspect
import pkgutil
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import pytest
from durabletask import task
from durabletask.internal import orchestrator_service_pb2 as pb

import orchestrations
from local.histories import HISTORIES, load

NEW: set[str] = set()
"""Not deployed yet: nothing of theirs runs. Record them, then take them out of here."""


def handlers() -> dict[str, Any]:
    """Orchestrators by name: what the platform calls, a request in, a response out."""
    app = df.DFApp()
    for module in pkgutil.iter_modules(orchestrations.__path__):
        imported = importlib.import_module(f"orchestrations.{module.name}")
        if hasattr(imported, "blueprint"):
            app.register_functions(imported.blueprint)
    return {
        function.get_trigger().orchestration
        or function.get_function_name(): function.get_user_function()
        for function in app.get_functions()
        if function.get_trigger().type == "orchestrationTrigger"
        and not function.get_function_name().startswith("BuiltIn__")
    }


GUARDED = handlers()
RECORDED = sorted(HISTORIES.glob("*.json"))
ASKED = {
    "scheduleTask": ("taskScheduled", "name"),
    "createSubOrchestration": ("subOrchestrationInstanceCreated", "name"),
    "sendEvent": ("eventSent", "name"),
    "createTimer": ("timerCreated", ""),
}


class Broken(AssertionError):
    """Today's code would break instances that are running now."""


def replay(name: str, handler: Any, events: list[Any]) -> int:
    """Replay turn by turn; the number of turns. Raises Broken with orchestrator and event."""
    past: list[Any] = []
    turns = 0
    for taken, asked, ended in split(events):
        request = pb.OrchestratorRequest(instanceId="replayed", pastEvents=past, newEvents=taken)
        body = base64.b64encode(request.SerializeToString()).decode()
        returned = handler(SimpleNamespace(body=body))
        encoded = asyncio.run(returned) if inspect.isawaitable(returned) else returned
        answer = pb.OrchestratorResponse.FromString(base64.b64decode(encoded))
        compare(name, len(past) + len(taken), asked, ended, list(answer.actions))
        past += [*taken, *asked]
        turns += 1
    return turns


def split(events: list[Any]) -> list[tuple[list[Any], list[Any], Any | None]]:
    """Turns: what came in, what was asked for, and the end if it was the last."""
    turns: list[tuple[list[Any], list[Any], Any | None]] = []
    for event in events:
        kind = event.WhichOneof("eventType")
        if kind == "orchestratorStarted":
            turns.append(([event], [], None))
        elif kind == "executionCompleted":
            turns[-1] = (*turns[-1][:2], event.executionCompleted)
        elif kind != "orchestratorCompleted":
            turns[-1][1 if event.eventId >= 0 else 0].append(event)
    return turns


def compare(name: str, at: int, asked: list[Any], ended: Any, actions: list[Any]) -> None:
    now = {action.id: action for action in actions}
    for number, event in enumerate(asked):
        was = (
            event.WhichOneof("eventType"),
            getattr(getattr(event, event.WhichOneof("eventType")), "name", ""),
        )
        action = now.pop(event.eventId, None)
        if describe(action) != was:
            raise Broken(
                f"{name}: event {at + number}, {was[0]} {was[1]} (#{event.eventId}): today's code "
                f"does {' '.join(describe(action))} there; {reason(actions)}"
            )
    ends = [a for a in now.values() if a.HasField("completeOrchestration")]
    more = [describe(a) for a in now.values() if a not in ends]
    if more:
        raise Broken(f"{name}: after event {at + len(asked) - 1} today's code also does {more[0]}")
    status = ends[0].completeOrchestration.orchestrationStatus if ends else None
    if status != (ended.orchestrationStatus if ended is not None else None):
        raise Broken(f"{name}: at event {at + len(asked)} it ends otherwise: {reason(actions)}")


def describe(action: Any) -> tuple[str, str]:
    if action is None:
        return "nothing", ""
    kind = action.WhichOneof("orchestratorActionType")
    event, field = ASKED.get(kind, (kind, ""))
    return event, getattr(getattr(action, kind), field) if field else ""


def reason(actions: list[Any]) -> str:
    for action in actions:
        if action.HasField("completeOrchestration"):
            return str(action.completeOrchestration.failureDetails.errorMessage)[:300]
    return ""


@pytest.mark.parametrize("path", RECORDED, ids=[path.stem for path in RECORDED])
def test_running_instances_survive_todays_code(path: Any) -> None:
    name, events = load(path)
    assert replay(name, GUARDED[name], events) >= 1


def test_every_orchestrator_is_guarded() -> None:
    assert {load(path)[0] for path in RECORDED} == set(GUARDED) - NEW


def changed(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Any:
    yield ctx.call_activity("plan_session", input=given)
    yield ctx.call_activity("something_new", input=given)


def shortened(ctx: task.OrchestrationContext, given: dict[str, Any]) -> Any:
    yield ctx.call_activity("plan_session", input=given)


@pytest.mark.parametrize(
    ("orchestrator", "said"),
    [
        (changed, r"backup_session: event \d+, subOrchestrationInstanceCreated protect_group"),
        (shortened, r"backup_session: event \d+, subOrchestrationInstanceCreated protect_group"),
    ],
)
def test_a_change_that_breaks_is_named(orchestrator: Any, said: str) -> None:
    from azure.durable_functions.orchestrator import Orchestrator

    path = next(path for path in RECORDED if path.name.startswith("backup_session"))
    handler = Orchestrator.create(orchestrator)
    with pytest.raises(Broken, match=said):
        replay("backup_session", handler, load(path)[1])
