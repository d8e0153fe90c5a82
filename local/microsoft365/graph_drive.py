"""Graph: reading drives: items, children, content and the delta."""

import hashlib
from typing import Any

from local.microsoft365.clock import parse_iso
from local.microsoft365.content import serve
from local.microsoft365.drive import Drive, Item
from local.microsoft365.drive_json import (
    download_url,
    drive_of,
    item_json,
    item_of,
    mime_type,
    narrowed,
    place_of,
)
from local.microsoft365.query import link, page, selected
from local.microsoft365.roles import FILES_READ, SITES_CONTROL
from local.microsoft365.routes import graph
from local.microsoft365.tenant import User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
ITEM = "/drives/{drive}/items/{item}"


@graph.add("GET", ITEM, service="sharepoint", kind="drive.items", roles=FILES_READ, cost="single")
async def item_by_reference(call: Call) -> Answer:
    """Get an item by id or path."""
    user, drive = drive_of(call)
    shown = item_json(call, user, drive, item_of(call, drive), in_delta=False)
    return answer_json(narrowed(shown, selected(call)))


@graph.add("GET", ITEM + "/children", service="sharepoint", kind="drive.items",
           roles=FILES_READ, cost="list")  # fmt: skip
async def children(call: Call) -> Answer:
    """List what is right below a folder."""
    user, drive = drive_of(call)
    item = item_of(call, drive)
    things = sorted(item.children.values(), key=lambda child: child.name.lower())
    path = f"/drives/{drive.id}/items/{item.id}/children"
    body = page(call, path, things, call.page_size(200, 1000), "children")  # type: ignore[arg-type]
    wanted = selected(call)
    body["value"] = [
        narrowed(item_json(call, user, drive, child, in_delta=False), wanted)
        for child in body["value"]
    ]
    return answer_json(body)


@graph.add("GET HEAD", ITEM + "/content", service="sharepoint", kind="drive.content",
           roles=FILES_READ, cost="download")  # fmt: skip
async def content(call: Call) -> Answer:
    """Redirect to the pre-authorised address, or answer the bytes when so configured."""
    _, drive = drive_of(call)
    item = item_of(call, drive)
    if item.source is None:
        raise Fault(400, "invalidRequest", "A folder has no content.")
    if item.malware:
        raise Fault(403, "malwareDetected", "Malware detected.")
    if call.sim.limits.get("content", "redirect"):
        return Answer(302, b"", {"Location": download_url(call, drive, item)})
    return serve(item.source, call.headers.get("Range"), mime_type(item), drive.etag(item))


@graph.add("GET", ITEM + "/delta", service="sharepoint", kind="drive.delta",
           roles=FILES_READ, cost="delta")  # fmt: skip
async def delta(call: Call) -> Answer:
    """Enumerate a drive, or list what changed since a token, a time, or now (`latest`)."""
    user, drive = drive_of(call)
    token = call.query.get("token", "")
    size = call.page_size(200, 5000)
    # [0 = enumerating or 1 = changes, position, sequence when this round began; 0 = here]
    state = _start(call, drive, token)
    changes, position, began = state
    path = f"/drives/{drive.id}/root/delta"
    body: JSON = {"@odata.context": f"{call.origin}/v1.0/$metadata#Collection(driveItem)"}
    empty = call.sim.limits.get("switches", "emptyPageInDelta") and token and not changes
    if call.action == "emptyPage" or (empty and position > 0 and not call.query.get("after")):
        body["value"] = []
        token = _seal(call, drive, state)
        body["@odata.nextLink"] = link(call, path, token=token, after="1", **_options(call))
        return answer_json(body)
    if changes:
        began = began or position
        value, position, more = _changes(call, user, drive, position, size, began)
    else:
        value, position, more = _enumeration(call, user, drive, position, size)
        if call.sim.limits.get("switches", "repeatInDelta"):
            value = value + value[:1]
    wanted = selected(call)
    body["value"] = [narrowed(shown, wanted) for shown in value]
    if more:
        token = _seal(call, drive, (changes, position, began))
        body["@odata.nextLink"] = link(call, path, token=token, **_options(call))
    else:
        token = _seal(call, drive, (1, position if changes else began, 0))
        body["@odata.deltaLink"] = link(call, path, token=token, **_options(call, sized=False))
    return answer_json(body)


def _options(call: Call, *, sized: bool = True) -> dict[str, str]:
    kept = {}
    for name, text in call.query.items():
        if name == "$select" or (name == "$top" and sized):
            kept["_" + name[1:]] = text
        elif name == "deltaExcludeParent":
            kept[name] = text
    return kept


