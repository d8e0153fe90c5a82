"""Graph: contact folders, contacts, their photos, and the deltas of both."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.graph_store_delta import places_delta, things_delta
from local.microsoft365.mail_json import mailbox_of, not_found
from local.microsoft365.outlook_store import TOP, Place, Store, Thing, change_key
from local.microsoft365.query import comparison, page, pick, selected
from local.microsoft365.roles import CONTACTS_READ, CONTACTS_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
READ: dict[str, str] = {"service": "outlook", "roles": CONTACTS_READ}
WRITE: dict[str, str] = {"service": "outlook", "kind": "contacts.write", "roles": CONTACTS_WRITE}
FOLDER = "/users/{user}/contactFolders/{folder}"
CONTACT = "/users/{user}/contacts/{contact}"
READ_ONLY = frozenset({
    "id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId", "photo",
})  # fmt: skip
DEFAULTS: JSON = {
    "categories": [], "displayName": "", "fileAs": "", "birthday": None, "givenName": None,
    "initials": None, "middleName": None, "nickName": None, "surname": None, "title": None,
    "yomiGivenName": None, "yomiSurname": None, "yomiCompanyName": None, "generation": None,
    "imAddresses": [], "jobTitle": None, "companyName": None, "department": None,
    "officeLocation": None, "profession": None, "businessHomePage": None, "assistantName": None,
    "manager": None, "homePhones": [], "mobilePhone": None, "businessPhones": [],
    "spouseName": None, "personalNotes": "", "children": [], "emailAddresses": [],
    "homeAddress": {}, "businessAddress": {}, "otherAddress": {},
}  # fmt: skip


def store_of(call: Call) -> tuple[User, Store]:
    """The contacts of the user the path names; Graph's 404 without a mailbox."""
    user, _ = mailbox_of(call)
    if user.contacts is None:
        raise not_found()
    return user, user.contacts


def folder_of(call: Call, store: Store) -> Place:
    """The contact folder the path names."""
    place = store.find_place(call.params["folder"])
    if place is None or call.action == "gone":
        raise not_found()
    return place


def contact_of(call: Call) -> tuple[Store, Thing]:
    """The contact the path names."""
    _, store = store_of(call)
    thing = store.find(call.params["contact"])
    if thing is None or call.action == "gone":
        raise not_found()
    return store, thing


def folder_json(store: Store, folder: Place) -> JSON:
    """A contact folder as Graph writes it."""
    return {
        "id": store.place_id(folder.number),
        "displayName": folder.name,
        "parentFolderId": store.place_id(folder.parent or store.default.number),
    }


def contact_json(call: Call, store: Store, thing: Thing) -> JSON:
    """A contact as Graph writes it."""
    return {
        "@odata.etag": f'W/"{change_key(thing)}"',
        "id": store.thing_id(thing.number, thing.incarnation, immutable=call.immutable),
        "createdDateTime": iso(thing.created),
        "lastModifiedDateTime": iso(thing.modified),
        "changeKey": change_key(thing),
        "parentFolderId": store.place_id(thing.place.number),
        **DEFAULTS,
        **thing.body,
    }


def _folders(call: Call, user: User, store: Store, parent: int, path: str) -> Answer:
    found = [place for place in store.children(parent) if place is not store.default]
    if call.query.get("$filter"):
        member, _, value = comparison(call.query["$filter"])
        if member != "displayName":
            raise Fault(400, "ErrorInvalidUrlQueryFilter", "The filter is not supported.")
        found = [place for place in found if place.name.lower() == value.lower()]
    things = [pick(folder_json(store, place), selected(call)) for place in found]
    path = f"/users/{user.id}{path}"
    return answer_json(page(call, path, things, call.page_size(10, 1000), "contactFolders"))


@graph.add("GET", "/users/{user}/contactFolders", kind="contactFolders", **READ)
async def folders(call: Call) -> Answer:
    """List the contact folders beside the default one."""
    return _folders(call, *store_of(call), TOP, "/contactFolders")


@graph.add("GET", FOLDER + "/childFolders", kind="contactFolders", **READ)
async def child_folders(call: Call) -> Answer:
    """List the folders right below a contact folder."""
    user, store = store_of(call)
    place = folder_of(call, store)
    path = f"/contactFolders/{call.params['folder']}/childFolders"
    return _folders(call, user, store, place.number, path)


@graph.add("GET", "/users/{user}/contactFolders/delta", kind="contactFolders.delta", **READ)
async def folders_delta(call: Call) -> Answer:
    """List all contact folders but the default one, or what changed among them."""
    user, store = store_of(call)
    path = f"/users/{user.id}/contactFolders/delta"
    return places_delta(call, store, path, lambda place: folder_json(store, place))


@graph.add("GET", FOLDER, kind="contactFolders", **READ)
async def folder_by_id(call: Call) -> Answer:
    """Get a contact folder by id, or `contacts` for the default one."""
    _, store = store_of(call)
    return answer_json(pick(folder_json(store, folder_of(call, store)), selected(call)))


@graph.add("POST", "/users/{user}/contactFolders", **WRITE)
async def create_folder(call: Call) -> Answer:
    """Create a contact folder."""
    _, store = store_of(call)
    return await _create_folder(call, store, TOP)


@graph.add("POST", FOLDER + "/childFolders", **WRITE)
async def create_child(call: Call) -> Answer:
    """Create a contact folder below another."""
    _, store = store_of(call)
    return await _create_folder(call, store, folder_of(call, store).number)


