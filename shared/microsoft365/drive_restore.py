"""Writes files back into a drive: folders first, times kept, nothing lost on a collision.

Rules: microsoft365.md sections 8 and 9.3, M30, M32.
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec
import orjson

from shared.microsoft365.calls import Call, Reply
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.model import Collision, Restored
from shared.microsoft365.quotas import DriveCall, drive_units
from shared.microsoft365.share_restore import ShareRestore
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.uploads import Upload, UploadLost, session_of
from shared.microsoft365.urls import url

SMALL_BYTES = 4_000_000
FRAGMENT_BYTES = 16 * 320 * 1024
"""5 MiB, a multiple of 320 KiB (section 8)."""
COPIES = 200
"""Free names tried before giving up."""
CONFLICT = "@microsoft.graph.conflictBehavior"


class _Item(msgspec.Struct):
    id: str = ""
    name: str = ""
    size: int = 0
    folder: dict[str, Any] | None = None


_item = msgspec.json.Decoder(_Item)


class DriveRestore:
    """Restores into one drive; its transport signs as the Restorer.

    `versioned`: the library keeps versions, so that writing onto an item loses nothing.
    """

    def __init__(self, transport: GraphTransport, drive_id: str, *, versioned: bool = True) -> None:
        self._transport = transport
        self._drive = drive_id
        self._versioned = versioned
        self._lane = transport.share_point()
        self._folders: dict[tuple[str, ...], str] = {}
        self.shares = ShareRestore(transport, drive_id)
        self.made: set[str] = set()
        """Folders that were missing and are created now."""

    async def ensure_folder(self, path: Sequence[str], parent_id: str | None = None) -> str:
        """Id of the folder at `path` below `parent_id` (default: the root); missing are created."""
        at: tuple[str, ...] = (parent_id or "root",)
        parent = at[0]
        for name in path:
            at = (*at, name)
            if at not in self._folders:
                self._folders[at] = await self._ensure_child(parent, name)
            parent = self._folders[at]
        return parent

    async def find_existing(self, parent_id: str, name: str) -> str | None:
        """The item with this name in the folder: the collision key of a drive item."""
        found = await self._named(parent_id, name)
        return found.id if found else None

    async def restore_file(
        self,
        item: Mapping[str, Any],
        content: bytes | AsyncIterator[bytes],
        size: int,
        parent_id: str,
        collision: Collision = "skip",
    ) -> Restored:
        """Create the file of a row again; `size` is the content's length in bytes.

        Safe to repeat with `skip`. `replace` writes onto the old item where versions are kept,
        else it puts the new one beside it, swaps the names and deletes the old one last (M32).
        """
        name = item["n"]
        existing = await self.find_existing(parent_id, name)
        if existing is not None and collision == "skip":
            return Restored(existing, "skipped")
        if existing is not None and collision == "copy":
            name = await self._free_name(parent_id, name)
            existing = None
        if existing is None:
            created = await self._create(item, content, size, parent_id, name)
            return Restored(created, "created")
        if self._versioned:
            await self._overwrite(existing, item, content, size)
            return Restored(existing, "replaced")
        return await self._swap(existing, item, content, size, parent_id)

    async def _swap(
        self,
        old: str,
        item: Mapping[str, Any],
        content: bytes | AsyncIterator[bytes],
        size: int,
        parent_id: str,
    ) -> Restored:
        name, mark = item["n"], uuid.uuid4().hex[:8]
        created = await self._create(item, content, size, parent_id, f"~{mark} new {name}")
        await self._patch(old, {"name": f"~{mark} old {name}"})
        await self._patch(created, {"name": name})
        link = url(self._transport.base, "drive_item", drive=self._drive, item=old)
        await self._transport.send(self._call("DELETE", link, replay=True, accept=(404,)))
        return Restored(created, "replaced")

    async def _create(
        self,
        item: Mapping[str, Any],
        content: bytes | AsyncIterator[bytes],
        size: int,
        parent_id: str,
        name: str,
    ) -> str:
        """A new file under a name that was free a moment ago; its times like the row's."""
        if size > SMALL_BYTES:
            link = self._below("drive_named_upload", parent_id, name)
            found = await self._upload(link, _facets(item, name), content, size)
            return found or await self._finished(parent_id, name, size)

        async def settle() -> Reply | None:
            mine = await self._named(parent_id, name)
            same = mine is not None and mine.size == size
            return Reply(201, {}, orjson.dumps({"id": mine.id})) if mine and same else None

        link = self._below("drive_named_content", parent_id, name, {CONFLICT: "fail"})
        call = self._call("PUT", link, body=await _gathered(content), accept=(409,))
        reply: Reply | None = await self._transport.send(call, settle)
        if reply is not None and reply.status == 409:
            # Between our look and our write an execution that was thought dead wrote the same.
            reply = await settle()
        if reply is None:
            raise ItemFailed("nameAlreadyExists", 409)
        created = _item.decode(reply.body).id
        await self._patch(created, {"fileSystemInfo": _times(item)})
        return created

    async def _overwrite(
        self,
        item_id: str,
        item: Mapping[str, Any],
        content: bytes | AsyncIterator[bytes],
        size: int,
    ) -> None:
        if size > SMALL_BYTES:
            link = url(self._transport.base, "drive_upload", drive=self._drive, item=item_id)
            await self._upload(link, _facets(item, None), content, size)
            return
        link = url(self._transport.base, "drive_content", drive=self._drive, item=item_id)
        # Writing the same bytes twice onto one item is the same as once, but for a version.
        await self._transport.send(
            self._call("PUT", link, body=await _gathered(content), replay=True)
        )
        await self._patch(item_id, {"fileSystemInfo": _times(item)})

    async def _upload(
        self,
        link: str,
        facets: dict[str, Any],
        content: bytes | AsyncIterator[bytes],
        size: int,
    ) -> str | None:
        """Id of the uploaded item; None when the session ended without saying so."""
        call = self._call("POST", link, body=orjson.dumps({"item": facets}), replay=True, json=True)
        session = session_of(await self._transport.send(call))
        upload = Upload(self._transport, self._lane, session.upload_url, size)
        try:
            reply = await upload.send(content, FRAGMENT_BYTES)
        except UploadLost:
            return None
        return _item.decode(reply.body).id or None

    async def _finished(self, parent_id: str, name: str, size: int) -> str:
        found = await self._named(parent_id, name)
        if found is None or found.size != size:
            raise ItemFailed("UploadLost", 404)
        return found.id

    async def _ensure_child(self, parent: str, name: str) -> str:
        found = await self._named(parent, name)
        if found is None:

            async def settle() -> Reply | None:
                mine = await self._named(parent, name)
                return Reply(201, {}, orjson.dumps({"id": mine.id})) if mine else None

            link = url(self._transport.base, "drive_children", drive=self._drive, item=parent)
            body = orjson.dumps({"name": name, "folder": {}, CONFLICT: "fail"})
            call = self._call("POST", link, body=body, json=True, accept=(409,))
            reply = await self._transport.send(call, settle)
            if reply.status != 409:
                created = _item.decode(reply.body).id
                self.made.add(created)
                return created
            found = await self._named(parent, name)
        if found is None or found.folder is None:
            raise ItemFailed("NameIsNotAFolder", 409)
        return found.id

    async def _free_name(self, parent_id: str, name: str) -> str:
        path = PurePosixPath(name)
        for number in range(1, COPIES + 1):
            candidate = f"{path.stem} ({number}){path.suffix}"
            if await self._named(parent_id, candidate) is None:
                return candidate
        raise ItemFailed("NoFreeName", 409)

    async def _named(self, parent_id: str, name: str) -> _Item | None:
        link = self._below("drive_named", parent_id, name, {"$select": "id,name,size,folder"})
        call = self._call("GET", link, accept=(404,), kind="item")
        reply = await self._transport.send(call)
        return None if reply.status == 404 else _item.decode(reply.body)

    async def _patch(self, item_id: str, body: dict[str, Any]) -> None:
        link = url(self._transport.base, "drive_item", drive=self._drive, item=item_id)
        await self._transport.send(
            self._call("PATCH", link, body=orjson.dumps(body), replay=True, json=True)
        )

    def _below(
        self, shape: str, parent_id: str, name: str, query: dict[str, str] | None = None
    ) -> str:
        return url(self._transport.base, shape, query, drive=self._drive, item=parent_id, name=name)

    def _call(
        self,
        method: str,
        link: str,
        *,
        body: bytes | None = None,
        replay: bool = False,
        json: bool = False,
        accept: tuple[int, ...] = (),
        kind: DriveCall = "write",
    ) -> Call:
        content_type = "application/json" if json else "application/octet-stream"
        return Call(
            method=method,
            url=link,
            lane=self._lane,
            ru=drive_units(self._transport.wire.quotas, kind),
            headers={"Content-Type": content_type} if body is not None else {},
            body=body,
            asked=Asked(about="write", get=method == "GET"),
            replay=replay or method == "GET",
            accept=frozenset(accept),
        )


async def _gathered(content: bytes | AsyncIterator[bytes]) -> bytes:
    if isinstance(content, bytes):
        return content
    return b"".join([chunk async for chunk in content])


def _times(item: Mapping[str, Any]) -> dict[str, str]:
    told = item.get("m", {})
    named = {"createdDateTime": "created", "lastModifiedDateTime": "modified"}
    return {theirs: told[ours] for theirs, ours in named.items() if told.get(ours)}


def _facets(item: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    facets: dict[str, Any] = {CONFLICT: "fail" if name else "replace"}
    if name:
        facets["name"] = name
    if _times(item):
        facets["fileSystemInfo"] = _times(item)
    return facets
