"""Takes a stored MIME message apart into what Graph's JSON can hold: pure, patient with bad mail.

Nothing in a mail may raise here: a header or body the standard library cannot read is taken as
text, at worst with replacement characters. The exact bytes stay exportable as `.eml`.
"""

import contextlib
import email
from collections.abc import Iterator
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

import msgspec

from shared.kit.clock import to_text

# What the standard library raises on mail that breaks the rules.
BAD_MAIL = (ValueError, LookupError, AttributeError, TypeError, AssertionError, HeaderParseError)
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
    """A mail taken apart; times are RFC 3339 or empty, addresses (name, address)."""

    subject: str = ""
    sender: list[tuple[str, str]] = []
    from_: list[tuple[str, str]] = []
    to: list[tuple[str, str]] = []
    cc: list[tuple[str, str]] = []
    bcc: list[tuple[str, str]] = []
    reply_to: list[tuple[str, str]] = []
    message_id: str = ""
    sent: str = ""
    importance: str = ""
    headers: list[tuple[str, str]] = []
    """Headers named x-…, the only ones Graph lets us set."""
    body: str = ""
    is_html: bool = False
    attachments: list[Attachment] = []


def parse_mail(content: bytes) -> Mail:
    """Take one MIME message apart; never raises, whatever the bytes are."""
    return _mail(email.message_from_bytes(content, policy=policy.SMTP), 0)


def _mail(message: Message, depth: int) -> Mail:
    mail = Mail(
        subject=_text(message, "subject"),
        sender=_addresses(message, "sender"),
        from_=_addresses(message, "from"),
        to=_addresses(message, "to"),
        cc=_addresses(message, "cc"),
        bcc=_addresses(message, "bcc"),
        reply_to=_addresses(message, "reply-to"),
        message_id=_raw(message, "message-id").strip(),
        sent=_sent(message),
        importance=_importance(message),
        headers=[(n, _decoded(v)) for n, v in message.raw_items() if n.lower().startswith("x-")],
    )
    for part in _leaves(message):
        _place(mail, part, depth)
    return mail


def _leaves(part: Message) -> Iterator[Message]:
    """The parts that carry content, in order; of alternatives the best text and what is no text."""
    payload = part.get_payload()
    if part.get_content_maintype() != "multipart" or not isinstance(payload, list):
        yield part
        return
    children = [child for child in payload if isinstance(child, Message)]
    if part.get_content_subtype() != "alternative":
        for child in children:
            yield from _leaves(child)
        return
    leaves = [leaf for child in children for leaf in _leaves(child)]
    texts = [leaf for leaf in leaves if _is_body(leaf)]
    html = [leaf for leaf in texts if leaf.get_content_subtype() == "html"]
    best = (html or texts)[:1]
    yield from best
    yield from (leaf for leaf in leaves if leaf not in texts)


def _is_body(part: Message) -> bool:
    return (
        part.get_content_type() in ("text/plain", "text/html")
        and _disposition(part) != "attachment"
        and not _filename(part)
    )


def _place(mail: Mail, part: Message, depth: int) -> None:
    if part.get_content_maintype() == "message" and isinstance(part.get_payload(), list):
        mail.attachments.append(_nested(part, depth))
        return
    if _is_body(part):
        text, is_html = _body(part), part.get_content_subtype() == "html"
        if not mail.body:
            mail.body, mail.is_html = text, is_html
            return
        if not mail.is_html and not is_html:
            mail.body += "\r\n" + text
            return
    mail.attachments.append(_file(mail, part))


def _file(mail: Mail, part: Message) -> Attachment:
    content_id = _raw(part, "content-id").strip().strip("<>")
    subtype = part.get_content_subtype()
    fallback = f"attachment-{len(mail.attachments) + 1}.{'txt' if subtype == 'plain' else subtype}"
    return Attachment(
        name=_filename(part) or fallback,
        content_type=part.get_content_type(),
        content=_bytes(part),
        inline=bool(content_id) and _disposition(part) != "attachment",
        content_id=content_id,
    )


def _nested(part: Message, depth: int) -> Attachment:
    inner = next((p for p in part.get_payload() if isinstance(p, Message)), Message())
    content = _serialised(inner)
    is_mail = part.get_content_subtype() in ("rfc822", "global") and depth < DEPTH
    message = _mail(inner, depth + 1) if is_mail else None
    name = message.subject if message and message.subject else _filename(part)
    ending = "" if message else ".eml" if is_mail else f".{part.get_content_subtype()}"
    return Attachment((name or "message") + ending, part.get_content_type(), content,
                      message=message)  # fmt: skip


def _serialised(message: Message) -> bytes:
    try:
        return message.as_bytes(policy=policy.compat32)
    except BAD_MAIL:
        return str(message.get_payload()).encode("utf-8", "replace")


def _bytes(part: Message) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except BAD_MAIL:
        content = None
    if isinstance(content, bytes):
        return content
    payload = part.get_payload()
    if isinstance(payload, list):
        return b"\r\n".join(_serialised(p) for p in payload if isinstance(p, Message))
    return str(payload or "").encode("utf-8", "surrogateescape")


def _body(part: Message) -> str:
    content = _bytes(part)
    try:
        return content.decode(part.get_content_charset() or "utf-8")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _raw(message: Message, name: str) -> str:
    """A header as it was sent, unfolded, not parsed: parsing is what raises."""
    found = (value for key, value in message.raw_items() if key.lower() == name)
    text = str(next(found, "")).replace("\r", "").replace("\n", "")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _decoded(value: Any) -> str:
    text = str(value).replace("\r", "").replace("\n", "").strip()
    # An encoded word that cannot be decoded stays as it was sent.
    with contextlib.suppress(*BAD_MAIL):
        text = str(make_header(decode_header(text)))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "")


def _text(message: Message, name: str) -> str:
    return _decoded(_raw(message, name))


def _addresses(message: Message, name: str) -> list[tuple[str, str]]:
    values = [_raw_all(value) for key, value in message.raw_items() if key.lower() == name]
    try:
        pairs = getaddresses(values, strict=False)
    except BAD_MAIL:
        return []
    return [(_decoded(n), _decoded(a)) for n, a in pairs if "@" in a and " " not in a.strip()]


def _raw_all(value: Any) -> str:
    return str(value).replace("\r", "").replace("\n", "")


def _sent(message: Message) -> str:
    try:
        at = parsedate_to_datetime(_raw(message, "date"))
        return to_text(at.astimezone())
    except (*BAD_MAIL, OverflowError):
        return ""


def _importance(message: Message) -> str:
    told = _raw(message, "importance").strip().lower()
    return told if told in ("low", "high") else ""


def _disposition(part: Message) -> str:
    return _raw(part, "content-disposition").split(";")[0].strip().lower()


def _filename(part: Message) -> str:
    try:
        return _decoded(part.get_filename() or "")
    except BAD_MAIL:
        return ""
