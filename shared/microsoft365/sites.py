"""Reads one site: its settings, its document libraries as drives, its lists with their items.

Containers are `settings`, `library:{drive id}` and `list:{list id}`; a row's id begins with the
name of its container (rules: microsoft365.md section 3, M13, M15, M20).
"""

from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import msgspec

from shared.kit.clock import to_text
from shared.microsoft365 import site_rows
from shared.microsoft365.calls import Call
from shared.microsoft365.drive import Drive
from shared.microsoft365.enumeration import Feed, walk
from shared.microsoft365.errors import ItemFailed, ObjectUnavailable
from shared.microsoft365.faults import About, Asked
from shared.microsoft365.json_rows import SETTINGS, canonical, own_id, plain, settings_gone
from shared.microsoft365.mail_rows import last_wins
from shared.microsoft365.model import Change, Cursor, Mark, Page
from shared.microsoft365.quotas import DriveCall, delta_units, drive_units
from shared.microsoft365.shares import ROLE
from shared.microsoft365.site_rows import LIBRARY, LIST, ListEntry
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

SITE_DELETED = "site_deleted"
PAGE_ITEMS = "500"
SITE_SELECT = "id,name,displayName,description,webUrl,createdDateTime,siteCollection,sharepointIds"
DRIVE_SELECT = "id,name,description,driveType,webUrl,createdDateTime,createdBy,sharePointIds"

_one = msgspec.json.Decoder(dict[str, Any])
_many = msgspec.json.Decoder(Feed[dict[str, Any]])
_items = msgspec.json.Decoder(Feed[ListEntry])
_item = msgspec.json.Decoder(ListEntry)


