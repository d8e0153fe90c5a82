"""Graph: writing to drives: uploads, folders, renames, moves and deletions."""

from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.drive import BadName, Drive, Item, NameTaken
from local.microsoft365.drive_json import drive_of, item_json, item_of
from local.microsoft365.roles import FILES_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.sources import BytesFile, FileSource
from local.microsoft365.uploads import UploadSession, begin, lifetime
from local.microsoft365.wire import Answer, Call, Fault, answer_json
from local.microsoft365.world import folder_of_path

JSON = dict[str, Any]
ITEM = "/drives/{drive}/items/{item}"
FILES: dict[str, str] = {
    "service": "sharepoint",
    "kind": "drive.write",
    "roles": FILES_WRITE,
    "cost": "write",
}
BEHAVIOR = "@microsoft.graph.conflictBehavior"
SMALL = 250 * 1024 * 1024


def _taken() -> Fault:
    return Fault(409, "nameAlreadyExists", "An item with the same name already exists.")


def _place(drive: Drive, reference: str, call: Call) -> tuple[Item, str]:
    """Read "{parent}:/path/name" as (folder, name); missing folders are made, as in real life."""
    start, _, path = reference.partition(":")
    parent = drive.root if start == "root" else drive.items.get(start)
    names = [part for part in path.split("/") if part]
    if parent is None or not names:
        raise Fault(404, "itemNotFound", "The resource could not be found.")
    try:
        return folder_of_path_below(drive, parent, names[:-1], call), names[-1]
    except (BadName, NameTaken) as problem:
        raise Fault(400, "invalidRequest", "The path is not valid.") from problem


def folder_of_path_below(drive: Drive, parent: Item, names: list[str], call: Call) -> Item:
    """Return the folder at a path below a folder, created where missing."""
    if parent is drive.root:
        return folder_of_path(drive, names, call.sim.clock.now())
    for name in names:
        child = parent.children.get(name.lower())
        parent = child or drive.create(parent, name, call.sim.clock.now(), None)
    return parent


def put(
    call: Call, drive: Drive, reference: str, source: FileSource, behavior: str
) -> tuple[Item, int]:
    """Write a file where a reference points; return it and 201 for new, 200 for a new version."""
    now = call.sim.clock.now()
    existing = drive.resolve(reference)
    if existing is not None and ":" not in reference:
        if existing.is_folder:
            raise Fault(400, "invalidRequest", "A folder has no content.")
        drive.write(existing, source, now)
        return existing, 200
    folder, name = _place(drive, reference, call)
    existing = folder.children.get(name.lower())
    if existing is not None:
        if behavior == "fail" or (existing.is_folder and behavior != "rename"):
            raise _taken()
        if behavior != "rename":
            drive.write(existing, source, now)
            return existing, 200
        name = drive.free_name(folder, name)
    return _create(drive, folder, name, source, call), 201


def _create(drive: Drive, folder: Item, name: str, source: FileSource | None, call: Call) -> Item:
    try:
        return drive.create(folder, name, call.sim.clock.now(), source)
    except BadName as problem:
        raise Fault(400, "invalidRequest", "The provided name is not valid.") from problem
    except NameTaken as problem:
        raise _taken() from problem


def times(item: Item, body: JSON) -> None:
    """Set fileSystemInfo; raises Graph's 400 for a time that is none."""
    info = body.get("fileSystemInfo") or {}
    try:
        if info.get("createdDateTime"):
            item.file_created = parse_iso(info["createdDateTime"])
        if info.get("lastModifiedDateTime"):
            item.file_modified = parse_iso(info["lastModifiedDateTime"])
    except (ValueError, TypeError, AttributeError) as problem:
        raise Fault(400, "invalidRequest", "fileSystemInfo is not valid.") from problem


@graph.add("PUT", ITEM + "/content", **FILES)
async def put_content(call: Call) -> Answer:
    """Write a file in one request; conflictBehavior defaults to replace."""
    user, drive = drive_of(call)
    data = await call.read()
    call.sim.stats.bytes_in += len(data)
    if len(data) > SMALL:
        raise Fault(413, "requestTooLarge", "Use an upload session.")
    _precondition(call, drive, drive.resolve(call.params["item"]))
    behavior = call.query.get(BEHAVIOR, "replace")
    item, status = put(call, drive, call.params["item"], BytesFile(data), behavior)
    media = call.headers.get("Content-Type", "").partition(";")[0]
    if media and media not in ("application/octet-stream", "text/plain", "application/json"):
        item.mime_type = media
    return answer_json(item_json(call, user, drive, item, in_delta=False), status)


