"""Takes a stored MIME message apart into what Graph's JSON can hold: pure, patient with bad mail.

Nothing in a mail may raise here: a header or body the standard library cannot read is taken as
text, at worst with replacement characters. The exact bytes stay exportable as `.eml`. Which part
is the body and what becomes an attachment is written down in README.md, "How a mail is read".
"""

import contextlib
import email
import re
from collections.abc import Iterator
from datetime import UTC
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

import msgspec

from shared.kit.clock import to_text

# What the standard library raises on mail that breaks the rules.
BAD_MAIL = (
    ValueError, LookupError, AttributeError, TypeError, AssertionError, HeaderParseError,
    OverflowError, RecursionError,
)  # fmt: skip
# Parsed headers of the newer policies raise on mail that breaks the rules; raw ones do not.
RAW = policy.compat32
# For parts written out again: no header is folded anew.
UNFOLDED = RAW.clone(max_line_length=None)
CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")
BODIES = ("text/plain", "text/html")
ENDINGS = {
    "text/plain": ".txt", "text/html": ".htm", "image/jpeg": ".jpg", "image/png": ".png",
    "image/gif": ".gif", "message/rfc822": ".eml",
}  # fmt: skip
# Nesting deeper than this is an attack or a loop, kept as a file.
DEPTH = 10


class Attachment(msgspec.Struct):
    """A file inside a mail; `message` holds the parts of a nested mail instead of a file."""

    name: str
    content_type: str
    content: bytes
    inline: bool = False
    content_id: str = ""
    message: "Mail | None" = None


class Mail(msgspec.Struct):
    """A mail taken apart; times are RFC 3339 or empty.

    People are (name, address), one of which may be empty: a word without @ is an address to
    Exchange, and so it comes back.
    """

    subject: str = ""
    sender: list[tuple[str, str]] = []
    from_: list[tuple[str, str]] = []
    to: list[tuple[str, str]] = []
    cc: list[tuple[str, str]] = []
    bcc: list[tuple[str, str]] = []
    reply_to: list[tuple[str, str]] = []
    message_id: str = ""
    sent: str = ""
    received: str = ""
    importance: str = ""
    headers: list[tuple[str, str]] = []
    """Headers named x-…, the only ones Graph lets us set."""
    body: str = ""
    is_html: bool = False
    attachments: list[Attachment] = []


def parse_mail(content: bytes) -> Mail:
    """Take one MIME message apart; never raises, whatever the bytes are."""
    try:
        message = email.message_from_bytes(content, policy=RAW)
    except RecursionError:
        # Parts inside parts without end: everything below the headers is one part.
        message = BytesParser(policy=RAW).parsebytes(content, headersonly=True)
    return _mail(message, 0)


def _mail(message: Message, depth: int) -> Mail:
    sent = _time(_raw(message, "date"))
    mail = Mail(
        subject=_text(message, "subject"),
        sender=_addresses(message, "sender"),
        from_=_addresses(message, "from"),
        to=_addresses(message, "to"),
        cc=_addresses(message, "cc"),
        bcc=_addresses(message, "bcc"),
        reply_to=_addresses(message, "reply-to"),
        message_id=_text(message, "message-id"),
        sent=sent,
        received=_time(_raw(message, "received").rpartition(";")[2]) or sent,
        importance=_importance(message),
        headers=[
            (n, _decoded(_unfolded(v)))
            for n, v in message.raw_items()
            if n.lower().startswith("x-")
        ],
    )
    has_body = False
    for part in _shown(message):
        if not has_body and _is_body(part):
            has_body = True
            mail.body, mail.is_html = _body(part), part.get_content_type() == "text/html"
        else:
            mail.attachments.append(_attachment(part, len(mail.attachments) + 1, depth))
    return mail


def _shown(part: Message) -> Iterator[Message]:
    """The parts that carry content, in order; of alternatives the best one and what is no text."""
    children = _children(part)
    if children is None:
        yield part
        return
    best = _best(children) if part.get_content_subtype() == "alternative" else None
    for child in children:
        for leaf in _shown(child):
            if best is None or child is best or not _is_body(leaf):
                yield leaf


def _best(alternatives: list[Message]) -> Message | None:
    """The first alternative with HTML, else the first with any text to show."""
    for wanted in (("text/html",), BODIES):
        for child in alternatives:
            if any(leaf.get_content_type() in wanted and _is_body(leaf) for leaf in _all(child)):
                return child
    return None


