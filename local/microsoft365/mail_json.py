"""How Graph writes mail folders and messages."""

import base64
from datetime import datetime
from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.ids import FOLDER, guid, outlook_id
from local.microsoft365.mailbox import ROOT, Folder, Mailbox, MailSource, Message
from local.microsoft365.mime_read import Address, Attachment, MailMeta, parse
from local.microsoft365.tenant import User
from local.microsoft365.wire import Call, Fault

JSON = dict[str, Any]
WITH_BODY = frozenset({"body", "bodyPreview", "uniqueBody", "internetMessageHeaders"})


def mailbox_of(call: Call) -> tuple[User, Mailbox]:
    """Return the mailbox the path names; raises what Graph answers when there is none."""
    user = call.current_user
    if user is None:
        name = call.params.get("user", "")
        raise Fault(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")
    if user.mailbox is None:
        raise Fault(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    return user, user.mailbox


def folder_of(call: Call, box: Mailbox, name: str = "folder") -> Folder:
    """Return the folder the path names; raises Graph's 404."""
    folder = box.find_folder(call.params[name])
    if folder is None or call.action == "gone":
        raise not_found()
    return folder


def message_of(call: Call, box: Mailbox) -> Message:
    """Return the message the path names; raises Graph's 404."""
    message = box.find(call.params["message"])
    if message is None or call.action == "gone":
        raise not_found()
    return message


def not_found() -> Fault:
    """Say that an Outlook object does not exist."""
    return Fault(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def folder_json(box: Mailbox, folder: Folder) -> JSON:
    """Return a mail folder as Graph writes it."""
    unread = sum(not message.is_read for message in folder.messages.values())
    return {
        "id": outlook_id(box.key, FOLDER, folder.number),
        "displayName": folder.name,
        "parentFolderId": outlook_id(box.key, FOLDER, folder.parent or ROOT),
        "childFolderCount": len(box.children(folder.number)),
        "unreadItemCount": unread,
        "totalItemCount": len(folder.messages),
        "sizeInBytes": 0,
        "isHidden": folder.hidden,
    }


def change_key(message: Message) -> str:
    """Return the version of a message."""
    return "CQAAAB" + outlook_id(b"\0" * 16, FOLDER, message.number, message.version)[41:65]


def _body(message: Message, shown: JSON, wanted: frozenset[str] | None) -> None:
    content = message.source.content()
    preview = content.body if content.content_type == "text" else ""
    shown["bodyPreview"] = " ".join(preview.split())[:255]
    shown["body"] = {"contentType": content.content_type, "content": content.body}
    shown["uniqueBody"] = shown["body"] if wanted and "uniqueBody" in wanted else None


def sent_of(message: Message, meta: MailMeta) -> datetime:
    """Return when a message was sent: what was set, else its header, else its delivery."""
    return message.sent or meta.sent or message.received


def message_json(
    box: Mailbox, message: Message, *, immutable: bool, wanted: frozenset[str] | None
) -> JSON:
    """Return a message as Graph writes it; bodies are made only when wanted."""
    meta = message.source.meta()
    sender = recipient(meta.sender) if meta.sender else None
    submitter = recipient(meta.submitter) if meta.submitter else sender
    topic = meta.subject.lower().removeprefix("re: ").removeprefix("aw: ")
    shown: JSON = {
        "@odata.etag": f'W/"{change_key(message)}"',
        "id": box.message_id(message.number, message.incarnation, immutable=immutable),
        "createdDateTime": iso(message.received),
        "lastModifiedDateTime": iso(message.modified),
        "changeKey": change_key(message),
        "categories": list(message.categories),
        "receivedDateTime": iso(message.received),
        "sentDateTime": iso(sent_of(message, meta)),
        "hasAttachments": meta.has_attachments,
        "internetMessageId": meta.internet_message_id or None,
        "subject": meta.subject,
        "importance": message.importance or meta.importance,
        "parentFolderId": box.folder_id(message.folder.number),
        "conversationId": "AAQkA" + guid(box.key.hex(), topic).replace("-", "") + "=",
        "isDeliveryReceiptRequested": False,
        "isReadReceiptRequested": False,
        "isRead": message.is_read,
        "isDraft": message.is_draft,
        "webLink": f"https://outlook.example/owa/?ItemID={message.number}",
        "inferenceClassification": "focused",
        "sender": submitter,
        "from": sender,
        "toRecipients": [recipient(address) for address in meta.to],
        "ccRecipients": [recipient(address) for address in meta.cc],
        "bccRecipients": [recipient(address) for address in meta.bcc],
        "replyTo": [recipient(address) for address in meta.reply_to],
        "flag": {"flagStatus": message.flag},
    }
    if wanted is None or wanted & WITH_BODY:
        _body(message, shown, wanted)
    if wanted and "internetMessageHeaders" in wanted:
        shown["internetMessageHeaders"] = _headers(message.source)
    if wanted is not None:
        shown = {
            name: value
            for name, value in shown.items()
            if name in wanted or name in ("id", "@odata.etag")
        }
    return shown


def recipient(address: Address) -> JSON:
    """Return one address as Graph writes it."""
    return {"emailAddress": {"name": address[0] or address[1], "address": address[1]}}


def attachment_json(attachment: Attachment, number: str, when: str, *, content: bool) -> JSON:
    """Return an attachment as Graph writes it, with or without its bytes."""
    shown: JSON = {
        "@odata.type": "#microsoft.graph."
        + ("itemAttachment" if attachment.nested else "fileAttachment"),
        "@odata.mediaContentType": attachment.content_type,
        "id": number,
        "lastModifiedDateTime": when,
        "name": attachment.name,
        "contentType": None if attachment.nested else attachment.content_type,
        "size": len(attachment.data),
        "isInline": attachment.inline,
    }
    if not attachment.nested:
        shown["contentId"] = attachment.content_id
        shown["contentLocation"] = None
        if content:
            shown["contentBytes"] = base64.b64encode(attachment.data).decode()
    return shown


def _headers(source: MailSource) -> list[JSON]:
    message = parse(source.mime())
    return [{"name": name, "value": str(value)} for name, value in message.items()]


def extended(message: Message, expand: str) -> list[JSON]:
    """Return the extended properties that a $expand names and the simulator knows."""
    lowered = expand.lower()
    known = {
        "integer 0xe08": ("Integer 0xe08", str(len(message.source.mime()))),
        "integer 0x0e08": ("Integer 0x0E08", str(len(message.source.mime()))),
        "integer 0x0e07": ("Integer 0x0E07", "8" if message.is_draft else "1"),
        "systemtime 0x0e06": ("SystemTime 0x0E06", iso(message.received)),
        "systemtime 0x0039": (
            "SystemTime 0x0039",
            iso(sent_of(message, message.source.meta())),
        ),
    }
    return [
        {"id": shown, "value": value} for key, (shown, value) in known.items() if key in lowered
    ]
