"""Appendix A of the format: whoever changes a number here breaks every vault ever written."""

import hmac
from hashlib import sha256

import pytest

from shared.vault import chunker
from shared.vault.format import names, rows, tree
from shared.vault.format.chunks import ChunkCipher
from shared.vault.format.content import ContentHash, content_hash
from shared.vault.format.keys import ObjectKeys, TenantKeys
from shared.vault.format.primitives import b64u, hkdf, mac, sha

REPO = bytes(range(16)).hex()
TENANT = TenantKeys.of(bytes(range(32)))
OID = "1432ce552eb0ad83fa4d078038ecc40e"
KEYS = ObjectKeys.of(bytes(range(32, 64)), REPO, OID)
HELLO = b"hello, holdfast\n"


def test_key_hierarchy() -> None:
    assert TENANT.ops.hex() == "91b78f212c14bc9008fa38c3faee5b4a935bb86ccb546be1ece8efe6cd521406"
    assert TENANT.wrap.hex() == "5ca38282253b33ad007b625b64236cd125af687334fac5c106a5c202741ec7c3"
    assert TENANT.oid.hex() == "39030228be44bac9e474e65a580794eb48df233dd26d3698eb96d448d6d1e0f6"
    assert KEYS.chunk.hex() == "da6be9e7621e2c2706e73573ba637d5cdd1202c80c893cf0907758a3871a7ea1"
    assert KEYS.leaf.hex() == "613ca89ac088b2159b7119c5c3755ef58d423d0657700b55637c8215fadd8d22"


def test_v5_oid_depends_on_exact_bytes() -> None:
    source = "8f1d0c52-6f0e-4c0f-9a51-3a1d5a2b7c11"
    assert names.oid(TENANT.oid, "mailbox", source) == OID
    others = {
        names.oid(TENANT.oid, "mailbox", source.upper()),
        names.oid(TENANT.oid, "Mailbox", source),
        names.oid(TENANT.oid, "mailbox", source, generation=1),
        names.oid(TENANT.oid, "mailbox", source, generation=2),
    }
    assert len(others | {OID}) == 5


def test_hkdf_is_rfc_5869_with_one_block() -> None:
    # RFC 5869, test case 1, first 32 bytes
    out = hkdf(b"\x0b" * 22, bytes(range(0xF0, 0xFA)), bytes(range(13)))
    assert out.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_chunk_entry() -> None:
    cipher = ChunkCipher(KEYS.chunk, REPO)
    digest = sha(HELLO)
    assert digest.hex() == "0a2ce8cc88eec53da328ffc1833b6cf6fa1d66652a6f4220d1dede8fe7ac20f8"
    secret = mac(KEYS.chunk, digest)
    assert secret.hex() == "0b02a27ec9e81b9f4ec376bc20ccfca0616af669152bff896f68d8932e630cc5"
    name, key = cipher.keys(digest)
    assert name.hex() == "a4ffbc730facd282ac614fdef1075a6e169cc89cf6c28c1c3060ce60dbebb1db"
    assert key.hex() == "bc4a0462d8ffbcdc94f6e79b5d7f9a9f320e16e00e4ca414d4cf14d8e0b5fe07"
    entry, codec = cipher.seal(HELLO, digest, nonce=bytes(12))
    assert codec == 0
    assert entry.hex() == (
        "000000000000000000000000481569864e17446bae473686e879ef31682d82bc3b1d791d7554d075209dbc05"
    )
    assert cipher.open(entry, digest, 0, 16) == HELLO


def test_content_hash_of_a_piece_and_one_byte() -> None:
    expected = "7a36b983475d7d9d04c188b92f4c910253a5447e4f084027ba2b51cdd3b0e809"
    whole = bytes((64 << 20) + 1)
    assert content_hash(whole).hex() == expected
    running = ContentHash()
    for at in range(0, len(whole), 10_000_019):
        running.update(whole[at : at + 10_000_019])
    assert running.digest().hex() == expected
    assert content_hash(whole[:-1]) == sha256(whole[:-1]).digest()


ONE = b'{"i":"AAk-one","k":"mail","v":"CQ1","s":16}'
TWO = b'{"i":"AAk-two","k":"mail","v":"CQ1","s":0}'
THREE = b'{"i":"AAk-three","k":"mail","v":"CQ7","s":1000}'
CONTENT = {ONE: HELLO, TWO: b"", THREE: b"x" * 1000}


def leaf(item: bytes) -> tuple[bytes, bytes, bytes]:
    found = rows.core(item)
    key = rows.key_of(bytes.fromhex(OID), found.i)
    body = tree.body(KEYS.leaf, key, found.v.encode(), found.s, sha(CONTENT[item]), item)
    return key, body, tree.leaf(key, body)


