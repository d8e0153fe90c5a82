"""Graph: messages of channels: lists, threads, delta, and content that is hosted inside."""

import re
from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.graph_teams import CHANNEL, channel_of
from local.microsoft365.query import link
from local.microsoft365.roles import CHANNEL_MESSAGES_READ
from local.microsoft365.routes import graph
from local.microsoft365.team import Channel, Message, Team, iso_ms, stamp
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
READ: dict[str, str] = {
    "service": "teams", "kind": "channel.messages", "roles": CHANNEL_MESSAGES_READ,
}  # fmt: skip
MESSAGES = CHANNEL + "/messages"
MESSAGE = MESSAGES + "/{message}"
REPLY = MESSAGE + "/replies/{reply}"
MOST = 50
INLINE_REPLIES = 1000
_SINCE = re.compile(r"^\s*lastModifiedDateTime\s+(gt|ge)\s+(\S+)\s*$")


def message_of(call: Call) -> tuple[Team, Channel, Message]:
    """Return the message or reply the path names; raises Graph's 404."""
    team, channel = channel_of(call)
    found = channel.find(call.params["message"], call.params.get("reply", ""))
    if found is None:
        raise Fault(404, "NotFound", "Message does not exist in the requested location.")
    return team, channel, found


def message_json(call: Call, team: Team, channel: Channel, one: Message) -> JSON:
    """Return a message as Graph writes it."""
    author = one.author
    base = f"{call.origin}/v1.0/teams/{team.id}/channels/{channel.id}/messages/"
    place = f"{one.root.id}/replies/{one.id}" if one.root else one.id
    content = one.content
    for name in one.hosted:
        content += f'<img src="{base}{place}/hostedContents/{name}/$value" alt="image">'
    return {
        "id": one.id,
        "replyToId": one.root.id if one.root else None,
        "etag": str(one.modified),
        "messageType": "message",
        "createdDateTime": iso_ms(one.created),
        "lastModifiedDateTime": iso_ms(one.modified),
        "lastEditedDateTime": iso_ms(one.edited) if one.edited else None,
        "deletedDateTime": iso_ms(one.deleted) if one.deleted else None,
        "subject": one.subject,
        "summary": None,
        "chatId": None,
        "importance": one.importance,
        "locale": "en-us",
        "webUrl": f"https://teams.example/l/message/{channel.id}/{one.id}",
        "policyViolation": None,
        "eventDetail": None,
        "from": {
            "application": None,
            "device": None,
            "user": {
                "@odata.type": "#microsoft.graph.teamworkUserIdentity",
                "id": author.id,
                "displayName": author.display_name,
                "userIdentityType": "aadUser",
                "tenantId": call.tenant.id,
            },
        },
        "body": {"contentType": one.content_type, "content": content},
        "channelIdentity": {"teamId": team.id, "channelId": channel.id},
        "attachments": one.attachments,
        "mentions": [],
        "reactions": one.reactions,
    }


def _shown(call: Call, team: Team, channel: Channel, one: Message, expand: bool) -> JSON:
    shown = message_json(call, team, channel, one)
    if expand:
        path = _path(team, channel) + f"/{one.id}/replies"
        shown["replies"] = [
            message_json(call, team, channel, each) for each in one.replies[:INLINE_REPLIES]
        ]
        if len(one.replies) > INLINE_REPLIES:
            token = call.sim.sealer.seal(["replies", INLINE_REPLIES])
            shown["replies@odata.nextLink"] = link(call, path, _skiptoken=token)
    return shown


def _path(team: Team, channel: Channel) -> str:
    return f"/teams/{team.id}/channels/{channel.id}/messages"


def _check_size(call: Call) -> int:
    text = call.query.get("$top", "")
    if text and (not text.isdigit() or not 1 <= int(text) <= MOST):
        raise Fault(400, "BadRequest", f"Invalid page size specified: '{text}'. At most {MOST}.")
    return int(text) if text else 20


@graph.add("GET", MESSAGES, **READ)
async def messages(call: Call) -> Answer:
    """List threads, newest first; `$expand=replies` brings up to 1,000 replies of each."""
    team, channel = channel_of(call)
    size, expand = _check_size(call), "replies" in call.query.get("$expand", "")
    found = sorted(channel.messages.values(), key=lambda one: -one.created)
    token = call.query.get("$skiptoken")
    if token:
        opened = call.sim.sealer.open(token)
        if not opened or opened[0] != "messages":
            raise Fault(400, "BadRequest", "The skip token is not valid.")
        found = [one for one in found if one.created < int(str(opened[1]))]
    chosen = found[:size]
    body: JSON = {
        "@odata.count": len(chosen),
        "value": [_shown(call, team, channel, one, expand) for one in chosen],
    }
    if len(found) > size:
        anew = call.sim.sealer.seal(["messages", chosen[-1].created])
        asked = {"_" + n[1:]: t for n, t in call.query.items() if n in ("$expand", "$top")}
        body["@odata.nextLink"] = link(call, _path(team, channel), _skiptoken=anew, **asked)
    return answer_json(body)


