"""Puts items of sites and teams into their target."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from shared.microsoft365.drive_restore import DriveRestore
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.list_restore import ListRestore
from shared.microsoft365.model import Restored
from shared.microsoft365.share_rows import shares_of
from shared.microsoft365.site_restore import SiteRestore
from shared.microsoft365.team_restore import TeamRestore, channel_name
from shared.microsoft365.transport import GraphTransport
from shared.protection.browsing import Opened
from shared.restore.model import Collision, Restore
from shared.vault.model import Row

SETTINGS = "settings/"
NOT_RESTORABLE = frozenset({"site", "team", "permission"})
"""Kinds that are kept to be read and exported; Graph cannot write them back as they were."""
_json = msgspec.json.Decoder(dict[str, Any])
Note = Callable[[str], Awaitable[None]]


async def _whole(content: AsyncIterator[bytes]) -> dict[str, Any]:
    return _json.decode(b"".join([part async for part in content]))


async def _description(opened: Opened, name: str) -> dict[str, Any]:
    """The stored JSON of a list, channel or the members, by the end of its row's id."""
    row = await opened.snapshot.row(SETTINGS + name)
    if row is None or not row.has_content:
        return {}
    return await _whole(opened.snapshot.content(row))


class SiteWriter:
    """Files into libraries, list items into lists.

    In their original place by name; below a folder of the default library otherwise, and list
    items in a list named after theirs and the folder.
    """

    def __init__(self, transport: GraphTransport, restore: Restore, opened: Opened) -> None:
        self._site = SiteRestore(transport, restore.target.source_id)
        self._lists = ListRestore(transport, restore.target.source_id)
        self._target, self._opened = restore.target, opened
        self._one_at_a_time = asyncio.Lock()
        self._places: dict[str, tuple[DriveRestore, str]] = {}
        self._templates: dict[str, Row] | None = None

    async def ensure_folder(self, path: Sequence[str], kind: str) -> str:
        """A folder of a library, or a list; a name for it that `restore` understands."""
        async with self._one_at_a_time:
            if kind in {"file", "folder"}:
                return await self._folder(path)
            if kind != "list":
                return ""
            row = await self._list_row(path[-1])
            if row.item.get("m", {}).get("template") == "documentLibrary":
                return await self._folder(path)
            return await self._list(row.source_id.removeprefix(SETTINGS))

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], folder_id: str, collision: Collision
    ) -> Restored:
        """A file is streamed, a list item is made of its JSON."""
        if row.kind == "file":
            drive, parent = self._places[folder_id]
            return await drive.restore_file(row.item, content, row.size, parent, collision)
        if row.kind != "listitem":
            return Restored("", "skipped", ["settings_not_restored"])
        async with self._one_at_a_time:
            list_id = await self._list(row.source_id.partition("/")[0])
        return await self._lists.restore_item(list_id, await _whole(content), collision)

    async def grant(self, row: Row, target_id: str, folder_id: str) -> list[str]:
        """To a restored file; list items have no permissions that Graph shows."""
        if row.kind != "file":
            return []
        drive, _ = self._places[folder_id]
        return await drive.shares.grant(target_id, shares_of(row.item))

    async def grant_folder(self, row: Row, folder_id: str, *, again: bool) -> list[str]:
        """To a folder of a library that was made."""
        drive, made = self._places[folder_id]
        if made not in drive.made and not again:
            return []
        return await drive.shares.grant(made, shares_of(row.item))

    async def _folder(self, path: Sequence[str]) -> str:
        name = "/".join(path)
        if name not in self._places:
            if self._target.place == "original":
                drive, below = await self._site.library(path[0]), path[1:]
            else:
                drive, below = await self._site.default_library(), path
            self._places[name] = (drive, await drive.ensure_folder(below))
        return name

    async def _list(self, container: str) -> str:
        told = (await _description(self._opened, container)).get("list")
        if not told:
            raise ItemFailed("ListNotHeld", 404)
        name = str(told.get("displayName") or told.get("name"))
        if self._target.place == "folder":
            name = f"{name} ({' - '.join(self._target.folder)})"
        return await self._lists.ensure_list(name, told)

    async def _list_row(self, name: str) -> Row:
        if self._templates is None:
            rows = self._opened.snapshot.rows()
            self._templates = {row.name: row async for row in rows if row.kind == "list"}
        return self._templates[name]


