"""What restoring events and contacts have in common: requests that sign as the Restorer."""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from shared.microsoft365.calls import Call, Reply
from shared.microsoft365.faults import Asked
from shared.microsoft365.mail import IMMUTABLE
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

# A name that is taken a second later than it was looked for.
TAKEN = frozenset({409})


class Found(msgspec.Struct, rename="camel"):
    """A page of anything."""

    value: list[dict[str, Any]]
    next_link: str = msgspec.field(default="", name="@odata.nextLink")


_found = msgspec.json.Decoder(Found)


class PersonalRestore:
    """Reads and writes in one mailbox."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        self.transport = transport
        self._user = user_id
        self._lane = transport.mailbox(user_id)

    def link(self, shape: str, query: dict[str, str] | None = None, /, **ids: str) -> str:
        """A URL in this mailbox."""
        return url(self.transport.base, shape, query, user=self._user, **ids)

    async def all(self, link: str) -> list[dict[str, Any]]:
        """Every entry of a list."""
        found: list[dict[str, Any]] = []
        while link:
            page = await self.transport.get(self.call("GET", link), _found)
            found += page.value
            link = page.next_link
        return found

    async def send(self, method: str, link: str, body: Any, *, replay: bool = False) -> Reply:
        """A write; `replay` says that sending it twice does no harm (M30)."""
        return await self.transport.send(self.call(method, link, body, replay=replay))

    async def delete(self, link: str) -> None:
        """Remove; what is gone already is fine."""
        call = msgspec.structs.replace(
            self.call("DELETE", link, replay=True), accept=frozenset({404})
        )
        await self.transport.send(call)

    def call(self, method: str, link: str, body: Any = None, *, replay: bool = False) -> Call:
        """One request; reads may always be repeated."""
        raw = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        kind = "image/jpeg" if isinstance(body, bytes) else "application/json"
        return Call(
            method=method,
            url=link,
            lane=self._lane,
            headers={"Prefer": IMMUTABLE, **({"Content-Type": kind} if raw is not None else {})},
            body=raw,
            asked=Asked(about="write", get=method == "GET"),
            replay=replay or method == "GET",
        )


def quoted(text: str) -> str:
    """Text as a literal of $filter."""
    return "'" + text.replace("'", "''") + "'"


def id_of(reply: Reply) -> str:
    """The id in an answer."""
    found: Mapping[str, Any] = orjson.loads(reply.body)
    return str(found["id"])
