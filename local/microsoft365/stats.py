"""Counting what was asked of the simulator."""

from collections import Counter
from typing import Any


class Stats:
    """Counters since the start or the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start from nothing."""
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.throttled = 0
        self.inside_fence = 0
        self.units = 0
        self.bytes_out = 0
        self.bytes_in = 0
        self.faults = 0
        self.invitations = 0  # people told about a meeting by mail
        self.most_in_flight = 0

    def as_json(self) -> dict[str, Any]:
        """Return the counters as /_sim/stats shows them."""
        return {
            "requests": dict(self.requests),
            "statuses": dict(self.statuses),
            "total": self.requests.total(),
            "throttled": self.throttled,
            "insideFence": self.inside_fence,
            "ru": self.units,
            "bytesOut": self.bytes_out,
            "bytesIn": self.bytes_in,
            "faults": self.faults,
            "invitations": self.invitations,
            "mostInFlightPerMailbox": self.most_in_flight,
        }
