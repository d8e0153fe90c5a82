"""Reads one team: settings, members, channels with tabs, and every message with its replies.

Containers are `settings` and `channel:{channel id}`; files of a channel lie in the team's site
(rules: microsoft365.md sections 3 and 3.1, M13, M17, M24).
"""

import base64
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import msgspec

from shared.kit.clock import to_text
from shared.microsoft365 import channels, team_rows
from shared.microsoft365.calls import Call
from shared.microsoft365.channels import ChannelFeed, Thread
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ContainerGone, ItemFailed, ItemSkipped, ObjectUnavailable
from shared.microsoft365.faults import About, Asked
from shared.microsoft365.json_rows import SETTINGS, canonical, own_id, settings_gone
from shared.microsoft365.model import Change, Cursor, Page
from shared.microsoft365.team_rows import CHANNEL
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

TEAM_DELETED = "team_deleted"
_one = msgspec.json.Decoder(dict[str, Any])
_many = msgspec.json.Decoder(Feed[dict[str, Any]])
_threads = channels.decoder()


class Team:
    """One team as a `Workload`."""

    name = "team"
    codec = "json"
    # A team allows four calls a second (section 6): two in flight keep that busy.
    concurrency = 2

    def __init__(self, transport: GraphTransport, team_id: str) -> None:
        self._transport = transport
        self._team = team_id
        self._lane = transport.team(team_id)

    async def changes(
        self, cursors: Mapping[str, Cursor], done: AbstractSet[str]
    ) -> AsyncIterator[Page]:
        """The settings, then the messages of every channel; what is in `done` is left out."""
        todo = {name: cursor for name, cursor in cursors.items() if name != SETTINGS}
        if SETTINGS not in done:
            async for page in self._settings(cursors.get(SETTINGS), todo):
                yield page
        for container, cursor in todo.items():
            if container in done:
                continue
            try:
                async for page in self._messages(container, cursor):
                    yield page
            except (ContainerGone, ItemFailed) as gone:
                if isinstance(gone, ItemFailed) and gone.graph_status != 404:
                    raise
                here = self._cursor("", "page")
                yield Page(container, [], here, complete=True, full=False, gone=True)

    def content_changed(self, _old_item: Mapping[str, Any], _change: Change) -> bool:
        """Pure: the JSON is here anyway; whether it is new is told by its version."""
        return True

    def audited(self, _change: Change, /) -> bool:
        """Never: versions decide."""
        return False

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """JSON as the page brought it; of a channel with its folder, of a message with images."""
        held, message = change.fetch.get("json"), change.fetch.get("message")
        if change.item["k"] == "channel" and held is None:  # from the retry list
            name = own_id(change.item["i"]).removeprefix(CHANNEL)
            call = self._call(self._url("channel", channel=name), "item")
            held = (await self._channel(await self._transport.get(call, _one))).fetch["json"]
        if isinstance(held, bytes):
            return await self._with_folder(change, held)
        ids = self._ids(change.item["i"])
        if message is None:
            shape = "channel_reply" if "reply" in ids else "channel_message"
            found = await self._transport.get(self._call(self._url(shape, **ids), "item"), _one)
            message = team_rows.stored(found)
        images = {name: await self._image(ids, name) for name in team_rows.images_of(message)}
        return team_rows.content_of(message, images)

    # -- settings -----------------------------------------------------------------------------

    async def _settings(
        self, cursor: Cursor | None, todo: dict[str, Cursor]
    ) -> AsyncIterator[Page]:
        try:
            team = await self._transport.get(self._call(self._url("team"), "object"), _one)
        except ItemFailed as failed:
            if failed.graph_status == 404:
                raise ObjectUnavailable(TEAM_DELETED, failed.request_id) from failed
            raise
        changes = [
            team_rows.team_change(team),
            team_rows.members_change(await self._all("team_members")),
        ]
        found: dict[str, Change] = {}
        for channel in await self._all("channels"):
            found[CHANNEL + str(channel["id"])] = await self._channel(channel)
        for container in found.keys() - todo.keys():
            todo[container] = self._cursor("", "page")
            yield Page(container, [], todo[container], complete=False, full=True)
        for container in todo.keys() - found.keys():
            del todo[container]
            changes.append(settings_gone(container, "channel"))
            here = self._cursor("", "page")
            yield Page(container, [], here, complete=True, full=False, gone=True)
        here = self._cursor(SETTINGS, "delta")
        yield Page(SETTINGS, [*changes, *found.values()], here, True, cursor is None)

    async def _channel(self, channel: dict[str, Any]) -> Change:
        channel_id = str(channel["id"])
        tabs = await self._all("channel_tabs", channel=channel_id)
        own = channel.get("membershipType") not in (None, "standard")
        members = await self._all("channel_members", channel=channel_id) if own else None
        return team_rows.channel_change(channel, tabs, members)

    async def _all(self, shape: str, **ids: str) -> list[dict[str, Any]]:
        link, found = self._url(shape, **ids), list[dict[str, Any]]()
        while link:
            feed = await self._transport.get(self._call(link, "object"), _many)
            found += feed.value
            link = feed.next_link
        return found

    async def _with_folder(self, change: Change, held: bytes) -> bytes:
        """A new or changed channel with the folder of its files, asked for only then."""
        if change.item["k"] != "channel":
            return held
        channel_id = own_id(change.item["i"]).removeprefix(CHANNEL)
        call = self._call(self._url("channel_folder", channel=channel_id), "item", accept=(404,))
        reply = await self._transport.send(call)
        if reply.status == 404:  # nobody has opened the channel's files yet
            return held
        folder = _one.decode(reply.body)
        told = {
            "id": folder.get("id"),
            "name": folder.get("name"),
            "driveId": (folder.get("parentReference") or {}).get("driveId"),
            "webUrl": folder.get("webUrl"),
        }
        return canonical({**_one.decode(held), "filesFolder": told})

    # -- messages -----------------------------------------------------------------------------

    async def _messages(self, container: str, cursor: Cursor) -> AsyncIterator[Page]:
        channel = container.removeprefix(CHANNEL)
        query = {"$top": channels.MOST, "$expand": "replies"}

        def delta(since: str) -> str:
            narrowed = {**query, "$filter": f"lastModifiedDateTime gt {since}"}
            return self._url("channel_messages_delta", narrowed, channel=channel)

        async def read(link: str) -> Feed[Thread]:
            feed = await self._transport.get(self._call(link, "container"), _threads)
            for thread in feed.value:
                await self._more_replies(thread)
            return feed

        start = self._url("channel_messages", query, channel=channel)
        feed = ChannelFeed(container, start, delta, self._transport.wire.clock)
        async for page in feed.pages(cursor, read):
            yield page

    async def _more_replies(self, thread: Thread) -> None:
        """A page brings the first thousand replies of a thread (section 3.1)."""
        link = thread.pop("replies@odata.nextLink", None)
        while link:
            feed = await self._transport.get(self._call(str(link), "container"), _threads)
            thread["replies"] = [*(thread.get("replies") or []), *feed.value]
            link = feed.next_link

    async def _image(self, ids: dict[str, str], name: str) -> dict[str, str]:
        shape = "reply_image" if "reply" in ids else "message_image"
        call = self._call(self._url(shape, image=name, **ids), "item")
        try:
            reply = await self._transport.send(call)
        except ItemFailed as failed:
            if failed.graph_status == 404:
                raise ItemSkipped("gone", failed.request_id) from failed
            raise
        media = reply.headers.get("Content-Type", "application/octet-stream")
        return {"contentType": media, "contentBytes": base64.b64encode(reply.body).decode()}

    def _ids(self, row_id: str) -> dict[str, str]:
        container, _, rest = row_id.partition("/")
        message, _, reply = rest.partition("/")
        ids = {"channel": container.removeprefix(CHANNEL), "message": message}
        return {**ids, "reply": reply} if reply else ids

    # -- calls --------------------------------------------------------------------------------

    def _url(self, shape: str, query: dict[str, str] | None = None, /, **ids: str) -> str:
        return url(self._transport.base, shape, query, team=self._team, **ids)

    def _call(self, link: str, about: About, accept: tuple[int, ...] = ()) -> Call:
        return Call(url=link, lane=self._lane, asked=Asked(about=about), accept=frozenset(accept))

    def _cursor(self, link: str, kind: Literal["page", "delta"]) -> Cursor:
        return Cursor(link=link, kind=kind, asOf=to_text(self._transport.wire.clock.now()))
