"""Graph: reading messages, their MIME and the delta of a folder."""

import bisect
from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.delta import check_age, delta_link, next_link, open_token
from local.microsoft365.graph_attachments import attachments_json
from local.microsoft365.mail_json import (
    extended,
    folder_of,
    mailbox_of,
    message_json,
    message_of,
)
from local.microsoft365.mailbox import Folder, Mailbox, Message
from local.microsoft365.query import comparison, page, selected
from local.microsoft365.roles import MAIL_READ
from local.microsoft365.routes import graph
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]


def shown(call: Call, box: Mailbox, message: Message) -> JSON:
    """Return a message with what $select and $expand ask for."""
    value = message_json(box, message, immutable=call.immutable, wanted=selected(call))
    expand = call.query.get("$expand", "")
    if "singleValueExtendedProperties" in expand:
        value["singleValueExtendedProperties"] = extended(message, expand)
    if "attachments" in expand:
        value["attachments"] = attachments_json(message, content=True)
    return value


def _filtered(messages: list[Message], text: str) -> list[Message]:
    clauses = [comparison(clause) for clause in text.split(" and ")]
    found = messages
    for member, operator, value in clauses:
        if member == "internetMessageId" and operator == "eq":
            found = [m for m in found if m.source.meta().internet_message_id == value]
        elif member == "subject" and operator == "eq":
            found = [m for m in found if m.source.meta().subject == value]
        elif member == "isRead" and operator == "eq":
            found = [m for m in found if m.is_read == (value == "true")]
        elif member == "isDraft" and operator == "eq":
            found = [m for m in found if m.is_draft == (value == "true")]
        elif member in ("receivedDateTime", "lastModifiedDateTime", "sentDateTime"):
            found = [m for m in found if _time_matches(m, member, operator, value)]
        else:
            raise Fault(400, "ErrorInvalidUrlQueryFilter", f"Unsupported filter on {member}.")
    return found


def _time_matches(message: Message, member: str, operator: str, value: str) -> bool:
    try:
        limit = parse_iso(value)
    except ValueError as problem:
        raise Fault(400, "ErrorInvalidUrlQueryFilter", f"Invalid time {value}.") from problem
    moment = message.modified if member == "lastModifiedDateTime" else message.received
    if member == "sentDateTime":
        moment = message.sent or message.source.meta().sent or message.received
    moment = moment.replace(microsecond=0)
    return {
        "eq": moment == limit,
        "ge": moment >= limit,
        "gt": moment > limit,
        "le": moment <= limit,
        "lt": moment < limit,
    }.get(operator, False)


def _list(call: Call, box: Mailbox, messages: list[Message], path: str) -> Answer:
    if call.query.get("$filter"):
        messages = _filtered(messages, call.query["$filter"])
    # The newest first, as the service lists when no order is asked for.
    messages = sorted(messages, key=lambda m: (m.received, m.number), reverse=True)
    if call.query.get("$orderby", "").replace(" ", "").lower() in (
        "receiveddatetime",
        "receiveddatetimeasc",
    ):
        messages.reverse()
    size = call.page_size(10, 1000)
    # Only the messages of the page are turned into JSON.
    body = page(call, path, messages, size, "messages")  # type: ignore[arg-type]
    body["value"] = [shown(call, box, message) for message in body["value"]]
    return answer_json(body)


@graph.add("GET", "/users/{user}/messages", service="outlook", kind="messages", roles=MAIL_READ)
async def messages(call: Call) -> Answer:
    """List the messages of the whole mailbox."""
    user, box = mailbox_of(call)
    found = [m for m in box.messages.values() if not m.folder.hidden]
    return _list(call, box, found, f"/users/{user.id}/messages")


@graph.add("GET", "/users/{user}/mailFolders/{folder}/messages", service="outlook",
           kind="messages", roles=MAIL_READ)  # fmt: skip
async def folder_messages(call: Call) -> Answer:
    """List the messages of a folder."""
    user, box = mailbox_of(call)
    folder = folder_of(call, box)
    path = f"/users/{user.id}/mailFolders/{call.params['folder']}/messages"
    return _list(call, box, list(folder.messages.values()), path)


@graph.add("GET", "/users/{user}/messages/{message}", service="outlook", kind="messages",
           roles=MAIL_READ)  # fmt: skip
