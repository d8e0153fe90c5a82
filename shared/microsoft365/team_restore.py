"""Writes messages with author and time into a channel that is open for import.

Rules: microsoft365.md section 9.5, M34, M35. What Graph does not take is named in the notes:
reactions never, mentions as text only, a message whose author left the tenant not at all.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import unescape
from typing import Any, NamedTuple

import msgspec
import orjson

from shared.microsoft365.calls import Call, Reply
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.model import Collision, Restored
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

CONFLICTS = 50
"""Milliseconds tried before giving up (M34)."""
NAME_LENGTH = 50
_REFUSED = re.compile(r"[~#%&*{}/\\:<>?+|'\"]")
_AT = re.compile(r"</?at\b[^>]*>")
_IMAGE = re.compile(r'<img[^>]*/hostedContents/([^/"]+)/\$value[^>]*>')
_json = msgspec.json.Decoder(dict[str, Any])
_many = msgspec.json.Decoder(Feed[dict[str, Any]])
_TAG = re.compile(r"<[^>]*>")
Key = tuple[str, str]
"""Author and time of creation: what tells a message in a thread apart."""


class _Held(NamedTuple):
    """A message that stands in the channel."""

    message_id: str
    words: str


def channel_name(name: str, mark: str) -> str:
    """A name Teams accepts: pure."""
    clean = _REFUSED.sub(" ", f"{name} {mark}")
    return " ".join(clean.split())[:NAME_LENGTH].strip()


def body_of(stored: Mapping[str, Any], created: str) -> tuple[dict[str, Any], list[str]]:
    """What is posted for a stored message, and what is lost: pure."""
    notes = []
    words = dict(stored.get("body") or {})
    content = str(words.get("content") or "")
    if _AT.search(content):
        content = _AT.sub("", content)
        notes.append("mentions_as_text")
    if stored.get("reactions"):
        notes.append("reactions_lost")
    images = {str(one["id"]): one for one in stored.get("hostedContents") or []}
    content = _IMAGE.sub(
        lambda found: f'<img src="../hostedContents/{found[1]}/$value">' if found[1] in images
        else "", content,
    )  # fmt: skip
    user = (stored.get("from") or {}).get("user") or {}
    body: dict[str, Any] = {
        "createdDateTime": created,
        "from": {
            "user": {
                "id": user.get("id"),
                "displayName": user.get("displayName"),
                "userIdentityType": "aadUser",
            }
        },
        "body": {**words, "content": content},
    }
    for name in ("subject", "importance", "attachments"):
        if stored.get(name):
            body[name] = stored[name]
    if images:
        body["hostedContents"] = [
            {
                "@microsoft.graph.temporaryId": name,
                "contentBytes": image["contentBytes"],
                "contentType": image["contentType"],
            }
            for name, image in images.items()
        ]
    return body, notes


def later(created: str, milliseconds: int) -> str:
    """A time in Graph's form, moved by some milliseconds: pure."""
    moved = datetime.fromisoformat(created) + timedelta(milliseconds=milliseconds)
    return moved.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moved.microsecond // 1000:03d}Z"


def key_of(message: Mapping[str, Any]) -> Key:
    """Author and creation time."""
    user = (message.get("from") or {}).get("user") or {}
    return str(user.get("id")), str(message.get("createdDateTime"))


def words_of(message: Mapping[str, Any]) -> str:
    """The letters of a message, without marks and spaces, which an import may change: pure."""
    content = str((message.get("body") or {}).get("content") or "")
    return "".join(unescape(_TAG.sub("", content)).split())