class Site:
    """One site as a `Workload`."""

    name = "site"
    codec = "file"
    # Downloads are paced by resource units; eight in flight hide the latency.
    concurrency = 8

    def __init__(self, transport: GraphTransport, site_id: str) -> None:
        self._transport = transport
        self._site = site_id
        self._lane = transport.share_point()
        self._drives: dict[str, Drive] = {}

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """The settings, then every library and list; what is in `done` is left out.

        A library or list met for the first time is announced by an empty page, one that vanished
        by a page that says so.
        """
        todo = {name: cursor for name, cursor in cursors.items() if name != SETTINGS}
        if SETTINGS not in done:
            async for page in self._settings(cursors.get(SETTINGS), todo):
                yield page
        for container, cursor in todo.items():
            if container in done:
                continue
            is_library = container.startswith(LIBRARY)
            read = self._library if is_library else self._list
            async for page in read(container, cursor):
                yield page

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: hash or size of a file; JSON that is here anyway is compared by its version."""
        if change.item["k"] == "file":
            return self._drive(change.container).content_changed(old_item, change)
        return True

    def audited(self, _change: Change, /) -> bool:
        """Never: hashes and versions decide."""
        return False

    async def complete(self, change: Change, held: Mapping[str, Any] | None) -> Change:
        """Files and folders with their own permissions, where they are protected."""
        if change.item["k"] not in {"file", "folder"}:
            return change
        shares = self._drive(change.container).shares
        return await shares.complete(change, held, own_id(change.item["i"]))

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """JSON as the page brought it; a file through its download URL."""
        held = change.fetch.get("json")
        if isinstance(held, bytes):
            return held
        if change.item["k"] == "file":
            return await self.fetch_from(change, Mark())
        container = change.item["i"].partition("/")[0]
        if change.item["k"] != "listitem":
            raise ItemFailed("SettingsNotListed", 404)
        link = self._url(
            "list_item",
            {"$expand": "fields"},
            list=container.removeprefix(LIST),
            item=own_id(change.item["i"]),
        )
        entry = await self._transport.get(self._call(link, "item", "item"), _item)
        return canonical(site_rows.content_of(entry, plain(entry.fields or {})))

    def reads_on(self, change: Change) -> bool:
        """Pure: files of a library, as those of a drive."""
        return change.item["k"] == "file" and self._drive(change.container).reads_on(change)

    async def fetch_from(self, change: Change, mark: Mark) -> bytes | AsyncIterator[bytes]:
        """A file through its download URL, from the middle where a slice ended (vault.md V15)."""
        container = change.item["i"].partition("/")[0]
        item = {**change.item, "i": own_id(change.item["i"])}
        return await self._drive(container).fetch_from(
            msgspec.structs.replace(change, item=item), mark
        )

    # -- settings -----------------------------------------------------------------------------

    async def _settings(
        self, cursor: Cursor | None, todo: dict[str, Cursor]
    ) -> AsyncIterator[Page]:
        link = self._url("site", {"$select": SITE_SELECT})
        try:
            site = await self._transport.get(self._call(link, "object", "item"), _one)
        except ItemFailed as failed:
            if failed.graph_status == 404:
                raise ObjectUnavailable(SITE_DELETED, failed.request_id) from failed
            raise
        drives = await self._all("site_drives", {"$select": DRIVE_SELECT, "$top": "200"})
        listed = await self._all("site_lists", {"$expand": "columns,contentTypes", "$top": "200"})
        by_id = {str(one["id"]): one for one in listed}
        changes = [site_rows.site_change(site)]
        if ROLE in await self._transport.roles():
            told = await self._all("site_permissions", {}, "permission")
            changes.append(site_rows.permissions_change(told))
        found: dict[str, Change] = {}
        for drive in drives:
            list_id = str((drive.get("sharePointIds") or {}).get("listId", ""))
            found[LIBRARY + str(drive["id"])] = site_rows.library_change(drive, by_id.get(list_id))
        for one in filter(site_rows.is_protected, listed):
            found[LIST + str(one["id"])] = site_rows.list_change(one)
        # Announced before the page that lists them: a slice that ends between the two must not
        # know the settings' cursor without knowing their containers.
        for container in found.keys() - todo.keys():
            todo[container] = self._cursor("", "page")
            yield Page(container, [], todo[container], complete=False, full=True)
        for container in todo.keys() - found.keys():
            del todo[container]
            changes.append(settings_gone(container, "list"))
            here = self._cursor("", "page")
            yield Page(container, [], here, complete=True, full=False, gone=True)
        # Absence is told by name above, so that a quiet night does not scan the whole index.
        here = self._cursor(SETTINGS, "delta")
        yield Page(SETTINGS, [*changes, *found.values()], here, True, cursor is None)

    async def _all(
        self, shape: str, query: dict[str, str], cost: DriveCall = "list"
    ) -> list[dict[str, Any]]:
        link, found = self._url(shape, query), list[dict[str, Any]]()
        while link:
            feed = await self._transport.get(self._call(link, "object", cost), _many)
            found += feed.value
            link = feed.next_link
        return found

    # -- libraries and lists ------------------------------------------------------------------

    def _drive(self, container: str) -> Drive:
        if container not in self._drives:
            drive_id = container.removeprefix(LIBRARY)
            self._drives[container] = Drive(self._transport, drive_id)
        return self._drives[container]

    async def _library(self, container: str, cursor: Cursor) -> AsyncIterator[Page]:
        packages: set[str] = set()
        drive = self._drive(container)
        async for step in drive.steps(cursor):
            packages |= {entry.id for entry in step.entries if entry.package is not None}
            changes = last_wins(
                drive.asking(site_rows.file_change(container, entry, packages), entry, step.full)
                for entry in step.entries
            )
            yield Page(
                container, changes, step.cursor, step.complete, step.full, begins=step.begins
            )

    async def _list(self, container: str, cursor: Cursor) -> AsyncIterator[Page]:
        list_id = container.removeprefix(LIST)
        start = self._url(
            "list_items_delta", {"$expand": "fields", "$top": PAGE_ITEMS}, list=list_id
        )

        async def read(link: str, _full: bool) -> Feed[ListEntry]:
            call = Call(
                url=link,
                lane=self._lane,
                ru=delta_units(self._transport.wire.quotas, link),
                asked=Asked(about="object"),
            )
            return await self._transport.get(call, _items)

        async for step in walk(read, start, cursor, self._transport.wire.clock):
            changes = last_wins(site_rows.entry_change(container, one) for one in step.entries)
            yield Page(
                container, changes, step.cursor, step.complete, step.full, begins=step.begins
            )

    # -- calls --------------------------------------------------------------------------------

    def _url(self, shape: str, query: dict[str, str], **ids: str) -> str:
        return url(self._transport.base, shape, query, site=self._site, **ids)

    def _call(self, link: str, about: About, cost: DriveCall) -> Call:
        return Call(
            url=link,
            lane=self._lane,
            ru=drive_units(self._transport.wire.quotas, cost),
            asked=Asked(about=about),
        )

    def _cursor(self, link: str, kind: Literal["page", "delta"]) -> Cursor:
        return Cursor(link=link, kind=kind, asOf=to_text(self._transport.wire.clock.now()))