@graph.add("GET", "/users/{user}/mailFolders/{folder}/messages/{message}", service="outlook",
           kind="messages", roles=MAIL_READ)  # fmt: skip
async def message_by_id(call: Call) -> Answer:
    """Get one message."""
    _, box = mailbox_of(call)
    value = shown(call, box, message_of(call, box))
    return answer_json(
        {"@odata.context": f"{call.origin}/v1.0/$metadata#messages/$entity", **value}
    )


@graph.add("GET", "/users/{user}/messages/{message}/$value", service="outlook",
           kind="messages.value", roles=MAIL_READ)  # fmt: skip
@graph.add("GET", "/users/{user}/mailFolders/{folder}/messages/{message}/$value",
           service="outlook", kind="messages.value", roles=MAIL_READ)  # fmt: skip
async def message_value(call: Call) -> Answer:
    """Get the MIME of a message, exactly as stored."""
    _, box = mailbox_of(call)
    mime = message_of(call, box).source.mime()
    return Answer(200, mime, {"Content-Type": "text/plain"})


@graph.add("GET", "/users/{user}/mailFolders/{folder}/messages/delta", service="outlook",
           kind="messages.delta", roles=MAIL_READ)  # fmt: skip
async def messages_delta(call: Call) -> Answer:
    """Enumerate a folder's messages, or list what changed since a token.

    A first enumeration shows what was in the folder when it began; its deltaLink repeats
    whatever changed while it ran (M13, M14). A move is a removal here and an arrival there.
    """
    user, box = mailbox_of(call)
    folder = folder_of(call, box)
    path = f"/users/{user.id}/mailFolders/{call.params['folder']}/messages/delta"
    # [0 = enumerating or 1 = changes, position, sequence when this round began, page number]
    state = open_token(call, f"messages {folder.number}", [0, 0, box.seq, 0])
    check_age(call, state, "mail")
    changes, position, began, number = (int(value) for value in state.values)
    size = call.page_size(10, 1000)
    body: JSON = {"@odata.context": f"{call.origin}/v1.0/$metadata#Collection(message)"}
    empty = call.sim.limits.get("switches", "emptyPageInDelta") and number == 1
    if empty or call.action == "emptyPage":
        body["value"] = []
        next_link(call, body, path, state, [changes, position, began, number + 1])
        return answer_json(body)
    found: list[JSON]
    if changes:
        found, position, more = _changes(call, box, folder, position, size)
    else:
        found, position, more = _enumeration(call, box, folder, (position, began), size)
        if call.sim.limits.get("switches", "repeatInDelta"):
            found = found + found[:1]
    body["value"] = found
    if more:
        next_link(call, body, path, state, [changes, position, began, number + 1])
    else:
        end = position if changes else began
        delta_link(call, body, path, state, [1, end, 0, 0])
    return answer_json(body)


def _enumeration(
    call: Call, box: Mailbox, folder: Folder, span: tuple[int, int], size: int
) -> tuple[list[JSON], int, bool]:
    position, began = span
    found: list[JSON] = []
    at = bisect.bisect_right(folder.arrivals, position)
    while at < len(folder.arrivals) and folder.arrivals[at] <= began:
        message = folder.messages.get(folder.arrivals[at])
        if message is not None:
            if len(found) == size:
                return found, position, True
            found.append({"@odata.type": "#microsoft.graph.message", **shown(call, box, message)})
        position = folder.arrivals[at]
        at += 1
    return found, position, False


def _changes(
    call: Call, box: Mailbox, folder: Folder, since: int, size: int
) -> tuple[list[JSON], int, bool]:
    start = bisect.bisect_right(folder.log, (since, 1 << 62, "", 0))
    last = {entry[1]: entry for entry in folder.log[start:]}
    entries = sorted(last.values())
    found: list[JSON] = []
    for _, number, reason, incarnation in entries[:size]:
        message = box.messages.get(number)
        if not reason and message is not None:
            found.append({"@odata.type": "#microsoft.graph.message", **shown(call, box, message)})
        else:
            identity = box.message_id(number, incarnation, immutable=call.immutable)
            found.append(
                {
                    "@odata.type": "#microsoft.graph.message",
                    "id": identity,
                    "@removed": {"reason": reason or "deleted"},
                }
            )
    if len(entries) > size:
        return found, entries[size - 1][0], True
    return found, entries[-1][0] if entries else since, False
