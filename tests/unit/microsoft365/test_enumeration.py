"""Cursors, resync and empty pages of a change feed (section 4, M13, M18)."""

from typing import Any

import pytest

from shared.microsoft365.enumeration import EMPTY_PAGES, Feed, walk
from shared.microsoft365.errors import ItemFailed, Resync
from shared.microsoft365.model import Cursor
from tests.unit.microsoft365.conftest import MovingClock

FEED = {
    "start": Feed(["a"], next_link="second"),
    "second": Feed(["b"], delta_link="since b"),
    "since b": Feed([], delta_link="since b2"),
}


async def _walk(cursor: Cursor | None, **answers: Any) -> list[Any]:
    async def read(link: str, _full: bool) -> Feed[Any]:
        answer = {**FEED, **answers}[link]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return [step async for step in walk(read, "start", cursor, MovingClock())]


def _cursor(link: str, kind: Any) -> Cursor:
    return Cursor(link=link, kind=kind, asOf="2026-01-01T00:00:00Z")


async def test_a_first_pass_ends_with_a_delta_link() -> None:
    steps = await _walk(None)
    assert [(s.cursor["link"], s.cursor["kind"], s.complete, s.full) for s in steps] == [
        ("second", "page", False, True),
        ("since b", "delta", True, True),
    ]


async def test_a_resumed_first_pass_stays_full() -> None:
    steps = await _walk(_cursor("second", "page"))
    assert [(s.entries, s.full, s.complete) for s in steps] == [(["b"], True, True)]


async def test_an_increment_is_not_full_and_absence_means_nothing() -> None:
    steps = await _walk(_cursor("since b", "delta"))
    assert [(s.full, s.complete, s.cursor["link"]) for s in steps] == [(False, True, "since b2")]


async def test_an_empty_link_starts_afresh() -> None:
    assert (await _walk(_cursor("", "page")))[0].entries == ["a"]


async def test_resync_follows_the_location_once() -> None:
    expired = {"since b": Resync("elsewhere"), "elsewhere": Feed(["c"], delta_link="d")}
    steps = await _walk(_cursor("since b", "delta"), **expired)
    assert [(s.entries, s.full) for s in steps] == [(["c"], True)]
    with pytest.raises(ItemFailed):
        await _walk(_cursor("since b", "delta"), **{**expired, "elsewhere": Resync("since b")})


async def test_m18_a_hundred_empty_pages_are_the_end_of_patience() -> None:
    pages = {f"p{n}": Feed([], next_link=f"p{n + 1}") for n in range(EMPTY_PAGES)}
    last = {f"p{EMPTY_PAGES}": Feed([], delta_link="d")}
    assert len(await _walk(_cursor("p1", "delta"), **pages, **last)) == EMPTY_PAGES
    with pytest.raises(ItemFailed):
        await _walk(_cursor("p0", "delta"), **pages, **last)


async def test_a_feed_that_ends_without_a_delta_link_is_a_failure() -> None:
    with pytest.raises(ItemFailed):
        await _walk(None, second=Feed(["b"]))
