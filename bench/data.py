"""Seeded data, the same bytes everywhere: mails, files, rows (performance.md section 3)."""

import base64
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MAILS, FILES = 2_700, 104
MAIL_BYTES, FILE_BYTES = 250_000_000, 293_000_000


@cache
def words() -> tuple[bytes, ...]:
    """A vocabulary of 20,000 words; frequent ones are short."""
    chance = random.Random("words")
    letters = b"etaoinshrdlucmfwypvbgk"
    return tuple(
        bytes(chance.choices(letters, range(len(letters), 0, -1), k=2 + min(10, rank // 900)))
        for rank in range(20_000)
    )


def prose(chance: random.Random, length: int) -> bytes:
    """Text of about this many bytes, in lines of about 70."""
    vocabulary, lines, size = words(), [], 0
    while size < length:
        picked = [vocabulary[int(chance.paretovariate(0.35)) % 20_000] for _ in range(11)]
        line = b" ".join(picked)
        lines.append(line)
        size += len(line) + 2
    return b"\r\n".join(lines)[:length]


def mail(number: int, mean: int = MAIL_BYTES // MAILS) -> bytes:
    """One message; three of ten have an attachment, some attachments are shared."""
    chance = random.Random(f"mail {number}")
    head = (
        f"From: Ada Lovelace <ada{number % 50}@example.org>\r\nTo: team@example.org\r\n"
        f"Message-ID: <{chance.getrandbits(64):x}@example.org>\r\nMIME-Version: 1.0\r\n"
        f"Subject: {prose(chance, 40).decode()}\r\n"
    ).encode()
    text = prose(chance, 500 + int(chance.expovariate(1 / (0.2 * mean))))
    if number % 10 > 2:
        return head + b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text + b"\r\n"
    same = number % 4 == 0
    seed = random.Random(f"attachment {number % 60 if same else number}")
    size = int(seed.uniform(0.2, 1.8) * mean * 1.95)
    # Documents as they are sent: compressed inside, with some structure around.
    body = seed.randbytes(int(size * 0.75)) + prose(seed, size - int(size * 0.75))
    mark = b"=_boundary"
    return b"".join(
        [
            head, b'Content-Type: multipart/mixed; boundary="=_boundary"\r\n\r\n--', mark,
            b"\r\nContent-Type: text/plain\r\n\r\n", text, b"\r\n--", mark,
            b"\r\nContent-Type: application/octet-stream\r\n",
            b"Content-Transfer-Encoding: base64\r\n\r\n",
            base64.encodebytes(body).replace(b"\n", b"\r\n"), b"--", mark, b"--\r\n",
        ]
    )  # fmt: skip


def file(number: int) -> bytes:
    """One file: every other one is random, the rest binaries with structure and text."""
    chance = random.Random(f"file {number}")
    size = int(FILE_BYTES / FILES * chance.choice((0.02, 0.1, 0.4, 1.0, 3.4)) * 1.015)
    if number % 2 == 0:
        return chance.randbytes(size)
    if number % 4 == 1:
        record = b"".join(chance.randbytes(12) + bytes(20) for _ in range(4_096))
        return b"".join(
            chance.randbytes(1_024) + record[: chance.randrange(40_000, 131_072)]
            for _ in range(size // 86_000 + 1)
        )[:size]
    page = prose(chance, 400_000)
    return b"".join(
        page[chance.randrange(200_000) :][:150_000] for _ in range(size // 150_000 + 1)
    )[:size]


def corpus(share: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of mails and files; `share` takes a part of them."""
    for number in range(int(MAILS * share)):
        yield f"mail/{number:05d}.eml", mail(number)
    for number in range(int(FILES * share)):
        yield f"files/{number:03d}.bin", file(number)


def write(folder: Path, share: float = 1.0) -> int:
    """Write the corpus; returns its bytes."""
    total = 0
    for name, data in corpus(share):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        total += len(data)
    return total


def change(folder: Path, share: float = 1.0) -> int:
    """One percent more: new mails, and 100 bytes put into a file; returns the bytes changed."""
    changed = 0
    for number in range(max(1, int(MAILS * share) // 100)):
        data = mail(1_000_000 + number)
        (folder / "mail" / f"new-{number:05d}.eml").write_bytes(data)
        changed += len(data)
    largest = max((folder / "files").iterdir(), key=lambda path: (path.stat().st_size, path.name))
    data = largest.read_bytes()
    at = len(data) // 3
    largest.write_bytes(data[:at] + bytes(range(100)) + data[at:])
    return changed + 100
