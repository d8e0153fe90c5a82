"""Turns what Graph lists about a site, its libraries and lists into rows: all pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from shared.microsoft365 import drive_rows
from shared.microsoft365.drive_rows import DriveEntry
from shared.microsoft365.json_rows import (
    SETTINGS,
    canonical,
    item_id,
    plain,
    settings_change,
    without,
)
from shared.microsoft365.mail_rows import epoch_seconds, without_nothing
from shared.microsoft365.model import Change

LIBRARY, LIST = "library:", "list:"
# A list of these templates is another workload's, or no content (microsoft365.md section 3).
OTHER_TEMPLATES = frozenset(
    {"documentLibrary", "sharingLinks", "accessRequest", "webTemplateExtensionsList"}
)
# They change whenever an item does, or with the time of day.
RESTLESS = (
    "lastModifiedDateTime", "lastModifiedBy", "eTag", "quota", "items", "cTag", "drive",
)  # fmt: skip


class ListEntry(msgspec.Struct, rename="camel"):
    """An item in a page of a list's delta."""

    id: str
    e_tag: str | None = msgspec.field(default=None, name="eTag")
    fields: dict[str, Any] | None = None
    created_date_time: str | None = None
    last_modified_date_time: str | None = None
    created_by: dict[str, Any] | None = None
    last_modified_by: dict[str, Any] | None = None
    content_type: dict[str, Any] | None = None
    web_url: str | None = None
    deleted: dict[str, Any] | None = None
    removed: dict[str, Any] | None = msgspec.field(default=None, name="@removed")


def site_change(site: Mapping[str, Any]) -> Change:
    """The row of the site itself."""
    told = without(plain(site), RESTLESS)
    return settings_change("site", "site", site.get("displayName"), told)


def permissions_change(permissions: list[Any]) -> Change:
    """The row of the permissions that applications hold on the site."""
    told = sorted(plain(permissions), key=lambda one: str(one.get("id")))
    return settings_change("permissions", "permission", "Permissions", {"permissions": told})


def library_change(drive: Mapping[str, Any], listed: Mapping[str, Any] | None) -> Change:
    """The row of a document library: the drive, and the list it is, with columns."""
    told = {
        "drive": without(plain(drive), RESTLESS),
        "list": without(plain(listed), RESTLESS) if listed is not None else None,
    }
    name = LIBRARY + str(drive["id"])
    return settings_change(name, "list", drive.get("name"), told, template="documentLibrary")


def list_change(listed: Mapping[str, Any]) -> Change:
    """The row of a list: columns and content types."""
    told = {"list": without(plain(listed), RESTLESS)}
    template = (listed.get("list") or {}).get("template")
    name = LIST + str(listed["id"])
    return settings_change(name, "list", listed.get("displayName"), told, template=template)


def is_protected(listed: Mapping[str, Any]) -> bool:
    """Whether a list's items are read as list items (section 3)."""
    return (listed.get("list") or {}).get("template") not in OTHER_TEMPLATES


def file_change(container: str, entry: DriveEntry, packages: AbstractSet[str]) -> Change:
    """A drive's row inside its site; the root hangs below the library."""
    change = drive_rows.item_change(container, entry, packages)
    item = dict(change.item)
    if "p" in item:
        item["p"] = item_id(container, item["p"])
    elif not change.removed:
        item["p"] = item_id(SETTINGS, container)
    item["i"] = item_id(container, item["i"])
    return msgspec.structs.replace(change, item=item)


def entry_change(container: str, entry: ListEntry) -> Change:
    """The row of a list item; its fields are in the page, so no request follows."""
    row_id = item_id(container, entry.id)
    if entry.deleted is not None or entry.removed is not None:
        return Change({"i": row_id, "k": "listitem"}, removed=True, container=container)
    fields = plain(entry.fields or {})
    author = (entry.last_modified_by or entry.created_by or {}).get("user") or {}
    item = without_nothing({
        "i": row_id,
        "k": "listitem",
        "p": item_id(SETTINGS, container),
        "n": str(fields.get("Title") or fields.get("LinkTitle") or f"#{entry.id}"),
        "w": author.get("email") or author.get("displayName"),
        "t": epoch_seconds(entry.last_modified_date_time),
        "v": entry.e_tag,
        "c": "json",
        "m": without_nothing({
            "created": entry.created_date_time,
            "modified": entry.last_modified_date_time,
        }),
    })  # fmt: skip
    fetch = {"json": canonical(content_of(entry, fields))}
    return Change(item, removed=False, container=container, fetch=fetch, content=True)


def content_of(entry: ListEntry, fields: Any) -> dict[str, Any]:
    """What is stored of a list item."""
    return without_nothing({
        "id": entry.id,
        "fields": fields,
        "contentType": entry.content_type,
        "createdBy": plain(entry.created_by),
        "lastModifiedBy": plain(entry.last_modified_by),
        "createdDateTime": entry.created_date_time,
        "lastModifiedDateTime": entry.last_modified_date_time,
        "webUrl": entry.web_url,
    })  # fmt: skip
