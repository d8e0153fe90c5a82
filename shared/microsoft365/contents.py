"""Hands out content as bytes when it is small and as a stream when it is not."""

from collections.abc import AsyncIterator

# Most mails are smaller; a whole one saves the writer a pass through its stream machinery.
HEAD_BYTES = 1024 * 1024


async def head_of(stream: AsyncIterator[bytes]) -> bytes | AsyncIterator[bytes]:
    """All bytes of a stream that ends within the first MiB, else the whole stream to iterate.

    Awaiting it sends the request, so that a refusal is raised here and not inside a writer.
    """
    head = bytearray()
    async for chunk in stream:
        head += chunk
        if len(head) >= HEAD_BYTES:
            return _joined(bytes(head), stream)
    return bytes(head)


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield head
        async for chunk in rest:
            yield chunk
    finally:
        # Gives the place in the lane back also when the reader stops early.
        close = getattr(rest, "aclose", None)
        if close is not None:
            await close()
