"""One mailbox: folders, messages, and the change log its deltas are read from."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from local.microsoft365.ids import FOLDER, IMMUTABLE, MESSAGE, outlook_id, parse_outlook_id
from local.microsoft365.mime_read import (
    MailContent,
    MailMeta,
    read_content,
    read_meta,
)

JSON = dict[str, Any]
ROOT = 1
WELL_KNOWN = (
    # name in paths, display name, hidden
    ("msgfolderroot", "Top of Information Store", False),
    ("inbox", "Inbox", False),
    ("drafts", "Drafts", False),
    ("sentitems", "Sent Items", False),
    ("deleteditems", "Deleted Items", False),
    ("archive", "Archive", False),
    ("junkemail", "Junk Email", False),
    ("outbox", "Outbox", False),
    ("conversationhistory", "Conversation History", False),
    ("recoverableitemsdeletions", "Deletions", True),
)


class MailSource(Protocol):
    """The bytes of one mail and what a list shows of it."""

    def mime(self) -> bytes:
        """Return the MIME exactly as stored."""

    def meta(self) -> MailMeta:
        """Return the header view; cheap, asked for on every list page."""

    def content(self) -> MailContent:
        """Return body and attachments."""


class StoredMail:
    """A mail kept as bytes; the header view is parsed once."""

    __slots__ = ("_meta", "_mime")

    def __init__(self, mime: bytes) -> None:
        self._mime = mime
        self._meta: MailMeta | None = None

    def mime(self) -> bytes:
        """Return the MIME exactly as stored."""
        return self._mime

    def meta(self) -> MailMeta:
        """Return the header view."""
        if self._meta is None:
            self._meta = read_meta(self.mime())
        return self._meta

    def content(self) -> MailContent:
        """Return body and attachments."""
        return parsed_content(self.mime())


@lru_cache(maxsize=64)
def parsed_content(mime: bytes) -> MailContent:
    """Parse body and attachments, remembering the last mails asked for."""
    return read_content(mime)


@dataclass(slots=True, eq=False)
class Folder:
    """A mail folder; messages are kept by the sequence number of their arrival."""

    number: int
    parent: int
    name: str
    well_known: str = ""
    hidden: bool = False
    changed: int = 0
    counted: int = 0
    messages: dict[int, "Message"] = field(default_factory=dict)
    arrivals: list[int] = field(default_factory=list)
    log: list[tuple[int, int, str, int]] = field(default_factory=list)
    """Per change: sequence, message number, reason of a removal or "", incarnation then."""


@dataclass(slots=True, eq=False)
class Message:
    """A mail in a folder: its source and the state a person can change."""

    number: int
    folder: Folder
    source: MailSource
    received: datetime
    modified: datetime
    arrived: int
    incarnation: int = 0
    version: int = 1
    is_read: bool = True
    is_draft: bool = False
    flag: str = "notFlagged"
    categories: tuple[str, ...] = ()
    importance: str | None = None
    sent: datetime | None = None


class Mailbox:
    """All mail of one user. Not thread-safe; the event loop is its lock."""

    def __init__(self, key: bytes, now: datetime) -> None:
        self.key = key
        self.seq = 0
        self.live = False
        self.folders: dict[int, Folder] = {}
        self.messages: dict[int, Message] = {}
        self.gone_folders: list[tuple[int, int]] = []
        self._last = 0
        self.created = now
        for name, display, hidden in WELL_KNOWN:
            parent = 0 if name in ("msgfolderroot", "recoverableitemsdeletions") else ROOT
            self.add_folder(parent, display, well_known=name, hidden=hidden)

    # -- folders ------------------------------------------------------------------------------

    def add_folder(
        self, parent: int, name: str, *, well_known: str = "", hidden: bool = False
    ) -> Folder:
        """Create a folder under a parent's number."""
        number = len(self.folders) + len(self.gone_folders) + 1
        folder = Folder(number, parent, name, well_known, hidden, self.tick(), self.seq)
        self.folders[number] = folder
        return folder

    def children(self, parent: int) -> list[Folder]:
        """Return the folders right below a parent."""
        return [folder for folder in self.folders.values() if folder.parent == parent]

    def find_folder(self, text: str) -> Folder | None:
        """Find a folder by id or well-known name."""
        wanted = text.lower()
        for folder in self.folders.values():
            if folder.well_known and folder.well_known == wanted:
                return folder
        parsed = parse_outlook_id(self.key, text)
        return self.folders.get(parsed[1]) if parsed and parsed[0] == FOLDER else None

    def well_known(self, name: str) -> Folder:
        """Return a default folder."""
        return next(folder for folder in self.folders.values() if folder.well_known == name)

    def rename_folder(self, folder: Folder, name: str) -> None:
        """Give a folder a new name."""
        folder.name = name
        folder.changed = self.tick()

    def move_folder(self, folder: Folder, parent: int) -> None:
        """Hang a folder under another parent."""
        folder.parent = parent
        folder.changed = self.tick()

    def purge_folder(self, folder: Folder) -> None:
        """Remove a folder with everything in it, for good."""
        for child in self.children(folder.number):
            self.purge_folder(child)
        for message in list(folder.messages.values()):
            del self.messages[message.number]
        del self.folders[folder.number]
        self.gone_folders.append((self.tick(), folder.number))

    def folder_id(self, number: int) -> str:
        """Return the id of a folder."""
        return outlook_id(self.key, FOLDER, number)

    # -- messages -----------------------------------------------------------------------------

    def add(
        self, folder: Folder, source: MailSource, received: datetime, modified: datetime
    ) -> Message:
        """Deliver a mail into a folder."""
        self._last += 1
        message = Message(self._last, folder, source, received, modified, self.tick())
        self.messages[message.number] = message
        self._enter(message)
        return message

    def touch(self, message: Message, now: datetime, *, logged: bool = True) -> None:
        """Record that a message changed; unlogged changes stay out of the delta."""
        message.version += 1
        message.modified = now
        message.folder.counted = self.tick()
        if logged:
            self._log(message.folder, message, "")

    def move(self, message: Message, folder: Folder, now: datetime) -> None:
        """Move a message: a removal in one folder, an arrival in the other."""
        self._leave(message, "changed" if folder.well_known == "deleteditems" else "deleted")
        message.folder = folder
        message.incarnation += 1
        message.version += 1
        message.modified = now
        message.arrived = self.tick()
        self._enter(message)

    def purge(self, message: Message) -> None:
        """Remove a message for good."""
        self._leave(message, "deleted")
        del self.messages[message.number]

    def find(self, text: str) -> Message | None:
        """Find a message by its immutable id or its present ordinary id."""
        parsed = parse_outlook_id(self.key, text)
        if parsed is None or parsed[0] not in (MESSAGE, IMMUTABLE):
            return None
        message = self.messages.get(parsed[1])
        if message is None or (parsed[0] == MESSAGE and parsed[2] != message.incarnation):
            return None
        return message

    def message_id(self, number: int, incarnation: int, *, immutable: bool) -> str:
        """Return the id of a message in the form the caller prefers."""
        if immutable:
            return outlook_id(self.key, IMMUTABLE, number)
        return outlook_id(self.key, MESSAGE, number, incarnation)

    # -- log ----------------------------------------------------------------------------------

    def tick(self) -> int:
        """Count one change."""
        self.seq += 1
        return self.seq

    def _log(self, folder: Folder, message: Message, reason: str) -> None:
        if self.live:
            folder.log.append((self.tick(), message.number, reason, message.incarnation))

    def _enter(self, message: Message) -> None:
        folder = message.folder
        folder.messages[message.arrived] = message
        folder.arrivals.append(message.arrived)
        folder.counted = self.seq
        self._log(folder, message, "")

    def _leave(self, message: Message, reason: str) -> None:
        folder = message.folder
        del folder.messages[message.arrived]
        folder.counted = self.tick()
        self._log(folder, message, reason)
