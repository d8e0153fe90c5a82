"""How large a request may be: headers, address, body. Everything over it is a clear 4xx."""

from starlette.types import Receive

from functions.api.exchange import Exchange
from shared.kit.errors import HoldfastError, Invalid

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_ADDRESS_BYTES = 8 * 1024
MAX_BODY_BYTES = 1024 * 1024
"""The largest body any route needs is a restore of thousands of named items: a tenth of this."""


class HeadersTooLarge(HoldfastError):
    """Too many headers, or too much in them."""

    code, status, title = "HEADERS_TOO_LARGE", 431, "The request has too many headers"


class AddressTooLong(HoldfastError):
    """The path and query are too long."""

    code, status, title = "ADDRESS_TOO_LONG", 414, "The address is too long"


class BodyTooLarge(HoldfastError):
    """The body is too large."""

    code, status, title = "BODY_TOO_LARGE", 413, "The body is too large"


class ClientGone(Exception):
    """The client closed the connection before it had sent everything."""


def check_head(exchange: Exchange) -> None:
    """Refuse a flood of headers (431) and an endless address (414) before anything is read."""
    raw = exchange.headers.raw
    size = sum(len(name) + len(value) for name, value in raw)
    if len(raw) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise HeadersTooLarge(f"Send at most {MAX_HEADERS} headers and {MAX_HEADER_BYTES} bytes.")
    address = exchange.scope.get("raw_path") or exchange.path.encode()
    if len(address) + len(exchange.scope["query_string"]) > MAX_ADDRESS_BYTES:
        raise AddressTooLong(f"Path and query hold at most {MAX_ADDRESS_BYTES} bytes together.")


async def read_body(exchange: Exchange, receive: Receive) -> bytes:
    """The whole body; `BodyTooLarge` as soon as that is known, `Invalid` for a false length."""
    declared = exchange.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit():
        raise Invalid("Content-Length is a number.", pointer="/headers/Content-Length")
    if int(declared[:20]) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"A body holds at most {MAX_BODY_BYTES} bytes.")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(f"A body holds at most {MAX_BODY_BYTES} bytes.")
        if not message.get("more_body"):
            return b"".join(parts)
