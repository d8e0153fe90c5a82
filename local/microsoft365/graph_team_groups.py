"""Graph: what the groups behind teams have beside members: owners, a site, a drive."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.graph_directory import user_json
from local.microsoft365.graph_sites import library_json, site_json
from local.microsoft365.query import page, pick, selected
from local.microsoft365.roles import FILES_READ, GROUPS_READ, SITES_READ
from local.microsoft365.routes import graph
from local.microsoft365.team import Team
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
GROUPS: dict[str, str] = {"service": "identity", "kind": "groups", "roles": GROUPS_READ}


def group_json(tenant: Tenant, team: Team) -> JSON:
    """Return the group of a team as Graph writes it."""
    nick = team.site.name
    return {
        "id": team.id,
        "displayName": team.name,
        "description": team.description,
        "mail": f"{nick}@{tenant.domain}",
        "mailNickname": nick,
        "mailEnabled": True,
        "securityEnabled": False,
        "visibility": team.visibility.capitalize(),
        "groupTypes": ["Unified"],
        "resourceProvisioningOptions": ["Team"],
        "createdDateTime": iso(team.created),
    }


def team_of(call: Call, name: str) -> Team:
    """Return the team of a group id; raises Graph's 404."""
    team = call.tenant.teams.get(name)
    if team is None or call.action == "gone":
        raise Fault(404, "NotFound", f"No team found with Group Id {name}")
    return team


def _people(call: Call, people: list[User], word: str) -> Answer:
    wanted = selected(call)
    things = [
        {"@odata.type": "#microsoft.graph.user", **user_json(person, wanted)} for person in people
    ]
    path = f"/groups/{call.params['group']}/{word}"
    return answer_json(page(call, path, things, call.page_size(100, 999), word))


@graph.add("GET", "/groups/{group}/owners", cost="2", **GROUPS)
async def owners(call: Call) -> Answer:
    """List the owners of a group."""
    return _people(call, team_of(call, call.params["group"]).owners, "owners")


@graph.add("GET", "/groups/{group}/sites/root", service="sharepoint", kind="group.site",
           roles=SITES_READ, cost="single")  # fmt: skip
async def group_site(call: Call) -> Answer:
    """Get the site of a group."""
    team = team_of(call, call.params["group"])
    if team.site.id not in call.tenant.sites:
        raise Fault(404, "itemNotFound", "The site of the group does not exist.")
    return answer_json(pick(site_json(team.site), selected(call)))


@graph.add("GET", "/groups/{group}/drive", service="sharepoint", kind="group.site",
           roles=FILES_READ, cost="single")  # fmt: skip
async def group_drive(call: Call) -> Answer:
    """Get the default document library of a group's site."""
    team = team_of(call, call.params["group"])
    return answer_json(pick(library_json(team.site.libraries[0]), selected(call)))
