"""Opaque skip tokens for paged lists: signed, and bound to partner, route and filter.

A token can be read by whoever holds it, so a position holds row keys and nothing else; it cannot
be changed, used by another partner, on another route or with another filter
(marketplace-auth.md section 4, paging).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson

from shared.kit.errors import Invalid

Position = dict[str, str]
# HMAC-SHA-256 gains nothing from longer keys and loses strength with shorter ones.
KEY_BYTES = 32
MAC_BYTES = 32
# A position is a handful of row keys; anything longer was not made here.
MAX_TOKEN_CHARACTERS = 4096
_VERSION = b"\x01"


class BadCursor(Invalid):
    """The skip token was not issued for this list; start again from the first page."""

    code, title = "BAD_CURSOR", "The skip token is not valid for this list"


class SkipTokens:
    """Seals and opens positions. The first key signs, every key given opens (rotation)."""

    def __init__(self, key: bytes, *older: bytes) -> None:
        if any(len(each) < KEY_BYTES for each in (key, *older)):
            raise ValueError(f"a cursor key has at least {KEY_BYTES} bytes")
        self._keys = (key, *older)

    def seal(self, partner: str, route: str, filters: Mapping[str, Any], position: Position) -> str:
        """The token for `position` in the list `route` filtered by `filters` (JSON values)."""
        payload = orjson.dumps(position, option=orjson.OPT_SORT_KEYS)
        mac = _mac(self._keys[0], partner, route, filters, payload)
        return base64.urlsafe_b64encode(_VERSION + mac + payload).rstrip(b"=").decode()

    def open(self, token: str, partner: str, route: str, filters: Mapping[str, Any]) -> Position:
        """The position in the token; `BadCursor` when tampered with or meant for another list."""
        payload, mac = _split(token)
        if not any(
            hmac.compare_digest(mac, _mac(key, partner, route, filters, payload))
            for key in self._keys
        ):
            raise BadCursor("Start again without skipToken.", pointer="/skipToken")
        position: Position = orjson.loads(payload)
        return position


def filter_hash(filters: Mapping[str, Any]) -> bytes:
    """Hash of the filters that are set; order does not matter, None counts as not set."""
    given = {name: value for name, value in filters.items() if value is not None}
    return hashlib.sha256(orjson.dumps(given, option=orjson.OPT_SORT_KEYS)).digest()


def _split(token: str) -> tuple[bytes, bytes]:
    raw = _decoded(token)
    if raw[:1] != _VERSION or len(raw) <= 1 + MAC_BYTES:
        raise BadCursor("Start again without skipToken.", pointer="/skipToken")
    return raw[1 + MAC_BYTES :], raw[1 : 1 + MAC_BYTES]


def _decoded(token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARACTERS:
        return b""
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError:  # no ASCII, no base 64: both tell the caller the same
        return b""
    # Base 64 has several spellings of one value; only ours is accepted.
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == token else b""


def _mac(key: bytes, partner: str, route: str, filters: Mapping[str, Any], payload: bytes) -> bytes:
    # Every part is hashed to a fixed length first, so no two bindings share their bytes.
    bound = b"".join(
        hashlib.sha256(part).digest()
        for part in (partner.encode(), route.encode(), filter_hash(filters), payload)
    )
    return hmac.new(key, b"holdfast-cursor-1" + bound, hashlib.sha256).digest()
