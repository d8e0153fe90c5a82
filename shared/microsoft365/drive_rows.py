"""Turns what a drive's delta lists into rows, and decides what has to be read: all pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from shared.microsoft365.mail_rows import epoch_seconds, without_nothing
from shared.microsoft365.model import Change, Item

SELECT = (
    "id,name,size,eTag,parentReference,file,folder,package,root,deleted,shared,malware,"
    "fileSystemInfo,lastModifiedBy,lastModifiedDateTime,content.downloadUrl"
)
SHARED, PACKAGE = 16, 32
"""Bits of the row member `x` (vault.md 9.1)."""

ONENOTE_TYPES = frozenset({"application/msonenote", "application/onenote"})
ONENOTE_ENDINGS = (".one", ".onetoc2")


class Parent(msgspec.Struct):
    """Where an item hangs; a delta gives no path (M15)."""

    id: str | None = None


class Hashes(msgspec.Struct, rename="camel"):
    """Only quickXorHash exists in every library that has hashes."""

    quick_xor_hash: str | None = None


class File(msgspec.Struct, rename="camel"):
    """Facet of a file."""

    mime_type: str | None = None
    hashes: Hashes | None = None


class Times(msgspec.Struct, rename="camel"):
    """fileSystemInfo: the times a person sees."""

    created_date_time: str | None = None
    last_modified_date_time: str | None = None


class Person(msgspec.Struct, rename="camel"):
    """A user in an identity set."""

    display_name: str | None = None
    email: str | None = None


class Identities(msgspec.Struct):
    """Identity set."""

    user: Person | None = None


class DriveEntry(msgspec.Struct, rename="camel"):
    """An item in a page of a drive's delta, with the members of `SELECT`."""

    id: str
    name: str | None = None
    size: int | None = None
    e_tag: str | None = msgspec.field(default=None, name="eTag")
    parent_reference: Parent | None = None
    file: File | None = None
    folder: dict[str, Any] | None = None
    package: dict[str, Any] | None = None
    root: dict[str, Any] | None = None
    deleted: dict[str, Any] | None = None
    shared: dict[str, Any] | None = None
    malware: dict[str, Any] | None = None
    file_system_info: Times | None = None
    last_modified_by: Identities | None = None
    last_modified_date_time: str | None = None
    download_url: str | None = msgspec.field(default=None, name="@microsoft.graph.downloadUrl")
    removed: dict[str, Any] | None = msgspec.field(default=None, name="@removed")
    shared_changed: str | None = msgspec.field(default=None, name="@microsoft.graph.sharedChanged")


def item_change(drive_id: str, entry: DriveEntry, packages: AbstractSet[str]) -> Change:
    """The row of an item; `packages` are ids of known packages, whose children are OneNote's."""
    if entry.deleted is not None or entry.removed is not None:
        kind = "file" if entry.file is not None else "folder" if entry.folder is not None else ""
        gone = without_nothing({"i": entry.id, "k": kind})
        return Change(gone, removed=True, container=drive_id)
    if entry.file is None:
        return Change(_folder(entry), removed=False, container=drive_id)
    fetch = without_nothing({
        "url": entry.download_url,
        "size": entry.size,
        "onenote": _is_onenote(entry, packages),
        "malware": entry.malware is not None,
    })  # fmt: skip
    return Change(_file(entry), removed=False, container=drive_id, fetch=fetch, content=True)


def _folder(entry: DriveEntry) -> Item:
    members = _members(entry, "folder")
    if entry.package is not None:
        members["x"] = members.get("x", 0) | PACKAGE
    if entry.root is not None:
        members["m"] = {**members.get("m", {}), "root": True}
    return without_nothing(members)


def _file(entry: DriveEntry) -> Item:
    file = entry.file or File()
    members = _members(entry, "file")
    members["c"] = "file"
    members["m"] = without_nothing({
        **members.get("m", {}),
        "hash": file.hashes.quick_xor_hash if file.hashes else None,
        "size": entry.size,
        "type": file.mime_type,
    })  # fmt: skip
    return without_nothing(members)


def _members(entry: DriveEntry, kind: str) -> dict[str, Any]:
    times = entry.file_system_info or Times()
    modified = times.last_modified_date_time or entry.last_modified_date_time
    author = entry.last_modified_by.user if entry.last_modified_by else None
    is_root = entry.root is not None
    return {
        "i": entry.id,
        "k": kind,
        "p": entry.parent_reference.id if entry.parent_reference and not is_root else None,
        "n": entry.name,
        "w": (author.email or author.display_name) if author else None,
        "t": epoch_seconds(modified),
        "v": entry.e_tag,
        "x": SHARED if entry.shared is not None else 0,
        "m": without_nothing({"created": times.created_date_time, "modified": modified}),
    }


def _is_onenote(entry: DriveEntry, packages: AbstractSet[str]) -> bool:
    parent = entry.parent_reference.id if entry.parent_reference else None
    mime = entry.file.mime_type if entry.file else None
    return (
        parent in packages
        or mime in ONENOTE_TYPES
        or (entry.name or "").lower().endswith(ONENOTE_ENDINGS)
    )


def content_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether hash or size differ; a missing hash means: read it (section 3.1)."""
    if "d" not in old or "e" in old:
        return True
    was, now = old.get("m", {}), new.get("m", {})
    if was.get("hash") is None or now.get("hash") is None:
        return old.get("v") is None or old.get("v") != new.get("v")
    return bool(was["hash"] != now["hash"] or was.get("size") != now.get("size"))


def orphans(parents: Mapping[str, str], removed: AbstractSet[str]) -> set[str]:
    """All ids below a removed one; `parents` is the tree after the whole pass (M15).

    An item that was moved out of a removed folder has another parent by then and stays. A ring
    of parents, which no drive should have, keeps its members.
    """
    fate: dict[str, bool] = {}

    def is_lost(start: str) -> bool:
        trail: list[str] = []
        at: str | None = start
        lost = False
        while at is not None and at not in trail:
            if at in fate:
                lost = fate[at]
                break
            if at in removed and at != start:
                lost = True
                break
            trail.append(at)
            at = parents.get(at)
        for step in trail:
            fate[step] = lost
        return lost

    return {item for item in parents if item not in removed and is_lost(item)}
