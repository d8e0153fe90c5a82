"""Drives an orchestrator by hand: scripted activities, and time that jumps to the next timer."""

from collections import defaultdict, deque
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

from durabletask import task

START = datetime(2026, 1, 1, tzinfo=UTC)


class Driver:
    """The part of a task hub that one instance sees. `answer(name, input)` plays the activities."""

    def __init__(self, answer: Callable[[str, Any], Any]) -> None:
        self.current_utc_datetime = START
        self.called: list[str] = []
        self._answer = answer
        self._waiting: list[tuple[task.CompletableTask[Any], str, Any]] = []
        self._timers: list[tuple[datetime, task.CancellableTask[None]]] = []
        self._listeners: dict[str, deque[task.CompletableTask[Any]]] = defaultdict(deque)
        self._arrived: dict[str, deque[Any]] = defaultdict(deque)
        self._later: list[tuple[datetime, str, Any]] = []

    def raise_event(self, after: timedelta, name: str, data: Any = None) -> None:
        """Have an event arrive at a time."""
        self._later.append((START + after, name, data))

    def call_activity(self, name: str, **options: Any) -> Any:
        """What the orchestrator calls."""
        waiting: task.CompletableTask[Any] = task.CompletableTask()
        self._waiting.append((waiting, name, options["input"]))
        return waiting

    def create_timer(self, at: datetime) -> Any:
        """What the orchestrator calls."""
        timer: task.CancellableTask[None] = task.CancellableTask()
        self._timers.append((at, timer))
        return timer

    def wait_for_external_event(self, name: str) -> Any:
        """What the orchestrator calls; events that came before are handed over, first in first."""
        waiting: task.CompletableTask[Any] = task.CompletableTask()
        if self._arrived[name]:
            waiting.complete(self._arrived[name].popleft())
        else:
            self._listeners[name].append(waiting)
        return waiting

    def run(self, orchestrator: Any, given: Any) -> Any:
        """Run to the end; returns the output."""
        running: Generator[task.Task[Any], Any, Any] = orchestrator(self, given)
        try:
            waited = next(running)
            while True:
                while not waited.is_complete:
                    self._step()
                if waited.is_failed:
                    waited = running.throw(waited.get_exception())
                else:
                    waited = running.send(waited.get_result())
        except StopIteration as over:
            return over.value

    def _step(self) -> None:
        if self._waiting:
            waiting, name, given = self._waiting.pop(0)
            self.called.append(name)
            try:
                waiting.complete(self._answer(name, given))
            except Exception as fault:  # noqa: BLE001  a task hub turns any fault into a failed task
                waiting.fail(str(fault), fault)
            return
        timers = [(at, None, timer) for at, timer in self._timers if not timer.is_complete]
        events = [(at, (name, data), None) for at, name, data in self._later]
        assert timers or events, "the orchestrator waits for ever"
        at, event, timer = min(timers + events, key=lambda each: each[0])
        self.current_utc_datetime = max(self.current_utc_datetime, at)
        if timer is not None:
            timer.complete(None)
        elif event is not None:
            self._later.remove((at, *event))
            self._deliver(*event)

    def _deliver(self, name: str, data: Any) -> None:
        if self._listeners[name]:
            self._listeners[name].popleft().complete(data)
        else:
            self._arrived[name].append(data)


def orchestrator_of(decorated: Any) -> Any:
    """The generator behind a decorated orchestrator."""
    return decorated._function.get_user_function().orchestrator_function
