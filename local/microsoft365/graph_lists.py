"""Graph: reading the lists of a site: definitions, items, and the delta of the items."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.graph_sites import site_of
from local.microsoft365.ids import guid
from local.microsoft365.query import link, page, pick, selected
from local.microsoft365.roles import SITES_READ
from local.microsoft365.routes import graph
from local.microsoft365.site import Library, ListItem, Site, SiteList
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
LISTS: dict[str, str] = {"service": "sharepoint", "kind": "lists", "roles": SITES_READ}
LIST = "/sites/{site}/lists/{list}"
ITEMS = LIST + "/items"
SYSTEM: list[JSON] = [
    {"name": "Author", "displayName": "Created By", "personOrGroup": {}, "readOnly": True},
    {"name": "Editor", "displayName": "Modified By", "personOrGroup": {}, "readOnly": True},
    {"name": "Created", "displayName": "Created", "dateTime": {}, "readOnly": True},
    {"name": "Modified", "displayName": "Modified", "dateTime": {}, "readOnly": True},
    {"name": "Attachments", "displayName": "Attachments", "boolean": {}, "readOnly": True},
]


def list_of(call: Call) -> tuple[Site, SiteList]:
    """Return the list the path names; raises Graph's 404."""
    site = site_of(call)
    found = site.find_list(call.params["list"])
    if found is None or call.action == "gone":
        raise Fault(404, "itemNotFound", "The specified list was not found")
    return site, found


def _columns(columns: list[JSON], title: JSON) -> list[JSON]:
    shown = [title, *columns, *SYSTEM]
    return [{"id": guid("column", one["name"]), "hidden": False, **one} for one in shown]


def list_json(site: Site, one: SiteList, expand: str) -> JSON:
    """Return a list as Graph writes it, with columns and content types when asked for."""
    shown: JSON = {
        "id": one.id,
        "name": one.name,
        "displayName": one.name,
        "description": one.description,
        "createdDateTime": iso(one.created),
        "lastModifiedDateTime": iso(one.modified),
        "eTag": f'"{one.id},{one.seq}"',
        "webUrl": f"{site.web_url}/Lists/{one.name}",
        "list": {"contentTypesEnabled": False, "hidden": False, "template": one.template},
        "parentReference": {"siteId": site.id},
    }
    if "columns" in expand:
        shown["columns"] = _columns(one.columns, one.title())
    if "contentTypes" in expand:
        shown["contentTypes"] = [{"id": "0x01", "name": "Item", "group": "List Content Types"}]
    return shown


def _library_json(site: Site, library: Library, expand: str) -> JSON:
    title = {"name": "Title", "displayName": "Title", "text": {}, "required": False}
    shown: JSON = {
        "id": library.list_id,
        "name": library.name,
        "displayName": library.name,
        "description": library.description,
        "createdDateTime": iso(library.created or library.drive.root.created),
        "lastModifiedDateTime": iso(library.drive.root.modified),
        "eTag": f'"{library.list_id},{library.drive.seq}"',
        "webUrl": library.drive.web_url,
        "list": {"contentTypesEnabled": False, "hidden": False, "template": "documentLibrary"},
        "parentReference": {"siteId": site.id},
    }
    if "columns" in expand:
        shown["columns"] = _columns(library.columns, title)
    if "contentTypes" in expand:
        shown["contentTypes"] = [{"id": "0x0101", "name": "Document", "group": "Document"}]
    return shown


@graph.add("GET", "/sites/{site}/lists", cost="list", **LISTS)
async def lists(call: Call) -> Answer:
    """List the lists of a site, document libraries among them."""
    site, expand = site_of(call), call.query.get("$expand", "")
    wanted = selected(call)
    things = [_library_json(site, one, expand) for one in site.libraries]
    things += [list_json(site, one, expand) for one in site.lists]
    path = f"/sites/{site.id}/lists"
    body = page(call, path, things, call.page_size(200, 1000), "lists")
    body["value"] = [pick(one, wanted and wanted | _expanded(expand)) for one in body["value"]]
    return answer_json(body)


def _expanded(expand: str) -> frozenset[str]:
    return frozenset(word.partition("(")[0].strip() for word in expand.split(","))


@graph.add("GET", LIST, cost="single", **LISTS)
async def list_by_id(call: Call) -> Answer:
    """Get a list by id or title."""
    site, one = list_of(call)
    return answer_json(list_json(site, one, call.query.get("$expand", "")))


@graph.add("GET", LIST + "/columns", cost="list", **LISTS)
async def columns(call: Call) -> Answer:
    """List the columns of a list."""
    site, one = list_of(call)
    path = f"/sites/{site.id}/lists/{one.id}/columns"
    return answer_json(page(call, path, _columns(one.columns, one.title()), 200, "columns"))


