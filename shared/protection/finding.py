"""Finds items over objects and over time: search, history of one item, what two points differ in.

Every verb stops after a bounded number of rows or restore points and says where to go on.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.kit.errors import Unprocessable
from shared.protection import repository
from shared.protection.browsing import (
    ItemFilter,
    ItemNotInSnapshot,
    Opened,
    list_snapshots,
    open_point,
)
from shared.protection.model import ProtectedObject
from shared.vault.errors import SnapshotExpired, UnknownSnapshot
from shared.vault.model import Row, SnapshotHead

if TYPE_CHECKING:
    from shared.bootstrap import Deps

SCAN_ROWS = 20_000
"""Rows looked at per page: a rare word answers a short page and a link, not a timeout."""
SCAN_OBJECTS = 50
HISTORY_POINTS = 50
_AT_ONCE = 8

ChangeKind = Literal["added", "changed", "moved", "deleted"]
Place = dict[str, str]


class SamePoint(Unprocessable):
    """A restore point has no difference to itself."""

    code, title = "SAME_RESTORE_POINT", "These are one and the same restore point"


@dataclass(frozen=True, slots=True)
class Change:
    """How one item differs between two points; None where it does not exist."""

    key: str
    kinds: list[ChangeKind]
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Version:
    """What became of an item with one restore point; no kinds at the oldest point kept."""

    opened: Opened
    kinds: list[ChangeKind]
    row: Row | None


def kinds_of(before: Row | None, after: Row | None) -> list[ChangeKind]:
    """How an item differs; empty when it does not. Another place or name of a file is a move."""
    if before is None or after is None:
        if before is after:
            return []
        return ["added"] if before is None else ["deleted"]
    if before.raw == after.raw:
        return []
    found: list[ChangeKind] = []
    renamed = before.name != after.name and after.kind in {"file", "folder"}
    if before.parent != after.parent or renamed:
        found.append("moved")
    # A move gives an item a new version and, in a drive, a new time; neither is a new content.
    ignored = {"p", "v"} | ({"n", "t", "m"} if found and before.digest == after.digest else set())
    if _without(before.item, ignored) != _without(after.item, ignored):
        found.append("changed")
    return found


async def search(
    deps: "Deps", scope: Scope, customer_id: str, wanted: ItemFilter, place: Place, limit: int
) -> tuple[list[tuple[Opened, Row]], Place | None]:
    """Items in the newest restore points of a customer's objects, and where to go on."""
    await customers.get(deps.tables, scope, customer_id)
    done, after, looked = place.get("after", ""), place.get("item", ""), 0
    found: list[tuple[Opened, Row]] = []
    objects = await repository.list_objects(
        deps.tables, scope, customer_id, after=done, limit=SCAN_OBJECTS
    )
    for one in objects:
        opened = await _newest(deps, scope, one)
        if opened is not None:
            async for row in opened.snapshot.rows(bytes.fromhex(after)):
                looked += 1
                if wanted.takes(row):
                    found.append((opened, row))
                if len(found) == limit or looked >= SCAN_ROWS:
                    return found, {"after": done, "item": opened.key(row)}
        done, after = repository.object_key(one), ""
    return found, {"after": done} if len(objects) == SCAN_OBJECTS else None


async def history(
    deps: "Deps", scope: Scope, object_id: str, key: str, place: Place
) -> tuple[list[Version], Place | None]:
    """Restore points with which an item came, changed, moved or went, newest first.

    `ItemNotInSnapshot` when no point that is looked at holds it and there are no more.
    """
    heads = await list_snapshots(deps, scope, object_id)
    if "below" in place:
        heads = [head for head in heads if head.n < int(place["below"])]
    some = heads[: HISTORY_POINTS + 1]  # the last one is only compared with
    rows = await _rows_at(deps, scope, object_id, some, key)
    versions: list[Version] = []
    for index, (opened, row) in enumerate(rows[:HISTORY_POINTS]):
        is_oldest = index + 1 == len(rows)
        kinds = [] if is_oldest else kinds_of(rows[index + 1][1], row)
        if kinds or (is_oldest and row is not None):
            versions.append(Version(opened, kinds, row))
    if len(heads) > HISTORY_POINTS:
        return versions, {"below": str(some[HISTORY_POINTS - 1].n)}
    if not versions and not place:
        raise ItemNotInSnapshot("No restore point holds an item with this key.")
    return versions, None


async def compare(
    before: Opened, after: Opened, kinds: frozenset[ChangeKind], start: str, limit: int
) -> tuple[list[Change], str | None]:
    """What differs between two points of an object, in item key order, after the key `start`."""
    if before.head.n == after.head.n:
        raise SamePoint("Choose two restore points.")
    found: list[Change] = []
    looked = 0
    async for key, old, new in _joined(before, after, start):
        looked += 1
        differs = kinds_of(old, new)
        if differs and (not kinds or kinds & set(differs)):
            found.append(Change(key, differs, old, new))
        if len(found) == limit or looked >= SCAN_ROWS:
            return found, key
    return found, None


async def _joined(
    before: Opened, after: Opened, start: str
) -> AsyncIterator[tuple[str, Row | None, Row | None]]:
    """Both points side by side, in the order of the keys; buckets with one root are not read."""
    wanted, above = await before.snapshot.differing(after.snapshot), bytes.fromhex(start)
    left, right = before.snapshot.rows(above, wanted), after.snapshot.rows(above, wanted)
    old, new = await anext(left, None), await anext(right, None)
    while old is not None or new is not None:
        keys = [opened.key(row) for opened, row in ((before, old), (after, new)) if row is not None]
        key = min(keys)
        at_old = old is not None and before.key(old) == key
        at_new = new is not None and after.key(new) == key
        yield key, old if at_old else None, new if at_new else None
        if at_old:
            old = await anext(left, None)
        if at_new:
            new = await anext(right, None)


async def _rows_at(
    deps: "Deps", scope: Scope, object_id: str, heads: list[SnapshotHead], key: str
) -> list[tuple[Opened, Row | None]]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(head: SnapshotHead) -> tuple[Opened, Row | None]:
        async with gate:
            opened = await open_point(deps, scope, object_id, head.n)
            return opened, await opened.snapshot.row_by_key(bytes.fromhex(key))

    return list(await asyncio.gather(*(look(head) for head in heads)))


async def _newest(deps: "Deps", scope: Scope, found: ProtectedObject) -> Opened | None:
    if found.last_point is None:
        return None
    try:
        return await open_point(deps, scope, found.object_id, found.last_point.n)
    except (SnapshotExpired, UnknownSnapshot):
        return None  # nothing of it is offered any more


def _without(item: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in names}
