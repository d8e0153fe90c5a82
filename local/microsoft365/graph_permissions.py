"""Graph: permissions of drive items: list, invite, links, removal."""

from typing import Any

from local.microsoft365.drive import Item
from local.microsoft365.drive_json import drive_of, item_of
from local.microsoft365.ids import guid
from local.microsoft365.query import page
from local.microsoft365.roles import FILES_READ, FILES_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
ITEM = "/drives/{drive}/items/{item}"
READ: dict[str, str] = {
    "service": "sharepoint", "kind": "drive.permissions", "roles": FILES_READ,
    "cost": "permissions",
}  # fmt: skip
WRITE: dict[str, str] = {**READ, "roles": FILES_WRITE}


def _refuse_when_disabled(call: Call) -> None:
    """An administrator can forbid sharing for a tenant or a site."""
    if call.sim.limits.get("switches", "sharingDisabled"):
        raise Fault(403, "sharingDisabled", "Sharing has been disabled on this site.")


def _owner(user: User, item: Item) -> JSON:
    person = {"id": user.id, "displayName": user.display_name, "email": user.upn}
    shown: JSON = {
        "id": guid(user.id, "owner"),
        "roles": ["owner"],
        "grantedToV2": {"user": person},
        "grantedTo": {"user": person},
    }
    if item.parent is not None:
        shown["inheritedFrom"] = {"id": item.parent.id}
    return shown


@graph.add("GET", ITEM + "/permissions", **READ)
async def permissions(call: Call) -> Answer:
    """List the owner's, inherited and direct permissions of an item."""
    user, drive = drive_of(call)
    item = item_of(call, drive)
    things = [_owner(user, item), *item.permissions]
    above = item.parent
    while above is not None:
        things += [{**one, "inheritedFrom": {"id": above.id}} for one in above.permissions]
        above = above.parent
    path = f"/drives/{drive.id}/items/{item.id}/permissions"
    return answer_json(page(call, path, things, 200, "permissions"))


@graph.add("POST", ITEM + "/invite", **WRITE)
async def invite(call: Call) -> Answer:
    """Give people roles on an item; people outside the directory are refused."""
    _, drive = drive_of(call)
    item = item_of(call, drive)
    body = await call.json()
    _refuse_when_disabled(call)
    roles = [str(role) for role in body.get("roles") or []]
    if not roles or not set(roles) <= {"read", "write"}:
        raise Fault(400, "invalidRequest", "roles must be read or write.")
    mails = 1 if body.get("sendInvitation", True) else 0
    made = []
    for entry in body.get("recipients") or []:
        name = str(entry.get("objectId") or entry.get("email") or "")
        person = call.tenant.find_user(name)
        call.sim.stats.invitations += mails if person is not None else 0
        if person is None:
            raise Fault(400, "invalidRequest", f"The recipient '{name}' could not be resolved.")
        shown = {"id": person.id, "displayName": person.display_name, "email": person.upn}
        permission: JSON = {
            "id": guid(item.id, person.id, *roles),
            "roles": roles,
            "grantedToV2": {"user": shown},
            "grantedTo": {"user": shown},
        }
        if all(one["id"] != permission["id"] for one in item.permissions):
            drive.share(item, permission, call.sim.clock.now())
        made.append(permission)
    if not made:
        raise Fault(400, "invalidRequest", "recipients must not be empty.")
    return answer_json({"value": made})


@graph.add("POST", ITEM + "/createLink", **WRITE)
async def create_link(call: Call) -> Answer:
    """Create a sharing link."""
    _, drive = drive_of(call)
    item = item_of(call, drive)
    body = await call.json()
    _refuse_when_disabled(call)
    # v1.0 tells everybody the link is for by mail; the beta takes an option (section 9.3).
    told = not call.beta or body.get("sendNotification", False)
    call.sim.stats.invitations += len(body.get("recipients") or [None]) if told else 0
    kind, scope = str(body.get("type") or "view"), str(body.get("scope") or "organization")
    if kind not in ("view", "edit") or scope not in ("anonymous", "organization", "users"):
        raise Fault(400, "invalidRequest", "Unknown link type or scope.")
    permission: JSON = {
        "id": guid(item.id, kind, scope),
        "hasPassword": bool(body.get("password")),
        "roles": ["read" if kind == "view" else "write"],
        "link": {
            "type": kind,
            "scope": scope,
            "webUrl": f"https://onedrive.example/:f:/g/{guid(item.id, kind, scope)}",
        },
    }
    if all(one["id"] != permission["id"] for one in item.permissions):
        drive.share(item, permission, call.sim.clock.now())
    return answer_json(permission, 201)


@graph.add("DELETE", ITEM + "/permissions/{permission}", **WRITE)
async def delete_permission(call: Call) -> Answer:
    """Remove a direct permission."""
    _, drive = drive_of(call)
    item = item_of(call, drive)
    kept = [one for one in item.permissions if one["id"] != call.params["permission"]]
    if len(kept) == len(item.permissions):
        raise Fault(404, "itemNotFound", "The permission could not be found.")
    item.permissions[:] = kept
    drive.touch(item, call.sim.clock.now())
    item.shared_seq = drive.seq
    return Answer(204)