async def _create_folder(call: Call, store: Store, parent: int) -> Answer:
    name = str((await call.json()).get("displayName") or "").strip()
    if not name:
        raise Fault(400, "ErrorInvalidRequest", "A folder needs a displayName.")
    if any(place.name.lower() == name.lower() for place in store.children(parent)):
        raise Fault(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    return answer_json(folder_json(store, store.add_place(parent, name)), 201)


@graph.add("DELETE", FOLDER, **WRITE)
async def delete_folder(call: Call) -> Answer:
    """Remove a contact folder with everything in it."""
    _, store = store_of(call)
    place = folder_of(call, store)
    if place is store.default:
        raise Fault(400, "ErrorDeleteDistinguishedFolder", "Default folders stay.")
    store.purge_place(place)
    return Answer(204)


def _list(call: Call, store: Store, place: Place, path: str) -> Answer:
    things = list(place.things.values())
    for clause in filter(None, call.query.get("$filter", "").split(" and ")):
        member, operator, value = comparison(clause)
        if member not in ("displayName", "surname", "givenName") or operator != "eq":
            raise Fault(400, "ErrorInvalidUrlQueryFilter", f"Unsupported filter on {member}.")
        things = [one for one in things if one.body.get(member, "") == value]
    body = page(call, path, things, call.page_size(10, 1000), "contacts")  # type: ignore[arg-type]
    wanted = selected(call)
    body["value"] = [pick(contact_json(call, store, one), wanted) for one in body["value"]]
    return answer_json(body)


@graph.add("GET", "/users/{user}/contacts", kind="contacts", **READ)
async def contacts(call: Call) -> Answer:
    """List the contacts of the default folder."""
    user, store = store_of(call)
    return _list(call, store, store.default, f"/users/{user.id}/contacts")


@graph.add("GET", FOLDER + "/contacts", kind="contacts", **READ)
async def folder_contacts(call: Call) -> Answer:
    """List the contacts of a folder."""
    user, store = store_of(call)
    path = f"/users/{user.id}/contactFolders/{call.params['folder']}/contacts"
    return _list(call, store, folder_of(call, store), path)


@graph.add("GET", "/users/{user}/contacts/delta", kind="contacts.delta", **READ)
async def contacts_delta(call: Call) -> Answer:
    """The delta of the default folder."""
    user, store = store_of(call)
    path = f"/users/{user.id}/contacts/delta"
    return things_delta(
        call, store, store.default, path, lambda one: contact_json(call, store, one)
    )


@graph.add("GET", FOLDER + "/contacts/delta", kind="contacts.delta", **READ)
async def folder_contacts_delta(call: Call) -> Answer:
    """The delta of one folder."""
    user, store = store_of(call)
    path = f"/users/{user.id}/contactFolders/{call.params['folder']}/contacts/delta"
    place = folder_of(call, store)
    return things_delta(call, store, place, path, lambda one: contact_json(call, store, one))


@graph.add("GET", CONTACT, kind="contacts", **READ)
async def contact_by_id(call: Call) -> Answer:
    """Get one contact."""
    return answer_json(pick(contact_json(call, *contact_of(call)), selected(call)))


def settable(body: JSON) -> JSON:
    """Without what only the service decides; a name it makes when none is given."""
    kept = {
        name: value
        for name, value in body.items()
        if name not in READ_ONLY and not name.startswith("@")
    }
    if len(kept.get("emailAddresses") or []) > 3:
        raise Fault(400, "ErrorInvalidRequest", "A contact has at most three e-mail addresses.")
    if unknown := set(kept) - set(DEFAULTS):
        raise Fault(400, "RequestBodyRead", f"The property '{min(unknown)}' does not exist.")
    return kept


def put_contact(store: Store, place: Place, body: JSON, now: Any) -> Thing:
    """Make a contact of a body, its display name included."""
    kept = settable(body)
    if not kept.get("displayName"):
        names = (kept.get("givenName"), kept.get("surname"))
        kept["displayName"] = " ".join(name for name in names if name)
    return store.add(place, kept, now)


@graph.add("POST", "/users/{user}/contacts", **WRITE)
@graph.add("POST", FOLDER + "/contacts", **WRITE)
async def create_contact(call: Call) -> Answer:
    """Create a contact."""
    _, store = store_of(call)
    place = folder_of(call, store) if "folder" in call.params else store.default
    thing = put_contact(store, place, await call.json(), call.sim.clock.now())
    return answer_json(contact_json(call, store, thing), 201)


@graph.add("PATCH", CONTACT, **WRITE)
async def patch_contact(call: Call) -> Answer:
    """Change a contact."""
    store, thing = contact_of(call)
    thing.body.update(settable(await call.json()))
    store.touch(thing, call.sim.clock.now())
    return answer_json(contact_json(call, store, thing))


@graph.add("DELETE", CONTACT, **WRITE)
async def delete_contact(call: Call) -> Answer:
    """Remove a contact."""
    store, thing = contact_of(call)
    store.purge(thing)
    return Answer(204)


@graph.add("GET", CONTACT + "/photo/$value", kind="contacts.photo", **READ)
async def photo(call: Call) -> Answer:
    """Get the picture of a contact; 404 without one."""
    _, thing = contact_of(call)
    if thing.photo is None:
        raise Fault(404, "ErrorItemNotFound", "The photo wasn't found.")
    return Answer(200, thing.photo, {"Content-Type": "image/jpeg"})


@graph.add("PUT PATCH", CONTACT + "/photo/$value", **WRITE)
async def put_photo(call: Call) -> Answer:
    """Set the picture of a contact."""
    store, thing = contact_of(call)
    data = await call.read()
    if not data:
        raise Fault(400, "ErrorInvalidImageInput", "The image is empty.")
    thing.photo = data
    call.sim.stats.bytes_in += len(data)
    store.touch(thing, call.sim.clock.now())
    return Answer(200)
