"""Keys and hashes of idempotent requests; the store itself is in tests/contract."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kit.idempotency import KeyMalformed, parse_key, request_hash


@pytest.mark.parametrize("header", ['"abc-1"', "abc-1", " abc-1 "])
def test_a_key_may_be_quoted_or_bare(header: str) -> None:
    assert parse_key(header) == "abc-1"


@pytest.mark.parametrize("header", ["", '""', " ", "a b", "ü", "x" * 256, "a\x01"])
def test_a_malformed_key_is_400(header: str) -> None:
    with pytest.raises(KeyMalformed) as refused:
        parse_key(header)
    assert refused.value.status == 400


LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


@given(LINE, LINE, st.binary(), st.binary())
def test_every_part_of_a_request_counts(path: str, query: str, body: bytes, other: bytes) -> None:
    first = request_hash("POST", path, query, body)
    assert first == request_hash("post", path, query, body)
    assert (first == request_hash("POST", path, query, other)) == (body == other)
    assert first != request_hash("PUT", path, query, body)
    assert first != request_hash("POST", path + "x", query, body)
    assert first != request_hash("POST", path, query + "x", body)
