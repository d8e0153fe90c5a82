"""Graph: mail folders, their tree and their delta."""

from typing import Any

from local.microsoft365.delta import check_age, delta_link, next_link, open_token
from local.microsoft365.mail_json import folder_json, folder_of, mailbox_of
from local.microsoft365.mailbox import ROOT, Folder, Mailbox
from local.microsoft365.query import comparison, page, pick, selected
from local.microsoft365.roles import MAIL_READ, MAIL_WRITE
from local.microsoft365.routes import graph
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]


def _list(call: Call, box: Mailbox, parent: int, path: str) -> Answer:
    hidden = call.query.get("includeHiddenFolders", "").lower() == "true"
    folders = [f for f in box.children(parent) if hidden or not f.hidden]
    if hidden and parent == ROOT:
        folders += [f for f in box.folders.values() if f.hidden and not f.parent]
    if call.query.get("$filter"):
        member, operator, value = comparison(call.query["$filter"])
        if member != "displayName" or operator not in ("eq", "startswith"):
            raise Fault(400, "ErrorInvalidUrlQueryFilter", "The filter is not supported.")
        folders = [f for f in folders if f.name.lower() == value.lower()]
    wanted = selected(call)
    things = [pick(folder_json(box, f), wanted) for f in folders]
    return answer_json(page(call, path, things, call.page_size(10, 1000), "mailFolders"))


@graph.add("GET", "/users/{user}/mailFolders", service="outlook", kind="mailFolders",
           roles=MAIL_READ)  # fmt: skip
async def folders(call: Call) -> Answer:
    """List the top folders; ten a page unless asked otherwise."""
    user, box = mailbox_of(call)
    return _list(call, box, ROOT, f"/users/{user.id}/mailFolders")


@graph.add("GET", "/users/{user}/mailFolders/{folder}", service="outlook", kind="mailFolders",
           roles=MAIL_READ)  # fmt: skip
async def folder_by_id(call: Call) -> Answer:
    """Get a folder by id or well-known name."""
    _, box = mailbox_of(call)
    return answer_json(pick(folder_json(box, folder_of(call, box)), selected(call)))


@graph.add("GET", "/users/{user}/mailFolders/{folder}/childFolders", service="outlook",
           kind="mailFolders", roles=MAIL_READ)  # fmt: skip
async def child_folders(call: Call) -> Answer:
    """List the folders right below a folder."""
    user, box = mailbox_of(call)
    folder = folder_of(call, box)
    path = f"/users/{user.id}/mailFolders/{call.params['folder']}/childFolders"
    return _list(call, box, folder.number, path)


@graph.add("GET", "/users/{user}/mailFolders/delta", service="outlook", kind="mailFolders.delta",
           roles=MAIL_READ)  # fmt: skip
async def folders_delta(call: Call) -> Answer:
    """List all folders, nested included, or what changed among them since a token."""
    user, box = mailbox_of(call)
    if call.sim.limits.get("switches", "foldersDeltaQuotaExceeded"):
        raise Fault(403, "ErrorQuotaExceeded", "The mailbox quota has been exceeded.")
    path = f"/users/{user.id}/mailFolders/delta"
    state = open_token(call, "folders", [0, 0, box.seq])
    check_age(call, state, "mail")
    since, done, until = (int(value) for value in state.values)
    counts = call.sim.limits.get("switches", "foldersDeltaListsCounts")
    changes: list[tuple[int, Folder | int]] = []
    for folder in box.folders.values():
        moment = max(folder.changed, folder.counted) if counts and since else folder.changed
        if since < moment and folder.number != ROOT and not folder.hidden:
            changes.append((folder.number if not since else moment, folder))
    changes += [(seq, number) for seq, number in box.gone_folders if since and seq > since]
    changes.sort(key=lambda change: change[0])
    changes = [change for change in changes if change[0] > done]
    size = call.page_size(100, 1000)
    wanted = selected(call)
    value: list[JSON] = [
        pick(folder_json(box, thing), wanted)
        if isinstance(thing, Folder)
        else {"id": box.folder_id(thing), "@removed": {"reason": "deleted"}}
        for _, thing in changes[:size]
    ]
    body: JSON = {"@odata.context": f"{call.origin}/v1.0/$metadata#mailFolders", "value": value}
    if len(changes) > size:
        next_link(call, body, path, state, [since, changes[size - 1][0], until])
    else:
        delta_link(call, body, path, state, [until if not since else box.seq, 0, 0])
    return answer_json(body)


