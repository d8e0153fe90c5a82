"""Builds the JSON with which a mail is created again, times and flags in the same POST: pure.

Rule: microsoft365.md section 9.1. These extended properties cannot be changed after the first
save, so they are part of the creation.
"""

import base64
from collections.abc import Mapping
from typing import Any

from shared.microsoft365.mail_rows import DRAFT, FLAGGED, READ
from shared.microsoft365.mime import Attachment, Mail

MESSAGE_FLAGS = "Integer 0x0E07"
SUBMIT_TIME = "SystemTime 0x0039"
DELIVERY_TIME = "SystemTime 0x0E06"
NOT_UNSENT = "4"
"""Any value without the unsent bit 0x8: not a draft."""

# Graph takes at most 4 MB in one request; base64 makes three bytes four.
INLINE_TOTAL_BYTES = 2_800_000
SESSION_FROM_BYTES = 3_000_000
ATTACHMENT_LIMIT_BYTES = 150_000_000
# Graph refuses a message with more custom headers, or longer ones.
CUSTOM_HEADERS = 5
HEADER_CHARACTERS = 900


def message_json(mail: Mail, item: Mapping[str, Any]) -> dict[str, Any]:
    """The message without attachments; `item` is its row and decides times, flags, categories."""
    bits, told = item.get("x", 0), item.get("m", {})
    message = content_json(mail)
    # Graph's own words for what the MIME says too: a person may have changed them since.
    message["subject"] = item.get("n") or mail.subject
    message["importance"] = told.get("importance") or "normal"
    message["isRead"] = bool(bits & READ)
    if told.get("flag"):
        message["flag"] = told["flag"]
    elif bits & FLAGGED:
        message["flag"] = {"flagStatus": "flagged"}
    if told.get("categories"):
        message["categories"] = told["categories"]
    if told.get("imid"):
        message["internetMessageId"] = told["imid"]
    sent = told.get("sent") or mail.sent
    properties = _extended(sent, told.get("received") or sent, draft=bool(bits & DRAFT))
    if properties:
        message["singleValueExtendedProperties"] = properties
    return message


def _extended(sent: str, received: str, *, draft: bool) -> list[dict[str, str]]:
    properties = [] if draft else [{"id": MESSAGE_FLAGS, "value": NOT_UNSENT}]
    if sent:
        properties.append({"id": SUBMIT_TIME, "value": sent})
    if received:
        properties.append({"id": DELIVERY_TIME, "value": received})
    return properties


def content_json(mail: Mail) -> dict[str, Any]:
    """What the mail itself says, for a message or for a nested one."""
    message: dict[str, Any] = {
        "subject": mail.subject,
        "body": {"contentType": "html" if mail.is_html else "text", "content": mail.body},
        "importance": mail.importance or "normal",
    }
    lists = {
        "toRecipients": mail.to,
        "ccRecipients": mail.cc,
        "bccRecipients": mail.bcc,
        "replyTo": mail.reply_to,
    }
    message |= {name: [_recipient(a) for a in found] for name, found in lists.items() if found}
    writers = mail.from_ or mail.sender
    if writers:
        message["from"] = _recipient(writers[0])
        message["sender"] = _recipient((mail.sender or writers)[0])
    if mail.message_id:
        message["internetMessageId"] = mail.message_id
    headers = [
        {"name": name, "value": value[:HEADER_CHARACTERS]} for name, value in mail.headers if value
    ]
    if headers:
        message["internetMessageHeaders"] = headers[:CUSTOM_HEADERS]
    return message


def _recipient(address: tuple[str, str]) -> dict[str, Any]:
    known = {"name": address[0] or address[1]}
    if address[1]:
        known["address"] = address[1]
    return {"emailAddress": known}


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """An attachment as part of a message or on its own."""
    if attachment.message is not None:
        inner = content_json(attachment.message)
        inner.pop("internetMessageHeaders", None)
        told = _extended(attachment.message.sent, attachment.message.received, draft=False)
        inner["singleValueExtendedProperties"] = told
        if attachment.message.attachments:
            inner["attachments"] = [attachment_json(a) for a in attachment.message.attachments]
        return {
            "@odata.type": "#microsoft.graph.itemAttachment",
            "name": attachment.name,
            "isInline": attachment.inline,
            "item": {"@odata.type": "#microsoft.graph.message", **inner},
        }
    described = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": attachment.name,
        "contentType": attachment.content_type,
        "contentBytes": base64.b64encode(attachment.content).decode("ascii"),
        "isInline": attachment.inline,
    }
    if attachment.content_id:
        described["contentId"] = attachment.content_id
    return described


def session_json(attachment: Attachment) -> dict[str, Any]:
    """The request that opens an upload session; a nested mail goes up as its `.eml`."""
    name = attachment.name if attachment.message is None else attachment.name + ".eml"
    described = {
        "attachmentType": "file",
        "name": name,
        "size": len(attachment.content),
        "contentType": attachment.content_type,
        "isInline": attachment.inline,
    }
    if attachment.content_id:
        described["contentId"] = attachment.content_id
    return {"AttachmentItem": described}


def losses(attachments: list[Attachment]) -> list[str]:
    """Notes on what Graph's JSON cannot bring back as it was (README.md, "How a mail is read")."""
    notes = []
    for attachment in attachments:
        if len(attachment.content) > ATTACHMENT_LIMIT_BYTES:
            notes.append(f"attachment_too_large:{attachment.name}")
        elif attachment.message is None:
            is_mail = attachment.content_type in ("message/rfc822", "message/global")
            notes += [f"message_as_file:{attachment.name}"] if is_mail else []
        elif len(attachment.content) >= SESSION_FROM_BYTES:
            notes.append(f"message_as_file:{attachment.name}.eml")
        else:
            notes += losses(attachment.message.attachments)
    return notes


def room_beside(message: Mapping[str, Any]) -> int:
    """Bytes of attachments that fit into the POST of this message."""
    body = len(str(message["body"]["content"]).encode())
    return max(0, INLINE_TOTAL_BYTES - body)


def split_attachments(
    attachments: list[Attachment], room: int = INLINE_TOTAL_BYTES
) -> tuple[list[Attachment], list[Attachment], list[Attachment], list[Attachment]]:
    """Which go inside the first POST, which by an own POST, which by session, which cannot."""
    inside: list[Attachment] = []
    beside: list[Attachment] = []
    by_session: list[Attachment] = []
    too_large: list[Attachment] = []
    total = 0
    for attachment in attachments:
        size = len(attachment.content)
        if size > ATTACHMENT_LIMIT_BYTES:
            too_large.append(attachment)
        elif size >= SESSION_FROM_BYTES:
            by_session.append(attachment)
        elif total + size <= room:
            inside.append(attachment)
            total += size
        else:
            beside.append(attachment)
    return inside, beside, by_session, too_large
