"""Buffers that are used again must not show: packs and chunks are those of fresh memory."""

import random
from hashlib import shake_128

from shared.vault.chunker import FEED, MAX, PieceChunker
from shared.vault.format.chunks import RAW, ZSTD, ChunkCipher, encode
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.packs import PackWriter, check_pack
from shared.vault.format.primitives import sha

KEYS = ObjectKeys.of(bytes(range(32)), "00" * 16, "11" * 16)
CIPHER = ChunkCipher(KEYS.chunk, KEYS.repo)


def cut(chunker: PieceChunker, data: bytes, step: int) -> list[bytes]:
    """As the writer does: what a feed gives is used up before the next feed."""
    found = []
    for at in range(0, len(data), step):
        found += [bytes(chunk) for chunk in list(chunker.feed(data[at : at + step]))]
    return found + [bytes(chunk) for chunk in list(chunker.finish())]


def test_v16_cuts_depend_on_the_bytes_alone() -> None:
    used, chance = PieceChunker(), random.Random(16)
    for number, size in enumerate((3 * MAX + 77, 1 << 20, (1 << 20) + 1, 0, 2 * MAX, 9 << 20)):
        data = shake_128(bytes([number])).digest(size)
        if number == 4:
            data = bytes(size)  # nowhere to cut: chunks of the largest size
        wanted = cut(PieceChunker(), data, FEED)
        assert b"".join(wanted) == data
        assert cut(used, data, chance.randrange(100_000, FEED)) == wanted


def test_v19_v20_a_pack_in_used_memory_holds_what_it_should() -> None:
    space, blobs = None, []
    for round_, sizes in enumerate(((900_000, 4 << 20, 3), (10,), (5 << 20 >> 1, 1, 70_000))):
        pack = PackWriter(KEYS.repo, KEYS.oid, space)
        plains = [
            shake_128(bytes([round_, at])).digest(size) if at % 2 else b"word " * (size // 5 + 1)
            for at, size in enumerate(sizes)
        ]
        plains = [plain[: 4 << 20] for plain in plains]
        for plain in plains:
            pack.seal(CIPHER, sha(plain), encode(memoryview(plain)))
        digest, blob = pack.finish(KEYS.chunk)
        found = list(check_pack(blob, digest.hex(), CIPHER, KEYS.chunk))
        assert [entry.digest for entry in found] == [sha(plain) for plain in plains]
        assert {entry.codec for entry in found} <= {RAW, ZSTD}
        blobs.append((digest, blob))
        space = pack.space
    assert all(sha(blob) == digest for digest, blob in blobs)  # also while somebody holds them
