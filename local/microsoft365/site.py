"""Sites of SharePoint: their document libraries and lists, and the change log of each list."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.microsoft365.drive import Drive
from local.microsoft365.ids import digest, guid
from local.microsoft365.tenant import User

JSON = dict[str, Any]
# What SharePoint itself keeps; a client that writes one of these is refused.
READ_ONLY = frozenset(
    {"id", "Author", "Editor", "Created", "Modified", "ContentType", "Attachments"}
)


@dataclass(slots=True, eq=False)
class ListItem:
    """One item of a list; its id is a small number that is never used again."""

    number: int
    fields: JSON
    author: User
    created: datetime
    modified: datetime
    version: int = 1


@dataclass(slots=True, eq=False)
class Library:
    """A document library: a drive that is also a list."""

    drive: Drive
    list_id: str
    name: str
    owner: User
    columns: list[JSON] = field(default_factory=list)
    description: str = ""
    created: datetime | None = None


class SiteList:
    """A list with columns and items. Not thread-safe; the event loop is its lock."""

    def __init__(
        self,
        key: bytes,
        name: str,
        columns: list[JSON],
        now: datetime,
        template: str = "genericList",
    ) -> None:
        self.id = guid("list", key.hex())
        self.name, self.template, self.columns = name, template, columns
        self.description = ""
        self.created = self.modified = now
        self.items: dict[str, ListItem] = {}
        self.order: list[ListItem | None] = []
        self.seq = 0
        self.live = False
        self.log: list[tuple[int, str]] = []

    def etag(self, item: ListItem) -> str:
        """Return the item's eTag, which changes with every edit."""
        return f'"{guid(self.id, item.number)},{item.version}"'

    def title(self) -> JSON:
        """Return the column that every list has."""
        return {"name": "Title", "displayName": "Title", "text": {}, "required": False}

    def knows(self, name: str) -> bool:
        """Tell whether a field of this name may be written."""
        return name == "Title" or any(column["name"] == name for column in self.columns)

    def add(self, fields: JSON, author: User, now: datetime) -> ListItem:
        """Create an item."""
        item = ListItem(len(self.order) + 1, dict(fields), author, now, now)
        self.order.append(item)
        self.items[str(item.number)] = item
        self._log(item, now)
        return item

    def edit(self, item: ListItem, fields: JSON, now: datetime) -> None:
        """Change fields of an item."""
        item.fields.update(fields)
        item.version += 1
        item.modified = now
        self._log(item, now)

    def delete(self, item: ListItem, now: datetime) -> None:
        """Remove an item for good."""
        del self.items[str(item.number)]
        self.order[item.number - 1] = None
        self._log(item, now)

    def _log(self, item: ListItem, now: datetime) -> None:
        self.modified = now
        self.seq += 1
        if self.live:
            self.log.append((self.seq, str(item.number)))


@dataclass(slots=True, eq=False)
class Site:
    """A site collection."""

    key: bytes
    id: str
    name: str
    display_name: str
    host: str
    created: datetime
    template: str = "STS#3"
    description: str = ""
    personal: bool = False
    group_id: str = ""
    libraries: list[Library] = field(default_factory=list)
    lists: list[SiteList] = field(default_factory=list)
    permissions: list[JSON] = field(default_factory=list)

    @property
    def web_url(self) -> str:
        """Return the address of the site."""
        return f"https://{self.host}/sites/{self.name}"

    def add_library(self, name: str, owner: User, now: datetime) -> Library:
        """Create a document library, with a number in its key so that a name can come again."""
        key = digest("library", self.key.hex(), name, len(self.libraries))
        drive = Drive(key, now)
        drive.kind, drive.site_id = "documentLibrary", self.id
        drive.web_url = f"{self.web_url}/{name}"
        library = Library(drive, guid("list", key.hex()), name, owner, created=now)
        self.libraries.append(library)
        return library

    def add_list(
        self, name: str, columns: list[JSON], now: datetime, template: str = "genericList"
    ) -> SiteList:
        """Create a list."""
        key = digest("list", self.key.hex(), name, len(self.lists))
        made = SiteList(key, name, columns, now, template)
        self.lists.append(made)
        return made

    def find_list(self, text: str) -> SiteList | None:
        """Find a list by id or title."""
        lowered = text.lower()
        known = (one for one in self.lists if one.id == text or one.name.lower() == lowered)
        return next(known, None)


def site_id(host: str, key: bytes) -> str:
    """Return a site's id: host name, site collection id, web id."""
    return f"{host},{guid('collection', key.hex())},{guid('web', key.hex())}"