@graph.add("POST", "/users/{user}/mailFolders", service="outlook", kind="mailFolders",
           roles=MAIL_WRITE)  # fmt: skip
async def create_folder(call: Call) -> Answer:
    """Create a folder at the top of the mailbox."""
    _, box = mailbox_of(call)
    return await _create(call, box, ROOT)


@graph.add("POST", "/users/{user}/mailFolders/{folder}/childFolders", service="outlook",
           kind="mailFolders", roles=MAIL_WRITE)  # fmt: skip
async def create_child_folder(call: Call) -> Answer:
    """Create a folder below another."""
    _, box = mailbox_of(call)
    return await _create(call, box, folder_of(call, box).number)


async def _create(call: Call, box: Mailbox, parent: int) -> Answer:
    body = await call.json()
    name = str(body.get("displayName") or "").strip()
    if not name:
        raise Fault(400, "ErrorInvalidRequest", "A folder needs a displayName.")
    if any(child.name.lower() == name.lower() for child in box.children(parent)):
        text = "A folder with the specified name already exists."
        raise Fault(409, "ErrorFolderExists", text)
    folder = box.add_folder(parent, name, hidden=bool(body.get("isHidden")))
    return answer_json(folder_json(box, folder), 201)


@graph.add("PATCH", "/users/{user}/mailFolders/{folder}", service="outlook", kind="mailFolders",
           roles=MAIL_WRITE)  # fmt: skip
async def rename_folder(call: Call) -> Answer:
    """Rename a folder."""
    _, box = mailbox_of(call)
    folder = folder_of(call, box)
    name = str((await call.json()).get("displayName") or "").strip()
    if not name or folder.well_known:
        raise Fault(400, "ErrorInvalidRequest", "The folder cannot have this name.")
    box.rename_folder(folder, name)
    return answer_json(folder_json(box, folder))


@graph.add("POST", "/users/{user}/mailFolders/{folder}/move", service="outlook",
           kind="mailFolders", roles=MAIL_WRITE)  # fmt: skip
async def move_folder(call: Call) -> Answer:
    """Move a folder below another."""
    _, box = mailbox_of(call)
    folder = folder_of(call, box)
    target = box.find_folder(str((await call.json()).get("destinationId") or ""))
    if target is None or folder.well_known or _inside(box, target, folder):
        raise Fault(400, "ErrorMoveCopyFailed", "The move or copy operation failed.")
    box.move_folder(folder, target.number)
    return answer_json(folder_json(box, folder), 201)


def _inside(box: Mailbox, folder: Folder, above: Folder) -> bool:
    number = folder.number
    while number:
        if number == above.number:
            return True
        number = box.folders[number].parent
    return False


@graph.add("DELETE", "/users/{user}/mailFolders/{folder}", service="outlook",
           kind="mailFolders", roles=MAIL_WRITE)  # fmt: skip
async def delete_folder(call: Call) -> Answer:
    """Move a folder to Deleted Items; from there it is removed for good."""
    _, box = mailbox_of(call)
    folder = folder_of(call, box)
    if folder.well_known:
        raise Fault(400, "ErrorDeleteDistinguishedFolder", "Default folders stay.")
    bin_ = box.well_known("deleteditems")
    if _inside(box, folder, bin_):
        box.purge_folder(folder)
    else:
        box.move_folder(folder, bin_.number)
    return Answer(204)


@graph.add("POST", "/users/{user}/mailFolders/{folder}/permanentDelete", service="outlook",
           kind="mailFolders", roles=MAIL_WRITE)  # fmt: skip
async def purge_folder(call: Call) -> Answer:
    """Remove a folder and what is in it for good."""
    _, box = mailbox_of(call)
    folder = folder_of(call, box)
    if folder.well_known:
        raise Fault(400, "ErrorDeleteDistinguishedFolder", "Default folders stay.")
    box.purge_folder(folder)
    return Answer(204)