def test_leaves() -> None:
    key, body, hashed = leaf(ONE)
    salt = mac(KEYS.leaf, key + b"CQ1")
    assert key.hex() == "66fea278f0a2f60d3e772dd1d929ecf3e576528b66f7bfed140bb553c0ff33e4"
    assert salt.hex() == "7608695daf57de62411a23c311e50612639561a77f5ec1169fc768bf37134730"
    assert hmac.digest(salt, ONE, "sha256").hex() == (
        "715dc5b4ac886acce43e2c671a91ab85dc3e42288e568aaf578547ca59848ee7"
    )
    assert body.hex() == "d8ad33142b8bf5230d135897252e463d3fc1a07a7e59218df8f2162234aef955"
    assert hashed.hex() == "db47f699c4deccf987e215f22734e5a816e82cc9b9f5fc35e53fafd40ecf29d0"
    key, body, hashed = leaf(TWO)
    assert key.hex() == "c5076a8d31d0aaec52d5b68a295d730dbb9a2ef069fd1b59f8349b6fa6594c78"
    assert body.hex() == "0e84a5f58407b8f0b0dcc829ba9f32b7f5ce78d487d40556edb7719f8ce240f4"
    assert hashed.hex() == "fd68fe004f61e819350fda2628b1235f2b60c7fda8d3428397aef7b54f4a302d"
    key, _, hashed = leaf(THREE)
    assert key.hex() == "3f819e14474c9e94494f6fb3de473384dee97bc776516a540deafaf5bd71d5d3"
    assert hashed.hex() == "11b6875018d7d0d99d40bb9c36e35089162c4f0bd3c210193631ef1a91c2f780"


def test_a_real_rows_leaf_takes_its_digest_from_d() -> None:
    item = ONE[:-1] + b',"d":"' + b64u(sha(HELLO)).encode() + b'"}'
    key = rows.key_of(bytes.fromhex(OID), "AAk-one")
    expected = tree.leaf(key, tree.body(KEYS.leaf, key, b"CQ1", 16, sha(HELLO), item))
    assert rows.leaf_of(KEYS.leaf, key, rows.core(item), item) == expected


def test_roots() -> None:
    def root(*items: bytes) -> str:
        return tree.root(sorted((leaf(i)[0], leaf(i)[2]) for i in items)).hex()

    assert root() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root(ONE) == "db47f699c4deccf987e215f22734e5a816e82cc9b9f5fc35e53fafd40ecf29d0"
    assert root(ONE, TWO) == "5dce5ab065e4ebca9e2e8c969ba577b9f7140e27621a3c46d539c8f98a3e4829"
    assert (
        root(ONE, TWO, THREE) == "84f7c902a74a35e97054ab3f84cf09e516b9173ba88767582e01f2891a08dbd9"
    )


def test_inclusion_and_absence() -> None:
    pairs = sorted((leaf(i)[0], leaf(i)[2]) for i in CONTENT)
    whole = tree.root(pairs)
    key, body, _ = leaf(ONE)
    at, path = tree.leaf_path(pairs, key)
    path.reverse()
    assert at == key
    assert path == [(1, leaf(THREE)[2]), (0, leaf(TWO)[2])]
    assert tree.included(whole, key, body, path)

    none = rows.key_of(bytes.fromhex(OID), "AAk-none")
    assert none.hex() == "d7822c2d0fd89e35c7224bf4a95ee112f191c49fcac1cd9400ebd27c3db99758"
    at, path = tree.leaf_path(pairs, none)
    assert at == leaf(TWO)[0]
    assert [(d, h.hex()) for d, h in path] == [
        (0, "479875ebc6a5d0bcf7b96096ea043d55d59b96571662b44eab8aec20dda648da")
    ]
    assert tree.absent(whole, none, at, leaf(TWO)[1], path)
    assert not tree.absent(whole, at, at, leaf(TWO)[1], path)


def test_session_root() -> None:
    hashes = [sha(bytes([number])) for number in range(3)]
    assert tree.session_root(hashes).hex() == (
        "d1f13800048f5909d4043fc0c152f6643280cba608b672715e56ce159a20629f"
    )


def test_v16_chunker_cuts_at_the_golden_places() -> None:
    assert chunker.golden_cuts() == chunker.GOLDEN
    assert chunker.parameters()["gear"] == (
        "9df0a720752a7d211fdebaf39bed01610983756fc340a1cfef41052b7356ae73"
    )


def test_v16_a_chunker_that_cuts_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chunker.check_golden.cache_clear()
    monkeypatch.setattr(chunker, "GOLDEN", (1, 2, 3))
    with pytest.raises(chunker.ChunkerDiffers):
        chunker.check_golden()
    chunker.check_golden.cache_clear()
