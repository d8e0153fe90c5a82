"""Puts the attachments of an event into its JSON, piece by piece, whatever their size."""

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import orjson

from shared.microsoft365 import stored_json
from shared.microsoft365.calls import Call
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ItemSkipped
from shared.microsoft365.faults import Asked
from shared.microsoft365.mail import IMMUTABLE, LOW_PRIORITY
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

FILE = "#microsoft.graph.fileAttachment"
SELECT = "id,name,contentType,size,isInline,lastModifiedDateTime"
# Up to here the contents come with one list; more is streamed one by one.
TOGETHER_BYTES = 3_000_000

_list = msgspec.json.Decoder(Feed[dict[str, Any]])


class EventAttachments:
    """Attachments of the events of one mailbox."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self._transport = transport
        self._user = user_id
        self._lane = transport.mailbox(user_id)

    async def inside(self, event: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The event's JSON with a last member `attachments`, in Graph's own form.

        Contents are `contentBytes`; one that the service cannot open is kept by name, with
        `contentBytes` null and `unreadable` true (section 5).
        """
        listed = await self._listed(event["id"], {"$select": SELECT})
        whole = await self._together(event["id"], listed)
        if whole is not None:
            yield stored_json.encoded({**event, "attachments": whole})
            return
        yield stored_json.encoded(event)[:-1] + b',"attachments":['
        for number, one in enumerate(listed):
            async for piece in self._one(event["id"], one, b"," if number else b""):
                yield piece
        yield b"]}"

    async def _together(
        self, event_id: str, listed: list[dict[str, Any]]
    ) -> list[dict[str, Any]] | None:
        """All of a few small ones at once; None when they have to be read one by one."""
        if not listed or sum(int(one.get("size") or 0) for one in listed) > TOGETHER_BYTES:
            return None if listed else []
        try:
            return await self._listed(event_id, {})
        except ItemSkipped as skip:
            if skip.cause == "gone":
                raise
            return None  # one of them cannot be opened: the others can

    async def _listed(self, event_id: str, query: dict[str, str]) -> list[dict[str, Any]]:
        link = url(
            self._transport.base, "event_attachments", query, user=self._user, event=event_id
        )
        found: list[dict[str, Any]] = []
        while link:
            feed = await self._transport.get(self._call(link), _list)
            found += [_described(one) for one in feed.value]
            link = feed.next_link
        return found

    async def _one(
        self, event_id: str, one: Mapping[str, Any], comma: bytes
    ) -> AsyncIterator[bytes]:
        head = stored_json.encoded({k: v for k, v in one.items() if k != "contentBytes"})
        if one.get("@odata.type") != FILE:
            yield comma + head
            return
        link = url(
            self._transport.base, "event_attachment_value",
            user=self._user, event=event_id, attachment=one["id"],
        )  # fmt: skip
        rest, started = b"", False
        try:
            async for chunk in self._transport.stream(self._call(link)):
                if not started:
                    yield comma + head[:-1] + b',"contentBytes":"'
                    started = True
                data = rest + chunk
                whole = len(data) - len(data) % 3  # base64 has no seams on multiples of three
                rest = data[whole:]
                yield base64.b64encode(data[:whole])
        except ItemSkipped:
            if started:
                raise
            yield comma + head[:-1] + b',"contentBytes":null,"unreadable":true}'
            return
        if not started:
            yield comma + head[:-1] + b',"contentBytes":"'
        yield base64.b64encode(rest) + b'"}'

    def _call(self, link: str) -> Call:
        headers = {"Prefer": IMMUTABLE, **LOW_PRIORITY}
        return Call(url=link, lane=self._lane, headers=headers, asked=Asked(about="item"))


def _described(one: Mapping[str, Any]) -> dict[str, Any]:
    """An attachment without annotations but its type, which tells a file from a link."""
    kept = stored_json.plain(one)
    return {"@odata.type": one.get("@odata.type", FILE), **kept}


def decoded(attachment: Mapping[str, Any]) -> bytes | None:
    """The bytes of a stored attachment; None when it has none (a link, or unreadable)."""
    text = attachment.get("contentBytes")
    return base64.b64decode(text) if isinstance(text, str) else None


def loads(stored: bytes) -> dict[str, Any]:
    """A stored event or contact."""
    found: dict[str, Any] = orjson.loads(stored)
    return found
