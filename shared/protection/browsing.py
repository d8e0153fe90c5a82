"""Looks into a snapshot: its items by folder or word, one item with its proof, its content."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.kit.errors import HoldfastError, NotFound
from shared.protection import repository
from shared.protection.discovery import open_vault
from shared.protection.model import ProtectedObject
from shared.vault.format.primitives import hex16
from shared.vault.format.rows import key_of
from shared.vault.model import ObjectRef, Row, SnapshotHead

if TYPE_CHECKING:
    from shared.bootstrap import Deps
    from shared.vault.snapshots import Snapshot

# What one answer carries; larger contents are restored or exported (performance of the door).
MAX_CONTENT_BYTES = 32 * 1024 * 1024


class ItemNotInSnapshot(NotFound):
    """No such item in this restore point."""

    code, title = "ITEM_NOT_IN_SNAPSHOT", "The restore point does not hold this item"


class ContentNotHeld(NotFound):
    """The item is known, its content could not be protected."""

    code, title = "CONTENT_NOT_HELD", "The content of this item is not held"


class ContentTooLarge(HoldfastError):
    """Too large for one answer."""

    code, status, title = "CONTENT_TOO_LARGE", 413, "The content is too large for this answer"


@dataclass(frozen=True, slots=True)
class Opened:
    """An object's snapshot, open for reading."""

    found: ProtectedObject
    snapshot: "Snapshot"

    @property
    def head(self) -> SnapshotHead:
        """Its head."""
        return self.snapshot.head

    def key(self, row: Row) -> str:
        """The item key of a row: what stands in addresses instead of the source id."""
        return item_key(self.head.oid, row.source_id)


def item_key(oid: str, source_id: str) -> str:
    """Hex of vault.md's item key: 64 characters whatever the source id holds."""
    return key_of(hex16(oid), source_id).hex()


def ref_of(found: ProtectedObject) -> ObjectRef:
    """The object as the vault names it."""
    return ObjectRef(found.workload, found.source_id, found.display_name, found.address)


async def list_snapshots(deps: "Deps", scope: Scope, object_id: str) -> list[SnapshotHead]:
    """Restore points, newest first, without expired ones."""
    found = await repository.get_object(deps.tables, scope, object_id)
    customer = await customers.get(deps.tables, scope, found.customer_id)
    if found.last_point is None:
        return []
    vault = await open_vault(deps, customer, found.repository_id)
    return await vault.offered(ref_of(found))


async def open_point(deps: "Deps", scope: Scope, object_id: str, n: int) -> Opened:
    """A snapshot of an object inside the scope; NotFound, or `SnapshotExpired`."""
    found = await repository.get_object(deps.tables, scope, object_id)
    customer = await customers.get(deps.tables, scope, found.customer_id)
    vault = await open_vault(deps, customer, found.repository_id)
    return Opened(found, await vault.open_snapshot(ref_of(found), n))


async def find_row(opened: Opened, key: str) -> Row:
    """The row with this item key; `ItemNotInSnapshot` when there is none."""
    try:
        row = await opened.snapshot.row_by_key(bytes.fromhex(key))
    except ValueError:
        row = None
    if row is None:
        raise ItemNotInSnapshot("Take the key from the items of this restore point.")
    return row


async def find_rows(opened: Opened, keys: list[str]) -> dict[str, Row]:
    """The rows with these item keys, as far as they exist; neighbours share their reads."""
    found: dict[str, Row] = {}
    for key in sorted(set(keys)):
        with suppress(ItemNotInSnapshot):
            found[key] = await find_row(opened, key)
    return found


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items to list; None takes all. Dates are of the item, `to_at` exclusive."""

    search: str | None = None
    """In name, author and recipients, in any case."""
    name: str | None = None
    sender: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None
    kind: str | None = None

    def takes(self, row: Row) -> bool:
        """Whether the row is one of them."""
        return (
            (self.kind is None or row.kind == self.kind)
            and (self.min_size is None or row.size >= self.min_size)
            and (self.max_size is None or row.size <= self.max_size)
            and self._dated(row.item.get("t"))
            and _holds(self.name, row.name)
            and _holds(self.sender, str(row.item.get("w") or ""))
            and _holds(self.search, _text(row.item))
        )

    def _dated(self, seconds: int | None) -> bool:
        if self.from_at is None and self.to_at is None:
            return True
        if seconds is None:
            return False
        return (self.from_at is None or seconds >= self.from_at.timestamp()) and (
            self.to_at is None or seconds < self.to_at.timestamp()
        )


EVERYTHING = ItemFilter()


async def list_items(
    opened: Opened, wanted: ItemFilter = EVERYTHING, *, folder: str | None, after: str, limit: int
) -> tuple[list[Row], str | None]:
    """A page of items in item key order; a folder is named by its own item key."""
    parent = (await find_row(opened, folder)).source_id if folder else None
    page: list[Row] = []
    async for row in opened.snapshot.rows(bytes.fromhex(after)):
        if (parent is not None and row.parent != parent) or not wanted.takes(row):
            continue
        if len(page) == limit:
            return page, opened.key(page[-1])
        page.append(row)
    return page, None


def content_of(opened: Opened, row: Row) -> AsyncIterator[bytes]:
    """The stored bytes of a small item; refuses what is not held or too large for an answer."""
    if not row.has_content:
        raise ContentNotHeld(f"The item is marked {row.error or 'as a kind without content'}.")
    if row.size > MAX_CONTENT_BYTES:
        raise ContentTooLarge(
            f"It has {row.size} bytes, {MAX_CONTENT_BYTES} fit. Restore the item instead.",
            sizeBytes=row.size,
        )
    return opened.snapshot.content(row)


def _holds(word: str | None, text: str) -> bool:
    return word is None or word.casefold() in text.casefold()


def _text(item: dict[str, Any]) -> str:
    parts = [item.get("n", ""), item.get("w", ""), *item.get("o", [])]
    return "\n".join(str(part) for part in parts)
