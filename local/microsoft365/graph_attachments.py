"""Graph: attachments of messages, small ones inline, large ones by upload session."""

import re
from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.ids import IMMUTABLE, outlook_id, parse_outlook_id
from local.microsoft365.mail_created import attachment_of, editable
from local.microsoft365.mail_json import (
    attachment_json,
    mailbox_of,
    message_of,
    not_found,
    recipient,
)
from local.microsoft365.mailbox import Mailbox, Message
from local.microsoft365.mime_read import Attachment
from local.microsoft365.query import page, pick, selected
from local.microsoft365.roles import MAIL_READ, MAIL_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.uploads import UploadSession, begin, lifetime
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
KEY = b"attachment ids.."
LIST = "/users/{user}/messages/{message}/attachments"
NESTED = "/users/{user}/mailFolders/{folder}/messages/{message}/attachments"
READ: dict[str, str] = {"service": "outlook", "kind": "attachments", "roles": MAIL_READ}
WRITE: dict[str, str] = {"service": "outlook", "kind": "attachments.write", "roles": MAIL_WRITE}
SMALL = 3 * 1024 * 1024
_INSIDE = re.compile(r"/item\(\$expand=(?:microsoft\.graph\.message/)?attachments")
LARGE = 150 * 1024 * 1024
FRAGMENT = 4 * 1024 * 1024


def attachment_id(message: Message, index: int) -> str:
    """Return the id of the attachment at a place."""
    return outlook_id(KEY, IMMUTABLE, message.number, index + 1)


def attachments_json(message: Message, *, content: bool) -> list[JSON]:
    """Return all attachments as Graph writes them."""
    when = iso(message.modified)
    return [
        attachment_json(one, attachment_id(message, index), when, content=content)
        for index, one in enumerate(message.source.content().attachments)
    ]


def _found(call: Call) -> tuple[Mailbox, Message, Attachment, int]:
    _, box = mailbox_of(call)
    message = message_of(call, box)
    parsed = parse_outlook_id(KEY, call.params["attachment"])
    attachments = message.source.content().attachments
    if parsed is None or parsed[1] != message.number or parsed[2] > len(attachments):
        raise not_found()
    return box, message, attachments[parsed[2] - 1], parsed[2] - 1


@graph.add("GET", LIST, **READ)
@graph.add("GET", NESTED, **READ)
async def attachments(call: Call) -> Answer:
    """List attachments, with their bytes unless $select leaves them out."""
    user, box = mailbox_of(call)
    message = message_of(call, box)
    wanted = selected(call)
    content = wanted is None or "contentBytes" in wanted
    things = [pick(one, wanted) for one in attachments_json(message, content=content)]
    path = f"/users/{user.id}/messages/{call.params['message']}/attachments"
    return answer_json(page(call, path, things, call.page_size(100, 1000), "attachments"))


@graph.add("GET", LIST + "/{attachment}", **READ)
@graph.add("GET", NESTED + "/{attachment}", **READ)
async def attachment(call: Call) -> Answer:
    """Get one attachment; `$expand=microsoft.graph.itemAttachment/item` shows a nested message."""
    _, message, found, index = _found(call)
    when = iso(message.modified)
    shown = attachment_json(found, attachment_id(message, index), when, content=True)
    expand = call.query.get("$expand", "").lower()
    levels = expand.count("itemattachment/item")
    if found.nested and levels:
        shown["item"] = _nested_item(found, levels, len(_INSIDE.findall(expand)))
    return answer_json(pick(shown, selected(call)))


