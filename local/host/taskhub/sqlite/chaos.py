"""Seeded disorder for tests: what the cloud does now and then, done often and on purpose.

One local transaction is stronger than the cloud's guarantee; these switches bring the cloud's
weakness back (functions-facts.md 10).
"""

import random
from collections import Counter
from dataclasses import dataclass, fields


class Crash(Exception):
    """The hub dies here: memory is lost, the file stays as it is."""


@dataclass(frozen=True)
class Switches:
    """Probabilities from 0 to 1; `delay` is at most so many seconds before an item is sent."""

    seed: int = 0
    activity_twice: float = 0.0
    """An activity is handed out a second time."""
    crash_before_commit: float = 0.0
    crash_after_commit: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    """Another item than the oldest is taken, and results reach an instance in another order."""
    drop_worker: float = 0.0
    """A worker's stream is cut after an item."""
    replay_twice: bool = False
    """Every orchestrator runs twice on the same history; both must do the same (worker's side)."""


class BadSwitch(ValueError):
    """A chaos switch is not known or has no such value."""


def parse(text: str) -> Switches:
    """Read `seed=7,activity-twice=0.1,replay-twice`; raises BadSwitch."""
    known = {f.name.replace("_", "-"): f for f in fields(Switches)}
    values: dict[str, int | float | bool] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if name not in known:
            raise BadSwitch(f"there is no chaos switch '{name}'; there are {', '.join(known)}")
        kind = known[name].type
        try:
            number: int | float | bool
            if kind is bool:
                number = value.lower() in ("", "1", "true", "yes")
            elif kind is int:
                number = int(value)
            else:
                number = float(value)
        except ValueError as fault:
            raise BadSwitch(f"the chaos switch '{name}' has no value '{value}'") from fault
        if kind is float and name != "delay" and not 0 <= number <= 1:
            raise BadSwitch(f"the chaos switch '{name}' is a probability, not {value}")
        values[known[name].name] = number
    return Switches(**values)  # type: ignore[arg-type]


class Chaos:
    """Decides by its seed. Used on the event loop alone."""

    def __init__(self, switches: Switches) -> None:
        self.switches = switches
        self._random = random.Random(switches.seed)
        self.done: Counter[str] = Counter()
        """How often each switch struck."""

    def _hit(self, name: str) -> bool:
        probability = getattr(self.switches, name)
        strikes = probability > 0 and self._random.random() < probability
        self.done[name] += strikes
        return bool(strikes)

    def before_commit(self) -> None:
        """Maybe die with the work done and not kept."""
        if self._hit("crash_before_commit"):
            raise Crash

    def after_commit(self) -> None:
        """Maybe die with the work kept and nobody told."""
        if self._hit("crash_after_commit"):
            raise Crash

    def again(self) -> bool:
        """Whether this activity is handed out twice."""
        return self._hit("activity_twice")

    def drops_worker(self) -> bool:
        """Whether the worker is cut off now."""
        return self._hit("drop_worker")

    def pause(self) -> float:
        """Seconds to hold an item back."""
        if not self.switches.delay:
            return 0.0
        self.done["delay"] += 1
        return self._random.uniform(0, self.switches.delay)

    def pick(self, count: int) -> int:
        """Which of `count` waiting items is next."""
        return self._random.randrange(count) if self._hit("reorder") else 0

    def shuffle[T](self, items: list[T]) -> list[T]:
        """The items, maybe in another order."""
        if not self._hit("reorder"):
            return items
        mixed = list(items)
        self._random.shuffle(mixed)
        return mixed
