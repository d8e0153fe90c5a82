"""Reads one drive: its delta, and each file through the download URL the page brings.

Rules: microsoft365.md section 3.1 and M8, M9, M15, M18, M19. What a change means is decided in
`drive_rows.py`, which is pure.
"""

from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from shared.microsoft365 import drive_rows
from shared.microsoft365.calls import Call
from shared.microsoft365.contents import head_of
from shared.microsoft365.drive_rows import DriveEntry, orphans
from shared.microsoft365.enumeration import Feed, Step, walk
from shared.microsoft365.errors import ItemFailed, ItemSkipped
from shared.microsoft365.faults import Asked
from shared.microsoft365.mail_rows import last_wins
from shared.microsoft365.model import Change, Cursor, Mark, Page
from shared.microsoft365.quotas import delta_units, drive_units
from shared.microsoft365.shares import ASK, PREFER_PLAIN, PREFER_SHARES, ROLE, Shares, When
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

__all__ = ["Drive", "orphans"]

PAGE_ITEMS = "500"

_feed = msgspec.json.Decoder(Feed[DriveEntry])
_entry = msgspec.json.Decoder(DriveEntry)


class Drive:
    """One drive as a `Workload`: its only container is named by the drive's id."""

    name = "drive"
    codec = "file"
    # Downloads are paced by resource units; eight in flight hide the latency.
    concurrency = 8

    def __init__(self, transport: GraphTransport, drive_id: str) -> None:
        self._transport = transport
        self._drive = drive_id
        self._lane = transport.share_point()
        self._with_shares = False
        self.shares = Shares(transport, drive_id)

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """The pages of the drive's delta; files carry their download URL for about an hour (M8)."""
        if self._drive in done:
            return
        packages: set[str] = set()
        async for step in self.steps(cursors.get(self._drive)):
            packages |= {entry.id for entry in step.entries if entry.package is not None}
            changes = last_wins(
                self.asking(drive_rows.item_change(self._drive, entry, packages), entry, step.full)
                for entry in step.entries
            )
            yield Page(
                self._drive, changes, step.cursor, step.complete, step.full, begins=step.begins
            )

    async def steps(self, cursor: Cursor | None) -> AsyncIterator[Step[DriveEntry]]:
        """The delta's pages as Graph gives them; a site makes its own rows of them."""
        self._with_shares = ROLE in await self._transport.roles()
        start = url(
            self._transport.base,
            "drive_delta",
            {"$select": drive_rows.SELECT, "$top": PAGE_ITEMS},
            drive=self._drive,
        )
        async for step in walk(self._read, start, cursor, self._transport.wire.clock):
            yield step

    def asking(self, change: Change, entry: DriveEntry, full: bool) -> Change:
        """The change, with when the permissions of its item are to be read (section 3.1)."""
        if not self._with_shares or change.removed or entry.shared is None:
            return change
        when: When = "otherVersion" if full else "unlessHeld"
        if entry.shared_changed is not None or entry.file is None:
            when = "always"
        return msgspec.structs.replace(change, fetch={**change.fetch, ASK: when})

    async def complete(self, change: Change, held: Mapping[str, Any] | None) -> Change:
        """With the item's own permissions, where they are protected."""
        return await self.shares.complete(change, held, change.item["i"])

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: whether the file has to be read again (section 3.1)."""
        return drive_rows.content_changed(old_item, change.item)

    def audited(self, _change: Change, /) -> bool:
        """Never: the hash decides for files."""
        return False

    def reads_on(self, change: Change) -> bool:
        """Pure: the content host knows ranges; a file whose size nobody told is read whole."""
        return change.item["k"] == "file" and bool(change.item.get("m", {}).get("size"))

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The file's bytes from its download URL; an empty file costs no request."""
        return await self.fetch_from(change, Mark())

    async def fetch_from(self, change: Change, mark: Mark) -> bytes | AsyncIterator[bytes]:
        """The same from the middle (vault.md V15)."""
        listed = change.fetch
        if listed.get("malware"):
            raise ItemSkipped("malware")
        if mark.at in {listed.get("size"), change.item.get("m", {}).get("size")}:
            return b""

        async def renew() -> str:
            return await self._download_url(change.item["i"])

        call = Call(
            url=listed.get("url") or await renew(),
            lane=self._lane,
            ru=drive_units(self._transport.wire.quotas, "download"),
            asked=Asked(content_host=True, onenote=bool(listed.get("onenote"))),
            signed=False,
        )
        stream = self._transport.stream(call, renew=renew, size=listed.get("size"), mark=mark)
        return await head_of(stream)

    async def _read(self, link: str, full: bool) -> Feed[DriveEntry]:
        headers = {"Prefer": PREFER_SHARES if self._with_shares else PREFER_PLAIN}
        if not full:
            # Parents that did not change stay out of an incremental page (section 2).
            headers["deltaExcludeParent"] = "true"
        call = Call(
            url=link,
            lane=self._lane,
            ru=delta_units(self._transport.wire.quotas, link),
            headers=headers,
            asked=Asked(about="object"),
        )
        return await self._transport.get(call, _feed)

    async def _download_url(self, item_id: str) -> str:
        """A new pre-authorised URL of one file (M8)."""
        call = Call(
            url=url(
                self._transport.base,
                "drive_item",
                {"$select": "id,content.downloadUrl"},
                drive=self._drive,
                item=item_id,
            ),
            lane=self._lane,
            ru=drive_units(self._transport.wire.quotas, "item"),
            asked=Asked(about="item"),
        )
        entry = await self._transport.get(call, _entry)
        if not entry.download_url:
            raise ItemFailed("NoDownloadUrl", 200)
        return entry.download_url