def _seal(call: Call, drive: Drive, state: tuple[int, int, int]) -> str:
    sim = call.sim
    return sim.sealer.seal(["drive", drive.id, *state, sim.clock.seconds(), sim.delta_epoch])


def _start(call: Call, drive: Drive, token: str) -> tuple[int, int, int]:
    if not token:
        return 0, 0, drive.seq
    if token == "latest":  # noqa: S105  the word of the protocol, no secret
        return 1, drive.seq, 0
    sim = call.sim
    opened = sim.sealer.open(token)
    if opened is None:
        try:
            since = parse_iso(token).timestamp()
        except ValueError as problem:
            raise Fault(400, "invalidRequest", "The token is not valid.") from problem
        return 1, next((s - 1 for s, _, at in drive.log if at >= since), drive.seq), 0
    if opened[0] != "drive" or opened[1] != drive.id:
        raise Fault(400, "invalidRequest", "The token is not valid.")
    made, epoch = float(str(opened[5])), int(str(opened[6]))
    limits = sim.limits.section("delta")
    old = sim.clock.seconds() - made > limits["driveLifetime"] or epoch != sim.delta_epoch
    if old or call.action == "expireDelta":
        anew = _seal(call, drive, (0, 0, drive.seq))
        where = link(call, f"/drives/{drive.id}/root/delta", token=anew, **_options(call))
        text = "Resync required. Replace any local items with the server's version."
        raise Fault(410, str(limits["driveExpiredCode"]), text, {"Location": where})
    changes, position, began = (int(str(value)) for value in opened[2:5])
    return changes, position, began


def _enumeration(
    call: Call, user: User, drive: Drive, position: int, size: int
) -> tuple[list[JSON], int, bool]:
    found: list[JSON] = []
    while position < len(drive.order):
        item = drive.order[position]
        if item is not None:
            if len(found) == size:
                return found, position, True
            found.append(item_json(call, user, drive, item, in_delta=True))
        position += 1
    return found, position, False


def _changes(
    call: Call, user: User, drive: Drive, since: int, size: int, began: int
) -> tuple[list[JSON], int, bool]:
    first = drive.log[0][0] if drive.log else drive.seq + 1
    entries = drive.log[max(0, since - first + 1) :]
    last = {identity: seq for seq, identity, _ in entries}
    order = sorted((seq, identity) for identity, seq in last.items())
    chosen = order[:size]
    found: list[JSON] = []
    parents: dict[str, Item] = {}
    for _, identity in chosen:
        item = drive.items.get(identity)
        if item is None:
            if _shows_deleted(call, drive, identity, began):
                found.append(_deleted(drive, identity))
            continue
        shown = item_json(call, user, drive, item, in_delta=True)
        if item.shared_seq > since and _shows_sharing(call):
            shown["@microsoft.graph.sharedChanged"] = "True"
        found.append(shown)
        above = item.parent
        while above is not None:
            parents[above.id] = above
            above = above.parent
    if call.query.get("deltaExcludeParent", "").lower() != "true":
        listed = {shown["id"] for shown in found}
        chain = [p for p in parents.values() if p.id not in listed]
        chain.sort(key=lambda p: p.path().count("/") + bool(p.parent))
        found = [item_json(call, user, drive, p, in_delta=True) for p in chain] + found
    if len(order) > size:
        return found, chosen[-1][0], True
    return found, order[-1][0] if order else since, False


SHARING_HINTS = (
    "deltashowremovedasdeleted", "deltatraversepermissiongaps", "deltashowsharingchanges",
)  # fmt: skip


def _shows_sharing(call: Call) -> bool:
    """Tell whether changed permissions are marked: all hints, and full control of sites."""
    asked = call.headers.get("Prefer", "")
    held = SITES_CONTROL in call.claims.get("roles", [])
    return held and all(hint in asked for hint in SHARING_HINTS)


def _shows_deleted(call: Call, drive: Drive, identity: str, began: int) -> bool:
    """Tell whether a deleted item is listed: children of a deleted folder may stay out (M15).

    Not one that came into the folder since the token: who holds the token knows it elsewhere.
    """
    parent, _, moved = drive.gone.get(identity, ("", False, 0))
    if parent not in drive.gone or moved > began:
        return True
    mode = call.sim.limits.get("switches", "deletedFolderChildren")
    if mode == "mixed":
        return hashlib.blake2b(parent.encode()).digest()[0] % 2 == 0
    return bool(mode == "all")


def _deleted(drive: Drive, identity: str) -> JSON:
    parent, folder, _ = drive.gone.get(identity, ("", False, 0))
    shown: JSON = {
        "id": identity,
        "size": 0,
        "parentReference": {**place_of(drive), "id": parent},
        "deleted": {"state": "deleted"},
    }
    shown["folder" if folder else "file"] = {}
    return shown
