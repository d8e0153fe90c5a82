"""Reads who belongs to a group of the directory, groups inside it resolved."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.kit.config import Settings
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.sdk import graph_client

if TYPE_CHECKING:
    from shared.microsoft365.tokens import TokenSource

PAGE = 999
"""Most users Graph puts on one page."""


class GroupMissing(Exception):
    """The directory has no such group (any more)."""


class Groups:
    """The groups of one tenant, read as the Reader (`GroupMember.Read.All`).

    Errors: GroupMissing, ConsentLost, SignInUnavailable, ItemFailed.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: "TokenSource",
        tenant_id: str,
        *,
        client_id: str | None = None,
    ) -> None:
        self._settings, self._tokens, self._tenant = settings, tokens, tenant_id
        self._client_id = client_id or settings.reader_client_id

    async def name(self, group_id: str) -> str:
        """The group's display name."""
        async with _known(), graph_client(self._settings, self._token) as graph:
            found = await graph.groups.by_group_id(group_id).get()
        return str(found.display_name or group_id)

    async def users(self, group_id: str) -> frozenset[str]:
        """Ids of the users in the group and in every group inside it."""
        from kiota_abstractions.base_request_configuration import RequestConfiguration
        from msgraph.generated.groups.item.transitive_members.graph_user import (
            graph_user_request_builder as builder,
        )

        parameters = builder.GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(
            select=["id"], top=PAGE
        )
        found: set[str] = set()
        async with _known(), graph_client(self._settings, self._token) as graph:
            asked = graph.groups.by_group_id(group_id).transitive_members.graph_user
            page = await asked.get(RequestConfiguration(query_parameters=parameters))
            while page is not None:
                found |= {str(user.id) for user in page.value or []}
                link = page.odata_next_link
                page = await asked.with_url(link).get() if link else None
        return frozenset(found)

    async def _token(self) -> str:
        return (await self._tokens.get(self._tenant, self._client_id)).token


@asynccontextmanager
async def _known() -> AsyncIterator[None]:
    """Graph's refusal of an unknown id in our words."""
    try:
        yield
    except ItemFailed as refused:
        if refused.graph_status in {400, 404}:
            raise GroupMissing(str(refused)) from refused
        raise
