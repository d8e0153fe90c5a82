"""Which worker gets the next ready item: the one with the most free places that takes it."""

from collections import deque
from collections.abc import Callable
from typing import Any

from local.host.taskhub.sqlite.chaos import Chaos
from local.host.taskhub.sqlite.streams import Stream

Takes = Callable[[Stream, Any], bool]


def hand_out(
    ready: deque[Any],
    streams: list[Stream],
    free: Callable[[Stream], int],
    takes: Takes,
    give: Callable[[Stream, Any], None],
    chaos: Chaos | None,
) -> None:
    """Give ready items away until nobody takes any; the oldest first, fairly among workers."""
    while ready:
        candidates = sorted((s for s in streams if free(s) > 0), key=free, reverse=True)
        for stream in candidates:
            if (item := _next(ready, stream, takes, chaos)) is not None:
                item.is_ready = False
                give(stream, item)
                break
        else:
            return


def _next(ready: deque[Any], stream: Stream, takes: Takes, chaos: Chaos | None) -> Any | None:
    if chaos is not None and ready:
        ready.rotate(-chaos.pick(len(ready)))
    for _ in range(len(ready)):
        item = ready.popleft()
        if not item.is_ready:
            continue  # it ended while it waited
        if takes(stream, item):
            return item
        ready.append(item)
    return None
