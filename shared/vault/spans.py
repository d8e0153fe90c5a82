"""Fewer, larger reads: ranges of one blob that lie close together become one GET (section 16)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A gap this small costs less to read than another request.
MAX_GAP = 256 << 10
# More than this at once would only cost memory.
MAX_SPAN = 8 << 20


class Span(NamedTuple):
    """A range of a blob, and what it is for."""

    offset: int
    length: int
    what: int


def coalesce(spans: Iterable[Span], gap: int = MAX_GAP) -> Iterator[tuple[int, int, list[Span]]]:
    """(offset, length, the spans inside) for spans given in ascending order."""
    group: list[Span] = []
    start = end = 0
    for span in spans:
        near = group and span.offset - end <= gap and span.offset >= start
        if near and span.offset + span.length - start <= MAX_SPAN:
            group.append(span)
            end = max(end, span.offset + span.length)
            continue
        if group:
            yield start, end - start, group
        group, start, end = [span], span.offset, span.offset + span.length
    if group:
        yield start, end - start, group
