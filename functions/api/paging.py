"""Pages of a list: the place is sealed for one caller, one list and its filters."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from functions.api import versions
from functions.api.routing import PREFIX
from shared.access.model import Caller
from shared.bootstrap import deps


class Pages:
    """One paged list as one caller asks for it."""

    def __init__(self, caller: Caller, route: str, path: str, filters: Mapping[str, Any]) -> None:
        self._partner, self._route, self._path = caller.scope.partner_id, route, path
        self._filters = {name: value for name, value in filters.items() if value is not None}

    async def place(self, skip_token: str | None) -> dict[str, str]:
        """Where the page begins; empty for the first. `BadCursor` for a foreign token."""
        if skip_token is None:
            return {}
        tokens = await deps().skip_tokens()
        return tokens.open(skip_token, self._partner, self._route, self._bound())

    async def link(self, place: dict[str, str] | None, size: int) -> str | None:
        """The absolute address of the next page; None after the last."""
        if place is None:
            return None
        tokens = await deps().skip_tokens()
        token = tokens.seal(self._partner, self._route, self._bound(), place)
        query = {**self._filters, **versions.asked(), "maxpagesize": size, "skipToken": token}
        return f"{address(self._path)}?{urlencode(query, doseq=True)}"

    def _bound(self) -> dict[str, Any]:
        return {**self._filters, "path": self._path}


def address(path: str) -> str:
    """The absolute address of a path below the API's prefix."""
    return f"{deps().settings.public_url.rstrip('/')}{PREFIX}{path}"
