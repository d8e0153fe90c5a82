"""Graph: groups of the directory, those behind teams among them, and their members."""

from typing import Any

from local.microsoft365.graph_directory import user_json
from local.microsoft365.graph_team_groups import GROUPS, group_json
from local.microsoft365.ids import guid
from local.microsoft365.query import page, pick, selected
from local.microsoft365.routes import graph
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
Groups = dict[str, tuple[str, list[str]]]
"""Group id -> name and ids of its members, which are users or groups."""
IS_TEAM = "resourceprovisioningoptions/any(x:xeq'team')"


def change(groups: Groups, tenant: Tenant, method: str, name: str, body: JSON) -> str:
    """Make or remove a plain group; members are named by user name, id, or group id.

    `name` is an id or a display name. Raises KeyError for what is not known.
    """
    by_name = {held: identity for identity, (held, _) in groups.items()}
    identity = name if name in groups else by_name.get(name, "")
    if method == "DELETE":
        del groups[identity]
        return identity
    shown = str(body.get("displayName") or (groups[identity][0] if identity else name))
    identity = identity or str(body.get("id") or guid(tenant.id, "group", shown))
    members = []
    for member in body.get("members") or []:
        user = tenant.find_user(str(member))
        known = user.id if user is not None else by_name.get(str(member), str(member))
        if user is None and known not in groups and known not in tenant.teams:
            raise KeyError(f"no user or group {member}")
        members.append(known)
    groups[identity] = (shown, members)
    return identity


def _plain(call: Call) -> Groups:
    return call.sim.groups.get(call.tenant.id, {})


def _shown(call: Call, name: str) -> JSON | None:
    team = call.tenant.teams.get(name)
    if team is not None:
        return group_json(call.tenant, team)
    found = _plain(call).get(name)
    if found is None:
        return None
    return {
        "id": name, "displayName": found[0], "description": None, "mail": None,
        "mailEnabled": False, "securityEnabled": True, "groupTypes": [],
        "resourceProvisioningOptions": [],
    }  # fmt: skip


def _members_of(call: Call, name: str) -> list[str]:
    team = call.tenant.teams.get(name)
    if team is not None:
        return [user.id for user in dict.fromkeys([*team.owners, *team.members])]
    found = _plain(call).get(name)
    if found is None or call.action == "gone":
        text = f"Resource '{name}' does not exist."
        raise Fault(404, "Request_ResourceNotFound", text)
    return found[1]


@graph.add("GET", "/groups", cost="3", **GROUPS)
async def groups(call: Call) -> Answer:
    """List groups; the one $filter known asks for those that are teams."""
    text = call.query.get("$filter", "").replace(" ", "").lower()
    if text and text != IS_TEAM:
        raise Fault(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter.")
    names = [*call.tenant.teams, *(() if text else _plain(call))]
    wanted = selected(call)
    things = [pick(shown, wanted) for name in names if (shown := _shown(call, name)) is not None]
    return answer_json(page(call, "/groups", things, call.page_size(100, 999), "groups"))


@graph.add("GET", "/groups/{group}", cost="1", **GROUPS)
async def group_by_id(call: Call) -> Answer:
    """Get one group."""
    shown = _shown(call, call.params["group"])
    if shown is None or call.action == "gone":
        raise Fault(404, "Request_ResourceNotFound", "The group does not exist.")
    return answer_json(pick(shown, selected(call)))


def _people(call: Call, names: list[str], word: str) -> Answer:
    wanted, things = selected(call), []
    for name in names:
        user: User | None = call.tenant.users.get(name)
        if user is not None:
            things.append({"@odata.type": "#microsoft.graph.user", **user_json(user, wanted)})
        elif word != "transitiveMembers/graph.user":
            shown = _shown(call, name)
            if shown is not None:
                things.append({"@odata.type": "#microsoft.graph.group", **pick(shown, wanted)})
    path = f"/groups/{call.params['group']}/{word}"
    return answer_json(page(call, path, things, call.page_size(100, 999), word))


@graph.add("GET", "/groups/{group}/members", cost="3", **GROUPS)
async def members(call: Call) -> Answer:
    """List the direct members of a group: users and groups."""
    return _people(call, _members_of(call, call.params["group"]), "members")


@graph.add("GET", "/groups/{group}/transitiveMembers/graph.user", cost="5", **GROUPS)
async def transitive_users(call: Call) -> Answer:
    """List the users in a group and in every group inside it."""
    open_groups, seen, found = [call.params["group"]], set[str](), dict[str, None]()
    while open_groups:
        name = open_groups.pop()
        if name in seen:
            continue
        seen.add(name)
        for member in _members_of(call, name):
            if member in call.tenant.users:
                found[member] = None
            else:
                open_groups.append(member)
    return _people(call, list(found), "transitiveMembers/graph.user")
