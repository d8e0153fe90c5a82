"""Chunks: convergent keys inside an object, random nonces, three codecs (sections 5.3 and 6.2)."""

import os
from collections.abc import Callable
from typing import NamedTuple

from shared.vault.format.compression import compress, decompress
from shared.vault.format.errors import Damaged, UnknownFormat
from shared.vault.format.primitives import ENTRY_OVERHEAD, NONCE, hex16, mac, seal_into, sha, unseal

MAX_CHUNK = 4 << 20
RAW, ZSTD, ZSTD_DICTIONARY = 0, 1, 2
_PROBE_OVER, _PROBE = 128 << 10, 64 << 10


class Dictionary(NamedTuple):
    """Where the dictionary of a codec-2 entry stands in the same pack."""

    offset: int
    length: int
    digest: bytes


class Encoded(NamedTuple):
    """A chunk's body before encryption: codec, bytes, length of the plaintext."""

    codec: int
    body: bytes | memoryview
    plain: int

    @property
    def length(self) -> int:
        """Bytes of its entry."""
        return len(self.body) + ENTRY_OVERHEAD


FetchEntry = Callable[[Dictionary], bytes]


class ChunkCipher:
    """Seals and opens the chunks of one dedup domain."""

    def __init__(self, k_chunk: bytes, repo: str) -> None:
        self._key = k_chunk
        self._bound = b"holdfast/1/chunk" + hex16(repo)

    def __repr__(self) -> str:
        return "ChunkCipher()"

    def keys(self, digest: bytes) -> tuple[bytes, bytes]:
        """(id, key) of the chunk with this plaintext digest."""
        secret = mac(self._key, digest)
        return mac(secret, b"id"), mac(secret, b"key")

    def seal(
        self, plain: bytes | memoryview, digest: bytes, nonce: bytes | None = None
    ) -> tuple[bytes, int]:
        """(entry, codec). The nonce is random, never derived from the plaintext (V12)."""
        encoded = encode(plain)
        entry = bytearray(encoded.length)
        self.seal_into(memoryview(entry), encoded, digest, nonce)
        return bytes(entry), encoded.codec

    def seal_into(
        self, out: memoryview, encoded: "Encoded", digest: bytes, nonce: bytes | None = None
    ) -> None:
        """Write the entry of `encoded` to `out`, which has exactly its `length`."""
        name, key = self.keys(digest)
        nonce = nonce or os.urandom(NONCE)
        bound = self._bound + name + bytes([encoded.codec]) + encoded.plain.to_bytes(4)
        out[:NONCE] = nonce
        seal_into(key, nonce, encoded.body, bound, out[NONCE:])

    def open(
        self,
        entry: bytes | memoryview,
        digest: bytes,
        codec: int,
        plain_length: int,
        fetch: FetchEntry | None = None,
    ) -> bytes:
        """The verified plaintext (V13, V17); `fetch` reads the entry of a codec-2 dictionary."""
        body = self.body(entry, digest, codec, plain_length)
        if codec == RAW:
            plain = body
        elif codec == ZSTD:
            plain = decompress(body, plain_length)
        else:
            where, frame = dictionary_of(body)
            if fetch is None:
                raise UnknownFormat("codec 2 without access to its pack")
            words = self.open(fetch(where), where.digest, RAW, where.length - ENTRY_OVERHEAD)
            plain = decompress(frame, plain_length, dictionary=words)
        if len(plain) != plain_length or sha(plain) != digest:
            raise Damaged("a chunk does not match its length and digest")
        return plain

    def body(
        self, entry: bytes | memoryview, digest: bytes, codec: int, plain_length: int
    ) -> bytes:
        """The authenticated, still encoded body."""
        if codec not in (RAW, ZSTD, ZSTD_DICTIONARY):
            raise UnknownFormat(f"chunk codec {codec}")
        if not 1 <= plain_length <= MAX_CHUNK:
            raise Damaged("a chunk length out of bounds")
        name, key = self.keys(digest)
        bound = self._bound + name + bytes([codec]) + plain_length.to_bytes(4)
        return unseal(key, bytes(entry[:NONCE]), entry[NONCE:], bound)


def dictionary_of(body: bytes) -> tuple[Dictionary, bytes]:
    """The dictionary's place and the zstd frame of a codec-2 body."""
    if len(body) < 40:
        raise Damaged("a codec-2 body without its dictionary's place")
    where = Dictionary(int.from_bytes(body[:4]), int.from_bytes(body[4:8]), body[8:40])
    return where, body[40:]


def encode(plain: bytes | memoryview) -> Encoded:
    """Compressed where that saves anything."""
    # Compressed media fills drives: a probe of the head costs a fraction of trying the whole.
    if len(plain) > _PROBE_OVER and len(compress(plain[:_PROBE])) > _PROBE * 0.97:
        return Encoded(RAW, plain, len(plain))
    packed = compress(plain)
    if len(packed) < len(plain):
        return Encoded(ZSTD, packed, len(plain))
    return Encoded(RAW, plain, len(plain))
