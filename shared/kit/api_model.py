"""The base of every JSON contract: camelCase outside, snake_case inside, strict about members."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from shared.kit.clock import to_text


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("name a time zone, for example 2026-01-31T08:00:00Z")
    return at


Instant = Annotated[
    datetime,
    AfterValidator(_aware),
    PlainSerializer(to_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An aware instant; in JSON RFC 3339 in UTC with `Z`, whole seconds."""


class ApiModel(BaseModel):
    """A request or answer of the partner API."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        str_strip_whitespace=True,
    )
