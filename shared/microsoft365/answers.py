"""Reads a refused HTTP answer into the few facts that decide (`faults.Answer`)."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from shared.microsoft365.faults import Answer, telling_code

# Far more than any error body; keeps a wrong answer from filling memory.
ERROR_BODY_LIMIT = 64 * 1024


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date; None when unusable."""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _codes(error: object) -> list[str]:
    codes: list[str] = []
    while isinstance(error, Mapping):
        code = error.get("code")
        if isinstance(code, str) and code:
            codes.append(code)
        error = error.get("innerError", error.get("innererror"))
    return codes


def answer_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
    """Pure: the facts of one refusal; a body that is not Graph's error JSON gives no code."""
    error: Any = None
    try:
        decoded = msgspec.json.decode(body) if body else None
        error = decoded.get("error") if isinstance(decoded, dict) else None
    except msgspec.DecodeError:
        error = None
    message = error.get("message", "") if isinstance(error, dict) else ""
    return Answer(
        status=status,
        code=telling_code(_codes(error)),
        message=message if isinstance(message, str) else "",
        retry_after=retry_after_s(headers.get("Retry-After"), now),
        empty=not body,
        infected=headers.get("X-Virus-Infected", "").lower() == "true",
        whole_app=headers.get("x-ms-throttle-scope", "").lower().startswith("application"),
        location=headers.get("Location", ""),
        request_id=headers.get("request-id", ""),
    )


async def read_answer(response: aiohttp.ClientResponse, now: datetime) -> Answer:
    """The facts of a refusal as it comes from the network."""
    body = await response.content.read(ERROR_BODY_LIMIT)
    return answer_of(response.status, response.headers, body, now)
