"""From MIME bytes to Graph's JSON view of a message, whatever the state of the mail.

The rule is that of README.md, "What a mail looks like in Graph"; the product has its own reading
of the same rule, so that the two check each other.
"""

import contextlib
import email
import email.message
import email.parser
import email.policy
import email.utils
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from local.microsoft365.ids import guid

JSON = dict[str, Any]
Address = tuple[str, str]
_POLICY = email.policy.compat32
# Parts are written out as they came: no header is folded anew.
_AS_IT_CAME = _POLICY.clone(max_line_length=None)
_BROKEN = (
    ValueError, LookupError, HeaderParseError, TypeError, OverflowError, AttributeError,
    AssertionError, RecursionError,
)  # fmt: skip
_ENDINGS = {
    "text/plain": "txt", "text/html": "htm", "image/jpeg": "jpg", "image/png": "png",
    "image/gif": "gif", "message/rfc822": "eml",
}  # fmt: skip


@dataclass(slots=True)
class MailMeta:
    """What a message list shows of one mail, taken from its headers."""

    subject: str = ""
    sender: Address | None = None
    submitter: Address | None = None
    """Who sent on behalf of `sender`: the Sender header, when there is one beside From."""
    to: list[Address] = field(default_factory=list)
    cc: list[Address] = field(default_factory=list)
    bcc: list[Address] = field(default_factory=list)
    reply_to: list[Address] = field(default_factory=list)
    sent: datetime | None = None
    received: datetime | None = None
    internet_message_id: str = ""
    has_attachments: bool = False
    importance: str = "normal"
    unsent: bool = False


@dataclass(slots=True)
class Attachment:
    """One attachment; a nested message has its MIME as data, and is shown by `opened`."""

    name: str
    content_type: str
    data: bytes
    inline: bool = False
    content_id: str | None = None
    nested: bool = False
    item: "tuple[MailMeta, MailContent] | email.message.Message | None" = None
    """A nested message as JSON gave it, or as it was parsed."""

    def opened(self) -> "tuple[MailMeta, MailContent]":
        """Return both views of a nested message."""
        if isinstance(self.item, tuple):
            return self.item
        return _read(parse(self.data) if self.item is None else self.item)


@dataclass(slots=True)
class MailContent:
    """The body and attachments of one mail."""

    content_type: str
    body: str
    attachments: list[Attachment]


def _raw(message: email.message.Message, name: str) -> list[str]:
    """Return the values of a header, unfolded, bytes above ASCII read as UTF-8."""
    return [
        re.sub(r"[\r\n]", "", str(value))
        .encode("utf-8", "surrogateescape")
        .decode("utf-8", "replace")
        for key, value in message.raw_items()
        if key.lower() == name.lower()
    ]


def _decoded(text: str) -> str:
    """Return a text without encoded words (one that cannot be decoded stays) and controls."""
    with contextlib.suppress(*_BROKEN):
        text = str(make_header(decode_header(text)))
    return _clean(text)


def _clean(text: str) -> str:
    text = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]+", " ", text)
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def text_of(message: email.message.Message, name: str) -> str:
    """Return the first header of a name, decoded, in one line."""
    values = _raw(message, name)
    return _decoded(values[0]) if values else ""


def addresses(message: email.message.Message, name: str) -> list[Address]:
    """Return the (name, address) pairs of a header; one of the two may be missing."""
    try:
        pairs = email.utils.getaddresses(_raw(message, name), strict=False)
    except _BROKEN:
        return []
    found = [(_decoded(display), _clean(address)) for display, address in pairs]
    return [pair for pair in found if any(pair)]


