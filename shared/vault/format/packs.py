"""Packs: many entries and their table in one blob named by its hash (section 6.3)."""

import io
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.vault.format.chunks import MAX_CHUNK, ChunkCipher, Encoded
from shared.vault.format.errors import Damaged
from shared.vault.format.frames import PACK, TOC, FrameCipher, clear_header, parse_header, salt_of
from shared.vault.format.primitives import b64u, sha

TARGET = 32 << 20
MAX_PACK = 64 << 20
# Space taken as a pack grows; the last holds a full one, whose last entry passes the target.
_STEPS = (1 << 20, 5 << 20, TARGET + MAX_CHUNK + (1 << 20))
_RECORD = struct.Struct(">32sIIIB")
_END = b"HFP1"
_FIXED = 8


class Entry(NamedTuple):
    """One line of a pack's table."""

    digest: bytes
    offset: int
    length: int
    plain: int
    codec: int


class PackWriter:
    """Collects entries in memory until the pack is full."""

    def __init__(self, repo: str, oid: str, space: io.BytesIO | None = None) -> None:
        """`space` of a finished pack is used again: fresh memory costs more than filling it."""
        self._repo, self._oid, self._salt = repo, oid, os.urandom(32)
        header = clear_header(
            PACK, {"repo": repo, "oid": oid, "domain": "object", "salt": b64u(self._salt)}
        )
        # Entries are encrypted in place, and BytesIO hands its buffer over without a copy: a full
        # pack is the worker's largest.
        self.space = io.BytesIO() if space is None else space
        self.space.seek(0)
        self.space.write(header)
        self._toc = bytearray()
        self.size = len(header)
        """Bytes so far, without the table."""
        self._room = len(self.space.getbuffer())
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether the target size is reached."""
        return self.size >= TARGET

    def add(self, digest: bytes, entry: bytes, plain: int, codec: int) -> tuple[int, int]:
        """(offset, length) of an encrypted entry inside the pack."""
        with self._room_for(len(entry)) as out:
            out[:] = entry
        return self._added(digest, len(entry), plain, codec)

    def seal(self, cipher: ChunkCipher, digest: bytes, encoded: Encoded) -> tuple[int, int]:
        """Encrypt a chunk into the pack: (offset, length) of its entry."""
        with self._room_for(encoded.length) as out:
            cipher.seal_into(out, encoded, digest)
        return self._added(digest, encoded.length, encoded.plain, encoded.codec)

    def _room_for(self, length: int) -> memoryview:
        end = self.size + length
        if end > self._room:
            self._room = max(end, next((step for step in _STEPS if step >= end), 0))
            self.space.seek(self._room - 1)
            self.space.write(b"\0")
        return self.space.getbuffer()[self.size : end]

    def _added(self, digest: bytes, length: int, plain: int, codec: int) -> tuple[int, int]:
        offset, self.size = self.size, self.size + length
        self._toc += _RECORD.pack(digest, offset, length, plain, codec)
        self.count += 1
        return offset, length

    def finish(self, k_chunk: bytes) -> tuple[bytes, bytes]:
        """(name hash, blob); V19."""
        cipher = FrameCipher(k_chunk, TOC, self._salt, PACK, self._repo, self._oid)
        toc = cipher.seal(0, bytes(self._toc))
        self.space.truncate(self.size)
        self.space.seek(self.size)
        self.space.write(toc)
        self.space.write(len(toc).to_bytes(4) + _END)
        blob = self.space.getvalue()
        return sha(blob), blob


def read_toc(blob: bytes | memoryview, k_chunk: bytes) -> list[Entry]:
    """The table of a pack; `Damaged` unless it covers the entries without gap or overlap (V20)."""
    header, start = parse_header(blob, PACK)
    if blob[-4:] != _END or len(blob) < start + _FIXED:
        raise Damaged("a pack without its end")
    length = int.from_bytes(blob[-_FIXED:-4])
    end = len(blob) - _FIXED - length
    if end < start:
        raise Damaged("a pack's table is longer than the pack")
    cipher = FrameCipher(k_chunk, TOC, salt_of(header), PACK, header["repo"], header["oid"])
    plain = cipher.open(0, blob[end : len(blob) - _FIXED])
    try:
        entries = [Entry(*fields) for fields in _RECORD.iter_unpack(plain)]
    except struct.error as wrong:
        raise Damaged("a pack's table has a broken record") from wrong
    at = start
    for entry in entries:
        if entry.offset != at or entry.length == 0:
            raise Damaged("a pack's table has gaps or overlaps")
        at += entry.length
    if at != end:
        raise Damaged("a pack's table does not reach its end")
    return entries


def check_pack(blob: bytes, name: str, cipher: ChunkCipher, k_chunk: bytes) -> Iterator[Entry]:
    """Verify all that the object's key can verify; yields entries as they pass (V19, V20)."""
    if sha(blob).hex() != name:
        raise Damaged("a pack's name is not the hash of its bytes")
    yield from check_entries(blob, read_toc(blob, k_chunk), cipher)


def check_entries(
    blob: bytes | memoryview, entries: Iterable[Entry], cipher: ChunkCipher
) -> Iterator[Entry]:
    """Open and digest these entries of a pack; yields them as they pass (V13)."""
    whole = memoryview(blob)
    for entry in entries:
        cipher.open(
            whole[entry.offset : entry.offset + entry.length],
            entry.digest,
            entry.codec,
            entry.plain,
            lambda place: bytes(whole[place.offset : place.offset + place.length]),
        )
        yield entry
