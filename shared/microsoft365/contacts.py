"""Reads the contacts of a mailbox, folder by folder, each with its picture.

Rules: microsoft365.md section 3, M4, M16. What an entry means is decided in `contact_rows.py`.
"""

import base64
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec
import orjson

from shared.kit.clock import to_text
from shared.microsoft365 import contact_rows, stored_json
from shared.microsoft365.calls import Call
from shared.microsoft365.contact_rows import DEFAULT, FOLDERS, ContactEntry, FolderEntry
from shared.microsoft365.enumeration import Feed, walk
from shared.microsoft365.errors import ContainerGone
from shared.microsoft365.faults import About, Asked
from shared.microsoft365.mail import IMMUTABLE, LOW_PRIORITY
from shared.microsoft365.mail_rows import last_wins
from shared.microsoft365.model import Change, Cursor, Page
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

FOLDER_PAGE = f"{IMMUTABLE}, odata.maxpagesize=200"
CONTACT_PAGE = f"{IMMUTABLE}, odata.maxpagesize=200"

_folders = msgspec.json.Decoder(Feed[FolderEntry])
_contacts = msgspec.json.Decoder(Feed[msgspec.Raw])
_entry = msgspec.json.Decoder(ContactEntry)


class Contacts:
    """The contacts of one mailbox; containers are `contactFolders` and each folder."""

    part = "contacts"
    top = FOLDERS
    permissions = frozenset({"Contacts.Read", "Contacts.ReadWrite"})

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._transport = transport
        self._user = user_id
        self._lane = transport.mailbox(user_id)

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """First the folders, then the contacts of each; what is in `done` is left out."""
        todo = {name: cursor for name, cursor in cursors.items() if name != FOLDERS}
        if DEFAULT not in todo and DEFAULT not in done:
            todo[DEFAULT] = self._start(DEFAULT)
            yield Page(DEFAULT, [], todo[DEFAULT], complete=False, full=True)
        if FOLDERS not in done:
            async for page in self._folder_pages(cursors.get(FOLDERS)):
                for announced in self._follow(page, todo):
                    yield announced
                yield page
        for folder_id, cursor in todo.items():
            if folder_id not in done:
                async for page in self._of(folder_id, cursor):
                    yield page

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: whether the contact has to be stored again."""
        return stored_json.changed(old_item, change.item)

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The contact as JSON, with a member `photo` when it has a picture.

        One request: whether there is a picture is said nowhere else.
        """
        contact_id, raw = change.item["i"], change.fetch.get("json")
        if raw is None:  # from the retry list: no page at hand
            raw = (await self._transport.send(self._item("contact", contact_id))).body
        contact = stored_json.plain(orjson.loads(raw))
        picture = await self._transport.send(
            msgspec.structs.replace(
                self._item("contact_photo", contact_id), accept=frozenset({404})
            )
        )
        if picture.status != 404:
            contact["photo"] = {
                "contentType": picture.headers.get("Content-Type", "image/jpeg"),
                "contentBytes": base64.b64encode(picture.body).decode("ascii"),
            }
        return stored_json.encoded(contact)

    def _follow(self, page: Page, todo: dict[str, Cursor]) -> list[Page]:
        """Add new folders to `todo`, take vanished ones out; pages that say so."""
        announced = []
        for change in page.changes:
            folder_id = change.item["i"]
            if change.removed and todo.pop(folder_id, None) is not None:
                announced.append(self._gone(folder_id))
            elif not change.removed and folder_id not in todo and folder_id != DEFAULT:
                todo[folder_id] = cursor = self._start(folder_id)
                announced.append(Page(folder_id, [], cursor, complete=False, full=True))
        return announced

    async def _folder_pages(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        async def read(link: str, _full: bool) -> Feed[FolderEntry]:
            return await self._transport.get(self._call(link, FOLDER_PAGE, "object"), _folders)

        start = url(self._transport.base, "contact_folders_delta", user=self._user)
        async for step in walk(read, start, cursor, self._transport.wire.clock):
            changes = last_wins(contact_rows.folder_change(entry) for entry in step.entries)
            if step.full:
                changes.append(contact_rows.default_folder())
            yield Page(FOLDERS, changes, step.cursor, step.complete, step.full, begins=step.begins)

    async def _of(self, folder_id: str, cursor: Cursor) -> AsyncIterator[Page]:
        async def read(link: str, _full: bool) -> Feed[msgspec.Raw]:
            call = self._call(link, CONTACT_PAGE, "container")
            return await self._transport.get(call, _contacts)

        start = self._start(folder_id)["link"]
        try:
            async for step in walk(read, start, cursor, self._transport.wire.clock):
                changes = last_wins(
                    contact_rows.contact_change(folder_id, _entry.decode(raw), bytes(raw))
                    for raw in step.entries
                )
                yield Page(
                    folder_id, changes, step.cursor, step.complete, step.full, begins=step.begins
                )
        except ContainerGone:
            yield self._gone(folder_id)

    def _item(self, shape: str, contact_id: str) -> Call:
        link = url(self._transport.base, shape, user=self._user, contact=contact_id)
        return self._call(link, IMMUTABLE, "item")

    def _call(self, link: str, prefer: str, about: About) -> Call:
        headers = {"Prefer": prefer, **LOW_PRIORITY}
        return Call(url=link, lane=self._lane, headers=headers, asked=Asked(about=about))

    def _start(self, folder_id: str) -> Cursor:
        if folder_id == DEFAULT:
            link = url(self._transport.base, "contacts_delta", user=self._user)
        else:
            shape = "folder_contacts_delta"
            link = url(self._transport.base, shape, user=self._user, folder=folder_id)
        return self._cursor(link, "page")

    def _cursor(self, link: str, kind: Any) -> Cursor:
        return Cursor(link=link, kind=kind, asOf=to_text(self._transport.wire.clock.now()))

    def _gone(self, folder_id: str) -> Page:
        cursor = self._cursor("", "page")
        return Page(folder_id, [], cursor, complete=True, full=False, gone=True)