def _moment(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except _BROKEN:
        return None
    return moment.replace(microsecond=0)


def parse(mime: bytes) -> email.message.Message:
    """Parse MIME; never fails, the parser records defects instead."""
    try:
        return email.message_from_bytes(mime, policy=_POLICY)
    except RecursionError:
        # Parts inside parts without end: the whole content stays one part.
        return email.parser.BytesParser(policy=_POLICY).parsebytes(mime, headersonly=True)


def read_meta(mime: bytes) -> MailMeta:
    """Return the header view of a delivered mail; one without Message-ID was given one."""
    meta = read_item(mime)[0]
    if not meta.internet_message_id:
        meta.internet_message_id = f"<{guid(hashlib.sha256(mime).hexdigest())}@delivered.example>"
    return meta


def read_content(mime: bytes) -> MailContent:
    """Return body and attachments of a mail."""
    return read_item(mime)[1]


def read_item(mime: bytes) -> tuple[MailMeta, MailContent]:
    """Return both views of a mail, as it is: no Message-ID is added."""
    return _read(parse(mime))


def _read(message: email.message.Message) -> tuple[MailMeta, MailContent]:
    content = _content(message)
    received = "".join(_raw(message, "Received")[:1]).rpartition(";")[2]
    sent = _moment("".join(_raw(message, "Date")[:1]))
    writers, submitters = addresses(message, "From"), addresses(message, "Sender")
    word = text_of(message, "Importance").lower()
    if word not in ("high", "normal", "low"):
        word = {"1": "high", "5": "low"}.get(text_of(message, "X-Priority")[:1], "normal")
    meta = MailMeta(
        subject=text_of(message, "Subject"),
        sender=next(iter(writers or submitters), None),
        submitter=submitters[0] if writers and submitters else None,
        to=addresses(message, "To"),
        cc=addresses(message, "Cc"),
        bcc=addresses(message, "Bcc"),
        reply_to=addresses(message, "Reply-To"),
        sent=sent,
        received=_moment(received) or sent,
        internet_message_id=text_of(message, "Message-ID"),
        has_attachments=any(not a.inline for a in content.attachments),
        importance=word,
    )
    return meta, content


def _content(message: email.message.Message) -> MailContent:
    content = MailContent("text", "", [])
    found = False
    for part in _shown_parts(message):
        if not found and _displayable(part):
            found = True
            kind = "html" if part.get_content_type() == "text/html" else "text"
            content.content_type, content.body = kind, _text(part)
        else:
            content.attachments.append(_attachment(part, len(content.attachments) + 1))
    return content


def _shown_parts(message: email.message.Message) -> Iterator[email.message.Message]:
    """Yield the leaves in order, without the texts another alternative was preferred to."""
    dropped: set[int] = set()
    todo = [message]
    while todo:
        part = todo.pop()
        payload = part.get_payload()
        if part.get_content_maintype() != "multipart" or not isinstance(payload, list):
            if id(part) not in dropped or not _displayable(part):
                yield part
            continue
        children = [child for child in payload if isinstance(child, email.message.Message)]
        if part.get_content_subtype() == "alternative":
            texts = [[leaf for leaf in _leaves(child) if _displayable(leaf)] for child in children]
            kinds = [{leaf.get_content_type() for leaf in leaves} for leaves in texts]
            best = next((n for n, k in enumerate(kinds) if "text/html" in k), None)
            if best is None:
                best = next((n for n, k in enumerate(kinds) if k), None)
            dropped |= {id(leaf) for n, ls in enumerate(texts) if n != best for leaf in ls}
        todo.extend(reversed(children))


def _leaves(message: email.message.Message) -> Iterator[email.message.Message]:
    todo = [message]
    while todo:
        part = todo.pop()
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            todo.extend(one for one in reversed(payload) if isinstance(one, email.message.Message))
        else:
            yield part


def _displayable(part: email.message.Message) -> bool:
    if part.get_content_type() not in ("text/plain", "text/html"):
        return False
    return _disposition(part) != "attachment" and not _filename(part)


def _disposition(part: email.message.Message) -> str:
    value = "".join(_raw(part, "Content-Disposition")[:1])
    return value.partition(";")[0].strip().lower()


def _attachment(part: email.message.Message, place: int) -> Attachment:
    kind, name, disposition = part.get_content_type(), _filename(part), _disposition(part)
    cid = _clean("".join(_raw(part, "Content-ID")[:1])).strip("<>") or None
    inline = disposition == "inline" or (cid is not None and disposition != "attachment")
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    unnamed = f"ATT{place:05d}"
    if kind in ("message/rfc822", "message/global") and isinstance(inner, email.message.Message):
        title = text_of(inner, "Subject") or name or unnamed
        return Attachment(title, kind, _bytes_of(inner), inline, cid, nested=True, item=inner)
    ending = _ENDINGS.get(kind, "txt" if kind.startswith("text/") else "dat")
    return Attachment(name or f"{unnamed}.{ending}", kind, _payload(part), inline, cid)


def _bytes_of(message: email.message.Message) -> bytes:
    try:
        return message.as_bytes(policy=_AS_IT_CAME)
    except (*_BROKEN, KeyError):
        return b""


def _filename(part: email.message.Message) -> str:
    # Raw parameters are unfolded UTF-8, like every other header.
    plain = email.message.Message(policy=_POLICY)
    for name in ("Content-Disposition", "Content-Type"):
        for value in _raw(part, name)[:1]:
            plain[name] = value
    try:
        return _decoded(plain.get_filename() or "")
    except _BROKEN:
        return ""


def _payload(part: email.message.Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"".join(_bytes_of(p) for p in payload if isinstance(p, email.message.Message))
    try:
        data = part.get_payload(decode=True)
    except _BROKEN:
        data = None
    return data if isinstance(data, bytes) else str(payload).encode("utf-8", "surrogateescape")


def _text(part: email.message.Message) -> str:
    data = _payload(part)
    try:
        text = data.decode(part.get_content_charset("utf-8"), "replace")
    except _BROKEN:
        text = data.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
