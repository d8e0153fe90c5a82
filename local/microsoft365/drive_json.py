"""How Graph writes drive items, and the pre-authorised addresses of their content."""

import mimetypes
from typing import Any
from urllib.parse import quote

from local.microsoft365.clock import iso
from local.microsoft365.drive import Drive, Item
from local.microsoft365.tenant import User
from local.microsoft365.wire import Call, Fault

JSON = dict[str, Any]


def drive_of(call: Call) -> tuple[User, Drive]:
    """Return the drive the path names; raises Graph's 404."""
    found = call.tenant.find_drive(call.params["drive"])
    if found is None:
        raise Fault(404, "itemNotFound", "The resource could not be found.")
    return found


def item_of(call: Call, drive: Drive) -> Item:
    """Return the item the path names; raises Graph's 404."""
    item = drive.resolve(call.params["item"])
    if item is None or call.action == "gone":
        raise Fault(404, "itemNotFound", "The resource could not be found.")
    return item


def download_url(call: Call, drive: Drive, item: Item) -> str:
    """Return an address that needs no token and dies after a while; it is a secret (M9)."""
    limits = call.sim.limits.section("content")
    expires = call.sim.clock.seconds() + limits["downloadLifetime"]
    token = call.sim.sealer.seal(["content", call.tenant.id, drive.id, item.id, expires])
    return f"{call.origin}/_content/{token}/download.aspx?UniqueId={item.number}"


def place_of(drive: Drive) -> JSON:
    """Return the members of a parentReference that name the drive."""
    place: JSON = {"driveType": drive.kind, "driveId": drive.id}
    return {**place, "siteId": drive.site_id} if drive.site_id else place


def mime_type(item: Item) -> str:
    """Return the media type of a file."""
    return item.mime_type or mimetypes.guess_type(item.name)[0] or "application/octet-stream"


def item_json(call: Call, user: User, drive: Drive, item: Item, *, in_delta: bool) -> JSON:
    """Return an item as Graph writes it; the delta shows less (microsoft365.md section 3.1)."""
    person = {"user": {"id": user.id, "displayName": user.display_name, "email": user.upn}}
    home = f"https://onedrive.example/{drive.key.hex()}"
    shown: JSON = {
        "createdDateTime": iso(item.created),
        "eTag": drive.etag(item),
        "id": item.id,
        "lastModifiedDateTime": iso(item.modified),
        "name": item.name,
        "size": item.size,
        "webUrl": f"{drive.web_url or home}/{quote(item.path())}",
        "createdBy": person,
        "lastModifiedBy": person,
        "fileSystemInfo": {
            "createdDateTime": iso(item.file_created or item.created),
            "lastModifiedDateTime": iso(item.file_modified or item.modified),
        },
    }
    parent = item.parent
    if parent is not None:
        above: JSON = {**place_of(drive), "id": parent.id}
        if not in_delta:
            # The delta gives no path (M15).
            path = parent.path()
            above["name"] = parent.name
            above["path"] = f"/drives/{drive.id}/root:" + (f"/{path}" if path else "")
        shown["parentReference"] = above
    else:
        shown["parentReference"] = place_of(drive)
        shown["root"] = {}
    if not in_delta:
        shown["cTag"] = drive.ctag(item)
    if item.permissions:
        shown["shared"] = {"scope": "users"}
    if item.is_folder:
        shown["folder"] = {"childCount": len(item.children)}
    else:
        shown["file"] = {"mimeType": mime_type(item)}
        if call.sim.limits.get("switches", "driveHash"):
            shown["file"]["hashes"] = {"quickXorHash": item.quick_xor()}
        if item.malware:
            shown["malware"] = {"description": "Virus"}
        shown["@microsoft.graph.downloadUrl"] = download_url(call, drive, item)
    return shown


def narrowed(shown: JSON, wanted: frozenset[str] | None) -> JSON:
    """Apply $select; `content.downloadUrl` asks for the download address."""
    if wanted is None:
        return shown
    url = "@microsoft.graph.downloadUrl"
    keep = {
        name: value
        for name, value in shown.items()
        if name in wanted or name == "id" or (name.startswith("@") and name != url)
    }
    if wanted & {"content.downloadUrl", url} and url in shown:
        keep[url] = shown[url]
    return keep
