"""API keys: shown once, found by prefix, refused without telling why."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import api_keys
from shared.access.api_keys import KeyInvalid
from shared.access.ip_ranges import AddressNotAllowed, parse_range
from shared.kit.errors import Invalid
from shared.kit.ids import new_id

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(days=30)
HERE = ip_address("10.0.0.1")
PARTNER = new_id()
KEY, TEXT = api_keys.make(PARTNER, "psa", frozenset({"MonitoringAccess"}), now=AT, expires_at=LATER)


def test_the_secret_is_nowhere_in_what_is_stored_or_logged() -> None:
    given_key = api_keys.parse(TEXT)
    assert TEXT.startswith(f"hfk_{PARTNER}.{KEY.key_id}.")
    assert given_key.secret not in KEY.model_dump_json()
    assert given_key.secret not in repr(given_key)
    assert len(KEY.digest) == 64


def test_a_good_key_is_accepted_until_it_expires() -> None:
    given_key = api_keys.parse(TEXT)
    assert api_keys.check(KEY, given_key, AT, HERE) is KEY
    with pytest.raises(KeyInvalid) as refused:
        api_keys.check(KEY, given_key, LATER, HERE)
    assert refused.value.status == 401


def test_unknown_and_wrong_are_answered_alike() -> None:
    given_key = api_keys.parse(TEXT[:-1] + ("A" if TEXT[-1] != "A" else "B"))
    answers = []
    for stored in (KEY, None):
        with pytest.raises(KeyInvalid) as refused:
            api_keys.check(stored, given_key, AT, HERE)
        answers.append((refused.value.code, refused.value.detail))
    assert answers[0] == answers[1]


def test_an_address_is_told_only_to_who_knows_the_secret() -> None:
    bound, text = api_keys.make(
        PARTNER,
        "psa",
        frozenset(),
        now=AT,
        expires_at=LATER,
        ranges=(parse_range("10.0.0.2"),),
        is_restricted=True,
    )
    with pytest.raises(AddressNotAllowed):
        api_keys.check(bound, api_keys.parse(text), AT, HERE)
    with pytest.raises(KeyInvalid):
        api_keys.check(bound, api_keys.parse(TEXT), AT, HERE)


@pytest.mark.parametrize("expires", [AT, AT - timedelta(days=1), AT + timedelta(days=400)])
def test_an_expiry_lies_ahead_and_within_a_year(expires: datetime) -> None:
    with pytest.raises(Invalid):
        api_keys.make(PARTNER, "x", frozenset(), now=AT, expires_at=expires)


@given(st.text() | st.from_regex(r"hfk_[a-z0-9.]*"))
def test_garbage_is_401(text: str) -> None:
    with pytest.raises(KeyInvalid):
        api_keys.parse(text)
