"""Sends content in fragments through an upload session and goes on where the server stopped.

Rule: microsoft365.md section 8. The session's URL is a secret (M9). Fragments are sequential;
after any fault the session is asked what it expects next.
"""

from collections.abc import AsyncIterator

import msgspec

from shared.microsoft365.calls import Call, Reply
from shared.microsoft365.errors import GraphError, ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.fence import Lane
from shared.microsoft365.transport import GraphTransport

# A server that accepts nothing this often in a row will not accept more.
STANDSTILLS = 4


class UploadLost(GraphError):
    """The session no longer exists: finished unnoticed, or expired; start over (section 8)."""

    code, status, title = "UPLOAD_LOST", 409, "The upload session is gone"


class Session(msgspec.Struct, rename="camel"):
    """What a session says about itself; also the answer that created it."""

    upload_url: str = ""
    next_expected_ranges: list[str] = []


_session = msgspec.json.Decoder(Session)


def session_of(reply: Reply) -> Session:
    """Decode an answer that creates or describes a session."""
    return _session.decode(reply.body)


async def pieces(content: bytes | AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    """`content` cut into pieces of exactly `length` bytes, the last one shorter."""
    if isinstance(content, bytes):
        for at in range(0, len(content), length):
            yield content[at : at + length]
        return
    held = bytearray()
    async for chunk in content:
        held += chunk
        while len(held) >= length:
            yield bytes(held[:length])
            del held[:length]
    if held:
        yield bytes(held)


class Upload:
    """One upload session at work; `size` is the whole content's length in bytes."""

    def __init__(self, transport: GraphTransport, lane: Lane, link: str, size: int) -> None:
        self._transport, self._lane, self._link, self._size = transport, lane, link, size

    async def send(self, content: bytes | AsyncIterator[bytes], fragment: int) -> Reply:
        """Upload everything; the reply that ended the session. UploadLost, ItemFailed."""
        start = 0
        reply: Reply | None = None
        async for piece in pieces(content, fragment):
            reply = await self._piece(start, piece)
            start += len(piece)
        if reply is None or start != self._size:
            raise ItemFailed("UploadSizeDiffers", 0)
        return reply

    async def _piece(self, start: int, piece: bytes) -> Reply:
        end, at, standstills = start + len(piece), start, 0
        while True:
            reply = await self._put(at, piece[at - start :], end)
            if reply.status in (404, 410):
                raise UploadLost
            expected = _expected(reply)
            if expected is None or expected >= end:
                return reply
            if expected < start:
                raise ItemFailed("UploadRewound", reply.status)
            standstills = standstills + 1 if expected == at else 0
            if standstills >= STANDSTILLS:
                raise ItemFailed("UploadStandstill", reply.status)
            at = expected

    async def _put(self, at: int, part: bytes, end: int) -> Reply:
        call = Call(
            method="PUT",
            url=self._link,
            lane=self._lane,
            ru=1,
            headers={
                "Content-Range": f"bytes {at}-{end - 1}/{self._size}",
                "Content-Type": "application/octet-stream",
            },
            body=part,
            asked=Asked(about="write", get=False),
            signed=False,
            replay=False,
            # 416: the server has these bytes already; its session says where to go on.
            accept=frozenset({404, 410, 416}),
        )
        reply = await self._transport.send(call, self._status)
        return await self._status() if reply.status == 416 else reply

    async def _status(self) -> Reply:
        """Ask the session what it expects next."""
        call = Call(
            url=self._link,
            lane=self._lane,
            ru=1,
            asked=Asked(about="write"),
            signed=False,
            accept=frozenset({404, 410}),
        )
        return await self._transport.send(call)


def _expected(reply: Reply) -> int | None:
    """Offset the server wants next; None when the upload is complete."""
    if reply.status == 201 or not reply.body:
        return None
    ranges = session_of(reply).next_expected_ranges
    return int(ranges[0].split("-")[0]) if ranges else None
