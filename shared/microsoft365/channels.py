"""Reads the messages of one channel: a list of everything first, then its delta.

A delta reaches eight months back only, so the first pass is the plain list (microsoft365.md
section 3.1); the delta that follows begins at the moment the list began.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import msgspec

from shared.kit.clock import Clock, to_text
from shared.microsoft365.enumeration import EMPTY_PAGES, Feed
from shared.microsoft365.errors import ItemFailed, Resync
from shared.microsoft365.model import Change, Cursor, Page
from shared.microsoft365.team_rows import message_change

Thread = dict[str, Any]
Read = Callable[[str], Awaitable[Feed[Thread]]]
MOST = "50"
"""Threads on a page: Teams allows no more."""
_MARK = "\n"
LISTING, FOLLOWING = "list", "delta"
_feed = msgspec.json.Decoder(Feed[Thread])


class ChannelFeed:
    """The feed of one channel; `list_link` and `delta_link` begin its two ways of reading.

    In a pass without a token a cursor is three lines: which of the two is read, when the list
    began (the delta goes on from there), and the link.
    """

    def __init__(
        self, container: str, list_link: str, delta_link: Callable[[str], str], clock: Clock
    ) -> None:
        self._container = container
        self._list, self._delta, self._clock = list_link, delta_link, clock

    async def pages(self, cursor: Cursor, read: Read) -> AsyncIterator[Page]:
        """Pages from `cursor` to the end of the pass; a refused token lists everything once."""
        if cursor["kind"] == "page":
            async for page in self._whole(cursor["link"], read):
                yield page
            return
        try:
            async for page in self._changes(cursor["link"], read, full=False):
                yield page
        except (Resync, ItemFailed) as refused:
            # Teams says "DeltaToken not supported" with a plain 400 (section 4.1).
            if isinstance(refused, ItemFailed) and refused.graph_status != 400:
                raise
            async for page in self._whole("", read):
                yield page

    async def _whole(self, place: str, read: Read) -> AsyncIterator[Page]:
        """Every thread, then what changed while they were listed."""
        fresh = f"{LISTING}{_MARK}{to_text(self._clock.now())}{_MARK}{self._list}"
        phase, began, link = (place or fresh).split(_MARK, 2)
        begins = not place
        while phase == LISTING:
            feed = await read(link)
            phase = LISTING if feed.next_link else FOLLOWING
            link = feed.next_link or self._delta(began)
            here = self._cursor(_MARK.join((phase, began, link)), "page")
            yield Page(self._container, self._rows(feed.value), here, False, True, begins=begins)
            begins = False
        async for page in self._changes(link, read, full=True):
            yield page

    async def _changes(self, link: str, read: Read, *, full: bool) -> AsyncIterator[Page]:
        empty = 0
        while True:
            feed = await read(link)
            empty = 0 if feed.value else empty + 1
            if empty > EMPTY_PAGES:
                raise ItemFailed("EmptyPages", 200)
            complete = not feed.next_link
            link = feed.next_link or feed.delta_link
            if not link:
                raise ItemFailed("NoDeltaLink", 200)
            kind: Literal["page", "delta"] = "delta" if complete or not full else "page"
            place = link if kind == "delta" else _MARK.join((FOLLOWING, "", link))
            here = self._cursor(place, kind)
            yield Page(self._container, self._rows(feed.value), here, complete, full)
            if complete:
                return

    def _rows(self, threads: list[Thread]) -> list[Change]:
        """A thread's message and its replies, the later of two occurrences (M14)."""
        rows: dict[str, Change] = {}
        for thread in threads:
            found = [message_change(self._container, thread)]
            root = str(thread["id"])
            found += [
                message_change(self._container, reply, root)
                for reply in thread.get("replies") or []
            ]
            for change in found:
                rows.pop(change.item["i"], None)
                rows[change.item["i"]] = change
        return list(rows.values())

    def _cursor(self, link: str, kind: Literal["page", "delta"]) -> Cursor:
        return Cursor(link=link, kind=kind, asOf=to_text(self._clock.now()))


def decoder() -> msgspec.json.Decoder[Feed[Thread]]:
    """Decodes a page of threads."""
    return _feed
