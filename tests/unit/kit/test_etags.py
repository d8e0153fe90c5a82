"""Conditional requests: who may change what they read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kit.errors import Invalid, PreconditionFailed, PreconditionRequired
from shared.kit.etags import check_if_match, check_if_none_match, is_not_modified, strong_etag

WEAK_TABLE = "W/\"datetime'2026-11-22T00%3A00%3A00.0000000Z'\""
CURRENT = strong_etag(WEAK_TABLE)
OTHER = strong_etag("another")


def test_the_table_etag_becomes_a_strong_one() -> None:
    assert CURRENT.startswith('"')
    assert "datetime" not in CURRENT
    assert strong_etag(WEAK_TABLE) == CURRENT != strong_etag(WEAK_TABLE, "b")
    assert strong_etag("ab", "c") != strong_etag("a", "bc")


def test_a_change_without_if_match_is_428() -> None:
    with pytest.raises(PreconditionRequired) as refused:
        check_if_match(None, CURRENT)
    assert refused.value.status == 428
    check_if_match(None, CURRENT, required=False)


@pytest.mark.parametrize("header", [CURRENT, "*", f"{OTHER}, {CURRENT}", f" {CURRENT} "])
def test_the_current_tag_lets_a_change_pass(header: str) -> None:
    check_if_match(header, CURRENT)


@pytest.mark.parametrize("header", [OTHER, f"W/{CURRENT}", '""', f"{OTHER},{OTHER}"])
def test_another_or_a_weak_tag_is_412(header: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        check_if_match(header, CURRENT)
    assert refused.value.status == 412


@pytest.mark.parametrize("header", ["", "abc", CURRENT[:-1], f"{CURRENT},", ",".join(["*"] * 3)])
def test_a_malformed_header_is_400(header: str) -> None:
    for check in (check_if_match, check_if_none_match, is_not_modified):
        with pytest.raises(Invalid):
            check(header, CURRENT)


@given(st.text())
def test_no_header_does_worse_than_a_refusal(header: str) -> None:
    try:
        check_if_match(header, CURRENT)
    except (Invalid, PreconditionFailed):
        return
    assert header.strip() == "*" or CURRENT in header


def test_create_only() -> None:
    check_if_none_match("*", None)
    check_if_none_match(None, CURRENT)
    check_if_none_match(OTHER, CURRENT)
    for header in ("*", CURRENT, f"W/{CURRENT}"):
        with pytest.raises(PreconditionFailed):
            check_if_none_match(header, CURRENT)


def test_an_unchanged_read_is_304() -> None:
    assert is_not_modified(CURRENT, CURRENT)
    assert is_not_modified(f"W/{CURRENT}", CURRENT)
    assert is_not_modified("*", CURRENT)
    assert not is_not_modified(OTHER, CURRENT)
    assert not is_not_modified(None, CURRENT)
