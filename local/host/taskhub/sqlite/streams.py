"""One worker's connection: what it may be given, what it holds, and the bytes on their way."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNLIMITED = 1_000
"""Items at once for a worker that names no limit."""
TURN_TAG, ACTIVITY_TAG, BATCH_TAG, TOKEN_TAG = b"\x0a", b"\x12", b"\x2a", b"\x52"
"""Fields 1, 2, 5 and 10 of a WorkItem, each with a length before its bytes."""

HEALTH_PING = b"\x22\x00"
"""A WorkItem with an empty healthPing, field 4."""

Filter = Mapping[str, frozenset[str]] | None
"""Names, each with its versions (none: any version); None lets everything through."""


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def work_item(tag: bytes, request: bytes, token: str) -> bytes:
    """A serialised WorkItem around an already serialised request."""
    mark = token.encode()
    return b"".join((tag, varint(len(request)), request, TOKEN_TAG, varint(len(mark)), mark))


def read_filter(filters: Any) -> Filter:
    """Names and versions a worker takes."""
    found: dict[str, frozenset[str]] = {}
    for each in filters:
        found[each.name] = found.get(each.name, frozenset()) | frozenset(each.versions)
    return found


def fits(names: Filter, name: str, version: str | None) -> bool:
    """Whether a worker with this filter takes the item."""
    if names is None:
        return True
    versions = names.get(name)
    return versions is not None and (not versions or (version or "") in versions)


@dataclass(eq=False)
class Stream:
    """Created for each GetWorkItems call."""

    free_turns: int
    free_activities: int
    free_batches: int
    turn_names: Filter = None
    activity_names: Filter = None
    entity_names: Filter = None
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    """Serialised work items; None cuts the stream."""
    turns: dict[str, Any] = field(default_factory=dict)
    """What it was given and has not completed, by token."""
    activities: dict[int, Any] = field(default_factory=dict)
    batches: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Any) -> "Stream":
        """Read a worker's limits and filters."""
        filters = request.workItemFilters if request.HasField("workItemFilters") else None
        return cls(
            request.maxConcurrentOrchestrationWorkItems or UNLIMITED,
            request.maxConcurrentActivityWorkItems or UNLIMITED,
            request.maxConcurrentEntityWorkItems or UNLIMITED,
            None if filters is None else read_filter(filters.orchestrations),
            None if filters is None else read_filter(filters.activities),
            None if filters is None else {f.name.lower(): frozenset() for f in filters.entities},
        )

    def forget(self) -> None:
        """Cut the stream; what it holds is known elsewhere."""
        self.queue.put_nowait(None)
        for held in (self.turns, self.activities, self.batches):
            held.clear()
