"""Lists what a tenant shares: its sites and its teams, and which site belongs to which team."""

from typing import Any

import msgspec

from shared.microsoft365.calls import Call
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.fence import Lane
from shared.microsoft365.quotas import drive_units, identity_units
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

IS_TEAM = "resourceProvisioningOptions/Any(x:x eq 'Team')"
SITE_SELECT = "id,name,displayName,webUrl,isPersonalSite"
TEAM_SELECT = "id,displayName,mail"


class FoundSite(msgspec.Struct, rename="camel"):
    """A site of the tenant; people's OneDrives are sites as well, marked as personal."""

    id: str
    name: str | None = None
    display_name: str | None = None
    web_url: str | None = None
    is_personal_site: bool = False


class FoundTeam(msgspec.Struct, rename="camel"):
    """A team; its id is that of its group."""

    id: str
    display_name: str | None = None
    mail: str | None = None


_sites = msgspec.json.Decoder(Feed[FoundSite])
_teams = msgspec.json.Decoder(Feed[FoundTeam])
_site = msgspec.json.Decoder(FoundSite)


class TenantSites:
    """Reads one tenant's sites and teams as the Reader.

    Errors: ConsentLost, OurCredentialRefused, SignInUnavailable, ItemFailed.
    """

    def __init__(self, transport: GraphTransport) -> None:
        self._transport = transport

    async def list_sites(self) -> list[FoundSite]:
        """All sites but people's OneDrives, which are drives of their own."""
        link = url(self._transport.base, "all_sites", {"$select": SITE_SELECT, "$top": "999"})
        units = drive_units(self._transport.wire.quotas, "list")
        lane = self._transport.share_point()
        found = await self._all(link, lane, units, _sites)
        return [site for site in found if not site.is_personal_site]

    async def list_teams(self) -> list[FoundTeam]:
        """All groups that are teams."""
        query = {"$filter": IS_TEAM, "$select": TEAM_SELECT, "$top": "999"}
        link = url(self._transport.base, "groups", query)
        units = identity_units(self._transport.wire.quotas, "groups", select=True, top=999)
        return await self._all(link, self._transport.identity(), units, _teams)

    async def site_of_team(self, team_id: str) -> str | None:
        """Id of the site in which the team's files lie; None while there is none."""
        call = Call(
            url=url(
                self._transport.base, "group_site", {"$select": "id"}, group=team_id, site="root"
            ),
            lane=self._transport.share_point(),
            ru=drive_units(self._transport.wire.quotas, "item"),
            asked=Asked(about="object"),
        )
        try:
            return (await self._transport.get(call, _site)).id
        except ItemFailed as failed:
            if failed.graph_status == 404:
                return None
            raise

    async def _all(self, link: str, lane: Lane, units: int, decoder: Any) -> list[Any]:
        found: list[Any] = []
        while link:
            call = Call(url=link, lane=lane, ru=units, asked=Asked(about="object"))
            feed = await self._transport.get(call, decoder)
            found += feed.value
            link = feed.next_link
        return found
