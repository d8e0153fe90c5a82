"""Skip tokens: a position survives, everything else is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kit.cursors import MAX_TOKEN_CHARACTERS, BadCursor, SkipTokens

KEY, OLD = b"k" * 32, b"o" * 32
TOKENS = SkipTokens(KEY)
FILTERS = {"status": "Failed", "from": None}
POSITION = {"after": "abc~1"}


def test_a_position_comes_back() -> None:
    token = TOKENS.seal("p1", "/v1/sessions", FILTERS, POSITION)
    assert TOKENS.open(token, "p1", "/v1/sessions", FILTERS) == POSITION


def test_order_and_unset_filters_do_not_matter() -> None:
    token = TOKENS.seal("p1", "/r", {"a": 1, "b": 2, "c": None}, POSITION)
    assert TOKENS.open(token, "p1", "/r", {"b": 2, "a": 1}) == POSITION


@pytest.mark.parametrize(
    ("partner", "route", "filters"),
    [
        ("p2", "/r", FILTERS),
        ("p1", "/s", FILTERS),
        ("p1", "/r", {"status": "Success"}),
        ("p1", "/r", {}),
        ("p1/", "r", FILTERS),
    ],
)
def test_replayed_cursor_of_another_list_is_refused(
    partner: str, route: str, filters: dict[str, str]
) -> None:
    token = TOKENS.seal("p1", "/r", FILTERS, POSITION)
    with pytest.raises(BadCursor) as refused:
        TOKENS.open(token, partner, route, filters)
    assert (refused.value.code, refused.value.status) == ("BAD_CURSOR", 400)


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    token = TOKENS.seal("p1", "/r", FILTERS, POSITION)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadCursor):
        TOKENS.open(base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="), "p1", "/r", FILTERS)


@given(st.one_of(st.text(), st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode())))
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(BadCursor):
        TOKENS.open(token, "p1", "/r", {})


def test_an_overlong_token_is_refused_unread() -> None:
    with pytest.raises(BadCursor):
        TOKENS.open("A" * (MAX_TOKEN_CHARACTERS + 1), "p1", "/r", {})


def test_an_older_key_still_opens_and_the_new_one_signs() -> None:
    rotated = SkipTokens(KEY, OLD)
    old = SkipTokens(OLD).seal("p1", "/r", {}, POSITION)
    assert rotated.open(old, "p1", "/r", {}) == POSITION
    assert TOKENS.open(rotated.seal("p1", "/r", {}, POSITION), "p1", "/r", {}) == POSITION


def test_a_short_key_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        SkipTokens(b"short")
