"""Turns what Graph lists about a team, its channels and messages into rows: all pure."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import msgspec

from shared.microsoft365.json_rows import SETTINGS, canonical, item_id, plain, settings_change
from shared.microsoft365.mail_rows import ATTACHMENTS, epoch_seconds, without_nothing
from shared.microsoft365.model import Change

CHANNEL = "channel:"
NAME_LENGTH = 120
"""Characters of a message without subject that stand in for one."""
# They appear while a restore runs, or change with every visit.
RESTLESS = frozenset({"migrationMode", "lastModifiedDateTime"})
_TAG = re.compile(r"<[^>]*>")
_IMAGE = re.compile(r"/hostedContents/([^/\"']+)/\$value")


class MessageEntry(msgspec.Struct, rename="camel"):
    """The members of a message that make its row; its JSON is kept beside."""

    id: str
    etag: str | None = None
    subject: str | None = None
    created_date_time: str | None = None
    last_modified_date_time: str | None = None
    deleted_date_time: str | None = None
    message_type: str | None = None
    sender: dict[str, Any] | None = msgspec.field(default=None, name="from")
    body: dict[str, Any] | None = None
    attachments: list[dict[str, Any]] | None = None
    removed: dict[str, Any] | None = msgspec.field(default=None, name="@removed")


def team_change(team: Mapping[str, Any]) -> Change:
    """The row of the team with its settings."""
    return settings_change("team", "team", team.get("displayName"), _quiet(team))


def members_change(members: list[dict[str, Any]]) -> Change:
    """The row of the team's members and owners."""
    told = {"members": _people(members)}
    return settings_change("members", "permission", "Members", told)


def channel_change(
    channel: Mapping[str, Any], tabs: list[dict[str, Any]], members: list[dict[str, Any]] | None
) -> Change:
    """The row of a channel: what it is, its tabs, and whom a private or shared one admits."""
    told: dict[str, Any] = {
        "channel": _quiet(channel),
        "tabs": sorted((plain(tab) for tab in tabs), key=lambda tab: str(tab.get("id"))),
    }
    if members is not None:
        told["members"] = _people(members)
    kind = channel.get("membershipType")
    name = CHANNEL + str(channel["id"])
    return settings_change(name, "channel", channel.get("displayName"), told, membership=kind)


def _quiet(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in plain(value).items() if name not in RESTLESS}


def _people(members: list[dict[str, Any]]) -> list[Any]:
    return sorted((plain(one) for one in members), key=lambda one: str(one.get("userId")))


def message_change(container: str, message: dict[str, Any], root_id: str | None = None) -> Change:
    """The row of a message, or of a reply below the message `root_id`.

    A message that a person deleted is a tombstone here; older restore points keep it (M17).
    """
    entry = msgspec.convert(message, MessageEntry)
    kind = "message" if root_id is None else "reply"
    row_id = message_id(container, entry.id, root_id)
    if entry.deleted_date_time is not None or entry.removed is not None:
        return Change({"i": row_id, "k": kind}, removed=True, container=container)
    top = item_id(SETTINGS, container)
    item = without_nothing({
        "i": row_id,
        "k": kind,
        "p": top if root_id is None else item_id(container, root_id),
        "n": entry.subject or first_words(entry.body or {}),
        "w": author_of(entry.sender),
        "t": epoch_seconds(entry.created_date_time),
        "v": entry.etag or entry.last_modified_date_time,
        "x": ATTACHMENTS if entry.attachments else 0,
        "c": "json",
        "m": without_nothing({
            "created": entry.created_date_time,
            "modified": entry.last_modified_date_time,
            "type": entry.message_type if entry.message_type != "message" else None,
        }),
    })  # fmt: skip
    fetch = {"message": stored(message)}
    return Change(item, removed=False, container=container, fetch=fetch, content=True)


def message_id(container: str, own: str, root_id: str | None) -> str:
    """The id of a row: messages are numbered by time inside their channel only."""
    return item_id(container, own if root_id is None else f"{root_id}/{own}")


def stored(message: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a message: without its replies, which have rows of their own."""
    told: dict[str, Any] = plain({k: v for k, v in message.items() if k != "replies"})
    return told


def images_of(message: Mapping[str, Any]) -> list[str]:
    """Ids of the images inside the words of a message, each once."""
    content = str((message.get("body") or {}).get("content") or "")
    return list(dict.fromkeys(_IMAGE.findall(content)))


def content_of(message: Mapping[str, Any], images: Mapping[str, Mapping[str, str]]) -> bytes:
    """The stored JSON; `images` are base64 bytes and media type by id."""
    if not images:
        return canonical(message)
    hosted = [{"id": name, **image} for name, image in images.items()]
    return canonical({**message, "hostedContents": hosted})


def author_of(sender: Mapping[str, Any] | None) -> str | None:
    """The display name of whoever wrote a message: a person, or an application."""
    for kind in ("user", "application", "device"):
        found = (sender or {}).get(kind)
        if found:
            name = found.get("displayName") or found.get("id")
            return str(name) if name else None
    return None


def first_words(body: Mapping[str, Any]) -> str:
    """The beginning of a message as plain text."""
    content = str(body.get("content") or "")
    if body.get("contentType") == "html":
        content = unescape(_TAG.sub(" ", content))
    return " ".join(content.split())[:NAME_LENGTH]
