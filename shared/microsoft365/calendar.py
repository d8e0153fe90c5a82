"""Reads the calendars of a mailbox: one item per event or series, its days inside.

Rules: microsoft365.md section 3.1 (calendar), 7.3 (event page), M4, M16. What an entry means is
decided in `calendar_rows.py`.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
import orjson

from shared.kit.clock import to_text
from shared.microsoft365 import calendar_rows, stored_json
from shared.microsoft365.calendar_rows import CALENDARS, CalendarEntry, EventEntry
from shared.microsoft365.calls import Call
from shared.microsoft365.contents import head_of
from shared.microsoft365.enumeration import Feed, walk
from shared.microsoft365.errors import ContainerGone, ItemFailed
from shared.microsoft365.event_attachments import EventAttachments
from shared.microsoft365.faults import About, Asked
from shared.microsoft365.mail import IMMUTABLE, LOW_PRIORITY
from shared.microsoft365.mail_rows import last_wins
from shared.microsoft365.model import Change, Cursor, Page
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

log = logging.getLogger(__name__)

# Pages of events, with their texts; the second try of section 7.3 asks for fewer.
PAGE, SMALL_PAGE = 100, 10
# Answers to the delta that the plain list may still serve (section 14, question 1).
NO_DELTA = frozenset({400, 404, 405, 501, 503})

_calendars = msgspec.json.Decoder(Feed[CalendarEntry])
_events = msgspec.json.Decoder(Feed[msgspec.Raw])
_entry = msgspec.json.Decoder(EventEntry)


class Calendars:
    """The calendars of one mailbox; containers are `calendars` and each calendar's id."""

    part = "calendar"
    top = CALENDARS
    permissions = frozenset({"Calendars.Read", "Calendars.ReadWrite"})

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._transport = transport
        self._user = user_id
        self._lane = transport.mailbox(user_id)
        self._attachments = EventAttachments(transport, user_id)

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """First the calendars, then the events of each; what is in `done` is left out."""
        todo = {name: cursor for name, cursor in cursors.items() if name != CALENDARS}
        if CALENDARS not in done:
            listed = calendar_rows.own_calendars(await self._listed())
            found = {entry.id for entry in listed}
            for calendar_id in sorted(found - todo.keys()):
                todo[calendar_id] = self._start(calendar_id)
                # Announced before the page that lists it, as in a mailbox's folders.
                yield Page(calendar_id, [], todo[calendar_id], complete=False, full=True)
            gone = sorted(todo.keys() - found)
            # What the last list said is in the cursor: only what changed is a change, and removals
            # are named, so that the list never needs to prove anything by absence.
            before = calendar_rows.listed_before(cursors.get(CALENDARS))
            known, changes = calendar_rows.differences(before, listed)
            changes += [calendar_rows.calendar_gone(one) for one in gone]
            cursor = self._cursor(known, "delta")
            yield Page(CALENDARS, changes, cursor, complete=True, full=CALENDARS not in cursors)
            for calendar_id in gone:
                del todo[calendar_id]
                yield self._gone(calendar_id)
        for calendar_id, cursor in todo.items():
            if calendar_id not in done:
                async for page in self._of(calendar_id, cursor):
                    yield page

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: whether the event has to be stored again."""
        return stored_json.changed(old_item, change.item)

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The event as JSON: with its exceptions, its cancelled days and its attachments.

        A single event without attachments needs no request: its JSON came with the page.
        """
        raw = change.fetch.get("json")
        if raw is None:  # from the retry list: no page at hand
            raw = (await self._transport.send(self._event(change.item["i"], {}))).body
        event = stored_json.plain(orjson.loads(raw))
        if event.get("type") == "seriesMaster":
            event |= await self._days(event["id"])
        if calendar_rows.wants_attachments(event):
            return await head_of(self._attachments.inside(event))
        return stored_json.encoded(event)

    async def _days(self, event_id: str) -> dict[str, Any]:
        query = {
            "$select": "id,cancelledOccurrences,exceptionOccurrences",
            "$expand": "exceptionOccurrences",
        }
        reply = await self._transport.send(self._event(event_id, query))
        found = orjson.loads(reply.body)
        exceptions = [stored_json.plain(one) for one in found.get("exceptionOccurrences") or []]
        return {
            "exceptionOccurrences": exceptions,
            "cancelledOccurrences": found.get("cancelledOccurrences") or [],
        }

    def _event(self, event_id: str, query: dict[str, str]) -> Call:
        link = url(self._transport.base, "event", query, user=self._user, event=event_id)
        return self._call(link, IMMUTABLE, "item")

    async def _listed(self) -> list[CalendarEntry]:
        link = url(self._transport.base, "calendars", {"$top": "100"}, user=self._user)
        found: list[CalendarEntry] = []
        while link:
            feed = await self._transport.get(self._call(link, IMMUTABLE, "object"), _calendars)
            found += feed.value
            link = feed.next_link
        return found

    async def _of(self, calendar_id: str, cursor: Cursor) -> AsyncIterator[Page]:
        try:
            async for page in self._delta_or_list(calendar_id, cursor):
                yield page
        except ContainerGone:
            yield self._gone(calendar_id)

    async def _delta_or_list(self, calendar_id: str, cursor: Cursor) -> AsyncIterator[Page]:
        """The delta; where the service does not serve it, the plain list (section 7.3)."""
        seen = False
        for size in (PAGE, SMALL_PAGE):
            try:
                async for page in self._delta(calendar_id, cursor, size):
                    seen, cursor = True, page.cursor
                    yield page
            except ItemFailed as failure:
                if failure.graph_status not in NO_DELTA:
                    raise
                log.warning("no delta of a calendar, page size %d: %s", size, failure.reason)
                if failure.graph_status != 503:
                    break
            else:
                return
        if seen:  # it did work and will again: the next run goes on from here
            raise ItemFailed("EventsDeltaUnavailable", 503)
        async for page in self._plain_list(calendar_id):
            yield page

    async def _delta(self, calendar_id: str, cursor: Cursor, size: int) -> AsyncIterator[Page]:
        async def read(link: str, _full: bool) -> Feed[msgspec.Raw]:
            prefer = f"{IMMUTABLE}, odata.maxpagesize={size}"
            return await self._transport.get(self._call(link, prefer, "container"), _events)

        start = self._start(calendar_id)["link"]
        async for step in walk(read, start, cursor, self._transport.wire.clock):
            changes = _changes(calendar_id, step.entries)
            yield Page(
                calendar_id, changes, step.cursor, step.complete, step.full, begins=step.begins
            )

    async def _plain_list(self, calendar_id: str) -> AsyncIterator[Page]:
        """Everything again; versions that are held cost no content request (M11)."""
        link = url(self._transport.base, "calendar_events", user=self._user, calendar=calendar_id)
        start, begins = self._start(calendar_id), True
        while link:
            prefer = f"{IMMUTABLE}, odata.maxpagesize={PAGE}"
            feed = await self._transport.get(self._call(link, prefer, "container"), _events)
            link = feed.next_link
            changes = _changes(calendar_id, feed.value)
            yield Page(calendar_id, changes, start, complete=not link, full=True, begins=begins)
            begins = False

    def _call(self, link: str, prefer: str, about: About) -> Call:
        headers = {"Prefer": prefer, **LOW_PRIORITY}
        return Call(url=link, lane=self._lane, headers=headers, asked=Asked(about=about))

    def _start(self, calendar_id: str) -> Cursor:
        link = url(
            self._transport.base, "calendar_events_delta", user=self._user, calendar=calendar_id
        )
        return self._cursor(link, "page")

    def _cursor(self, link: str, kind: Any) -> Cursor:
        return Cursor(link=link, kind=kind, asOf=to_text(self._transport.wire.clock.now()))

    def _gone(self, calendar_id: str) -> Page:
        cursor = self._cursor("", "page")
        return Page(calendar_id, [], cursor, complete=True, full=False, gone=True)


def _changes(calendar_id: str, entries: list[msgspec.Raw]) -> list[Change]:
    found = (
        calendar_rows.event_change(calendar_id, _entry.decode(raw), bytes(raw)) for raw in entries
    )
    return last_wins(change for change in found if change is not None)
