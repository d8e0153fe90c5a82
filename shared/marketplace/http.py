"""Calls to channels: one client per process, refusals of theirs as ours, ids on every request."""

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from shared.marketplace.refusals import ChannelDown, ChannelRefuses

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 15.0
Headers = Callable[[], Awaitable[dict[str, str]]]


class Caller:
    """An HTTP client of one channel; `headers` proves who we are, anew for every call."""

    def __init__(self, base: str, headers: Headers) -> None:
        self._base, self._headers = base.rstrip("/"), headers
        self._client: httpx.AsyncClient | None = None

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **given: Any
    ) -> "httpx.Response":
        """The answer; `ChannelDown` for 5xx, 429 and silence, `ChannelRefuses` for other 4xx."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        url = path if path.startswith("http") else f"{self._base}{path}"
        ids = {"x-ms-requestid": str(uuid.uuid4()), "x-ms-correlationid": str(uuid.uuid4())}
        sent = {**ids, **await self._headers(), **(headers or {})}
        try:
            answer = await self._client.request(method, url, headers=sent, **given)
        except httpx.HTTPError as fault:
            raise ChannelDown(f"{method} {path[:80]}: {type(fault).__name__}.") from fault
        log.info("%s %s: %d, request %s", method, path[:120], answer.status_code, ids)
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise ChannelDown(f"{method} {path[:80]} answers {answer.status_code}.")
        if answer.status_code >= 400:
            raise ChannelRefuses(
                f"{method} {path[:80]} answers {answer.status_code}: {answer.text[:300]}",
                answered=answer.status_code,
            )
        return answer

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def json_of(answer: "httpx.Response") -> Any:
    """The body; `ChannelDown` for one that is no JSON, None for none."""
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as broken:
        raise ChannelDown("The channel's answer is not JSON.") from broken
