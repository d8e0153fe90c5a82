"""Graph: writing messages with author and time into channels in migration mode (9.5)."""

import base64
import binascii
import re
from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.graph_channel_messages import (
    MESSAGE,
    MESSAGES,
    message_json,
    message_of,
)
from local.microsoft365.graph_teams import CHANNEL, channel_of
from local.microsoft365.roles import MIGRATE
from local.microsoft365.routes import graph
from local.microsoft365.team import Channel, Message, Team, TimeTaken, stamp
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
WRITE: dict[str, str] = {"service": "teams", "kind": "channel.write", "roles": MIGRATE}
_TEMPORARY = re.compile(r'<img[^>]*src="\.\./hostedContents/([^/"]+)/\$value"[^>]*>')
_MOST_BODY = 28 * 1024


@graph.add("POST", CHANNEL + "/startMigration", **WRITE)
async def start_migration(call: Call) -> Answer:
    """Open a channel for imported messages; its creation may only move into the past."""
    _, channel = channel_of(call)
    if channel.migrating:
        raise Fault(400, "BadRequest", "The channel is already in migration mode.")
    text = (await call.json()).get("conversationCreationDateTime")
    if text:
        wanted = stamp(_time(text))
        if wanted > channel.created:
            raise Fault(400, "BadRequest", "The creation time may only move into the past.")
        channel.created = wanted
    channel.migrating = str(call.claims.get("azp", "?"))
    return Answer(204)


@graph.add("POST", CHANNEL + "/completeMigration", **WRITE)
async def complete_migration(call: Call) -> Answer:
    """End the migration; only the application that started it may."""
    _, channel = channel_of(call)
    if not channel.migrating:
        raise Fault(400, "BadRequest", "The channel is not in migration mode.")
    if channel.migrating != call.claims.get("azp", "?"):
        raise Fault(403, "Forbidden", "Another application started this migration.")
    channel.migrating = ""
    return Answer(204)


def _time(text: Any) -> Any:
    try:
        return parse_iso(str(text))
    except ValueError as problem:
        raise Fault(400, "BadRequest", "The time is not valid.") from problem


def _author(call: Call, body: JSON) -> User:
    given = ((body.get("from") or {}).get("user") or {}).get("id")
    user = call.tenant.users.get(str(given))
    if user is None:
        raise Fault(400, "BadRequest", "from.user is not a user of this tenant.")
    return user


def _posted(call: Call, team: Team, channel: Channel, root: Message | None, body: JSON) -> Answer:
    if channel.migrating != call.claims.get("azp", "?"):
        raise Fault(403, "Forbidden", "Messages can be imported in migration mode only.")
    author, words = _author(call, body), body.get("body") or {}
    at = stamp(_time(body.get("createdDateTime")))
    if at <= channel.created or at > stamp(call.sim.clock.now()):
        text = "createdDateTime is before the channel's creation or in the future."
        raise Fault(400, "BadRequest", text)
    content, hosted = _hosted(str(words.get("content") or ""), body)
    if len(content.encode()) > _MOST_BODY:
        raise Fault(413, "RequestEntityTooLarge", "The message is too large.")
    if "<at " in content and not body.get("mentions"):
        raise Fault(400, "BadRequest", "The body mentions somebody whom mentions does not list.")
    try:
        made = channel.post(author, content, at, root)
    except TimeTaken as taken:
        raise Fault(409, "Conflict", "A message with this createdDateTime exists.") from taken
    made.content_type = str(words.get("contentType") or "text")
    made.subject, made.hosted = body.get("subject"), hosted
    made.importance = str(body.get("importance") or "normal")
    made.attachments = list(body.get("attachments") or [])
    return answer_json(message_json(call, team, channel, made), 201)


def _hosted(content: str, body: JSON) -> tuple[str, dict[str, tuple[str, bytes]]]:
    """Take the images out of the body and the temporary ids out of the text."""
    found: dict[str, tuple[str, bytes]] = {}
    for one in body.get("hostedContents") or []:
        name = str(one.get("@microsoft.graph.temporaryId") or "")
        try:
            data = base64.b64decode(str(one.get("contentBytes") or ""), validate=True)
        except binascii.Error as problem:
            raise Fault(400, "BadRequest", "contentBytes is not base64.") from problem
        found[name] = (str(one.get("contentType") or "image/png"), data)
    named = set(_TEMPORARY.findall(content))
    if named != found.keys():
        raise Fault(400, "BadRequest", "hostedContents and the body do not name the same images.")
    return _TEMPORARY.sub("", content), found


@graph.add("POST", MESSAGES, **WRITE)
async def post_message(call: Call) -> Answer:
    """Import a message with its author and time."""
    team, channel = channel_of(call)
    return _posted(call, team, channel, None, await call.json())


@graph.add("POST", MESSAGE + "/replies", **WRITE)
async def post_reply(call: Call) -> Answer:
    """Import a reply with its author and time."""
    team, channel, root = message_of(call)
    return _posted(call, team, channel, root, await call.json())
