"""Generated mail: realistic MIME made on demand from a seed."""

import base64
import email.utils
import random
from datetime import datetime, timedelta
from email.header import Header
from functools import lru_cache

from local.microsoft365.ids import guid
from local.microsoft365.mailbox import parsed_content
from local.microsoft365.mime_read import Address, MailContent, MailMeta
from local.microsoft365.sources import seed_of, text_pool

SUBJECTS = (
    "Quarterly figures", "Meeting notes", "Invoice", "Offer for the new plant", "Re: delivery date",
    "Lunch on Friday?", "Re: Re: draft contract", "Weekly report", "Überweisung erhalten",
    "Größenänderung der Bestellung", "会議の議事録", "Приглашение на встречу", "Terminvorschlag",
    "Your ticket has been updated", "Fwd: photos", "Server maintenance 🛠", "Holiday plan",
)  # fmt: skip
DOCUMENTS = (
    ("report.pdf", "application/pdf"),
    ("figures.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("Angebot Müller.docx",
     "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("photo.jpg", "image/jpeg"),
    ("data.zip", "application/zip"),
    ("notes.txt", "text/plain"),
)  # fmt: skip
SHARED = 40  # attachments that circulate: the same bytes in many mails and mailboxes


class GeneratedMail:
    """A mail that exists as a seed; the same seed makes the same bytes for ever."""

    __slots__ = ("mean", "owner", "peer", "seed", "sent")

    def __init__(self, seed: int, owner: Address, peer: Address, sent: datetime, mean: int) -> None:
        self.seed, self.owner, self.peer, self.sent, self.mean = seed, owner, peer, sent, mean

    def meta(self) -> MailMeta:
        """Return the header view without making the body."""
        return _meta(self.seed, self.owner, self.peer, self.sent)

    def content(self) -> MailContent:
        """Return body and attachments."""
        return parsed_content(self.mime())

    def mime(self) -> bytes:
        """Make the MIME bytes."""
        chance = random.Random(self.seed)
        meta = self.meta()
        inner = _inner(chance, self.mean, with_attachment=meta.has_attachments)
        relay = f"mx{self.seed % 9}.example ([192.0.2.{self.seed % 250}])"
        plain = meta.subject.isascii()
        subject = meta.subject if plain else Header(meta.subject, "utf-8").encode()
        head = [
            f"Received: from {relay} by mail.example;\r\n {_date(self.sent)}",
            f"Date: {_date(self.sent)}",
            f"From: {_mailbox(meta.sender)}",
            f"To: {_mailbox(meta.to[0])}",
            *([f"Cc: {_mailbox(meta.cc[0])}"] if meta.cc else []),
            f"Subject: {subject}",
            f"Message-ID: {meta.internet_message_id}",
            *(["Importance: high"] if meta.importance == "high" else []),
            "MIME-Version: 1.0",
        ]
        return "\r\n".join(head).encode() + b"\r\n" + inner


def _date(moment: datetime) -> str:
    return email.utils.format_datetime(moment)


def _mailbox(address: Address | None) -> str:
    return email.utils.formataddr(address, "utf-8") if address else ""


@lru_cache(maxsize=4096)
def _meta(seed: int, owner: Address, peer: Address, sent: datetime) -> MailMeta:
    chance = random.Random(seed ^ 0x5EED)
    outgoing = chance.random() < 0.25
    return MailMeta(
        subject=f"{chance.choice(SUBJECTS)} {chance.randrange(10_000)}",
        sender=owner if outgoing else peer,
        to=[peer if outgoing else owner],
        cc=[("Team", "team@partner.example")] if chance.random() < 0.2 else [],
        sent=sent,
        received=sent,
        internet_message_id=f"<{guid(seed, 'mid')}@mail.example>",
        has_attachments=chance.random() < 0.3,
        importance="high" if chance.random() < 0.03 else "normal",
    )


def _inner(chance: random.Random, mean: int, *, with_attachment: bool) -> bytes:
    """Return headers and body of the content; sizes spread so that the mean is as asked."""
    pool = text_pool()
    # Three of ten mails carry about five sixths of all bytes, as in real mailboxes.
    length = max(200, min(int(chance.expovariate(1 / (mean * 0.17))), len(pool) // 4))
    start = chance.randrange(len(pool) - length)
    text = pool[start : start + length].decode("utf-8", "ignore").replace("\n", "\r\n").encode()
    boundary = f"b{chance.getrandbits(64):016x}"
    if chance.random() < 0.6:
        part = _html(chance, text, boundary)
    else:
        part = _leaf("text/plain; charset=utf-8", text)
    if not with_attachment:
        return part
    name, media = chance.choice(DOCUMENTS)
    size = max(300, int(chance.expovariate(1 / (mean * 0.83 / 0.3 * 0.73))))
    if chance.random() < 0.3:
        chance = random.Random(seed_of("shared", chance.randrange(SHARED), mean))
        size = max(300, int(chance.expovariate(1 / (mean * 0.83 / 0.3 * 0.73))))
    data = _lines(chance.randbytes(size))
    encoded = email.utils.encode_rfc2231(name, "utf-8") if not name.isascii() else f'"{name}"'
    star = "" if name.isascii() else "*"
    mixed = f"m{boundary}"
    return (
        f'Content-Type: multipart/mixed; boundary="{mixed}"\r\n\r\n--{mixed}\r\n'.encode()
        + part
        + f"\r\n--{mixed}\r\nContent-Type: {media}\r\n"
        f"Content-Disposition: attachment; filename{star}={encoded}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n".encode()
        + data
        + f"--{mixed}--\r\n".encode()
    )


def _leaf(media: str, text: bytes) -> bytes:
    return f"Content-Type: {media}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".encode() + text


def _html(chance: random.Random, text: bytes, boundary: str) -> bytes:
    rows = text.split(b"\r\n")
    page = (
        f"<html><head><title>{chance.randrange(10**6)}</title></head>\r\n<body>\r\n".encode()
        + b"\r\n".join(b"<p>" + row + b"</p>" for row in rows)
        + b"\r\n</body></html>"
    )
    return b"\r\n".join(
        [
            f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n'.encode(),
            f"--{boundary}".encode(),
            _leaf("text/plain; charset=utf-8", text[:2000].rpartition(b"\r\n")[0]),
            f"--{boundary}".encode(),
            _leaf("text/html; charset=utf-8", page),
            f"--{boundary}--\r\n".encode(),
        ]
    )


def _lines(data: bytes) -> bytes:
    """Encode in lines of 76 characters; whole at once, which is many times faster than by line."""
    encoded = base64.b64encode(data)
    return b"".join(encoded[at : at + 76] + b"\r\n" for at in range(0, len(encoded), 76))


def moment_of(seed: int, newest: datetime) -> datetime:
    """Return a time of the three years before `newest`, in whole seconds."""
    back = random.Random(seed ^ 0x71ED).expovariate(1 / (200 * 86400)) % (3 * 365 * 86400)
    return (newest - timedelta(seconds=int(back))).replace(microsecond=0)
