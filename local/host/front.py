"""The HTTP front: requests in by the platform's rules, the function's answer out (ASGI)."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from local.host.indexing import Function
from local.host.keys import Keys
from local.host.routing import Match, Router
from local.host.settings import HostSettings
from local.host.values import http_request, http_response, request_headers, request_query
from local.host.worker import InvocationFailed, Worker

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

CUT_SECONDS = 230.0  # Azure's front closes a request that takes longer
HOMEPAGE = (
    b"<!doctype html><title>Functions host</title><p>Your Functions app is up and running.</p>"
)


@dataclass
class Request:
    """One request: what ASGI says, and the body once it is read."""

    scope: MutableMapping[str, Any]
    receive: Receive = field(repr=False)

    @property
    def method(self) -> str:
        """Upper-case method."""
        return str(self.scope["method"])

    @property
    def raw_path(self) -> str:
        """The path as sent, still encoded."""
        raw = self.scope.get("raw_path") or str(self.scope["path"]).encode()
        return str(raw.decode("latin-1")).split("?", 1)[0]

    @property
    def query(self) -> str:
        """The query as sent, without the question mark."""
        return str(self.scope["query_string"].decode("latin-1"))

    def headers(self) -> dict[str, str]:
        """Headers as a function sees them."""
        client = self.scope.get("client")
        return request_headers(
            self.scope["headers"], f"{client[0]}:{client[1]}" if client else None
        )

    async def body(self) -> bytes:
        """Everything sent, up to the end."""
        parts = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client went away")
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)


@dataclass(frozen=True)
class Answer:
    """Status, headers and body."""

    status: int
    body: bytes = b""
    headers: RawHeaders = field(default_factory=list)


def json_answer(status: int, document: Any) -> Answer:
    """A JSON answer of the host itself."""
    return Answer(status, json.dumps(document).encode(), [(b"content-type", b"application/json")])


Handler = Callable[[Request], Awaitable[Answer | None]]
ClientValue = Callable[[str], Any]
"""The durableClient binding's value, for the site the request came to."""


class Front:
    """The ASGI application. `admin` answers below /admin and gives None for 404."""

    def __init__(
        self,
        settings: HostSettings,
        router: Router,
        worker: Worker,
        admin: Handler,
        client_value: ClientValue,
        keys: Keys | None,
    ) -> None:
        self._settings, self._router, self._worker = settings, router, worker
        self._admin, self._client_value, self._keys = admin, client_value, keys
        self._places = asyncio.Semaphore(settings.max_http_requests)
        self._warned: set[str] = set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other protocols are not spoken."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(Request(scope, receive))
        except ConnectionError:
            return  # nobody is there to hear an answer
        except asyncio.CancelledError:
            answer = Answer(503)  # the host stops and this took longer than its grace
        await _send(send, answer)

    async def _answer(self, request: Request) -> Answer:
        root = request.raw_path.strip("/").split("/")[0].lower()
        if root == "admin":
            if self._keys and not self._keys.allow("admin", request.headers(), request.query):
                return Answer(401)
            return await self._admin(request) or Answer(404)
        if root == "runtime":
            return Answer(404)
        match = self._router.match(request.method, request.raw_path)
        if match is not None:
            return await self._run(request, match)
        if request.raw_path == "/":
            return _homepage(self._settings.homepage_disabled)
        if others := self._router.methods_at(request.raw_path):
            self._warn(
                f"{request.method} {request.raw_path}",
                f"{request.method} {request.raw_path} is answered 404 as in Azure: the route "
                f"is there for {', '.join(sorted(others))}",
            )
        return Answer(404)

    async def _run(self, request: Request, match: Match) -> Answer:
        function = match.route.function
        headers = request.headers()
        level = str(function.trigger.get("authLevel", "FUNCTION")).lower()
        if self._keys and not self._keys.allow(level, headers, request.query):
            return Answer(401)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._settings.body_limit_bytes:
            return Answer(413, headers=[(b"connection", b"close")])
        body = await self._body(request, function, headers)
        site = f"{request.scope['scheme']}://{headers.get('host', '')}"
        query = f"?{request.query}" if request.query else ""
        value = http_request(
            request.method,
            f"{site}{request.raw_path}{query}",
            headers,
            request_query(request.query),
            match.params,
            body,
        )
        client = {name: self._client_value(site) for name in function.client_bindings}
        began = time.monotonic()
        try:
            async with self._places:
                returned = await self._worker.invoke(function, value, client)
            return _as_answer(returned.value)
        except InvocationFailed:
            return Answer(500)
        finally:
            if time.monotonic() - began > CUT_SECONDS:
                logger.warning(
                    "%s took longer than %d s: in Azure the client gets no answer",
                    function.name,
                    CUT_SECONDS,
                )

    async def _body(self, request: Request, function: Function, headers: dict[str, str]) -> bytes:
        """The body, or nothing for a chunked one: that is how it reaches Python in Azure."""
        if "chunked" not in headers.get("transfer-encoding", "").lower():
            return await request.body()
        self._warn(
            f"chunked {function.name}",
            f"{function.name}: a chunked request body arrives empty, as in Azure without streaming",
        )
        return b""

    def _warn(self, key: str, sentence: str) -> None:
        if key not in self._warned and len(self._warned) < 1000:
            self._warned.add(key)
            logger.warning(sentence)


def _homepage(is_disabled: bool) -> Answer:
    if is_disabled:
        return Answer(204)
    return Answer(200, HOMEPAGE, [(b"content-type", b"text/html; charset=utf-8")])


def _as_answer(value: Any) -> Answer:
    status, headers, body = http_response(value)
    return Answer(status, body, headers)


async def _send(send: Send, answer: Answer) -> None:
    headers = list(answer.headers)
    body = b"" if answer.status in (204, 304) else answer.body
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
