"""Mails made through Graph: kept as parts, composed to MIME when read."""

import base64
import binascii
from dataclasses import replace
from datetime import datetime
from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.ids import guid
from local.microsoft365.mailbox import MailSource
from local.microsoft365.mime_read import Attachment, MailContent, MailMeta
from local.microsoft365.mime_write import compose, meta_of, pairs_of
from local.microsoft365.wire import Fault

JSON = dict[str, Any]
FLAGS, SUBMITTED, DELIVERED = (
    ("integer", 0x0E07),
    ("systemtime", 0x0039),
    ("systemtime", 0x0E06),
)
UNSENT = 0x8
_LISTS = {"toRecipients": "to", "ccRecipients": "cc", "bccRecipients": "bcc", "replyTo": "reply_to"}
PARTS = frozenset({*_LISTS, "subject", "body", "from", "sender", "internetMessageId"})


class CreatedMail:
    """A mail given as JSON; its MIME is composed on demand and kept until a part changes."""

    __slots__ = ("_content", "_headers", "_meta", "_mime")

    def __init__(
        self, meta: MailMeta, content: MailContent, headers: list[tuple[str, str]] | None = None
    ) -> None:
        self._meta, self._content, self._headers = meta, content, headers or []
        self._mime: bytes | None = None

    def mime(self) -> bytes:
        """Return the composed MIME."""
        if self._mime is None:
            content = self._content
            self._mime = compose(
                self._meta, content.content_type, content.body, content.attachments, self._headers
            )
        return self._mime

    def meta(self) -> MailMeta:
        """Return the header view."""
        attached = any(not one.inline for one in self._content.attachments)
        return replace(self._meta, has_attachments=attached)

    def content(self) -> MailContent:
        """Return body and attachments."""
        return self._content

    def attach(self, attachment: Attachment) -> int:
        """Add an attachment and return its place."""
        self._content.attachments.append(attachment)
        self._mime = None
        return len(self._content.attachments) - 1

    def detach(self, place: int) -> None:
        """Remove the attachment at a place."""
        del self._content.attachments[place]
        self._mime = None

    def patch(self, body: JSON) -> None:
        """Change parts of a draft."""
        meta = self._meta
        for member, name in _LISTS.items():
            if member in body:
                setattr(meta, name, pairs_of(body[member]))
        if "subject" in body:
            meta.subject = str(body["subject"] or "")
        if body.get("from") or body.get("sender"):
            given = meta_of(body, sent=None, received=None)
            meta.sender, meta.submitter = given.sender, given.submitter
        if "body" in body:
            self._content.content_type, self._content.body = body_of(body)
        self._mime = None


def editable(source: MailSource) -> CreatedMail:
    """Return a source whose parts can change; stored MIME is taken apart for it."""
    if isinstance(source, CreatedMail):
        return source
    content = source.content()
    copy = MailContent(content.content_type, content.body, list(content.attachments))
    return CreatedMail(replace(source.meta()), copy)


def body_of(body: JSON) -> tuple[str, str]:
    """Read the body member as (contentType, content)."""
    given = body.get("body") or {}
    kind = str(given.get("contentType") or "text").lower()
    return ("html" if kind == "html" else "text"), str(given.get("content") or "")


def extended_of(body: JSON) -> dict[tuple[str, int], str]:
    """Read singleValueExtendedProperties by (type, property number); others are ignored."""
    found: dict[tuple[str, int], str] = {}
    for entry in body.get("singleValueExtendedProperties") or []:
        kind, _, number = str(entry.get("id", "")).strip().partition(" ")
        try:
            found[kind.lower(), int(number, 16)] = str(entry.get("value", ""))
        except ValueError:
            continue
    return found


def moment_in(properties: dict[tuple[str, int], str], key: tuple[str, int]) -> datetime | None:
    """Return a time among extended properties; raises Graph's 400 for one that is none."""
    text = properties.get(key)
    if not text:
        return None
    try:
        return parse_iso(text).replace(microsecond=0)
    except ValueError as problem:
        raise Fault(400, "ErrorInvalidExtendedPropertyValue", f"Invalid time {text}.") from problem


def attachment_of(body: JSON) -> Attachment:
    """Read an attachment given as JSON; raises Graph's 400 when it is none."""
    kind = str(body.get("@odata.type", "")).rpartition(".")[2].lower()
    name = str(body.get("name") or "")
    if kind == "itemattachment":
        return _nested(name, body)
    if kind != "fileattachment":
        raise Fault(400, "ErrorInvalidRequest", "The attachment needs a known @odata.type.")
    try:
        data = base64.b64decode(body.get("contentBytes") or "", validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Fault(400, "BadRequest", "contentBytes is not base64.") from problem
    return Attachment(
        name,
        str(body.get("contentType") or "application/octet-stream"),
        data,
        bool(body.get("isInline")),
        body.get("contentId"),
    )


def _nested(name: str, body: JSON) -> Attachment:
    item = body.get("item") or {}
    properties = extended_of(item)
    sent, received = moment_in(properties, SUBMITTED), moment_in(properties, DELIVERED)
    made = created_from(item, sent, received, delivered=False)
    flags = properties.get(FLAGS, "")
    meta = replace(made.meta(), unsent=not flags.isdigit() or bool(int(flags) & UNSENT))
    inline = bool(body.get("isInline"))
    return Attachment(
        name, "message/rfc822", made.mime(), inline, nested=True, item=(meta, made.content())
    )


def created_from(
    body: JSON, sent: datetime | None, received: datetime | None, *, delivered: bool = True
) -> CreatedMail:
    """Make a mail from Graph's JSON; whom it does not name as its sender is not invented."""
    meta = meta_of(body, sent=sent, received=received)
    if delivered and not meta.internet_message_id:
        meta.internet_message_id = f"<{guid(id(body), sent, meta.subject)}@created.example>"
    headers = []
    for header in body.get("internetMessageHeaders") or []:
        name = str(header.get("name", ""))
        if not name.lower().startswith("x-"):
            text = f"The internet message header name '{name}' should start with 'x-' or 'X-'."
            raise Fault(400, "InvalidInternetMessageHeader", text)
        headers.append((name, str(header.get("value", ""))))
    attachments = [attachment_of(one) for one in body.get("attachments") or []]
    return CreatedMail(meta, MailContent(*body_of(body), attachments), headers)