def item_json(site: Site, one: SiteList, item: ListItem, *, fields: bool) -> JSON:
    """Return a list item as Graph writes it."""
    person = _person(item.author)
    shown: JSON = {
        "@odata.etag": one.etag(item),
        "createdDateTime": iso(item.created),
        "eTag": one.etag(item),
        "id": str(item.number),
        "lastModifiedDateTime": iso(item.modified),
        "webUrl": f"{site.web_url}/Lists/{one.name}/{item.number}_.000",
        "createdBy": person,
        "lastModifiedBy": person,
        "parentReference": {"id": guid(one.id, item.number), "siteId": site.id},
        "contentType": {"id": "0x0100", "name": "Item"},
    }
    if fields:
        shown["fields"] = {
            "@odata.etag": one.etag(item),
            **item.fields,
            "id": str(item.number),
            "ContentType": "Item",
            "Created": iso(item.created),
            "Modified": iso(item.modified),
            "Attachments": False,
        }
    return shown


def _person(user: User) -> JSON:
    return {"user": {"id": user.id, "displayName": user.display_name, "email": user.upn}}


@graph.add("GET", ITEMS, cost="list", **LISTS)
async def items(call: Call) -> Answer:
    """List items; `$expand=fields` brings their columns; `$filter=fields/Title eq '…'`."""
    site, one = list_of(call)
    found = list(one.items.values())
    text = call.query.get("$filter", "")
    if text:
        name, _, value = text.partition(" eq ")
        if not name.startswith("fields/") or not value.startswith("'"):
            raise Fault(400, "invalidRequest", "Unsupported filter.")
        plain, member = value[1:-1].replace("''", "'"), name.removeprefix("fields/")
        found = [item for item in found if str(item.fields.get(member, "")) == plain]
    expand = "fields" in call.query.get("$expand", "")
    path = f"/sites/{site.id}/lists/{one.id}/items"
    shown = [item_json(site, one, item, fields=expand) for item in found]
    return answer_json(page(call, path, shown, call.page_size(200, 5000), "items"))


@graph.add("GET", ITEMS + "/{item}", cost="single", **LISTS)
async def item_by_id(call: Call) -> Answer:
    """Get one item."""
    site, one = list_of(call)
    return answer_json(item_json(site, one, list_item(call, one), fields=True))


def list_item(call: Call, one: SiteList) -> ListItem:
    """Return the item the path names; raises Graph's 404."""
    item = one.items.get(call.params["item"])
    if item is None:
        raise Fault(404, "itemNotFound", "The specified item was not found")
    return item


@graph.add("GET", ITEMS + "/delta", cost="delta", **LISTS)
async def delta(call: Call) -> Answer:
    """Enumerate the items of a list, or list what changed since a token."""
    site, one = list_of(call)
    changes, position, began = _start(call, site, one)
    size, expand = call.page_size(200, 5000), "fields" in call.query.get("$expand", "")
    value: list[JSON] = []
    if changes:
        last = {identity: number for number, identity in one.log if number > position}
        order = sorted((number, identity) for identity, number in last.items())
        for _, identity in order[:size]:
            item = one.items.get(identity)
            value.append(
                item_json(site, one, item, fields=expand)
                if item
                else {"id": identity, "deleted": {"state": "deleted"}}
            )
        more = len(order) > size
        position = order[:size][-1][0] if order else position
    else:
        while position < len(one.order) and len(value) < size:
            item = one.order[position]
            position += 1
            if item is not None:
                value.append(item_json(site, one, item, fields=expand))
        more = position < len(one.order)
    body: JSON = {"value": value}
    state = (changes, position, began) if more else (1, position if changes else began, 0)
    path = f"/sites/{site.id}/lists/{one.id}/items/delta"
    asked = {"_" + n[1:]: t for n, t in call.query.items() if n in ("$expand", "$top")}
    name = "@odata.nextLink" if more else "@odata.deltaLink"
    body[name] = link(call, path, token=_seal(call, one, state), **asked)
    return answer_json(body)


def _seal(call: Call, one: SiteList, state: tuple[int, int, int]) -> str:
    sim = call.sim
    return sim.sealer.seal(["list", one.id, *state, sim.clock.seconds(), sim.delta_epoch])


def _start(call: Call, site: Site, one: SiteList) -> tuple[int, int, int]:
    """Read the token as (0 enumerating or 1 changes, position, sequence at the beginning)."""
    token = call.query.get("token", "")
    if not token:
        return 0, 0, one.seq
    if token == "latest":  # noqa: S105  the word of the protocol, no secret
        return 1, one.seq, 0
    opened = call.sim.sealer.open(token)
    if not opened or opened[:2] != ["list", one.id]:
        raise Fault(400, "invalidRequest", "The token is not valid.")
    changes, position, began = (int(str(value)) for value in opened[2:5])
    limits = call.sim.limits.section("delta")
    old = call.sim.clock.seconds() - float(str(opened[5])) > limits["driveLifetime"]
    if old or int(str(opened[6])) != call.sim.delta_epoch or call.action == "expireDelta":
        path = f"/sites/{site.id}/lists/{one.id}/items/delta"
        asked = {"_" + n[1:]: t for n, t in call.query.items() if n in ("$expand", "$top")}
        where = link(call, path, token=_seal(call, one, (0, 0, one.seq)), **asked)
        raise Fault(410, str(limits["driveExpiredCode"]), "Resync required.", {"Location": where})
    return changes, position, began