class TeamRestore:
    """Restores into one team; its transport signs as the Restorer."""

    def __init__(self, transport: GraphTransport, team_id: str) -> None:
        self._transport, self._team = transport, team_id
        self._lane = transport.team(team_id)
        self._held: dict[str, dict[Key, _Held]] = {}

    async def find_channel(self, name: str) -> str | None:
        """Id of the channel with this name."""
        link = self._url("channels")
        while link:
            feed = await self._transport.get(self._call("GET", link), _many)
            for one in feed.value:
                if str(one.get("displayName", "")).casefold() == name.casefold():
                    return str(one["id"])
            link = feed.next_link
        return None

    async def ensure_channel(self, name: str, owners: Sequence[str]) -> str:
        """Id of a private channel; created with the first owner who is still in the directory."""
        found = await self.find_channel(name)
        for owner in owners if found is None else ():
            bind = f"{self._transport.base}/users('{owner}')"
            member = {
                "@odata.type": "#microsoft.graph.aadUserConversationMember",
                "roles": ["owner"],
                "user@odata.bind": bind,
            }
            body = {"displayName": name, "membershipType": "private", "members": [member]}

            async def settle() -> Reply | None:
                mine = await self.find_channel(name)
                return Reply(201, {}, orjson.dumps({"id": mine})) if mine else None

            call = self._call("POST", self._url("channels"), body, accept=(404,))
            reply = await self._transport.send(call, settle)
            if reply.status != 404:
                return str(_json.decode(reply.body)["id"])
        if found is None:
            raise ItemFailed("NoOwnerForChannel", 404)
        return found

    async def start(self, channel_id: str, created: str | None) -> None:
        """Open the channel for import, its beginning moved to `created`; repeats do no harm."""
        body = {"conversationCreationDateTime": created} if created else {}
        link = self._url("start_migration", channel=channel_id)
        await self._transport.send(self._call("POST", link, body, replay=True, accept=(400,)))

    async def complete(self, channel_id: str) -> None:
        """Close the import; repeats do no harm (M35)."""
        link = self._url("complete_migration", channel=channel_id)
        await self._transport.send(self._call("POST", link, {}, replay=True, accept=(400, 404)))

    async def find_message(self, channel_id: str, stored: Mapping[str, Any]) -> str | None:
        """The message with this author and time in the channel, moved ones included (M34).

        A moved one has the same words too: an author may write twice in a moment, and the second
        message is none of the first.
        """
        if channel_id not in self._held:
            self._held[channel_id] = await self._messages(channel_id)
        author, created = key_of(stored)
        held, words = self._held[channel_id], words_of(stored)
        for step in range(CONFLICTS):
            found = held.get((author, later(created, step)))
            if found is not None and (step == 0 or found.words == words):
                return found.message_id
        return None

    async def restore_message(
        self,
        channel_id: str,
        stored: Mapping[str, Any],
        root_id: str | None = None,
        collision: Collision = "skip",
    ) -> Restored:
        """Post a stored message, or a reply below `root_id`; safe to repeat with `skip`.

        `replace` finds nothing to remove: no application may delete a message, so what is there
        stays.
        """
        existing = await self.find_message(channel_id, stored)
        if existing is not None and collision != "copy":
            notes = ["replace_not_possible"] if collision == "replace" else []
            return Restored(existing, "skipped", notes)
        if not ((stored.get("from") or {}).get("user") or {}).get("id"):
            raise ItemFailed("AuthorIsNoPerson", 400)
        ids = {"channel": channel_id}
        shape = "channel_messages"
        if root_id is not None:
            shape, ids["message"] = "channel_replies", root_id
        created = str(stored["createdDateTime"])
        for step in range(CONFLICTS):
            body, notes = body_of(stored, later(created, step))

            async def settle() -> Reply | None:
                self._held.pop(channel_id, None)
                mine = await self.find_message(channel_id, stored)
                return Reply(201, {}, orjson.dumps({"id": mine})) if mine else None

            call = self._call("POST", self._url(shape, **ids), body, accept=(409,))
            reply = await self._transport.send(call, settle)
            if reply.status != 409:
                made = str(_json.decode(reply.body)["id"])
                moved = key_of(stored)[0], later(created, step)
                self._held[channel_id][moved] = _Held(made, words_of(stored))
                return Restored(made, "created", notes)
        raise ItemFailed("NoFreeMillisecond", 409)

    async def _messages(self, channel_id: str) -> dict[Key, _Held]:
        query = {"$top": "50", "$expand": "replies"}
        links = [self._url("channel_messages", query, channel=channel_id)]
        found: dict[Key, _Held] = {}
        while links:
            feed = await self._transport.get(self._call("GET", links.pop()), _many)
            for thread in feed.value:
                for one in (thread, *(thread.get("replies") or [])):
                    if not one.get("deletedDateTime"):
                        found[key_of(one)] = _Held(str(one["id"]), words_of(one))
                if more := thread.get("replies@odata.nextLink"):
                    links.append(str(more))
            if feed.next_link:
                links.append(feed.next_link)
        return found

    def _url(self, shape: str, query: dict[str, str] | None = None, /, **ids: str) -> str:
        return url(self._transport.base, shape, query, team=self._team, **ids)

    def _call(
        self,
        method: str,
        link: str,
        body: Any = None,
        *,
        replay: bool = False,
        accept: tuple[int, ...] = (),
    ) -> Call:
        return Call(
            method=method,
            url=link,
            lane=self._lane,
            headers={"Content-Type": "application/json"} if body is not None else {},
            body=orjson.dumps(body) if body is not None else None,
            asked=Asked(about="write", get=method == "GET"),
            replay=replay or method == "GET",
            accept=frozenset(accept),
        )
