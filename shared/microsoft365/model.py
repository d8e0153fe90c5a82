"""The shapes that pass between Microsoft 365 and whoever backs up or restores an object."""

from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Literal, NotRequired, Protocol, TypedDict, runtime_checkable

import msgspec

Item = dict[str, Any]
"""Row members of vault.md 9.1 without `s` and `d`."""

Collision = Literal["skip", "copy", "replace"]


class Cursor(TypedDict):
    """Where an enumeration goes on; opaque to everybody but its workload.

    `kind` is `page` inside an enumeration without a delta token and `delta` for everything that
    follows from one; `asOf` is when the link was received (RFC 3339). `part` tells which part of
    a mailbox the container belongs to; without it the container is a mail folder. `listed` is
    when the container was last listed from its beginning to its end, on purpose (M7).
    """

    link: str
    kind: Literal["page", "delta"]
    asOf: str
    part: NotRequired[str]
    listed: NotRequired[str]


class GraphUse(msgspec.Struct):
    """What a piece of work cost: requests sent, resource units, refusals, seconds of waiting."""

    requests: int = 0
    ru: int = 0
    throttled: int = 0
    waited_s: float = 0

    def plus(self, other: "GraphUse") -> "GraphUse":
        """The sum of both."""
        return GraphUse(
            self.requests + other.requests,
            self.ru + other.ru,
            self.throttled + other.throttled,
            self.waited_s + other.waited_s,
        )


class Budget(msgspec.Struct, frozen=True):
    """What one slice may spend (M25); None means no limit of that kind."""

    deadline: datetime | None = None
    requests: int | None = None
    ru: int | None = None


class Change(msgspec.Struct):
    """One item as a page shows it.

    `fetch` is what `Workload.fetch` needs and may hold a secret URL (M9): never stored or logged.
    """

    item: Item
    removed: bool
    container: str
    fetch: dict[str, Any] = msgspec.field(default_factory=dict)
    content: bool = False


class Page(msgspec.Struct):
    """One page of changes of one container; `cursor` is where the next page starts."""

    container: str
    changes: list[Change]
    cursor: Cursor
    complete: bool
    full: bool
    declared: dict[str, int] = msgspec.field(default_factory=dict)
    """Microsoft's own item counts of the containers that this page lists, by container."""
    gone: bool = False
    begins: bool = False
    """The first page of a listing without a delta token: read again it begins another listing."""


class Restored(msgspec.Struct):
    """Where a restored item went; `notes` name what could not be brought back."""

    target_id: str
    outcome: Literal["created", "replaced", "skipped"]
    notes: list[str] = msgspec.field(default_factory=list)


class Workload(Protocol):
    """One protected object that can be enumerated and read (microsoft365.md section 3)."""

    @property
    def name(self) -> str:
        """`mailbox` or `drive`."""
        ...

    @property
    def codec(self) -> str:
        """Content codec of its items, `mime` or `file`."""
        ...

    @property
    def concurrency(self) -> int:
        """How many fetches are worth starting at once."""
        ...

    def changes(self, cursors: Mapping[str, Cursor], done: AbstractSet[str]) -> AsyncIterator[Page]:
        """Pages of all containers not in `done`, going on from `cursors`; raises as README says."""
        ...

    def content_changed(self, old_item: Mapping[str, Any], change: Change) -> bool:
        """Pure: False means only metadata changed and the held content can be carried over."""
        ...

    def audited(self, _change: Change, /) -> bool:
        """Pure: whether this change is read although only metadata changed (section 3.1)."""
        ...

    async def fetch(self, change: Change) -> bytes | AsyncIterator[bytes]:
        """The content; the iterator resumes itself and must be used up or closed."""
        ...


class Mark(msgspec.Struct):
    """A place inside content: bytes before it, and the tag of the content they belong to."""

    at: int = 0
    tag: str = ""


@runtime_checkable
class ReadsOn(Protocol):
    """A workload that can read the rest of content whose beginning is stored (vault.md V15)."""

    def reads_on(self, change: Change) -> bool:
        """Pure: whether this item's content can be read from the middle."""
        ...

    async def fetch_from(self, change: Change, mark: Mark) -> bytes | AsyncIterator[bytes]:
        """The content from `mark.at` on; `mark.tag` is set to the tag of what is being read.

        ItemFailed `ChangedWhileRead` when it is no longer the content that the mark was made in.
        """
        ...


@runtime_checkable
class Completes(Protocol):
    """A workload whose pages do not say all of an item: of a file not who may see it."""

    async def complete(self, change: Change, held: Mapping[str, Any] | None) -> Change:
        """The change with what is missing, read or taken from the `held` row's item.

        Called before it is decided what the change means; may raise SliceOver.
        """
        ...
