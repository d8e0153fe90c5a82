"""A body over several connections: no gap, no seam, no other content."""

from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from shared.microsoft365.continuation import Continuation
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.uploads import pieces


def _answer(status: int = 200, length: int | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(status=status, headers=named, content_length=length)


def test_a_range_goes_on_at_the_missing_byte() -> None:
    body = Continuation(None)
    body.starts(_answer(length=6, ETag='"1"'))
    assert body.takes(b"abc") == b"abc"
    assert body.headers()["Range"] == "bytes=3-"
    assert body.headers()["If-Range"] == '"1"'
    body.starts(_answer(206, 3, Content_Range="bytes 3-5/6", ETag='"1"'))
    assert body.takes(b"def") == b"def"
    body.ends()


def test_a_host_without_ranges_starts_again_and_the_known_part_is_dropped() -> None:
    body = Continuation(None)
    body.starts(_answer())
    body.takes(b"abc")
    body.starts(_answer())
    assert body.takes(b"ab") == b""
    assert body.takes(b"cdef") == b"def"
    body.ends()


def test_other_content_is_never_glued_on() -> None:
    body = Continuation(None)
    body.starts(_answer())
    body.takes(b"abc")
    body.starts(_answer())
    with pytest.raises(ItemFailed) as failed:
        body.takes(b"aXcdef")
    assert failed.value.graph_code == "ChangedWhileRead"
    tagged = Continuation(None)
    tagged.starts(_answer(ETag='"1"'))
    tagged.takes(b"abc")
    with pytest.raises(ItemFailed):
        tagged.starts(_answer(206, Content_Range="bytes 3-5/6", ETag='"2"'))
    wrong = Continuation(None)
    wrong.starts(_answer())
    wrong.takes(b"abc")
    with pytest.raises(ItemFailed):
        wrong.starts(_answer(206, Content_Range="bytes 5-5/6"))


def test_a_body_shorter_than_listed_is_truncated() -> None:
    body = Continuation(6)
    body.starts(_answer())
    body.takes(b"abc")
    with pytest.raises(aiohttp.ClientPayloadError):
        body.ends()
    declared = Continuation(6)
    declared.starts(_answer(length=3))
    declared.takes(b"abc")
    declared.ends()


async def test_pieces_are_of_one_length_whatever_the_chunks() -> None:
    async def chunks() -> Any:
        for size in (1, 7, 2, 5):
            yield b"x" * size

    assert [len(p) async for p in pieces(chunks(), 4)] == [4, 4, 4, 3]
    assert [len(p) async for p in pieces(b"x" * 9, 4)] == [4, 4, 1]
