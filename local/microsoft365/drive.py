"""One drive: the item tree, its versions, and the change log its delta is read from."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.microsoft365.ids import drive_id, drive_item_id, guid
from local.microsoft365.sources import FileSource, quick_xor_of

JSON = dict[str, Any]
FORBIDDEN = frozenset('"*:<>?/\\|')


@dataclass(slots=True, eq=False)
class Item:
    """A file (it has a source) or folder of a drive."""

    number: int
    id: str
    name: str
    parent: "Item | None"
    created: datetime
    modified: datetime
    source: FileSource | None = None
    version: int = 1
    content_version: int = 1
    file_created: datetime | None = None
    file_modified: datetime | None = None
    children: dict[str, "Item"] = field(default_factory=dict)
    permissions: list[JSON] = field(default_factory=list)
    shared_seq: int = 0
    moved_seq: int = 0  # when it last came into another folder
    malware: bool = False
    mime_type: str | None = None
    _hash: tuple[int, str] | None = None

    @property
    def is_folder(self) -> bool:
        """Tell folders from files."""
        return self.source is None

    @property
    def size(self) -> int:
        """Length of a file in bytes; of a folder, the files below it."""
        if self.source is not None:
            return self.source.size
        return sum(child.size for child in self.children.values())

    def quick_xor(self) -> str:
        """Return the quickXorHash of the present content."""
        if self.source is None:
            return ""
        if self._hash is None or self._hash[0] != self.content_version:
            self._hash = (self.content_version, quick_xor_of(self.source))
        return self._hash[1]

    def path(self) -> str:
        """Return the path below the root, without a leading slash."""
        names: list[str] = []
        item: Item | None = self
        while item is not None and item.parent is not None:
            names.append(item.name)
            item = item.parent
        return "/".join(reversed(names))


class NameTaken(Exception):
    """An item of that name (names ignore case) is in the folder already."""


class BadName(Exception):
    """A name the service refuses."""


class Drive:
    """The OneDrive of one user. Not thread-safe; the event loop is its lock."""

    def __init__(self, key: bytes, now: datetime) -> None:
        self.key = key
        self.id = drive_id(key)
        self.kind = "business"  # documentLibrary in a site
        self.site_id = ""
        self.web_url = ""
        self.seq = 0
        self.live = False
        self.items: dict[str, Item] = {}
        self.order: list[Item | None] = []
        self.log: list[tuple[int, str, float]] = []  # sequence, item id, time
        # item id -> parent id, was a folder, when it came there from another folder
        self.gone: dict[str, tuple[str, bool, int]] = {}
        self._last = 0
        self.root = self._insert(None, "root", now, None)

    def _insert(
        self, parent: Item | None, name: str, now: datetime, source: FileSource | None
    ) -> Item:
        self._last += 1
        item = Item(self._last, drive_item_id(self.key, self._last), name, parent, now, now, source)
        self.items[item.id] = item
        self.order.append(item)
        if parent is not None:
            parent.children[name.lower()] = item
        self._log(item, now)
        return item

    def _log(self, item: Item, now: datetime) -> None:
        self.seq += 1
        if self.live:
            self.log.append((self.seq, item.id, now.timestamp()))

    def etag(self, item: Item) -> str:
        """Return the eTag, which changes with metadata and content."""
        return f'"{{{guid(self.id, item.number).upper()}}},{item.version}"'

    def ctag(self, item: Item) -> str:
        """Return the cTag, which changes with content only."""
        return f'"c:{{{guid(self.id, item.number).upper()}}},{item.content_version}"'

    # -- finding ------------------------------------------------------------------------------

    def resolve(self, reference: str) -> Item | None:
        """Find an item by "root", an id, or either followed by ":/path"."""
        start, _, path = reference.partition(":")
        item = self.root if start == "root" else self.items.get(start)
        for name in (part for part in path.split("/") if part):
            if item is None:
                return None
            item = item.children.get(name.lower())
        return item

    # -- changing -----------------------------------------------------------------------------

    def create(self, parent: Item, name: str, now: datetime, source: FileSource | None) -> Item:
        """Create a file or (without a source) a folder; raises NameTaken, BadName."""
        check_name(name)
        if name.lower() in parent.children:
            raise NameTaken(name)
        return self._insert(parent, name, now, source)

    def write(self, item: Item, source: FileSource, now: datetime) -> None:
        """Put a new version of a file's content."""
        item.source = source
        item.content_version += 1
        self.touch(item, now)

    def touch(self, item: Item, now: datetime) -> None:
        """Record that an item changed."""
        item.version += 1
        item.modified = now
        item.file_modified = None
        self._log(item, now)

    def move(self, item: Item, parent: Item, name: str, now: datetime) -> None:
        """Rename or move an item; raises NameTaken, BadName."""
        check_name(name)
        taken = parent.children.get(name.lower())
        above: Item | None = parent
        while above is not None:
            if above is item:
                raise BadName("a folder cannot move below itself")
            above = above.parent
        if taken is not None and taken is not item:
            raise NameTaken(name)
        if item.parent is None:
            raise BadName("the root cannot move")
        del item.parent.children[item.name.lower()]
        came, item.parent, item.name = item.parent is not parent, parent, name
        parent.children[name.lower()] = item
        self.touch(item, now)
        item.moved_seq = self.seq if came else item.moved_seq

    def delete(self, item: Item, now: datetime) -> None:
        """Remove an item and everything below it."""
        for child in list(item.children.values()):
            self.delete(child, now)
        if item.parent is not None:
            del item.parent.children[item.name.lower()]
        del self.items[item.id]
        self.order[item.number - 1] = None
        parent = item.parent.id if item.parent else ""
        self.gone[item.id] = (parent, item.is_folder, item.moved_seq)
        self._log(item, now)

    def share(self, item: Item, permission: JSON, now: datetime) -> None:
        """Add a permission to an item."""
        item.permissions.append(permission)
        item.version += 1
        self._log(item, now)
        item.shared_seq = self.seq

    def free_name(self, parent: Item, name: str) -> str:
        """Return the name, or the first free "name 1.ext" as conflictBehavior=rename does."""
        stem, dot, ending = name.rpartition(".")
        stem, ending = (stem, dot + ending) if stem else (name, "")
        candidate, number = name, 0
        while candidate.lower() in parent.children:
            number += 1
            candidate = f"{stem} {number}{ending}"
        return candidate


def check_name(name: str) -> None:
    """Refuse what OneDrive refuses; raises BadName."""
    bad = not name or name in (".", "..") or name != name.strip() or name.endswith(".")
    if bad or len(name) > 255 or FORBIDDEN & set(name) or any(ord(c) < 32 for c in name):
        raise BadName(name)
