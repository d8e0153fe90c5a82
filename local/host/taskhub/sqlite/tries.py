"""How often a work item may be lost with its worker: the number and its setting."""

from collections.abc import Mapping

TRIES = 10
"""With the back-off between them they take about nine minutes."""
FEWEST_TRIES = 2
"""The last try has to be alone, else an innocent neighbour would be parked."""
SETTING = "TASK_HUB_TRIES"


class BadTries(ValueError):
    """The setting is no usable number."""


def tries_from(environment: Mapping[str, str]) -> int:
    """How many tries a work item has; raises BadTries."""
    text = environment.get(SETTING, "").strip() or str(TRIES)
    if not text.isdecimal() or int(text) < FEWEST_TRIES:
        raise BadTries(f"{SETTING} is a number from {FEWEST_TRIES} on, not '{text}'")
    return int(text)