@graph.add("POST", ITEM + "/createUploadSession", **FILES)
async def upload_session(call: Call) -> Answer:
    """Start an upload in fragments of multiples of 320 KiB; conflictBehavior defaults to fail."""
    user, drive = drive_of(call)
    body = await call.json()
    wanted: JSON = body.get("item") or {}
    reference = call.params["item"]
    existing = drive.resolve(reference)
    _precondition(call, drive, existing)
    behavior = str(wanted.get(BEHAVIOR) or body.get(BEHAVIOR) or "fail")
    if behavior not in ("fail", "rename", "replace"):
        raise Fault(400, "invalidRequest", f"Unknown conflictBehavior '{behavior}'.")
    if ":" in reference:
        _place(drive, reference, call)
        if existing is not None and behavior == "fail":
            raise _taken()
    elif existing is None:
        raise Fault(404, "itemNotFound", "The resource could not be found.")

    def finish(later: Call, data: bytes) -> Answer:
        item, status = put(later, drive, reference, BytesFile(data), behavior)
        times(item, wanted)
        later.current_user = user
        return answer_json(item_json(later, user, drive, item, in_delta=False), status)

    tenant = call.tenant
    session = UploadSession(finish, lifetime(call), tenant=tenant)
    return answer_json(begin(call, session))


@graph.add("POST", ITEM + "/children", **FILES)
async def create_child(call: Call) -> Answer:
    """Create a folder (or an empty file) below a folder; conflictBehavior defaults to fail."""
    user, drive = drive_of(call)
    parent = item_of(call, drive)
    body = await call.json()
    name = str(body.get("name") or "")
    behavior = str(body.get(BEHAVIOR) or "fail")
    if not parent.is_folder or ("folder" not in body and "file" not in body):
        raise Fault(400, "invalidRequest", "A name and a folder facet are needed.")
    existing = parent.children.get(name.lower())
    if existing is not None and behavior == "rename":
        name = drive.free_name(parent, name)
    elif existing is not None and behavior == "replace" and existing.is_folder:
        return answer_json(item_json(call, user, drive, existing, in_delta=False), 200)
    source = BytesFile(b"") if "file" in body else None
    item = _create(drive, parent, name, source, call)
    times(item, body)
    return answer_json(item_json(call, user, drive, item, in_delta=False), 201)


@graph.add("PATCH", ITEM, **FILES)
async def patch_item(call: Call) -> Answer:
    """Rename, move, or set fileSystemInfo."""
    user, drive = drive_of(call)
    item = item_of(call, drive)
    _precondition(call, drive, item)
    body = await call.json()
    now = call.sim.clock.now()
    name = str(body.get("name") or item.name)
    parent = _new_parent(drive, item, body.get("parentReference") or {})
    kept = item.file_modified or item.modified
    if parent is not None and (parent is not item.parent or name != item.name):
        if body.get(BEHAVIOR) == "rename":
            name = drive.free_name(parent, name)
        try:
            drive.move(item, parent, name, now)
        except NameTaken as problem:
            raise _taken() from problem
        except BadName as problem:
            raise Fault(400, "invalidRequest", "The provided name is not valid.") from problem
    else:
        drive.touch(item, now)
    item.file_modified = kept
    times(item, body)
    return answer_json(item_json(call, user, drive, item, in_delta=False))


def _new_parent(drive: Drive, item: Item, reference: JSON) -> Item | None:
    if reference.get("id"):
        parent = drive.resolve(str(reference["id"]))
    elif reference.get("path"):
        parent = drive.resolve("root:" + str(reference["path"]).partition("root:")[2])
    else:
        return item.parent
    if parent is None or not parent.is_folder:
        raise Fault(404, "itemNotFound", "The new parent could not be found.")
    return parent


@graph.add("DELETE", ITEM, **FILES)
async def delete_item(call: Call) -> Answer:
    """Remove an item and everything below it."""
    _, drive = drive_of(call)
    item = item_of(call, drive)
    _precondition(call, drive, item)
    if item.parent is None:
        raise Fault(400, "invalidRequest", "The root stays.")
    drive.delete(item, call.sim.clock.now())
    return Answer(204)


@graph.add("POST", ITEM + "/permanentDelete", **FILES)
async def purge_item(call: Call) -> Answer:
    """Remove an item and everything below it, past the recycle bin."""
    return await delete_item(call)


def _precondition(call: Call, drive: Drive, item: Item | None) -> None:
    wanted = call.headers.get("If-Match", "*")
    if wanted != "*" and (item is None or wanted not in (drive.etag(item), drive.ctag(item))):
        raise Fault(412, "resourceModified", "ETag does not match the current item's value.")
