"""One protected mailbox: its mail, its calendars and its contacts, as one object.

One object, because Exchange counts all three against one quota of four requests at once (M26), and
because nobody who protects a mailbox expects to choose its calendar beside it.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import Any, Protocol, cast

from shared.kit.clock import to_text
from shared.microsoft365.calendar import Calendars
from shared.microsoft365.contacts import Contacts
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.mail import Mailbox
from shared.microsoft365.model import Change, Cursor, Page
from shared.microsoft365.transport import GraphTransport

log = logging.getLogger(__name__)

PART_OF = {
    "calendar": "calendar",
    "event": "calendar",
    "contactfolder": "contacts",
    "contact": "contacts",
}
"""The part that kinds of rows belong to; every other kind is mail (`""`)."""


class Part(Protocol):
    """What the parts beside mail have in common."""

    part: str
    top: str
    permissions: frozenset[str]

    def changes(self, cursors: Mapping[str, Cursor], done: AbstractSet[str]) -> AsyncIterator[Page]:
        """Pages of its containers."""
        ...

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Whether an item has to be stored again."""
        ...

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The content of an item."""
        ...


class ExchangeMailbox:
    """One mailbox as a `Workload`; containers are those of its parts."""

    name = "mailbox"
    codec = "mime"
    concurrency = Mailbox.concurrency

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._transport = transport
        self._mail = Mailbox(transport, user_id)
        calendars, contacts = Calendars(transport, user_id), Contacts(transport, user_id)
        self._parts: dict[str, Part] = {calendars.part: calendars, contacts.part: contacts}

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """Mail first, then the other parts; one part that fails does not keep the others back.

        Its `ItemFailed` is raised when the others are done. A part that the tenant has not granted
        is one of them: its items are not protected, and the snapshot says so by being partial.
        """
        failures: list[ItemFailed] = []
        async for page in self._guarded(self._mail.changes(_of(cursors, ""), done), failures):
            yield page
        granted = await self._transport.roles()
        for part in self._parts.values():
            own = _of(cursors, part.part)
            if not part.permissions & granted:
                failures.append(ItemFailed(f"NotGranted:{min(part.permissions)}", 403))
                if part.top not in own:
                    yield self._unread(part)
                continue
            async for page in self._guarded(part.changes(own, done), failures):
                page.cursor = Cursor(**{**page.cursor, "part": part.part})
                yield page
        if failures:
            raise failures[0]

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: the rule of the item's part."""
        part = self._part(change)
        return (part or self._mail).content_changed(old_item, change)

    def audited(self, change: Change, /) -> bool:
        """Pure: only mail has a rule that needs an audit (section 3.1)."""
        return self._part(change) is None and self._mail.audited(change)

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The content of an item: MIME of a mail, JSON of an event or a contact."""
        return await (self._part(change) or self._mail).fetch(change)

    def _part(self, change: Change) -> Part | None:
        return self._parts.get(PART_OF.get(str(change.item.get("k", "")), ""))

    def _unread(self, part: Part) -> Page:
        """Makes the part's list known as a container that was not enumerated."""
        now = to_text(self._transport.wire.clock.now())
        cursor = Cursor(link="", kind="page", asOf=now, part=part.part)
        return Page(part.top, [], cursor, complete=False, full=True)

    async def _guarded(
        self, pages: AsyncIterator[Page], failures: list[ItemFailed]
    ) -> AsyncIterator[Page]:
        try:
            async with aclosing(cast(AsyncGenerator[Page], pages)) as open_pages:
                async for page in open_pages:
                    yield page
        except ItemFailed as failure:
            log.warning("part of a mailbox is unfinished: %s", failure.reason)
            failures.append(failure)


def _of(cursors: Mapping[str, Cursor], part: str) -> dict[str, Cursor]:
    return {name: cursor for name, cursor in cursors.items() if cursor.get("part", "") == part}
