"""V18: the reader of this release already understands codec 2 and transform 1."""

import base64
import os
import random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.kit.blobs import MemoryBlobs
from shared.vault import reading
from shared.vault.errors import VaultDamaged, VaultTooNew
from shared.vault.fastjson import encode_item
from shared.vault.format import names
from shared.vault.format.chunks import ZSTD_DICTIONARY, ChunkCipher
from shared.vault.format.content import Transform
from shared.vault.format.errors import Damaged, UnknownFormat
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.packs import PackWriter, check_pack
from shared.vault.format.primitives import b64u, seal, sha
from shared.vault.format.rows import Location, Place, encode_location
from shared.vault.model import Row

KEYS = ObjectKeys.of(os.urandom(32), os.urandom(16).hex(), os.urandom(16).hex())
CIPHER = ChunkCipher(KEYS.chunk, KEYS.repo)


def coded_lines(data: bytes) -> bytes:
    text = base64.b64encode(data)
    return b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=6))
def test_transform_1_is_base64_in_lines_however_it_is_cut(parts: list[bytes]) -> None:
    transform = Transform()
    out = b"".join(piece for part in parts for piece in transform.feed(1, part))
    out += b"".join(transform.finish())
    assert out == coded_lines(b"".join(parts))


async def test_an_attachment_stored_decoded_comes_back_as_mime() -> None:
    head, attachment, tail = b"MIME-Version: 1.0\r\n\r\n", os.urandom(5000), b"\r\n--end--\r\n"
    store, pack = MemoryBlobs(), PackWriter(KEYS.repo, KEYS.oid)
    places = []
    for plain, transform in ((head, 0), (attachment[:2000], 1), (attachment[2000:], 1), (tail, 0)):
        entry, codec = CIPHER.seal(plain, sha(plain))
        at, length = pack.add(sha(plain), entry, len(plain), codec)
        places.append(Place(0, at, length, codec, len(plain), sha(plain), transform))
    digest, blob = pack.finish(KEYS.chunk)
    await store.put(names.pack(KEYS.oid, digest), blob)
    whole = head + coded_lines(attachment) + tail
    location = encode_location(Location(places), short=False)
    item = {"i": "a", "s": len(whole), "d": b64u(sha(whole))}
    row = Row.of(encode_item(item), location, [digest])
    assert b"".join([part async for part in reading.content(store, KEYS, row)]) == whole

    wrong = Row.of(encode_item(item | {"d": b64u(sha(b""))}), location, [digest])
    with pytest.raises(VaultDamaged, match="does not match"):
        async for _ in reading.content(store, KEYS, wrong):
            pass
    places[1] = places[1]._replace(transform=7)
    unknown = Row.of(encode_item(item), encode_location(Location(places), short=False), [digest])
    with pytest.raises((VaultTooNew, UnknownFormat)):
        async for _ in reading.content(store, KEYS, unknown):
            pass


async def test_codec_2_reads_its_dictionary_from_the_same_pack() -> None:
    rng = random.Random(4)
    samples = [
        b'{"subject":"s%d","body":"%d common words of small items"}' % (n, rng.getrandbits(60))
        for n in range(2000)
    ]
    words = zstandard.train_dictionary(2048, samples).as_bytes()
    pack = PackWriter(KEYS.repo, KEYS.oid)
    entry = b"\1" * 12 + seal(
        CIPHER.keys(sha(words))[1], b"\1" * 12, words,
        b"holdfast/1/chunk" + bytes.fromhex(KEYS.repo) + CIPHER.keys(sha(words))[0]
        + b"\0" + len(words).to_bytes(4),
    )  # fmt: skip
    at, length = pack.add(sha(words), entry, len(words), 0)
    plain = samples[7]
    frame = zstandard.ZstdCompressor(dict_data=zstandard.ZstdCompressionDict(words)).compress(plain)
    body = at.to_bytes(4) + length.to_bytes(4) + sha(words) + frame
    name, key = CIPHER.keys(sha(plain))
    bound = b"holdfast/1/chunk" + bytes.fromhex(KEYS.repo) + name + b"\2" + len(plain).to_bytes(4)
    entry = b"\2" * 12 + seal(key, b"\2" * 12, body, bound)
    at, length = pack.add(sha(plain), entry, len(plain), ZSTD_DICTIONARY)
    digest, blob = pack.finish(KEYS.chunk)
    assert len(list(check_pack(blob, digest.hex(), CIPHER, KEYS.chunk))) == 2

    store = MemoryBlobs()
    await store.put(names.pack(KEYS.oid, digest), blob)
    place = Place(0, at, length, ZSTD_DICTIONARY, len(plain), sha(plain))
    item = encode_item({"i": "a", "s": len(plain), "d": b64u(sha(plain))})
    row = Row.of(item, encode_location(Location([place]), short=True), [digest])
    assert b"".join([part async for part in reading.content(store, KEYS, row)]) == plain


def test_v13_v17_entries_exchanged_or_relabelled_are_refused() -> None:
    plain = b"text " * 50_000
    entry, codec = CIPHER.seal(plain, sha(plain))
    assert codec == 1
    assert CIPHER.open(entry, sha(plain), 1, len(plain)) == plain
    for digest, label, length in (
        (sha(b"x"), 1, len(plain)),
        (sha(plain), 0, len(plain)),
        (sha(plain), 1, len(plain) - 1),
        (sha(plain), 1, (4 << 20) + 1),
        (sha(plain), 1, 0),
    ):
        with pytest.raises(Damaged):
            CIPHER.open(entry, digest, label, length)
    with pytest.raises(UnknownFormat):
        CIPHER.open(entry, sha(plain), 3, len(plain))
    noise = os.urandom(300_000)
    assert CIPHER.seal(noise, sha(noise))[1] == 0
    assert CIPHER.seal(plain, sha(plain))[0] != entry  # V12: a new nonce each time
