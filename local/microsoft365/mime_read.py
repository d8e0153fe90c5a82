"""From MIME bytes to Graph's JSON view of a message, whatever the state of the mail."""

import base64
import email
import email.message
import email.policy
import email.utils
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

JSON = dict[str, Any]
Address = tuple[str, str]
_POLICY = email.policy.compat32
_BROKEN = (ValueError, LookupError, HeaderParseError, TypeError, IndexError, OverflowError)


@dataclass(slots=True)
class MailMeta:
    """What a message list shows of one mail, taken from its headers."""

    subject: str = ""
    sender: Address | None = None
    to: list[Address] = field(default_factory=list)
    cc: list[Address] = field(default_factory=list)
    bcc: list[Address] = field(default_factory=list)
    reply_to: list[Address] = field(default_factory=list)
    sent: datetime | None = None
    received: datetime | None = None
    internet_message_id: str = ""
    has_attachments: bool = False
    importance: str = "normal"


@dataclass(slots=True)
class Attachment:
    """One attachment; `item` holds the inner MIME of a nested message."""

    name: str
    content_type: str
    data: bytes
    inline: bool = False
    content_id: str | None = None
    nested: bool = False


@dataclass(slots=True)
class MailContent:
    """The body and attachments of one mail."""

    content_type: str
    body: str
    attachments: list[Attachment]


def text_of(message: email.message.Message, name: str) -> str:
    """Return a decoded header without line ends; what cannot be decoded comes as it is."""
    raw = message.get(name)
    if raw is None:
        return ""
    try:
        text = str(make_header(decode_header(raw)))
    except _BROKEN:
        text = str(raw)
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"\s*[\r\n]+\s*", " ", text).strip()


def addresses(message: email.message.Message, name: str) -> list[Address]:
    """Return the (name, address) pairs of a header; parts without an address are left out."""
    values = [str(value) for value in message.get_all(name, [])]
    found = []
    for display, address in email.utils.getaddresses(values, strict=False):
        if address:
            try:
                display = str(make_header(decode_header(display)))
            except _BROKEN:
                display = display.strip()
            found.append((_clean(display), _clean(address)))
    return found


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r", " ").replace("\n", " ")


def _moment(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except _BROKEN:
        return None
    return moment.replace(microsecond=0)


def parse(mime: bytes) -> email.message.Message:
    """Parse MIME; never fails, the parser records defects instead."""
    return email.message_from_bytes(mime, policy=_POLICY)


def read_meta(mime: bytes) -> MailMeta:
    """Return the header view of a mail."""
    message = parse(mime)
    received = str(message.get("Received", "")).rpartition(";")[2]
    sent = _moment(str(message.get("Date", "")))
    senders = addresses(message, "From") or addresses(message, "Sender")
    word = text_of(message, "Importance").lower() or text_of(message, "X-Priority")[:1]
    return MailMeta(
        subject=text_of(message, "Subject"),
        sender=senders[0] if senders else None,
        to=addresses(message, "To"),
        cc=addresses(message, "Cc"),
        bcc=addresses(message, "Bcc"),
        reply_to=addresses(message, "Reply-To"),
        sent=sent,
        received=_moment(received) or sent,
        internet_message_id=text_of(message, "Message-ID"),
        has_attachments=any(not a.inline for a in read_content(mime).attachments),
        importance={"high": "high", "1": "high", "low": "low", "5": "low"}.get(word, "normal"),
    )


def read_content(mime: bytes) -> MailContent:
    """Return body and attachments of a mail."""
    collector = _Collector()
    collector.walk(parse(mime), related=False)
    kind, body = (
        ("html", collector.html) if collector.html is not None else ("text", collector.text)
    )
    return MailContent(kind, body or "", collector.attachments)


class _Collector:
    """Walks a message and sorts its parts into body and attachments."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.html: str | None = None
        self.attachments: list[Attachment] = []

    def walk(self, part: email.message.Message, *, related: bool) -> None:
        kind = part.get_content_type()
        disposition = str(part.get("Content-Disposition", "")).lower()
        name = _filename(part)
        if kind == "message/rfc822" and isinstance(part.get_payload(), list):
            inner = part.get_payload()[0]  # type: ignore[index]
            if isinstance(inner, email.message.Message):
                title = text_of(inner, "Subject") or name or "message"
                self.attachments.append(
                    Attachment(title, kind, _bytes_of(inner), content_id=_cid(part), nested=True)
                )
            return
        if part.is_multipart():
            payload = part.get_payload()
            for child in payload if isinstance(payload, list) else []:
                if isinstance(child, email.message.Message):
                    self.walk(child, related=related or kind == "multipart/related")
            return
        attached = disposition.startswith("attachment") or bool(name)
        if not attached and kind == "text/plain" and self.text is None and self.html is None:
            self.text = _text(part)
        elif not attached and kind == "text/html" and self.html is None:
            self.html = _text(part)
        else:
            self._attach(part, kind, name, disposition, related=related)

    def _attach(
        self, part: email.message.Message, kind: str, name: str, disposition: str, *, related: bool
    ) -> None:
        cid = _cid(part)
        inline = disposition.startswith("inline") or (related and cid is not None)
        data = _payload(part)
        title = name or f"ATT{len(self.attachments) + 1:05d}"
        self.attachments.append(Attachment(title, kind, data, inline, cid))


def _cid(part: email.message.Message) -> str | None:
    return str(part.get("Content-ID", "")).strip().strip("<>") or None


def _bytes_of(message: email.message.Message) -> bytes:
    try:
        return message.as_bytes(policy=_POLICY)
    except (*_BROKEN, AttributeError, KeyError):
        return str(message.get_payload()).encode("utf-8", "replace")


def _filename(part: email.message.Message) -> str:
    try:
        name = part.get_filename() or ""
        return _clean(str(make_header(decode_header(name)))) if name else ""
    except (*_BROKEN, AttributeError):
        return "unnamed"


def _payload(part: email.message.Message) -> bytes:
    try:
        data = part.get_payload(decode=True)
    except (*_BROKEN, AssertionError):
        data = str(part.get_payload()).encode("utf-8", "surrogateescape")
    return data if isinstance(data, bytes) else b""


def _text(part: email.message.Message) -> str:
    try:
        charset = part.get_content_charset("utf-8")
        return _payload(part).decode(charset, "replace")
    except _BROKEN:
        return _payload(part).decode("latin-1")


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
