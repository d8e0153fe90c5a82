"""What a drill takes for a message, an event, a contact, and what it does not."""

import json

import pytest

from shared.drills.formats import FormatWrong, parse

MAIL = {"c": "mime", "m": {"imid": "<1@x>"}}


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: x\r\nMessage-ID: <1@x>\r\n\r\nwords\r\n",
        b"Message-ID:  <1@x> \r\n\r\n",
        b"Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n",  # an empty draft is a message
        b"X-Only: a header",
        b"Words alone, as a digest holds them",
        b"",
    ],
)
def test_a_message_is_one_however_empty(data: bytes) -> None:
    parse(MAIL, data)


@pytest.mark.parametrize(
    ("item", "data"),
    [
        (MAIL, b"Message-ID: <2@x>\r\n\r\nanother one"),
        (MAIL, b"   "),
        ({"c": "json", "k": "listitem"}, b"{"),
        ({"c": "json", "k": "listitem"}, b"[]"),
        ({"c": "json", "k": "event"}, b"{}"),
    ],
)
def test_what_is_something_else_is_told(item: dict[str, object], data: bytes) -> None:
    with pytest.raises(FormatWrong):
        parse(item, data)


def test_a_file_is_any_bytes_and_json_of_any_other_kind_stays_as_it_is() -> None:
    parse({"c": "file", "k": "file"}, b"\x00\xff")
    parse({"c": "json", "k": "message"}, json.dumps({"id": "1"}).encode())
