"""A partner's script: the Partner API over HTTP, as any integrator would call it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

Json = dict[str, Any]

POLL_SECONDS = 0.25
PATIENCE_SECONDS = 1800.0


class NotAsSaid(Exception):
    """Something is not as the demo says it is; the message is for the person watching."""


class PartnerApi:
    """Signs in once, refreshes the token when it grows old, and raises `NotAsSaid` on a refusal."""

    def __init__(self, base: str, token: Callable[[], str]) -> None:
        self._http = httpx.Client(base_url=f"{base}/api/v1", trust_env=False, timeout=60)
        self._token = token
        self._signed_in_at = -1e9
        self._failed: Callable[[], str | None] = lambda: None

    def watch(self, failed: Callable[[], str | None]) -> None:
        """`failed` says why waiting is useless (a part has died), else None."""
        self._failed = failed

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One call; 4xx and 5xx become `NotAsSaid` with the problem's own words."""
        if time.monotonic() - self._signed_in_at > 1200:
            self._http.headers["Authorization"] = f"Bearer {self._token()}"
            self._signed_in_at = time.monotonic()
        try:
            answer = self._http.request(method, path, json=body, params=query, headers=headers)
        except httpx.HTTPError as broken:
            raise NotAsSaid(f"{method} {path}: {self._failed() or broken}") from broken
        if answer.is_error:
            raise NotAsSaid(f"{method} {path} answered {answer.status_code}: {answer.text[:600]}")
        return answer

    def get(self, path: str, **query: str) -> Json:
        """GET, as JSON."""
        return dict(self.send("GET", path, query=query or None).json())

    def post(self, path: str, body: Json | None = None) -> Json:
        """POST, as JSON."""
        return dict(self.send("POST", path, body if body is not None else {}).json())

    def all(self, path: str, **query: str) -> Iterator[Json]:
        """Every entry of a list, following nextLink."""
        page = self.get(path, **query)
        while True:
            yield from page["value"]
            link = page.get("nextLink")
            if not link:
                return
            page = dict(self.send("GET", link).json())

    def follow(self, path: str, seen: Callable[[Json], bool]) -> Json:
        """Poll `path` until `seen` says that it has seen enough; the last answer."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self.get(path)
            if seen(answer):
                return answer
            if reason := self._failed():
                raise NotAsSaid(reason)
            time.sleep(POLL_SECONDS)
        raise NotAsSaid(f"{path} did not end within {PATIENCE_SECONDS:.0f} s")
