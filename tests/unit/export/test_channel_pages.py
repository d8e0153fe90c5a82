"""A page of a channel does no harm and raises nothing, whatever a message holds."""

from base64 import b64encode
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.export import channel_pages

PIXEL = b"\x89PNG pixel"


class Seen(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}


def message(content: str, **more: Any) -> bytes:
    body = {"contentType": "html", "content": content}
    told = {"id": "1", "createdDateTime": "2026-01-02T03:04:05.006Z", "body": body,
            "from": {"user": {"displayName": "Ada <x>", "id": "u"}}, **more}  # fmt: skip
    return orjson.dumps(told)


HOSTILE = [
    "<script>x()</script>", "<img src=x onerror=x()>", "<a href='javascript:x()'>y</a>",
    "<svg/onload=x()>", "</article></body><script>x()</script>", "<iframe src='//x'></iframe>",
    "<style>@import url(//x)</style>", "<!--><script>x()</script>-->",
    '<emoji alt="<script>x()</script>">', '<img src="/hostedContents/a\"onerror=x()/$value">',
]  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE)
def test_nothing_of_a_message_runs_or_reaches_out(content: str) -> None:
    seen = Seen(channel_pages.article("message", message(content, subject=content)))
    assert not seen.tags & {"script", "svg", "iframe", "style", "link", "object"}
    for name, value in seen.attributes:
        assert not name.startswith("on")
        assert not value.lower().strip().startswith(("javascript", "http:", "https:", "//"))


def test_words_author_time_pictures_and_attachments_are_shown() -> None:
    image = {"id": "p1", "contentType": "image/png", "contentBytes": b64encode(PIXEL).decode()}
    told = message(
        '<b>Hi</b> <emoji alt="\N{PARTY POPPER}"></emoji>'
        '<img src="https://g/v1.0/teams/t/messages/1/hostedContents/p1/$value">',
        hostedContents=[image], attachments=[{"name": "plan & <b>.docx"}], subject="To do",
    )  # fmt: skip
    page = channel_pages.article("reply", told).decode()
    for shown in (
        '<article class="reply">', "Ada &lt;x&gt;", "2026-01-02 03:04 UTC", "<h2>To do</h2>",
        "<b>Hi</b> \N{PARTY POPPER}", b64encode(PIXEL).decode(), "plan &amp; &lt;b&gt;.docx",
    ):  # fmt: skip
        assert shown in page


@given(st.binary(max_size=80) | st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["body", "content", "from", "user", "attachments", "hostedContents",
                         "contentType", "contentBytes", "id", "name", "displayName", "subject"]),
        inner, max_size=5,
    ),
).map(orjson.dumps))  # fmt: skip
def test_any_bytes_become_one_article(stored: bytes) -> None:
    page = channel_pages.article("message", stored)
    assert page.startswith(b'<article class="message">')
    assert page.endswith(b"</article>\n")
    assert page.count(b"</article>") == 1


def test_a_title_is_text() -> None:
    assert b"<h1>&lt;script&gt;</h1>" in channel_pages.beginning("<script>")