@graph.add("GET", MESSAGES + "/delta", **READ)
async def delta(call: Call) -> Answer:
    """List threads that changed: whole with `$expand=replies`. From nothing: eight months."""
    team, channel = channel_of(call)
    size, expand = _check_size(call), "replies" in call.query.get("$expand", "")
    position, since, end = _start(call, channel)
    last = {name: number for number, name in channel.log if position < number <= end}
    order = sorted((number, name) for name, number in last.items())
    chosen = order[:size]
    value = [
        _shown(call, team, channel, channel.messages[name], expand)
        for _, name in chosen
        if channel.messages[name].thread_modified > since
    ]
    body: JSON = {"value": value}
    asked = {"_" + n[1:]: t for n, t in call.query.items() if n in ("$expand", "$top")}
    path = _path(team, channel) + "/delta"
    if len(order) > size:
        anew = _seal(call, channel, chosen[-1][0], since, end)
        body["@odata.nextLink"] = link(call, path, _skiptoken=anew, **asked)
    else:
        anew = _seal(call, channel, end, 0, 0)
        body["@odata.deltaLink"] = link(call, path, _deltatoken=anew, **asked)
    return answer_json(body)


def _seal(call: Call, channel: Channel, position: int, since: int, end: int) -> str:
    sim = call.sim
    return sim.sealer.seal(
        ["channel", channel.id, position, since, end, sim.clock.seconds(), sim.delta_epoch]
    )


def _start(call: Call, channel: Channel) -> tuple[int, int, int]:
    """Read a token as (position in the log, oldest change shown in ms, end of this round)."""
    limits = call.sim.limits.section("delta")
    token = call.query.get("$deltatoken") or call.query.get("$skiptoken")
    if not token:
        oldest = stamp(call.sim.clock.now()) - int(limits["teamsReach"]) * 1000
        text = call.query.get("$filter", "")
        match = _SINCE.match(text)
        if text and not match:
            raise Fault(400, "BadRequest", "Only lastModifiedDateTime can be filtered.")
        if match:
            given = stamp(parse_iso(match[2])) - (match[1] == "ge")
            oldest = max(oldest, given)
        return 0, oldest, channel.seq
    opened = call.sim.sealer.open(token)
    if not opened or opened[:2] != ["channel", channel.id]:
        raise Fault(400, "BadRequest", "The token is not valid.")
    position, since, end = (int(str(value)) for value in opened[2:5])
    old = call.sim.clock.seconds() - float(str(opened[5])) > limits["teamsReach"]
    if old or int(str(opened[6])) != call.sim.delta_epoch or call.action == "expireDelta":
        raise Fault(int(limits["teamsExpiredStatus"]), "BadRequest", "DeltaToken not supported")
    return position, since, end or channel.seq


@graph.add("GET", MESSAGE, **READ)
async def message_by_id(call: Call) -> Answer:
    """Get one message."""
    team, channel, one = message_of(call)
    return answer_json(message_json(call, team, channel, one))


@graph.add("GET", MESSAGE + "/replies", **READ)
async def replies(call: Call) -> Answer:
    """List the replies of a message."""
    team, channel, one = message_of(call)
    token, start = call.query.get("$skiptoken"), 0
    if token:
        opened = call.sim.sealer.open(token)
        if not opened or opened[0] != "replies":
            raise Fault(400, "BadRequest", "The skip token is not valid.")
        start = int(str(opened[1]))
    size = _check_size(call) if not token else MOST
    some = one.replies[start : start + size]
    body: JSON = {"value": [message_json(call, team, channel, each) for each in some]}
    if start + size < len(one.replies):
        anew = call.sim.sealer.seal(["replies", start + size])
        path = _path(team, channel) + f"/{one.id}/replies"
        body["@odata.nextLink"] = link(call, path, _skiptoken=anew)
    return answer_json(body)


@graph.add("GET", REPLY, **READ)
async def reply_by_id(call: Call) -> Answer:
    """Get one reply."""
    team, channel, one = message_of(call)
    return answer_json(message_json(call, team, channel, one))


@graph.add("GET", MESSAGE + "/hostedContents/{content}/$value", **READ)
@graph.add("GET", REPLY + "/hostedContents/{content}/$value", **READ)
async def hosted_content(call: Call) -> Answer:
    """Get the bytes of an image inside a message."""
    _, _, one = message_of(call)
    found = one.hosted.get(call.params["content"])
    if found is None:
        raise Fault(404, "NotFound", "The hosted content does not exist.")
    return Answer(200, found[1], {"Content-Type": found[0]})
