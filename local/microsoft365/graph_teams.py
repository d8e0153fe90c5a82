"""Graph: teams, their channels, tabs and members."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.drive_json import item_json
from local.microsoft365.graph_team_groups import team_of
from local.microsoft365.ids import guid
from local.microsoft365.query import page, pick, selected
from local.microsoft365.roles import (
    CHANNEL_MEMBERS_READ,
    CHANNELS_READ,
    CHANNELS_WRITE,
    FILES_READ,
    TABS_READ,
    TEAM_MEMBERS_READ,
    TEAMS_READ,
)
from local.microsoft365.routes import graph
from local.microsoft365.team import Channel, Team, iso_ms, stamp
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
TEAM, CHANNEL = "/teams/{team}", "/teams/{team}/channels/{channel}"
KINDS = frozenset({"standard", "private", "shared"})
FORBIDDEN = frozenset("~#%&*{}/\\:<>?+|'\"")
SETTINGS: JSON = {
    "memberSettings": {
        "allowCreateUpdateChannels": True, "allowCreatePrivateChannels": True,
        "allowDeleteChannels": True, "allowAddRemoveApps": True,
        "allowCreateUpdateRemoveTabs": True, "allowCreateUpdateRemoveConnectors": True,
    },
    "guestSettings": {"allowCreateUpdateChannels": False, "allowDeleteChannels": False},
    "messagingSettings": {
        "allowUserEditMessages": True, "allowUserDeleteMessages": True,
        "allowOwnerDeleteMessages": True, "allowTeamMentions": True, "allowChannelMentions": True,
    },
    "funSettings": {
        "allowGiphy": True, "giphyContentRating": "moderate",
        "allowStickersAndMemes": True, "allowCustomMemes": True,
    },
}  # fmt: skip


def channel_of(call: Call) -> tuple[Team, Channel]:
    """Return the channel the path names; raises Graph's 404."""
    team = team_of(call, call.params["team"])
    channel = team.channels.get(call.params["channel"])
    if channel is None:
        raise Fault(404, "NotFound", "Channel does not exist in the requested location.")
    return team, channel


@graph.add("GET", TEAM, service="teams", kind="teams", roles=TEAMS_READ)
async def team_by_id(call: Call) -> Answer:
    """Get a team with its settings."""
    team = team_of(call, call.params["team"])
    shown: JSON = {
        "id": team.id,
        "displayName": team.name,
        "description": team.description,
        "visibility": team.visibility,
        "isArchived": team.archived,
        "createdDateTime": iso(team.created),
        "internalId": next(iter(team.channels), ""),
        "webUrl": f"https://teams.example/l/team/{team.id}",
        **{name: {**SETTINGS[name], **team.settings.get(name, {})} for name in SETTINGS},
    }
    return answer_json(pick(shown, selected(call)))


def _member(team: Team, user: User, owners: list[User]) -> JSON:
    return {
        "@odata.type": "#microsoft.graph.aadUserConversationMember",
        "id": guid(team.id, "member", user.id),
        "roles": ["owner"] if user in owners else [],
        "displayName": user.display_name,
        "userId": user.id,
        "email": user.upn,
    }


@graph.add("GET", TEAM + "/members", service="teams", kind="teams.members",
           roles=TEAM_MEMBERS_READ)  # fmt: skip
async def team_members(call: Call) -> Answer:
    """List the members of a team."""
    team = team_of(call, call.params["team"])
    people = dict.fromkeys([*team.owners, *team.members])
    things = [_member(team, user, team.owners) for user in people]
    path = f"/teams/{team.id}/members"
    return answer_json(page(call, path, things, call.page_size(100, 999), "members"))


def channel_json(call: Call, channel: Channel) -> JSON:
    """Return a channel as Graph writes it."""
    shown: JSON = {
        "id": channel.id,
        "createdDateTime": iso_ms(channel.created),
        "displayName": channel.name,
        "description": channel.description or None,
        "isFavoriteByDefault": None,
        "email": "",
        "tenantId": call.tenant.id,
        "webUrl": f"https://teams.example/l/channel/{guid(channel.id)}",
        "membershipType": channel.membership,
        "isArchived": False,
    }
    if channel.migrating:
        shown["migrationMode"] = "inProgress"
    return shown


