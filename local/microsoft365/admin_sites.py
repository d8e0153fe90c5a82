"""The admin side's verbs for sites and teams: truth, single changes, removal."""

from typing import Any

import orjson

from local.microsoft365.site import Site
from local.microsoft365.sources import BytesFile
from local.microsoft365.team import Team, stamp
from local.microsoft365.tenant import Tenant
from local.microsoft365.truth_sites import site_truth, team_truth
from local.microsoft365.wire import Answer, Call, answer_json
from local.microsoft365.world import folder_of_path

JSON = dict[str, Any]


async def answer(call: Call, tenant: Tenant, rest: list[str]) -> Answer:
    """Answer `sites/{id}/…` and `teams/{id}/…`; raises KeyError for what is not there."""
    if rest[0] == "sites":
        return await _site(call, tenant, tenant.sites[rest[1]], rest[2:])
    return await _team(call, tenant, tenant.teams[rest[1]], rest[2:])


async def _body(call: Call) -> JSON:
    raw = await call.read()
    value: JSON = orjson.loads(raw) if raw else {}
    return value


async def _site(call: Call, tenant: Tenant, site: Site, rest: list[str]) -> Answer:
    now = call.sim.clock.now()
    if call.method == "GET" and rest == ["truth"]:
        return answer_json(site_truth(site))
    if call.method == "DELETE" and not rest:
        tenant.remove_site(site)
        return Answer(204)
    if call.method == "PATCH" and not rest:
        site.display_name = str((await _body(call)).get("displayName", site.display_name))
        return Answer(204)
    if call.method == "PUT" and rest == ["files"]:  # ?library=&path=
        named = call.query.get("library", "Documents")
        drive = next(one for one in site.libraries if one.name == named).drive
        path = call.query["path"]
        item, source = drive.resolve(f"root:/{path}"), BytesFile(await call.read())
        if item is None:
            *above, name = [part for part in path.split("/") if part]
            item = drive.create(folder_of_path(drive, above, now), name, now, source)
        else:
            drive.write(item, source, now)
        return answer_json({"id": item.id}, 201)
    if call.method == "POST" and rest == ["lists"]:
        body = await _body(call)
        made = site.add_list(str(body["name"]), body.get("columns", []), now)
        made.live = True
        return answer_json({"id": made.id}, 201)
    if call.method == "DELETE" and rest[:1] == ["lists"]:
        site.lists.remove(next(one for one in site.lists if one.id == rest[1]))
        return Answer(204)
    if call.method == "DELETE" and rest[:1] == ["libraries"]:
        library = tenant.libraries.pop(rest[1])
        site.libraries.remove(library)
        return Answer(204)
    raise KeyError(f"nothing at {call.method} {'/'.join(rest)}")


async def _team(call: Call, tenant: Tenant, team: Team, rest: list[str]) -> Answer:
    now = stamp(call.sim.clock.now())
    if call.method == "GET" and rest == ["truth"]:
        return answer_json(team_truth(team))
    if call.method == "DELETE" and not rest:
        del tenant.teams[team.id]
        return Answer(204)
    if call.method == "PATCH" and not rest:
        body = await _body(call)
        team.name = str(body.get("displayName", team.name))
        team.settings |= body.get("settings", {})
        return Answer(204)
    if rest[:1] != ["channels"]:
        raise KeyError(f"nothing at {call.method} {'/'.join(rest)}")
    if call.method == "POST" and len(rest) == 1:
        body = await _body(call)
        made = team.add_channel(str(body["name"]), now, str(body.get("membership", "standard")))
        return answer_json({"id": made.id}, 201)
    channel = team.channels[rest[1]]
    if call.method == "DELETE" and len(rest) == 2:
        del team.channels[channel.id]
        return Answer(204)
    if call.method == "PATCH" and len(rest) == 2:
        channel.name = str((await _body(call))["name"])
        return Answer(204)
    if call.method == "POST" and rest[2:] == ["messages"]:
        body = await _body(call)
        author = tenant.find_user(str(body["upn"])) or tenant.admin
        root = channel.messages[str(body["rootId"])] if body.get("rootId") else None
        at = channel.free_time(int(body.get("at", now)))
        posted = channel.post(author, str(body["content"]), at, root)
        return answer_json({"id": posted.id}, 201)
    message = channel.find(rest[3], rest[4] if len(rest) > 4 else "")
    if message is None:
        raise KeyError("no such message")
    if call.method == "PATCH":
        channel.edit(message, str((await _body(call))["content"]), now)
    elif call.method == "DELETE":
        channel.delete(message, now)
    return Answer(204)
