"""Reads one mailbox: folders, messages by folder, and each message as MIME in one request.

Rules: microsoft365.md section 3.1 and M4, M7, M14, M16, M19. What a change means is decided in
`mail_rows.py`, which is pure.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from shared.kit.clock import to_text
from shared.microsoft365 import mail_rows
from shared.microsoft365.calls import Call
from shared.microsoft365.contents import head_of
from shared.microsoft365.enumeration import Feed, Step, walk
from shared.microsoft365.errors import ContainerGone, ItemFailed
from shared.microsoft365.faults import About, Asked
from shared.microsoft365.mail_rows import FolderEntry, MessageEntry
from shared.microsoft365.model import Change, Cursor, Page
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

log = logging.getLogger(__name__)

FOLDERS = "folders"
"""Name of the container that lists the folders."""

IMMUTABLE = 'IdType="ImmutableId"'
MESSAGE_PAGE = f"{IMMUTABLE}, odata.maxpagesize=500"
FOLDER_PAGE = f"{IMMUTABLE}, odata.maxpagesize=999"
LOW_PRIORITY = {"x-ms-throttle-priority": "low"}

_folder_feed = msgspec.json.Decoder(Feed[FolderEntry])
_message_feed = msgspec.json.Decoder(Feed[MessageEntry])


class Mailbox:
    """One mailbox as a `Workload`: containers are `folders` and each folder's id."""

    name = "mailbox"
    codec = "mime"
    # Exchange serves four requests of one mailbox at once (M26).
    concurrency = 4

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._transport = transport
        self._user = user_id
        self._lane = transport.mailbox(user_id)

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """First the folders, then each folder's messages; what is in `done` is left out.

        A folder met for the first time is announced by an empty page with its starting cursor.
        """
        todo = {name: cursor for name, cursor in cursors.items() if name != FOLDERS}
        if FOLDERS not in done:
            async for page in self._folders(cursors.get(FOLDERS)):
                # Announced before the page that lists them: a slice that ends between the two
                # must not know the page's cursor without knowing its folders.
                for announced in self._follow_folders(page, todo):
                    yield announced
                yield page
        for folder_id, cursor in todo.items():
            if folder_id in done:
                continue
            async for page in self._messages(folder_id, cursor):
                yield page

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: whether the message has to be read again (section 3.1)."""
        return mail_rows.content_changed(old_item, change.item)

    def audited(self, change: Change, /) -> bool:
        """Pure: one metadata change in 200 is read anyway, to check the rule (section 3.1)."""
        return mail_rows.audited(change.item)

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The whole MIME of a message, attachments included, in one request."""
        call = self._call(
            url(
                self._transport.base,
                "message_content",
                user=self._user,
                message=change.item["i"],
            ),
            IMMUTABLE,
            "item",
        )
        return await head_of(self._transport.stream(call))

    def _call(self, link: str, prefer: str, about: About) -> Call:
        return Call(
            url=link,
            lane=self._lane,
            headers={"Prefer": prefer, **LOW_PRIORITY},
            asked=Asked(about=about),
        )

    def _follow_folders(self, page: Page, todo: dict[str, Cursor]) -> list[Page]:
        """Add new folders to `todo`, take vanished ones out; pages that say so."""
        announced = []
        for change in page.changes:
            folder_id = change.item["i"]
            if change.removed:
                cursor = todo.pop(folder_id, None)
                if cursor is not None:
                    announced.append(self._gone(folder_id))
            elif folder_id not in todo:
                todo[folder_id] = cursor = self._start(folder_id)
                announced.append(Page(folder_id, [], cursor, complete=False, full=True))
        return announced

    async def _folders(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        start = url(self._transport.base, "mail_folders_delta", user=self._user)

        async def read(link: str, _full: bool) -> Feed[FolderEntry]:
            return await self._transport.get(self._call(link, FOLDER_PAGE, "object"), _folder_feed)

        try:
            async for step in walk(read, start, cursor, self._transport.wire.clock):
                yield self._folder_page(step)
        except ItemFailed as failure:
            # A full mailbox cannot store the sync state, plain reads still work (section 3.1).
            if failure.graph_code.lower() != "errorquotaexceeded":
                raise
            log.warning("mailbox is over its quota: folders are listed without delta")
            entries = await self._listed_folders()
            yield self._folder_page(Step(entries, self._cursor("", "page"), True, True, True))

    def _folder_page(self, step: Step[FolderEntry]) -> Page:
        declared = {
            entry.id: entry.total_item_count
            for entry in step.entries
            if entry.total_item_count is not None
        }
        changes = mail_rows.last_wins(mail_rows.folder_change(FOLDERS, e) for e in step.entries)
        return Page(
            FOLDERS, changes, step.cursor, step.complete, step.full, declared, begins=step.begins
        )

    async def _listed_folders(self) -> list[FolderEntry]:
        """All folders by plain lists, level by level."""
        query = {"includeHiddenFolders": "true", "$top": "250"}
        open_lists = [url(self._transport.base, "mail_folders", query, user=self._user)]
        found: list[FolderEntry] = []
        while open_lists:
            link = open_lists.pop()
            feed = await self._transport.get(self._call(link, IMMUTABLE, "object"), _folder_feed)
            found += feed.value
            if feed.next_link:
                open_lists.append(feed.next_link)
            open_lists += [
                url(self._transport.base, "child_folders", query, user=self._user, folder=e.id)
                for e in feed.value
                if e.child_folder_count
            ]
        return found

    async def _messages(self, folder_id: str, cursor: Cursor) -> AsyncIterator[Page]:
        async def read(link: str, _full: bool) -> Feed[MessageEntry]:
            call = self._call(link, MESSAGE_PAGE, "container")
            return await self._transport.get(call, _message_feed)

        start = self._start(folder_id)["link"]
        try:
            async for step in walk(read, start, cursor, self._transport.wire.clock):
                changes = mail_rows.last_wins(
                    mail_rows.message_change(folder_id, entry) for entry in step.entries
                )
                yield Page(
                    folder_id, changes, step.cursor, step.complete, step.full, begins=step.begins
                )
        except ContainerGone:
            yield self._gone(folder_id)

    def _start(self, folder_id: str) -> Cursor:
        query = {"$select": mail_rows.SELECT}
        link = url(self._transport.base, "messages_delta", query, user=self._user, folder=folder_id)
        return self._cursor(link, "page")

    def _cursor(self, link: str, kind: Any) -> Cursor:
        return Cursor(link=link, kind=kind, asOf=to_text(self._transport.wire.clock.now()))

    def _gone(self, folder_id: str) -> Page:
        cursor = self._cursor("", "page")
        return Page(folder_id, [], cursor, complete=True, full=False, gone=True)
