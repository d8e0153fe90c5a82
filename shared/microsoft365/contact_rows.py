"""Turns what Graph lists about contact folders and contacts into rows: all pure."""

import hashlib
from typing import Any

import msgspec

from shared.microsoft365.mail_rows import (
    RECIPIENTS,
    Address,
    Removed,
    epoch_seconds,
    without_nothing,
)
from shared.microsoft365.model import Change

FOLDERS = "contactFolders"
"""Name of the container that lists the contact folders."""
DEFAULT = "contacts"
"""The default folder: Graph lists it nowhere and names it only so."""


class FolderEntry(msgspec.Struct, rename="camel"):
    """A contact folder in a page of contactFolders/delta."""

    id: str
    display_name: str | None = None
    parent_folder_id: str | None = None
    removed: Removed | None = msgspec.field(default=None, name="@removed")


class ContactEntry(msgspec.Struct, rename="camel"):
    """The members of a contact that decide or are shown; the rest is stored as it came."""

    id: str
    change_key: str | None = None
    display_name: str | None = None
    email_addresses: list[Address] | None = None
    company_name: str | None = None
    categories: list[str] | None = None
    last_modified_date_time: str | None = None
    removed: Removed | None = msgspec.field(default=None, name="@removed")


def default_folder() -> Change:
    """The row of the default folder, listed with every full enumeration of the folders."""
    item = {"i": DEFAULT, "k": "contactfolder", "n": "Contacts", "v": "1", "m": {"default": True}}
    return Change(item, removed=False, container=FOLDERS)


def folder_change(entry: FolderEntry) -> Change:
    """The row of a contact folder."""
    if entry.removed is not None:
        return Change({"i": entry.id, "k": "contactfolder"}, removed=True, container=FOLDERS)
    told = f"{entry.parent_folder_id}\0{entry.display_name}"
    item = without_nothing({
        "i": entry.id,
        "k": "contactfolder",
        "p": entry.parent_folder_id,
        "n": entry.display_name,
        "v": hashlib.sha256(told.encode()).hexdigest()[:16],
    })  # fmt: skip
    return Change(item, removed=False, container=FOLDERS)


def contact_change(folder_id: str, entry: ContactEntry, raw: bytes) -> Change:
    """The row of a contact as a page of `folder_id` lists it."""
    if entry.removed is not None:
        return Change({"i": entry.id, "k": "contact"}, removed=True, container=folder_id)
    addresses = [one.address for one in entry.email_addresses or [] if one.address]
    more: dict[str, Any] = {"company": entry.company_name, "categories": entry.categories}
    item = without_nothing({
        "i": entry.id,
        "k": "contact",
        "p": folder_id,
        "n": entry.display_name,
        "o": addresses[:RECIPIENTS],
        "t": epoch_seconds(entry.last_modified_date_time),
        "v": entry.change_key,
        "c": "json",
        "m": without_nothing(more),
    })  # fmt: skip
    return Change(item, removed=False, container=folder_id, fetch={"json": raw}, content=True)
