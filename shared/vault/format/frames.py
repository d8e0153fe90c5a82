"""Frames and the envelope of structured blobs (sections 5.2 and 7)."""

import json
from typing import Any

from shared.vault.format.compression import compress, decompress
from shared.vault.format.errors import Damaged, UnknownFormat
from shared.vault.format.primitives import hex16, hkdf, lp, seal, unb64u, unseal

SNAPSHOT, BASE, CHECKPOINT, PACK = "SNAPSHOT", "BASE", "CHECKPOINT", "PACK"
VERSION = 1
SALT = 32
MAX_CLEAR = 1 << 20
OPS, OBJ, TOC = b"holdfast/1/frame/ops", b"holdfast/1/frame/obj", b"holdfast/1/frame/toc"


class FrameCipher:
    """Seals and opens the numbered frames of one blob under one key.

    One cipher per attempt to write: its salt is drawn anew each time, so no (key, nonce) pair ever
    meets two plaintexts (V11).
    """

    def __init__(
        self, key: bytes, purpose: bytes, salt: bytes, kind: str, repo: str, oid: str, n: int = 0
    ) -> None:
        if len(salt) != SALT:
            raise Damaged("a salt has 32 bytes")
        self._key = hkdf(key, purpose, salt)
        head = b"holdfast/1/frame" + lp(kind.encode())
        self._bound = head + hex16(repo) + hex16(oid) + n.to_bytes(8)

    def __repr__(self) -> str:
        return "FrameCipher()"

    def seal(self, number: int, plain: bytes) -> bytes:
        """Compress, then encrypt."""
        return self.seal_packed(number, compress(plain))

    def seal_packed(self, number: int, packed: bytes) -> bytes:
        """Encrypt what is compressed already."""
        return seal(self._key, number.to_bytes(12), packed, self._bound + number.to_bytes(4))

    def open(self, number: int, frame: bytes | memoryview) -> bytes:
        """The plaintext; at most 64 MiB."""
        return decompress(self.open_packed(number, frame))

    def open_packed(self, number: int, frame: bytes | memoryview) -> bytes:
        """The authenticated, still compressed plaintext."""
        return unseal(self._key, number.to_bytes(12), frame, self._bound + number.to_bytes(4))


def clear_header(kind: str, members: dict[str, Any]) -> bytes:
    """The two clear lines every structured blob and pack starts with."""
    line = json.dumps(members, separators=(",", ":")).encode()
    return f"HOLDFAST {kind} {VERSION}\n".encode() + line + b"\n"


def parse_header(data: bytes | memoryview, kind: str) -> tuple[dict[str, Any], int]:
    """(header, where it ends) from the start of a blob; `UnknownFormat` for another format (V2).

    Raises `Short` when `data` does not reach the end of line 2.
    """
    head = bytes(data[:64])
    first = head.find(b"\n")
    words = head[: max(first, 0)].split(b" ")
    if len(words) != 3 or words[0] != b"HOLDFAST" or words[1] != kind.encode():
        raise Damaged(f"not a {kind} blob")
    if words[2] != str(VERSION).encode():
        raise UnknownFormat(f"{kind} format {words[2].decode(errors='replace')}")
    line = bytes(data[first + 1 : MAX_CLEAR])
    end = line.find(b"\n")
    if end < 0:
        if len(data) < MAX_CLEAR:
            raise Short
        raise Damaged("a clear header without end")
    try:
        header = json.loads(line[:end])
        header["repo"], header["oid"], header["salt"]
    except (ValueError, TypeError, KeyError) as wrong:
        raise Damaged("the clear header is not what it should be") from wrong
    return header, first + 1 + end + 1


class Short(Exception):
    """More of the blob is needed."""


def salt_of(header: dict[str, Any]) -> bytes:
    """The salt named in a clear header."""
    return unb64u(header["salt"])


def dump(value: Any) -> bytes:
    """Compact JSON of a frame."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def parse(plain: bytes) -> Any:
    """JSON of a frame."""
    try:
        return json.loads(plain)
    except ValueError as wrong:
        raise Damaged("a frame does not hold JSON") from wrong
