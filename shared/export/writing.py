"""Writes one slice of the ZIP: items of the plan, one after another, in bounded memory."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson

from shared.export import channel_pages
from shared.export.formats import JSON, Format, Mbox, format_of
from shared.export.model import Export, Position, SliceRow
from shared.export.naming import TOP, file_name, folder_path
from shared.export.pieces import Pieces
from shared.export.zipping import Zip
from shared.kit.clock import Clock
from shared.kit.errors import HoldfastError
from shared.protection.browsing import Opened, find_row
from shared.restore.rules import place_of
from shared.vault.model import Row

log = logging.getLogger(__name__)

# What a crash repeats at most; the last item may pass the limits.
SLICE_ITEMS = 1000
SLICE_BYTES = 1 << 30
SLICE_TIME = timedelta(minutes=4)
# Up to here an item is read whole, and so verified, before a byte of it is written.
SPOOL_BYTES = 256 << 20
MEMORY_BYTES = 8 << 20
_PART = 1 << 20


class SliceWriter:
    """One execution of one slice."""

    def __init__(
        self, pieces: Pieces, opened: Opened, export: Export, before: SliceRow | None, clock: Clock
    ) -> None:
        self._pieces, self._opened, self._export = pieces, opened, export
        self._zip = Zip(before.position if before else Position())
        self._manifest = bytearray()
        self._until = clock.now() + SLICE_TIME
        self._clock = clock

    async def write(self, number: int, nonce: str) -> SliceRow:
        """Stage the blocks of the slice and save its pieces; nothing else knows of them yet."""
        self._tree = await self._pieces.folders()
        self._blocks = self._pieces.writer(number, nonce)
        position, begun = self._zip.position, self._zip.position.bytes
        if number == 0 and self._export.layout == "files":
            for name in sorted(one for one, folder in self._tree.items() if folder.chosen):
                if path := folder_path(name, self._tree)[1:]:
                    await self._blocks.add(self._zip.folder("/".join([TOP, *path])))
        for key in await self._pieces.keys(position.done, SLICE_ITEMS):
            if position.done < self._export.total:
                await self._item(key.hex())
            else:
                await self._told(key.hex())
            position.done += 1
            if position.bytes - begun >= SLICE_BYTES or self._clock.now() >= self._until:
                break
        await self._blocks.add(self._zip.suspend())
        count = await self._blocks.close()
        await self._pieces.save_slice(
            number, nonce, bytes(self._zip.directory), bytes(self._manifest)
        )
        return SliceRow(number=number, nonce=nonce, blocks=count, position=position)

    async def _item(self, key: str) -> None:
        row = await find_row(self._opened, key)
        if not row.has_content:
            self._note(key, row, None, error="CONTENT_NOT_HELD")
            return
        begun, path = False, ""
        whole, size = hashlib.sha256(), 0
        mbox = Mbox(row.item.get("t")) if self._in_mbox(row) else None
        try:
            form, rendered = await self._rendered(row)
            path = self._path(row, key, form)
            async for data in self._content(row, rendered):
                if not begun:
                    await self._begin(path, None if mbox else row.item.get("t"))
                    begun = True
                whole.update(data)
                size += len(data)
                packed = mbox.feed(data) if mbox else data
                await self._blocks.add(await asyncio.to_thread(self._zip.write, packed))
        except HoldfastError as damaged:
            self._note(key, row, path if begun else None, error=damaged.code)
            if begun and mbox is None:
                await self._blocks.add(self._zip.end())
            elif begun and mbox is not None:
                await self._blocks.add(self._zip.write(mbox.end()))
            return
        if not begun:
            await self._begin(path, None if mbox else row.item.get("t"))
        if mbox is not None:
            await self._blocks.add(self._zip.write(mbox.end()))
        else:
            await self._blocks.add(self._zip.end())
        self._zip.position.bytes += size
        self._note(key, row, path, sha256=whole.hexdigest(), size=size)

    async def _told(self, key: str) -> None:
        """A message once more, in the page of its channel; what is wrong with it is noted."""
        row = await find_row(self._opened, key)
        folder = folder_path(place_of(row.item), self._tree)
        told = channel_pages.unreadable(row.kind)
        try:
            if row.has_content:
                stored = b"".join([part async for part in self._opened.snapshot.content(row)])
                told = await asyncio.to_thread(channel_pages.article, row.kind, stored)
        except HoldfastError as damaged:
            log.warning("a message of export %s: %s", self._export.export_id, damaged.code)
        path = "/".join([*folder, channel_pages.PAGE])
        if self._zip.entry is None or self._zip.entry.name != path:
            await self._begin(path, None)
            told = channel_pages.beginning(folder[-1]) + told
        await self._blocks.add(await asyncio.to_thread(self._zip.write, told))

    async def _rendered(self, row: Row) -> tuple[Format, bytes | None]:
        """The format, and the file where it is another one than the stored bytes.

        What cannot be rendered leaves as the JSON that it is: nothing is held back.
        """
        form = format_of(row.item)
        if form.render is None:
            return form, None
        stored = b"".join([part async for part in self._opened.snapshot.content(row)])
        try:
            return form, await asyncio.to_thread(form.render, stored)
        except ValueError:
            return JSON, stored

    async def _content(self, row: Row, rendered: bytes | None) -> AsyncIterator[bytes]:
        """The bytes as they are exported; verified whole first unless the item is huge."""
        if rendered is not None:
            yield rendered
            return
        stored = self._opened.snapshot.content(row)
        if row.size > SPOOL_BYTES:
            async for part in stored:
                yield part
            return
        with tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES) as spool:
            async for part in stored:
                spool.write(part)
            spool.seek(0)
            while part := spool.read(_PART):
                yield part

    async def _begin(self, path: str, at: int | None) -> None:
        open_entry = self._zip.entry
        if open_entry is not None and open_entry.name != path:
            await self._blocks.add(self._zip.end())
            open_entry = None
        if open_entry is None:
            await self._blocks.add(self._zip.begin(path, at))

    def _in_mbox(self, row: Row) -> bool:
        return self._export.layout == "mbox" and row.item.get("c") == "mime"

    def _path(self, row: Row, key: str, form: Format) -> str:
        # A reply stands beside its message, in the folder of their channel.
        parent = place_of(row.item) if row.kind == "reply" else row.parent
        folder = folder_path(parent, self._tree)
        if self._in_mbox(row):
            return "/".join(folder) + ".mbox"
        return "/".join([*folder, file_name(row.name, form.extension, key)])

    def _note(self, key: str, row: Row, path: str | None, **more: Any) -> None:
        """A line of the manifest."""
        if "error" in more:
            self._zip.position.failed += 1
        line = {
            "itemKey": key,
            "path": path,
            "name": row.name,
            "kind": row.kind,
            **more,
            "contentHash": row.item.get("d"),
            "storedBytes": row.size if row.has_content else None,
            "mark": row.error,
        }
        self._manifest += orjson.dumps(line) + b"\n"
