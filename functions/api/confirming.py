"""Reads go ahead with the grants in memory while the stamp that confirms them is being read.

Nothing leaves before the stamp has been seen: when it is another one, whatever was answered is
thrown away and the request runs again with grants read anew. Only for GET, which changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.access.grants import GrantBook, Known
from shared.access.model import Scope as DataScope

_CHECK, _ANEW = "grants_check", "grants_anew"
Source = Callable[[DataScope], Awaitable[Known]]


class Confirming:
    """ASGI middleware; inside the layer that sees finished answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a read perhaps twice, of which one answer leaves."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        try:
            await self._app(scope, receive, hold)
        finally:
            check: asyncio.Task[bool] | None = state.get(_CHECK)
            is_current = check is None or await check
        if not is_current:
            state[_ANEW] = True
            await self._app(scope, receive, send)
            return
        for message in held:
            await send(message)


def source(scope: Scope, book: GrantBook) -> Source:
    """Where a request takes grants from: memory, once, and only below `Confirming`."""
    state = scope.setdefault("state", {})

    async def known(data: DataScope) -> Known:
        found = book.remembered(data)
        if found is None or _CHECK in state or _ANEW in state or scope["method"] != "GET":
            return await book.known(data)
        state[_CHECK] = asyncio.create_task(book.is_current(data, found))
        return found

    return known