@graph.add("GET", TEAM + "/channels", service="teams", kind="channels", roles=CHANNELS_READ)
async def channels(call: Call) -> Answer:
    """List the channels of a team."""
    team = team_of(call, call.params["team"])
    wanted = selected(call)
    things = [pick(channel_json(call, one), wanted) for one in team.channels.values()]
    return answer_json(page(call, f"/teams/{team.id}/channels", things, 500, "channels"))


@graph.add("GET", CHANNEL, service="teams", kind="channels", roles=CHANNELS_READ)
async def channel_by_id(call: Call) -> Answer:
    """Get one channel."""
    _, channel = channel_of(call)
    return answer_json(pick(channel_json(call, channel), selected(call)))


@graph.add("POST", TEAM + "/channels", service="teams", kind="channels.write",
           roles=CHANNELS_WRITE)  # fmt: skip
async def create_channel(call: Call) -> Answer:
    """Create a channel; a private or shared one needs an owner among its members."""
    team, body = team_of(call, call.params["team"]), await call.json()
    name = str(body.get("displayName") or "").strip()
    kind = str(body.get("membershipType") or "standard")
    if not name or len(name) > 50 or FORBIDDEN & set(name) or kind not in KINDS:
        raise Fault(400, "BadRequest", "The channel name or membershipType is not valid.")
    if any(one.name.lower() == name.lower() for one in team.channels.values()):
        raise Fault(400, "NameAlreadyExists", "Channel name already existed")
    people = [_invited(call, one) for one in body.get("members") or []]
    if kind != "standard" and not people:
        raise Fault(400, "BadRequest", "A private channel needs an owner.")
    channel = team.add_channel(name, stamp(call.sim.clock.now()), kind)
    channel.description, channel.members = str(body.get("description") or ""), people
    return answer_json(channel_json(call, channel), 201)


def _invited(call: Call, member: JSON) -> User:
    bound = str(member.get("user@odata.bind") or "")
    user = call.tenant.find_user(bound.rpartition("('")[2].rstrip("')"))
    if user is None:
        raise Fault(404, "NotFound", "A member does not exist in the directory.")
    return user


@graph.add("GET", CHANNEL + "/members", service="teams", kind="channels.members",
           roles=CHANNEL_MEMBERS_READ)  # fmt: skip
async def channel_members(call: Call) -> Answer:
    """List the members of a channel; those of a standard one are the team's."""
    team, channel = channel_of(call)
    standard = channel.membership == "standard"
    people = [*team.owners, *team.members] if standard else channel.members
    things = [_member(team, user, team.owners) for user in dict.fromkeys(people)]
    path = f"/teams/{team.id}/channels/{channel.id}/members"
    return answer_json(page(call, path, things, 100, "members"))


@graph.add("GET", CHANNEL + "/tabs", service="teams", kind="channels.tabs", roles=TABS_READ)
async def tabs(call: Call) -> Answer:
    """List the tabs of a channel."""
    team, channel = channel_of(call)
    path = f"/teams/{team.id}/channels/{channel.id}/tabs"
    return answer_json(page(call, path, channel.tabs, 100, "tabs"))


@graph.add("GET", CHANNEL + "/filesFolder", service="teams", kind="channels.folder",
           roles=FILES_READ)  # fmt: skip
async def files_folder(call: Call) -> Answer:
    """Get the folder of a channel's files: there once somebody has opened it in Teams."""
    team, channel = channel_of(call)
    site = channel.site or team.site
    if not site.libraries:
        raise Fault(404, "NotFound", "The site has no document library.")
    library = site.libraries[0]
    folder = library.drive.resolve(f"root:/{channel.folder}")
    if folder is None:
        text = "Folder location for this channel is not ready yet, please try again later."
        raise Fault(404, "NotFound", text)
    shown = item_json(call, library.owner, library.drive, folder, in_delta=True)
    return answer_json(shown)
