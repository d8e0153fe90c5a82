"""What becomes of work that somebody asked for and whose process says nothing: pure."""

from datetime import timedelta
from typing import Literal

START_WITHIN = timedelta(minutes=5)
"""HTTP is cut at 230 s in Azure: after this nobody is about to start the process any more."""
WANTED_FOR = timedelta(hours=24)
"""Later the world has gone on: who asked is told, and decides again."""
HOPELESS_AFTER = timedelta(hours=6)
"""No throttle of Microsoft 365 lasts so long: a process that still says nothing hangs."""

ProcessState = Literal["missing", "active", "ended"]
Verdict = Literal["wait", "start", "end"]


def decide(state: ProcessState, *, age: timedelta, silent: timedelta) -> Verdict:
    """For work that is not over: `age` since it was asked for, `silent` since its row changed.

    A process that never began, or was lost with its task hub, is started: the rows say how far
    it came. One that ended without a result is never believed: the rows decide.
    """
    if silent < START_WITHIN:
        return "wait"
    if state == "missing":
        return "start" if age < WANTED_FOR else "end"
    return "end" if state == "ended" or silent >= HOPELESS_AFTER else "wait"


def why(state: ProcessState) -> str:
    """What a person is told of work that was ended so."""
    return {
        "missing": "its process was never started, or was lost; start a new one",
        "ended": "its process ended without a result",
        "active": "its process hangs",
    }[state]
