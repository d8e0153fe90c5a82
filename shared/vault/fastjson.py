"""The hot decoder of rows: msgspec in place of json, with json for what msgspec refuses."""

from typing import Any

import msgspec

from shared.vault.format import rows


class _Core(msgspec.Struct, gc=False):
    i: str
    v: str = ""
    s: int = 0
    d: str | None = None
    k: str = ""
    p: str | None = None
    e: str | None = None
    gone: bool = False


_decode = msgspec.json.Decoder(_Core).decode
_encode = msgspec.json.Encoder().encode
_plain = rows.core


def core(item: bytes) -> Any:
    """The members the index looks at."""
    try:
        return _decode(item)
    except msgspec.DecodeError:  # lone surrogates are valid JSON escapes that msgspec refuses
        found = rows.decode_item(item)
        return msgspec.convert(
            {name: found[name] for name in _Core.__struct_fields__ if name in found}, _Core
        )


def encode_item(item: dict[str, Any]) -> bytes:
    """Compact item JSON; ValueError for numbers V25 forbids."""
    rows.check_numbers(item)
    try:
        return _encode(item)
    except UnicodeEncodeError:
        return rows.encode_item(item)


rows.use_core_decoder(core)
