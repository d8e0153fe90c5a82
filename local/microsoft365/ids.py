"""Identifiers as the service makes them: long, opaque, case-sensitive (microsoft365.md M5)."""

import base64
import binascii
import hashlib
import struct
import uuid

import orjson

FOLDER, MESSAGE, IMMUTABLE = 1, 2, 3
_PREFIX = {FOLDER: "AQMkA", MESSAGE: "AAMkA", IMMUTABLE: "AAkAL"}
_KINDS = {prefix: kind for kind, prefix in _PREFIX.items()}
_HEAD = struct.Struct(">QI")
_MAC = 12


def digest(*parts: object, size: int = 16) -> bytes:
    """Hash parts into bytes, the root of every deterministic value of a world."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def guid(*parts: object) -> str:
    """Return a GUID that depends on the parts only."""
    return str(uuid.UUID(bytes=digest(*parts), version=4))


def outlook_id(key: bytes, kind: int, number: int, incarnation: int = 0) -> str:
    """Return the id of a folder or message of the mailbox with this 16-byte key.

    A MESSAGE id changes with the incarnation (each move), an IMMUTABLE one does not.
    """
    head = _HEAD.pack(number, incarnation)
    mac = hashlib.blake2b(head + bytes([kind]), digest_size=_MAC, key=key).digest()
    # The repeated, masked key makes ids as long as the real ones and unlike at every place.
    tail = bytes(a ^ b for a, b in zip(mac * 4, key * 3, strict=True))
    return _PREFIX[kind] + base64.urlsafe_b64encode(key + head + mac + tail).decode()


def parse_outlook_id(key: bytes, text: str) -> tuple[int, int, int] | None:
    """Return (kind, number, incarnation) of an id of this mailbox, None for any other text."""
    kind = _KINDS.get(text[:5])
    if kind is None:
        return None
    try:
        raw = base64.b64decode(text[5:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) < 40 or raw[:16] != key:
        return None
    number, incarnation = _HEAD.unpack(raw[16:28])
    return (
        (kind, number, incarnation) if outlook_id(key, kind, number, incarnation) == text else None
    )


def drive_id(key: bytes) -> str:
    """Return the id of a drive of OneDrive for Business."""
    return "b!" + base64.urlsafe_b64encode(digest("drive", key.hex(), size=48)).decode()


def drive_item_id(key: bytes, number: int) -> str:
    """Return the id of an item; one number is one item for ever."""
    return "01" + base64.b32encode(digest("item", key.hex(), number, size=20)).decode()


class Sealer:
    """Packs small values into opaque, tamper-proof tokens (skip tokens, delta tokens, URLs)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, value: object) -> str:
        """Return an opaque URL-safe token for a JSON value."""
        body = orjson.dumps(value)
        mac = hashlib.blake2b(body, digest_size=12, key=self._key).digest()
        return base64.urlsafe_b64encode(mac + body).decode().rstrip("=")

    def open(self, token: str) -> list[object] | None:
        """Return the value of a token, None when it was not made here."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        if hashlib.blake2b(raw[12:], digest_size=12, key=self._key).digest() != raw[:12]:
            return None
        value: list[object] = orjson.loads(raw[12:])
        return value
