"""Versions of the API and what is on its way out, in one place.

The path holds the major version; `api-version` names a dated contract within it. Left out, the
first version answers, for ever: a default that moved would change under a running script.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated

from fastapi import Query, Request

from shared.kit.errors import Invalid

DEFAULT = "2026-11-01"
SUPPORTED = (DEFAULT,)
"""Oldest first."""
NAME = "api-version"
_asked: ContextVar[str | None] = ContextVar("api_version", default=None)
_FORM = re.compile(r"\d{4}-\d{2}-\d{2}")


class VersionUnsupported(Invalid):
    """No contract of that date; `supported` names those there are."""

    code, title = "API_VERSION_UNSUPPORTED", "This api-version is not supported"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Something that will go: from when nobody should start using it, and when it stops."""

    since: datetime
    sunset: datetime | None = None
    link: str = ""

    def headers(self) -> dict[str, str]:
        """RFC 9745 and RFC 8594."""
        found = {"Deprecation": f"@{int(self.since.timestamp())}"}
        if self.sunset is not None:
            found["Sunset"] = format_datetime(self.sunset.astimezone(UTC), usegmt=True)
        if self.link:
            found["Link"] = f'<{self.link}>; rel="deprecation"'
        return found


DEPRECATED: dict[str, Deprecation] = {}
"""By operationId, or by version: one entry here sets the headers and marks the description."""


def headers(
    operation_id: str, version: str | None, known: Mapping[str, Deprecation] | None = None
) -> dict[str, str]:
    """Deprecation headers of an answer; empty for what stays."""
    given = DEPRECATED if known is None else known
    found = given.get(operation_id) or given.get(version or DEFAULT)
    return found.headers() if found else {}


async def known_version(
    request: Request,
    version: Annotated[
        str | None,
        Query(
            alias=NAME,
            max_length=20,
            description=f"Date of the contract, YYYY-MM-DD. Left out: {DEFAULT}, for ever",
            examples=[DEFAULT],
            json_schema_extra={"enum": list(SUPPORTED)},
        ),
    ] = None,
) -> None:
    """Refuse a version that is not there; `request.state.version` otherwise."""
    if version is not None and version not in SUPPORTED:
        form = "" if _FORM.fullmatch(version) else " It has the form YYYY-MM-DD."
        raise VersionUnsupported(
            f"Supported: {', '.join(SUPPORTED)}.{form}",
            pointer=f"#/query/{NAME}",
            supported=list(SUPPORTED),
        )
    request.state.version = version or DEFAULT
    _asked.set(version)


def asked() -> dict[str, str]:
    """The version this request named, as a query: links to further pages keep it."""
    version = _asked.get()
    return {NAME: version} if version else {}