def _all(part: Message) -> Iterator[Message]:
    children = _children(part)
    if children is None:
        yield part
        return
    for child in children:
        yield from _all(child)


def _children(part: Message) -> list[Message] | None:
    """The parts of a multipart; None for a leaf and for a multipart without any boundary."""
    payload = part.get_payload()
    if part.get_content_maintype() != "multipart" or not isinstance(payload, list):
        return None
    return [child for child in payload if isinstance(child, Message)]


def _is_body(part: Message) -> bool:
    return (
        part.get_content_type() in BODIES
        and _disposition(part) != "attachment"
        and not _filename(part)
    )


def _attachment(part: Message, number: int, depth: int) -> Attachment:
    kind = part.get_content_type()
    content_id = CONTROLS.sub(" ", _raw(part, "content-id")).strip().strip("<>")
    disposition = _disposition(part)
    inline = disposition == "inline" or (bool(content_id) and disposition != "attachment")
    unnamed = f"ATT{number:05}"
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    if kind in ("message/rfc822", "message/global") and isinstance(inner, Message):
        name = _text(inner, "subject") or _filename(part) or unnamed
        message = _mail(inner, depth + 1) if depth < DEPTH else None
        # Deeper than we follow, a message stays a file that mail programs open.
        name += "" if message else ".eml"
        return Attachment(name, kind, _serialised(inner), inline, content_id, message)
    ending = ENDINGS.get(kind) or (".txt" if kind.startswith("text/") else ".dat")
    return Attachment(_filename(part) or unnamed + ending, kind, _bytes(part), inline, content_id)


def _serialised(message: Message) -> bytes:
    try:
        return message.as_bytes(policy=UNFOLDED)
    except BAD_MAIL:
        return b""


def _bytes(part: Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"".join(_serialised(p) for p in payload if isinstance(p, Message))
    with contextlib.suppress(*BAD_MAIL):
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            return content
    return str(payload).encode("utf-8", "surrogateescape")


def _body(part: Message) -> str:
    content = _bytes(part)
    try:
        text = content.decode(part.get_content_charset() or "utf-8", "replace")
    except BAD_MAIL:
        text = content.decode("utf-8", "replace")
    # Neither JSON nor Exchange can hold a lone surrogate or NUL.
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def _unfolded(value: Any) -> str:
    """A header as it was sent, on one line; bytes above ASCII are taken as UTF-8."""
    text = str(value).replace("\r", "").replace("\n", "")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _raw(message: Message, name: str) -> str:
    found = (value for key, value in message.raw_items() if key.lower() == name)
    return _unfolded(next(found, ""))


def _decoded(text: str) -> str:
    # An encoded word that cannot be decoded stays as it was sent.
    with contextlib.suppress(*BAD_MAIL):
        text = str(make_header(decode_header(text)))
    return _plain(text)


def _plain(text: str) -> str:
    return CONTROLS.sub(" ", text).encode("utf-8", "replace").decode("utf-8").strip()


def _text(message: Message, name: str) -> str:
    return _decoded(_raw(message, name))


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    values = [_unfolded(value) for key, value in message.raw_items() if key.lower() == name]
    try:
        pairs = getaddresses(values, strict=False)
    except BAD_MAIL:
        return []
    people = [(_decoded(name), _plain(address)) for name, address in pairs]
    return [person for person in people if person != ("", "")]


def _time(text: str) -> str:
    try:
        at = parsedate_to_datetime(text)
        # No zone, or -0000, means a time in UTC of unknown origin.
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return to_text(at.replace(microsecond=0))
    except BAD_MAIL:
        return ""


def _importance(message: Message) -> str:
    told = _text(message, "importance").lower()
    if told in ("low", "normal", "high"):
        return told
    return {"1": "high", "5": "low"}.get(_text(message, "x-priority")[:1], "")


def _disposition(part: Message) -> str:
    return _raw(part, "content-disposition").split(";")[0].strip().lower()


def _filename(part: Message) -> str:
    # A part with the two headers unfolded and readable: parameters in UTF-8 are common.
    headers = Message(policy=RAW)
    for name in ("content-disposition", "content-type"):
        if value := _raw(part, name):
            headers[name] = value
    with contextlib.suppress(*BAD_MAIL):
        return _decoded(headers.get_filename() or "")
    return ""
