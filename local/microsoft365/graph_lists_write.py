"""Graph: writing to sites: lists, libraries, columns and items."""

from typing import Any

from local.microsoft365.graph_lists import ITEMS, LIST, item_json, list_item, list_json, list_of
from local.microsoft365.graph_sites import WRITES, site_of
from local.microsoft365.routes import graph
from local.microsoft365.site import READ_ONLY, SiteList
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
TEMPLATES = frozenset({"genericList", "documentLibrary", "tasks", "events", "contacts", "links"})
KINDS = frozenset(
    {
        "text", "number", "boolean", "dateTime", "choice", "currency", "personOrGroup", "lookup",
        "hyperlinkOrPicture", "calculated", "term", "geolocation",
    }
)  # fmt: skip
# Kinds that Graph cannot create: microsoft365.md section 3 calls them lossy.
UNMAKEABLE = frozenset({"calculated", "term", "geolocation"})


@graph.add("POST", "/sites/{site}/lists", **WRITES)
async def create_list(call: Call) -> Answer:
    """Create a list with columns, or a document library."""
    site, body = site_of(call), await call.json()
    name = str(body.get("displayName") or "").strip()
    template = str((body.get("list") or {}).get("template") or "genericList")
    if not name or template not in TEMPLATES:
        raise Fault(400, "invalidRequest", "A displayName and a known template are needed.")
    libraries = {library.name.lower() for library in site.libraries}
    if site.find_list(name) is not None or name.lower() in libraries:
        raise Fault(409, "nameAlreadyExists", "The specified name is already in use.")
    now = call.sim.clock.now()
    if template == "documentLibrary":
        library = site.add_library(name, call.tenant.admin, now)
        library.drive.live = True
        call.tenant.libraries[library.drive.id] = library
        shown = {"id": library.list_id, "displayName": name, "list": {"template": template}}
        return answer_json(shown, 201)
    columns = [_column(column) for column in body.get("columns") or []]
    made = site.add_list(name, columns, now, template)
    made.live = True
    return answer_json(list_json(site, made, ""), 201)


def _column(given: JSON) -> JSON:
    name, kinds = str(given.get("name") or ""), KINDS & given.keys()
    if not name or len(kinds) != 1:
        raise Fault(400, "invalidRequest", "A column needs a name and one kind.")
    if kinds & UNMAKEABLE:
        raise Fault(400, "notSupported", f"Columns of kind {min(kinds)} cannot be created.")
    if name in READ_ONLY or name == "Title":
        raise Fault(409, "nameAlreadyExists", "The specified name is already in use.")
    return {key: value for key, value in given.items() if key != "id"}


@graph.add("POST", LIST + "/columns", **WRITES)
async def create_column(call: Call) -> Answer:
    """Add a column to a list."""
    _, one = list_of(call)
    column = _column(await call.json())
    if one.knows(column["name"]):
        raise Fault(409, "nameAlreadyExists", "The specified name is already in use.")
    one.columns.append(column)
    return answer_json(column, 201)


def _fields(one: SiteList, given: Any) -> JSON:
    if not isinstance(given, dict):
        raise Fault(400, "invalidRequest", "fields must be an object.")
    for name in given:
        if name in READ_ONLY:
            raise Fault(400, "invalidRequest", f"Field '{name}' is read-only.")
        if not one.knows(name):
            raise Fault(400, "invalidRequest", f"Field '{name}' is not recognized")
    return given


@graph.add("POST", ITEMS, **WRITES)
async def create_item(call: Call) -> Answer:
    """Create an item; author and times are the caller's and now (9.4)."""
    site, one = list_of(call)
    fields = _fields(one, (await call.json()).get("fields") or {})
    item = one.add(fields, call.tenant.admin, call.sim.clock.now())
    return answer_json(item_json(site, one, item, fields=True), 201)


@graph.add("PATCH", ITEMS + "/{item}/fields", **WRITES)
async def patch_fields(call: Call) -> Answer:
    """Change fields of an item."""
    site, one = list_of(call)
    item = list_item(call, one)
    one.edit(item, _fields(one, await call.json()), call.sim.clock.now())
    return answer_json(item_json(site, one, item, fields=True)["fields"])


@graph.add("DELETE", ITEMS + "/{item}", **WRITES)
async def delete_item(call: Call) -> Answer:
    """Delete an item."""
    _, one = list_of(call)
    one.delete(list_item(call, one), call.sim.clock.now())
    return Answer(204)
