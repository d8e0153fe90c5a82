"""From Graph's JSON of a created message to the MIME that the mailbox keeps."""

import email.message
import email.policy
import email.utils
import re
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address as MailAddress
from email.mime.message import MIMEMessage
from typing import Any

from local.microsoft365.mime_read import Address, Attachment, MailMeta, parse

JSON = dict[str, Any]
_HEADERS = (("To", "to"), ("Cc", "cc"), ("Bcc", "bcc"), ("Reply-To", "reply_to"))


def _safe(text: str) -> str:
    cleaned = re.sub(r"[\x00-\x08\x0a-\x1f\x7f]+", " ", text)
    return cleaned.encode("utf-8", "replace").decode("utf-8").strip()


def _address(pair: Address) -> str:
    name, address = _safe(pair[0]), _safe(pair[1])
    try:
        return str(MailAddress(display_name=name, addr_spec=address))
    except (ValueError, IndexError, email.errors.HeaderParseError):
        return f"<{re.sub(r'[<>,\s]+', '', address)}>"


def compose(
    meta: MailMeta,
    content_type: str,
    body: str,
    attachments: Sequence[Attachment],
    headers: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return MIME bytes (CRLF) for a message given as parts."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    if meta.sender:
        message["From"] = _address(meta.sender)
    for header, member in _HEADERS:
        pairs: list[Address] = getattr(meta, member)
        if pairs:
            message[header] = ", ".join(_address(pair) for pair in pairs)
    message["Subject"] = _safe(meta.subject)
    if meta.sent:
        message["Date"] = email.utils.format_datetime(meta.sent)
    if meta.internet_message_id:
        message["Message-ID"] = _safe(meta.internet_message_id)
    if meta.importance != "normal":
        message["Importance"] = meta.importance
    for name, value in headers:
        message[name] = _safe(value)
    text = body.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    message.set_content(text, subtype="html" if content_type == "html" else "plain", cte="base64")
    for attachment in attachments:
        _attach(message, attachment)
    return message.as_bytes()


def _attach(message: email.message.EmailMessage, attachment: Attachment) -> None:
    if attachment.nested:
        if message.get_content_type() != "multipart/mixed":
            message.make_mixed()
        message.attach(MIMEMessage(parse(attachment.data)))  # type: ignore[arg-type]
        return
    main, _, sub = attachment.content_type.partition("/")
    if not re.fullmatch(r"[\w.+-]+", main) or not re.fullmatch(r"[\w.+-]+", sub):
        main, sub = "application", "octet-stream"
    if main in ("multipart", "message"):
        main, sub = "application", "octet-stream"
    cid = _safe(attachment.content_id or "").replace(" ", "")
    message.add_attachment(
        attachment.data,
        maintype=main,
        subtype=sub,
        filename=_safe(attachment.name) or "attachment",
        disposition="inline" if attachment.inline else "attachment",
        cid=f"<{cid}>" if cid else None,
    )


def pairs_of(value: Any) -> list[Address]:
    """Read a recipient list of Graph; entries without an address are left out."""
    found = []
    for entry in value or []:
        address = (entry or {}).get("emailAddress") or {}
        if address.get("address"):
            found.append((str(address.get("name") or ""), str(address["address"])))
    return found


def meta_of(body: JSON, *, sent: datetime | None, received: datetime | None) -> MailMeta:
    """Read the header part of a message given as JSON."""
    sender = pairs_of([body.get("from") or body.get("sender") or {}])
    return MailMeta(
        subject=str(body.get("subject") or ""),
        sender=sender[0] if sender else None,
        to=pairs_of(body.get("toRecipients")),
        cc=pairs_of(body.get("ccRecipients")),
        bcc=pairs_of(body.get("bccRecipients")),
        reply_to=pairs_of(body.get("replyTo")),
        sent=sent,
        received=received,
        internet_message_id=str(body.get("internetMessageId") or ""),
        importance=str(body.get("importance") or "normal").lower(),
    )
