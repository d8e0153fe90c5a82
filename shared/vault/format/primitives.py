"""The primitives everything is made of: SHA-256, HMAC, HKDF, AES-256-GCM, b64u, LP."""

import base64
import binascii
import hmac
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.vault.format.errors import Damaged

NONCE = 12
TAG = 16
ENTRY_OVERHEAD = NONCE + TAG


def sha(data: bytes | bytearray | memoryview) -> bytes:
    """SHA-256."""
    return sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, data, "sha256")


def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:
    """HKDF-SHA-256 with 32 bytes of output: one extract and one expand block (RFC 5869)."""
    return mac(mac(salt or bytes(32), key), info + b"\x01")


def lp(data: bytes) -> bytes:
    """Length as u32, then the bytes."""
    return len(data).to_bytes(4) + data


def b64u(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text: str) -> bytes:
    """The inverse of `b64u`; strict."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise Damaged("not base64url") from wrong


def seal(key: bytes, nonce: bytes, plain: bytes | bytearray | memoryview, bound: bytes) -> bytes:
    """AES-256-GCM: ciphertext and tag."""
    return AESGCM(key).encrypt(nonce, plain, bound)


def seal_into(
    key: bytes, nonce: bytes, plain: bytes | memoryview, bound: bytes, out: memoryview
) -> None:
    """The same written to `out`, which is `TAG` longer than `plain`: nothing is copied."""
    AESGCM(key).encrypt_into(nonce, plain, bound, out)


def unseal(key: bytes, nonce: bytes, sealed: bytes | memoryview, bound: bytes) -> bytes:
    """The inverse of `seal`; `Damaged` when anything differs (V13)."""
    if len(sealed) < TAG:
        raise Damaged("authentication failed: too short")
    try:
        return AESGCM(key).decrypt(nonce, sealed, bound)
    except InvalidTag:
        raise Damaged("authentication failed") from None


@lru_cache(maxsize=64)
def hex16(text: str) -> bytes:
    """The 16 bytes of a repository or object id."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 16 or text != raw.hex():
        raise Damaged("an id must be 32 lower-case hex digits")
    return raw
