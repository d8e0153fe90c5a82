"""Base segments: all rows of an object in buckets, in parts of at most 512 buckets (section 9.2).

Frame numbers inside a part: 0 `dir`, 1 `roots`, 2 + j the j-th bucket of the part.
"""

import os
from typing import Any, NamedTuple

from shared.vault.format.compression import decompress
from shared.vault.format.errors import Damaged
from shared.vault.format.frames import (
    BASE,
    OBJ,
    OPS,
    FrameCipher,
    clear_header,
    dump,
    parse,
    parse_header,
    salt_of,
)
from shared.vault.format.primitives import b64u, sha

PART = 512
MAX_BITS = 16
BUCKET_ROWS = 512
_END = b"HFB1"


def bits_for(rows: int) -> int:
    """How many bits of the item key choose a bucket: about 512 rows each, one below 1,024 rows."""
    bits, most = 0, 2 * BUCKET_ROWS**2
    # Nearest power of two: the next bit is taken when buckets would exceed 512 * sqrt(2) rows.
    while bits < MAX_BITS and rows >= 2 * BUCKET_ROWS and (rows >> bits) ** 2 > most:
        bits += 1
    return bits


def bucket_of(key: bytes, bits: int) -> int:
    """The bucket of an item key."""
    return int.from_bytes(key[:2]) >> (16 - bits)


class Part(NamedTuple):
    """A finished part: its bytes, name and what the head of a snapshot says of it."""

    blob: bytes
    entry: dict[str, Any]


class PartWriter:
    """Builds one part in memory, bucket after bucket."""

    def __init__(
        self, ops: bytes, obj: bytes, repo: str, oid: str, tmk: int, first: int, bits: int
    ):
        salt = os.urandom(32)
        self._ops = FrameCipher(ops, OPS, salt, BASE, repo, oid)
        self._obj = FrameCipher(obj, OBJ, salt, BASE, repo, oid)
        self._first, self._bits, self._salt = first, bits, b64u(salt)
        self._count = min(PART, (1 << bits) - first)
        header = {"repo": repo, "oid": oid, "tmk": tmk, "salt": self._salt, "bits": bits}
        header |= {"from": first, "to": first + self._count}
        self._data = bytearray(clear_header(BASE, header))
        self._start = len(self._data)
        self._dir: list[tuple[int, int]] = []
        self._roots = bytearray()

    @property
    def complete(self) -> bool:
        """Whether the last bucket of the part was added."""
        return len(self._dir) == self._count

    def add(self, plain: bytes, rows: int, root: bytes) -> None:
        """The next bucket; an empty one takes no bytes."""
        frame = self._obj.seal(2 + len(self._dir), plain) if rows else b""
        self._data += frame
        self._dir.append((len(frame), rows))
        self._roots += root

    def finish(self, packs: list[bytes]) -> Part:
        """Append pack table, directory, roots and the end mark."""
        table_at = len(self._data) - self._start
        self._data += b"".join(packs)
        directory = self._ops.seal(0, dump({"bits": self._bits, "buckets": self._dir}))
        dir_at = len(self._data) - self._start
        self._data += directory
        roots = self._ops.seal(1, bytes(self._roots))
        roots_at = len(self._data) - self._start
        self._data += roots
        self._data += dir_at.to_bytes(8) + len(directory).to_bytes(4) + _END
        blob = bytes(self._data)
        entry = {
            "name": sha(blob).hex(),
            "bytes": len(blob),
            "rows": sum(rows for _, rows in self._dir),
            "from": self._first,
            "to": self._first + self._count,
            "start": self._start,
            "salt": self._salt,
            "dir": [dir_at, len(directory)],
            "packs": [table_at, len(packs)],
            "roots": [roots_at, len(roots)],
        }
        return Part(blob, entry)


class PartReader:
    """Opens pieces of one part; its salt stands in the head and in its own clear header."""

    def __init__(self, ops: bytes, obj: bytes | None, repo: str, oid: str, salt: bytes) -> None:
        self._ops = FrameCipher(ops, OPS, salt, BASE, repo, oid)
        self._obj = FrameCipher(obj, OBJ, salt, BASE, repo, oid) if obj is not None else None

    @staticmethod
    def header(start_of_blob: bytes) -> tuple[dict[str, Any], int, bytes]:
        """(clear header, where it ends, salt)."""
        header, end = parse_header(start_of_blob, BASE)
        return header, end, salt_of(header)

    def directory(self, frame: bytes) -> list[tuple[int, int]]:
        """(frame length, rows) of every bucket of the part."""
        found = parse(self._ops.open(0, frame))
        return [(length, rows) for length, rows in found["buckets"]]

    def roots(self, frame: bytes) -> list[bytes]:
        """Merkle root of every bucket of the part."""
        return split32(self._ops.open(1, frame))

    def bucket(self, index: int, frame: bytes) -> bytes:
        """Rows of the part's bucket `index` (counted inside the part)."""
        return decompress(self.bucket_packed(index, frame)) if frame else b""

    def bucket_packed(self, index: int, frame: bytes) -> bytes:
        """The same, authenticated but still compressed."""
        if self._obj is None:
            raise Damaged("rows need the object key")
        return self._obj.open_packed(2 + index, frame)


def split32(data: bytes) -> list[bytes]:
    """A run of 32-byte values."""
    if len(data) % 32:
        raise Damaged("a table of hashes has a broken length")
    return [data[at : at + 32] for at in range(0, len(data), 32)]
