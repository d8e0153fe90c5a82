"""Turns what Graph lists about mail into rows, and decides what has to be read: all pure."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from shared.microsoft365.model import Change, Item

SELECT = (
    "id,changeKey,parentFolderId,isDraft,isRead,flag,categories,importance,hasAttachments,subject,"
    "from,toRecipients,receivedDateTime,sentDateTime,lastModifiedDateTime,internetMessageId"
)
READ, FLAGGED, DRAFT, ATTACHMENTS = 1, 2, 4, 8
"""Bits of the row member `x` (vault.md 9.1)."""

# The rule of content_changed is audited on this share of metadata changes (section 3.1).
AUDIT_ONE_IN = 200
# `o` keeps the first three recipients (vault.md 9.1).
RECIPIENTS = 3


class Removed(msgspec.Struct):
    """Why an entry is a tombstone; both reasons mean the same to a backup (M17)."""

    reason: str = ""


class Address(msgspec.Struct):
    """An e-mail address with its display name."""

    name: str | None = None
    address: str | None = None


class Recipient(msgspec.Struct, rename="camel"):
    """Graph wraps each address."""

    email_address: Address | None = None


class Flag(msgspec.Struct, rename="camel"):
    """Follow-up flag: notFlagged, flagged or complete."""

    flag_status: str | None = None
    start_date_time: Any = None
    due_date_time: Any = None
    completed_date_time: Any = None


class FolderEntry(msgspec.Struct, rename="camel"):
    """A folder in a page of mailFolders."""

    id: str
    display_name: str | None = None
    parent_folder_id: str | None = None
    child_folder_count: int | None = None
    total_item_count: int | None = None
    is_hidden: bool | None = None
    removed: Removed | None = msgspec.field(default=None, name="@removed")


class MessageEntry(msgspec.Struct, rename="camel"):
    """A message in a page of messages/delta, with the members of `SELECT`."""

    id: str
    change_key: str | None = None
    parent_folder_id: str | None = None
    is_draft: bool | None = None
    is_read: bool | None = None
    flag: Flag | None = None
    categories: list[str] | None = None
    importance: str | None = None
    has_attachments: bool | None = None
    subject: str | None = None
    sender: Recipient | None = msgspec.field(default=None, name="from")
    to_recipients: list[Recipient] | None = None
    received_date_time: str | None = None
    sent_date_time: str | None = None
    last_modified_date_time: str | None = None
    internet_message_id: str | None = None
    removed: Removed | None = msgspec.field(default=None, name="@removed")


def epoch_seconds(text: str | None) -> int | None:
    """Graph's time as whole epoch seconds; None when it is missing or not a time."""
    if not text:
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


def address_text(recipient: Recipient | None) -> str:
    """`Name <address>`, or what there is of it."""
    found = recipient.email_address if recipient else None
    if found is None:
        return ""
    name, address = found.name or "", found.address or ""
    if name and address and name != address:
        return f"{name} <{address}>"
    return address or name


def without_nothing(members: Mapping[str, Any]) -> dict[str, Any]:
    """Only members that say something, so that rows stay small and stable."""
    return {key: value for key, value in members.items() if value not in (None, "", [], {})}


def folder_change(container: str, entry: FolderEntry) -> Change:
    """The row of a folder; its version follows from its members, Graph gives none."""
    if entry.removed is not None:
        return Change({"i": entry.id, "k": "folder"}, removed=True, container=container)
    told = f"{entry.parent_folder_id}\0{entry.display_name}\0{entry.is_hidden}"
    item = without_nothing({
        "i": entry.id,
        "k": "folder",
        "p": entry.parent_folder_id,
        "n": entry.display_name,
        "v": hashlib.sha256(told.encode()).hexdigest()[:16],
        "m": {"hidden": True} if entry.is_hidden else None,
    })  # fmt: skip
    return Change(item, removed=False, container=container)


def message_change(folder_id: str, entry: MessageEntry) -> Change:
    """The row of a message as a page of `folder_id` lists it."""
    if entry.removed is not None:
        return Change({"i": entry.id, "k": "mail"}, removed=True, container=folder_id)
    item: Item = without_nothing({
        "i": entry.id,
        "k": "mail",
        "p": entry.parent_folder_id or folder_id,
        "n": entry.subject,
        "w": address_text(entry.sender),
        "o": [address_text(to) for to in (entry.to_recipients or [])[:RECIPIENTS]],
        "t": epoch_seconds(entry.received_date_time),
        "v": entry.change_key,
        "x": _bits(entry),
        "c": "mime",
        "m": _metadata(entry),
    })  # fmt: skip
    return Change(item, removed=False, container=folder_id, content=True)


def _bits(entry: MessageEntry) -> int:
    flagged = entry.flag is not None and entry.flag.flag_status == "flagged"
    return (
        (READ if entry.is_read else 0)
        | (FLAGGED if flagged else 0)
        | (DRAFT if entry.is_draft else 0)
        | (ATTACHMENTS if entry.has_attachments else 0)
    )


def _metadata(entry: MessageEntry) -> dict[str, Any]:
    """What a restore needs beside the MIME: times, identity, categories, importance, flag."""
    flag = entry.flag
    has_flag = flag is not None and flag.flag_status not in (None, "notFlagged")
    importance = entry.importance if entry.importance != "normal" else None
    return without_nothing({
        "imid": entry.internet_message_id,
        "sent": entry.sent_date_time,
        "received": entry.received_date_time,
        "categories": entry.categories,
        "importance": importance,
        "flag": without_nothing(_flag(flag)) if flag is not None and has_flag else None,
    })  # fmt: skip


def _flag(flag: Flag) -> dict[str, Any]:
    return {
        "flagStatus": flag.flag_status,
        "startDateTime": flag.start_date_time,
        "dueDateTime": flag.due_date_time,
        "completedDateTime": flag.completed_date_time,
    }


def last_wins(changes: Iterable[Change]) -> list[Change]:
    """Of several occurrences of an item in one page the last, in page order (M14)."""
    by_id: dict[str, Change] = {}
    for change in changes:
        by_id.pop(change.item["i"], None)
        by_id[change.item["i"]] = change
    return list(by_id.values())


def content_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the held content may no longer be the message's (section 3.1).

    Drafts are always read again; so is a message whose content we do not hold. Read, flag,
    category and folder changes leave subject, sent time, attachments and size alone.
    """
    if "d" not in old or "e" in old:
        return True
    if (old.get("x", 0) | new.get("x", 0)) & DRAFT:
        return True
    if old.get("v") is not None and old.get("v") == new.get("v"):
        return False
    return _substance(old) != _substance(new)


def _substance(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return (item.get("n"), item.get("x", 0) & ATTACHMENTS, item.get("m", {}).get("sent"))


def audited(item: Mapping[str, Any]) -> bool:
    """A fixed choice by id and version, so that a repeated run audits the same messages."""
    told = f"{item['i']}\0{item.get('v')}".encode()
    return int.from_bytes(hashlib.sha256(told).digest()[:4], "big") % AUDIT_ONE_IN == 0
