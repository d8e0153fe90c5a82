"""From Graph's JSON of a created message to the MIME that the mailbox keeps.

What is written reads back as the same body, names and bytes (mime_read.py).
"""

import base64
import email.utils
import re
from collections.abc import Sequence
from datetime import datetime
from email.header import Header
from typing import Any

from local.microsoft365.ids import guid
from local.microsoft365.mime_read import Address, Attachment, MailMeta

JSON = dict[str, Any]
_HEADERS = (("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to"))
_MEDIA = re.compile(r"(?!multipart/|message/)[\w.+-]+/[\w.+-]+", re.ASCII)


def _safe(text: str) -> str:
    cleaned = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]+", " ", text)
    return cleaned.encode("utf-8", "replace").decode("utf-8").strip()


def _word(text: str) -> str:
    """Return a text as a header holds it: encoded when ASCII cannot say it."""
    text = _safe(text)
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8").encode(linesep="\r\n")


def _address(pair: Address) -> str:
    name, address = _safe(pair[0]), re.sub(r"[<>]", "", _safe(pair[1]))
    word = _word(name)
    if word == name and name:
        word = f'"{email.utils.quote(name)}"'
    return f"{word} <{address}>".strip()


def compose(
    meta: MailMeta,
    content_type: str,
    body: str,
    attachments: Sequence[Attachment],
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return MIME bytes (CRLF) for a message given as parts."""
    head = _head(meta, headers)
    subtype = "html" if content_type == "html" else "plain"
    text = body.encode("utf-8", "replace")
    content = _leaf([f'Content-Type: text/{subtype}; charset="utf-8"'], text)
    if attachments:
        parts = [content, *(_part(attachment) for attachment in attachments)]
        mark = guid(*(guid(part) for part in parts))
        head.append(f'Content-Type: multipart/mixed; boundary="{mark}"')
        line = f"--{mark}\r\n".encode()
        content = b"\r\n" + b"".join(line + part + b"\r\n" for part in parts)
        content += f"--{mark}--\r\n".encode()
    return "".join(f"{one}\r\n" for one in [*head, "MIME-Version: 1.0"]).encode() + content


def _head(meta: MailMeta, headers: Sequence[tuple[str, str]]) -> list[str]:
    head = []
    if meta.sender:
        head.append(f"From: {_address(meta.sender)}")
    if meta.submitter:
        head.append(f"Sender: {_address(meta.submitter)}")
    for header, member in _HEADERS:
        pairs: list[Address] = getattr(meta, member)
        if pairs:
            head.append(f"{header}: {', '.join(_address(pair) for pair in pairs)}")
    head.append(f"Subject: {_word(meta.subject)}")
    if meta.sent:
        head.append(f"Date: {email.utils.format_datetime(meta.sent)}")
    if meta.internet_message_id:
        head.append(f"Message-ID: {_safe(meta.internet_message_id)}")
    if meta.importance != "normal":
        head.append(f"Importance: {meta.importance}")
    head += [f"{n}: {_word(v)}" for n, v in headers if re.fullmatch(r"[!-9;-~]+", n)]
    return head


def _leaf(head: Sequence[str], data: bytes) -> bytes:
    encoded = base64.encodebytes(data).replace(b"\n", b"\r\n")
    lines = [*head, "Content-Transfer-Encoding: base64", "", ""]
    return "\r\n".join(lines).encode() + encoded


def _part(attachment: Attachment) -> bytes:
    disposition = "inline" if attachment.inline else "attachment"
    name = _safe(attachment.name)
    if name:
        disposition += f"; filename*={email.utils.encode_rfc2231(name, 'utf-8')}"
    head = [f"Content-Disposition: {disposition}"]
    cid = _safe(attachment.content_id or "")
    if cid:
        head.append(f"Content-ID: <{cid}>")
    if attachment.nested:
        lines = ["Content-Type: message/rfc822", *head, "", ""]
        return "\r\n".join(lines).encode() + attachment.data
    known = _MEDIA.fullmatch(attachment.content_type)
    media = attachment.content_type if known else "application/octet-stream"
    return _leaf([f"Content-Type: {media}", *head], attachment.data)


def pairs_of(value: Any) -> list[Address]:
    """Read a recipient list of Graph; entries with neither name nor address are left out."""
    found = []
    for entry in value or []:
        address = (entry or {}).get("emailAddress") or {}
        pair = str(address.get("name") or ""), str(address.get("address") or "")
        if any(pair):
            found.append(pair)
    return found


def meta_of(body: JSON, *, sent: datetime | None, received: datetime | None) -> MailMeta:
    """Read the header part of a message given as JSON."""
    writer, submitter = pairs_of([body.get("from")]), pairs_of([body.get("sender")])
    return MailMeta(
        subject=str(body.get("subject") or ""),
        sender=next(iter(writer or submitter), None),
        submitter=submitter[0] if writer and submitter and submitter != writer else None,
        to=pairs_of(body.get("toRecipients")),
        cc=pairs_of(body.get("ccRecipients")),
        bcc=pairs_of(body.get("bccRecipients")),
        reply_to=pairs_of(body.get("replyTo")),
        sent=sent,
        received=received,
        internet_message_id=str(body.get("internetMessageId") or ""),
        importance=str(body.get("importance") or "normal").lower(),
    )
