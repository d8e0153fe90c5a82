"""The outermost layer: every request passes it first, every answer last.

One place for what must hold for all answers, also for those no route made: sizes, request ids,
ETags, headers of security, version and rate limit, and that nothing leaves but an answer.
"""

import base64
import hashlib
import logging
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.api import limits, manners, problems, versions
from functions.api.exchange import Exchange
from functions.api.sealed import Answer
from shared.kit import ratelimits, seeds, watch
from shared.kit.errors import HoldfastError
from shared.kit.etags import is_not_modified

log = logging.getLogger(__name__)

# A body over this has its own hash (contents of items); hashing it again would only cost time.
MAX_HASHED_BYTES = 4 * 1024 * 1024
_UNCHANGED = ("etag", "cache-control", "retry-after")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Edge:
    """ASGI middleware; put around the whole app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange.begin(scope)
        try:
            answer = await self._answered(exchange, receive)
        except limits.ClientGone:
            return  # nobody is there to hear an answer
        _dress(exchange, answer)
        empty = answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        body = b"" if empty else answer.body
        if not empty:
            answer.headers["Content-Length"] = str(len(body))
        start = {"type": "http.response.start", "status": answer.status}
        await send({**start, "headers": answer.headers.raw})
        await send({"type": "http.response.body", "body": body})

    async def _answered(self, exchange: Exchange, receive: Receive) -> Answer:
        try:
            limits.check_head(exchange)
            exchange.body = await limits.read_body(exchange, receive)
            with watch.watching(), seeds.seeding():
                answer = await self._routed(exchange)
            answer = await manners.settle(exchange, answer)
            return _conditional(exchange, answer)
        except HoldfastError as refused:
            return _problem(exchange, refused)
        except limits.ClientGone:
            raise
        except Exception as fault:  # the last net: logged with its trace, answered as a problem
            log.exception("%s unexpected", exchange.trace_id)
            return _problem(exchange, manners.problem_of(fault))

    async def _routed(self, exchange: Exchange) -> Answer:
        """What the app answers; a fault nobody expected is an answer too, so that it is settled.

        Starlette's own last handler raises again after answering; the Functions worker would then
        drop the answer and send an empty 500 (functions-facts.md 2.3).
        """
        answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        parts: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": exchange.body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = MutableHeaders(raw=list(message["headers"]))
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        try:
            await self._app(exchange.scope, receive, send)
        except manners.Replayed as known:
            return known.answer
        except Exception as fault:
            log.exception("%s unexpected", exchange.trace_id)
            return _problem(exchange, manners.problem_of(fault))
        answer.body = b"".join(parts)
        return answer


def _conditional(exchange: Exchange, answer: Answer) -> Answer:
    """Every read has a strong ETag: the route's own, else one of what it says."""
    if exchange.method not in {"GET", "HEAD"} or answer.status != HTTPStatus.OK:
        return answer
    etag = answer.headers.get("etag")
    if etag is None:
        if len(answer.body) > MAX_HASHED_BYTES:
            return answer
        digest = hashlib.sha256(answer.body).digest()[:16]
        etag = '"' + base64.urlsafe_b64encode(digest).rstrip(b"=").decode() + '"'
        answer.headers["ETag"] = etag
    if not is_not_modified(exchange.headers.get("if-none-match"), etag):
        return answer
    kept = {
        name: answer.headers[name]
        for name in ("etag", "cache-control", "retry-after")
        if name in answer.headers
    }
    return Answer(HTTPStatus.NOT_MODIFIED, MutableHeaders(kept))


def _dress(exchange: Exchange, answer: Answer) -> None:
    """The headers that every answer has."""
    headers = answer.headers
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    # A read may be kept by its reader and asked for again with its ETag; nothing else is kept.
    headers.setdefault("Cache-Control", "private, no-cache" if "etag" in headers else "no-store")
    added = exchange.request_ids | {"api-supported-versions": ", ".join(versions.SUPPORTED)}
    version = exchange.scope["state"].get("version")
    added |= versions.headers(exchange.operation_id, version)
    if exchange.verdict is not None:
        added |= ratelimits.headers(exchange.verdict)
    for name, value in added.items():
        headers[name] = value


def _problem(exchange: Exchange, refused: HoldfastError) -> Answer:
    response: Response = problems.answer(Request(exchange.scope), refused)
    return Answer(
        response.status_code, MutableHeaders(raw=list(response.raw_headers)), bytes(response.body)
    )
