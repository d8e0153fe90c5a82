"""Walks one container's change feed page by page: cursors, resync and empty pages, for any kind.

What mail folders, messages and drives have in common (microsoft365.md section 4); what a page's
entries mean is the caller's business.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import msgspec

from shared.kit.clock import Clock, to_text
from shared.microsoft365.errors import ItemFailed, Resync
from shared.microsoft365.model import Cursor

# More empty pages than this in a row and the feed is broken (M18).
EMPTY_PAGES = 100


class Feed[Entry](msgspec.Struct):
    """One page as Graph sends it; links are opaque."""

    value: list[Entry]
    next_link: str = msgspec.field(default="", name="@odata.nextLink")
    delta_link: str = msgspec.field(default="", name="@odata.deltaLink")


class Step[Entry](msgspec.Struct):
    """One page with where to go on; `full` = belongs to an enumeration without a delta token."""

    entries: list[Entry]
    cursor: Cursor
    complete: bool
    full: bool
    begins: bool = False
    """The first page of such an enumeration: read again it would begin another one."""


def starts_afresh(cursor: Cursor | None) -> bool:
    """Whether this cursor leads to an enumeration without a delta token."""
    return cursor is None or not cursor["link"] or cursor["kind"] == "page"


async def walk(
    read: Callable[[str, bool], Awaitable[Feed[Any]]],
    start: str,
    cursor: Cursor | None,
    clock: Clock,
) -> AsyncIterator[Step[Any]]:
    """Pages from `cursor` (or `start`) to the end of the pass.

    `read(url, full)` gets one page. An expired token starts one full enumeration (section 4.1),
    a second one in the same walk raises ItemFailed. Empty pages erase nothing and are passed on.
    """
    full = starts_afresh(cursor)
    link = cursor["link"] if cursor and cursor["link"] else start
    resynced, empty = False, 0
    begins = full and link == start
    while True:
        try:
            feed = await read(link, full)
        except Resync as resync:
            if resynced:
                raise ItemFailed("ResyncRequired", 410) from None
            resynced, full, begins = True, True, True
            link = resync.location or start
            continue
        empty = 0 if feed.value else empty + 1
        if empty > EMPTY_PAGES:
            raise ItemFailed("EmptyPages", 200)
        complete = not feed.next_link
        if complete and not feed.delta_link:
            raise ItemFailed("NoDeltaLink", 200)
        link = feed.next_link or feed.delta_link
        kind: Literal["page", "delta"] = "delta" if complete or not full else "page"
        here = Cursor(link=link, kind=kind, asOf=to_text(clock.now()))
        yield Step(feed.value, here, complete, full, begins)
        begins = False
        if complete:
            return
