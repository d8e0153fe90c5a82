"""JSON contracts: camelCase, unknown members refused, instants in UTC with a zone."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from shared.kit.api_model import ApiModel, Instant
from shared.kit.clock import from_text, to_text


class Sample(ApiModel):
    created_at: Instant


def test_instants_leave_as_utc_with_z() -> None:
    sample = Sample.model_validate({"createdAt": "2026-01-01T02:00:00+02:00"})
    assert sample.model_dump_json() == '{"createdAt":"2026-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    "given", [{"createdAt": "2026-01-01T00:00:00"}, {"createdAt": "x"}, {}, {"other": 1}]
)
def test_what_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate(given)


def test_text_and_back() -> None:
    at = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert from_text(to_text(at)) == at
    with pytest.raises(ValueError, match="zone"):
        from_text("2026-01-01T00:00:00")