def _nested_item(found: Attachment, levels: int, inside: int) -> JSON:
    """Return a nested message; `inside` is to how many levels its own attachments are wanted."""
    meta, content = found.opened()
    sender = recipient(meta.sender) if meta.sender else None
    shown: JSON = {
        "@odata.type": "#microsoft.graph.message",
        "id": "",
        "subject": meta.subject,
        "internetMessageId": meta.internet_message_id or None,
        "sentDateTime": iso(meta.sent) if meta.sent else None,
        "receivedDateTime": iso(meta.received) if meta.received else None,
        "sender": recipient(meta.submitter) if meta.submitter else sender,
        "from": sender,
        "toRecipients": [recipient(one) for one in meta.to],
        "ccRecipients": [recipient(one) for one in meta.cc],
        "bccRecipients": [recipient(one) for one in meta.bcc],
        "replyTo": [recipient(one) for one in meta.reply_to],
        "importance": meta.importance,
        "isDraft": meta.unsent,
        "hasAttachments": any(not one.inline for one in content.attachments),
        "body": {"contentType": content.content_type, "content": content.body},
    }
    if inside:
        shown["attachments"] = []
        for number, one in enumerate(content.attachments):
            below = attachment_json(one, outlook_id(KEY, IMMUTABLE, number + 1), "", content=True)
            if one.nested and levels > 1:
                below["item"] = _nested_item(one, levels - 1, inside - 1)
            shown["attachments"].append(below)
    return shown


@graph.add("GET", LIST + "/{attachment}/$value", **READ)
@graph.add("GET", NESTED + "/{attachment}/$value", **READ)
async def attachment_value(call: Call) -> Answer:
    """Get the bytes of an attachment; of a nested message, its MIME."""
    _, _, found, _ = _found(call)
    return Answer(200, found.data, {"Content-Type": "application/octet-stream"})


def _attach(call: Call, box: Mailbox, message: Message, new: Attachment) -> JSON:
    source = editable(message.source)
    index = source.attach(new)
    message.source = source
    now = call.sim.clock.now()
    box.touch(message, now)
    return attachment_json(new, attachment_id(message, index), iso(now), content=False)


@graph.add("POST", LIST, **WRITE)
@graph.add("POST", NESTED, **WRITE)
async def add_attachment(call: Call) -> Answer:
    """Add an attachment below 3 MB."""
    _, box = mailbox_of(call)
    message = message_of(call, box)
    new = attachment_of(await call.json())
    call.sim.stats.bytes_in += len(new.data)
    if len(new.data) >= SMALL:
        text = "The maximum request length supported is 4MB."
        raise Fault(413, "ErrorMessageSizeExceeded", text)
    return answer_json(_attach(call, box, message, new), 201)


@graph.add("POST", LIST + "/createUploadSession", **WRITE)
@graph.add("POST", NESTED + "/createUploadSession", **WRITE)
async def attachment_session(call: Call) -> Answer:
    """Start the upload of an attachment of 3 to 150 MB, in fragments up to 4 MiB."""
    _, box = mailbox_of(call)
    message = message_of(call, box)
    item = (await call.json()).get("AttachmentItem") or (await call.json()).get("attachmentItem")
    if not isinstance(item, dict) or item.get("attachmentType") not in ("file", "item"):
        raise Fault(400, "ErrorInvalidRequest", "AttachmentItem with attachmentType is needed.")
    size = int(item.get("size") or 0)
    if size < SMALL:
        code = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
        raise Fault(400, code, "Attachments below 3 MB are added by POST.")
    if size > LARGE:
        raise Fault(413, "ErrorAttachmentSizeLimitExceeded", "Attachments end at 150 MB.")

    def finish(later: Call, data: bytes) -> Answer:
        new = Attachment(
            str(item.get("name") or "attachment"),
            str(item.get("contentType") or "application/octet-stream"),
            data,
            bool(item.get("isInline")),
            item.get("contentId"),
            nested=item["attachmentType"] == "item",
        )
        shown = _attach(later, box, message, new)
        where = f"{later.origin}/v1.0/attachments/{shown['id']}"
        return Answer(201, b"", {"Location": where})

    session = UploadSession(finish, lifetime(call), most=FRAGMENT, multiple=1, mail=True)
    return answer_json(begin(call, session), 201)


@graph.add("DELETE", LIST + "/{attachment}", **WRITE)
@graph.add("DELETE", NESTED + "/{attachment}", **WRITE)
async def delete_attachment(call: Call) -> Answer:
    """Remove an attachment."""
    box, message, _, index = _found(call)
    source = editable(message.source)
    source.detach(index)
    message.source = source
    box.touch(message, call.sim.clock.now())
    return Answer(204)