class TeamWriter:
    """Messages into channels: a new private one, or on request the one they stood in (9.5).

    `opening` is told of a channel before its import starts, so that the end of the restore closes
    it whatever happens (M35).
    """

    def __init__(
        self, transport: GraphTransport, restore: Restore, opened: Opened, opening: Note
    ) -> None:
        self._team = TeamRestore(transport, restore.target.source_id)
        self._target, self._opened, self._opening = restore.target, opened, opening
        # A thread is written in order, and a team takes four messages a second anyway.
        self._one_at_a_time = asyncio.Lock()
        self._channels: dict[str, str] = {}
        self._roots: set[str] = set()

    async def ensure_folder(self, path: Sequence[str], kind: str) -> str:
        """A channel is found or made with its first message: its import needs a beginning."""
        return "/".join(path) if kind == "channel" else ""

    async def restore(
        self, row: Row, content: AsyncIterator[bytes], _folder_id: str, collision: Collision
    ) -> Restored:
        """A message, or a reply below its message, which is made first if it is missing."""
        if row.kind not in {"message", "reply"}:
            return Restored("", "skipped", ["settings_not_restored"])
        stored = await _whole(content)
        container, _, rest = row.source_id.partition("/")
        async with self._one_at_a_time:
            channel = await self._channel(container)
            if row.kind == "message":
                made = await self._team.restore_message(channel, stored, None, collision)
                if made.outcome == "skipped" and made.target_id in self._roots:
                    return Restored(made.target_id, "created", ["made_for_its_reply"])
                return made
            root, notes = await self._root(channel, f"{container}/{rest.partition('/')[0]}")
            made = await self._team.restore_message(channel, stored, root, collision)
            return Restored(made.target_id, made.outcome, [*made.notes, *notes])

    async def grant(self, _row: Row, _target_id: str, _folder_id: str) -> list[str]:
        """Messages have no permissions of their own."""
        return []

    async def grant_folder(self, _row: Row, _folder_id: str, *, again: bool) -> list[str]:  # noqa: ARG002
        """Who belongs to a channel is not restored."""
        return []

    async def _root(self, channel: str, row_id: str) -> tuple[str | None, list[str]]:
        row = await self._opened.snapshot.row(row_id)
        if row is None or not row.has_content:
            return None, ["message_of_reply_missing"]
        stored = await _whole(self._opened.snapshot.content(row))
        found = await self._team.find_message(channel, stored)
        if found is not None:
            return found, []
        made = await self._team.restore_message(channel, stored)
        self._roots.add(made.target_id)
        return made.target_id, []

    async def _channel(self, container: str) -> str:
        if container not in self._channels:
            told = (await _description(self._opened, container)).get("channel") or {}
            name = str(told.get("displayName") or "Channel")
            if self._target.place == "original":
                found = await self._team.find_channel(name)
                if found is None:
                    found = await self._team.ensure_channel(name, await self._owners())
            else:
                named = channel_name(name, " ".join(self._target.folder))
                found = await self._team.ensure_channel(named, await self._owners())
            await self._opening(found)
            await self._team.start(found, told.get("createdDateTime"))
            self._channels[container] = found
        return self._channels[container]

    async def _owners(self) -> list[str]:
        members = (await _description(self._opened, "members")).get("members") or []
        owners = [one for one in members if "owner" in (one.get("roles") or [])]
        return [str(one["userId"]) for one in [*owners, *members] if one.get("userId")]


async def close_channels(transport: GraphTransport, restore: Restore) -> None:
    """End the imports that this restore began (M35); repeats do no harm."""
    team = TeamRestore(transport, restore.target.source_id)
    for channel_id in restore.migrating:
        await team.complete(channel_id)
