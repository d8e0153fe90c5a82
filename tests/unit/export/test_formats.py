"""An event or contact that is not what its row says leaves as JSON and breaks nothing."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.export.formats import BY_KIND

MEMBERS = ("start", "end", "subject", "dateTime", "timeZone", "recurrence", "pattern", "range",
           "attendees", "emailAddress", "body", "emailAddresses", "birthday", "isAllDay",
           "exceptionOccurrences", "cancelledOccurrences", "originalStartTimeZone")  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", sorted(BY_KIND))
@given(values.map(orjson.dumps) | st.binary(max_size=20))
def test_rendering_answers_bytes_or_refuses(kind: str, stored: bytes) -> None:
    render = BY_KIND[kind].render
    assert render is not None
    try:
        assert isinstance(render(stored), bytes)
    except ValueError:
        return
