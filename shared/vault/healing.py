"""What a run builds on when something of its object is damaged, and what it has to read again.

A damaged pack: the rows that stand on it are read from the source again, and a new base no longer
names it. A damaged record or base: the newest restore point that can be read gives the rows, every
container is listed anew, and a new base is written. Marks of damage go when nothing needs the blob.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.kit.blobs import BlobMissing
from shared.vault.errors import UnknownSnapshot, VaultDamaged, located
from shared.vault.format import names
from shared.vault.format.base import split32
from shared.vault.format.primitives import sha
from shared.vault.format.rows import parse_location
from shared.vault.format.snapshot import Record
from shared.vault.index import Part
from shared.vault.lockkeeper import needs
from shared.vault.model import Row
from shared.vault.repository import LoadedRecord, record_numbers
from shared.vault.snapshots import Snapshot
from shared.vault.upkeep import forget_damage

if TYPE_CHECKING:
    from shared.vault.run import Run
    from shared.vault.seal import Built


@dataclass(frozen=True, slots=True)
class Ground:
    """`n` and `digest` continue the chain; `rows` is the record whose rows are the parent's."""

    n: int
    digest: str
    rows: LoadedRecord | None
    private: dict[str, Any]
    wounds: frozenset[bytes] = frozenset()
    """Names of damaged packs that rows of `rows` stand on."""
    fresh: bool = False
    """The newest record's rows or cursors are lost: everything has to be listed again."""


NOTHING: dict[str, Any] = {"cursors": {}, "retry": []}


async def find_ground(run: "Run", newest: int) -> Ground:
    """What the next snapshot is built on; the newest record unless it is damaged."""
    if not newest:
        return Ground(0, "", None, NOTHING)
    if not run.damaged:
        with suppress(VaultDamaged, UnknownSnapshot):
            loaded = await run.load(newest)
            return Ground(newest, loaded.digest.hex(), loaded, await _private(run, loaded))
    digest = await _digest(run, newest)
    for n in await record_numbers(run.store, run.keys.oid):
        with suppress(VaultDamaged, UnknownSnapshot):
            loaded = await run.load(n)
            private = await _private(run, loaded)
            packs = await _packs(run, loaded)
            wounds = frozenset(p for p in packs if names.pack(run.keys.oid, p) in run.damaged)
            if n == newest:
                return Ground(n, digest, loaded, private, wounds)
            kept = {**NOTHING, "retry": private["retry"]}
            return Ground(newest, digest, loaded, kept, wounds, fresh=True)
    return Ground(newest, digest, None, NOTHING, fresh=True)


async def _private(run: "Run", loaded: LoadedRecord) -> dict[str, Any]:
    if loaded.name in run.damaged:
        raise VaultDamaged(f"{loaded.name} was found damaged", blob=loaded.name)
    region = await loaded.region("private")
    with located(loaded.name):
        return loaded.record.private(run.keys.key, region)


async def _packs(run: "Run", loaded: LoadedRecord) -> set[bytes]:
    """Every pack that a record's rows may stand on; `VaultDamaged` when its index is damaged."""
    oid, head = run.keys.oid, loaded.head
    host = names.record(oid, head["tail"]["host"])
    parts = [Part(run.store, run.keys, run.ops, entry) for entry in head["base"]]
    for name in (host, *(part.name for part in parts)):
        if name in run.damaged:
            raise VaultDamaged(f"{name} was found damaged", blob=name)
    found: set[bytes] = set()
    for part in parts:
        found.update(await part.table())
        await part.roots()
    for region in ("dir", "roots"):
        await loaded.region(region)
    found.update(split32(await loaded.region("packs")))
    if head["tail"]["host"] != head["n"]:
        await run.load(head["tail"]["host"])
    return found


async def _digest(run: "Run", n: int) -> str:
    """The record hash: of its bytes as they stand, when they are damaged (V31)."""
    try:
        return (await run.load(n)).digest.hex()
    except (VaultDamaged, UnknownSnapshot):
        data = await run.store.get(names.record(run.keys.oid, n))
    with suppress(Exception):
        record = Record(data)
        return record.record_hash(data).hex()
    return sha(data).hex()


def is_wounded(row: Row, wounds: frozenset[bytes]) -> bool:
    """Whether some of a row's content stands in one of these packs."""
    if not wounds or not row.has_content:
        return False
    found = parse_location(row.location, row.size, row.item.get("d"))
    reach = {place.pack for place in found.places} | set(found.reach)
    return any(row.packs[index] in wounds for index in reach)


async def wounded_rows(run: "Run", after: bytes) -> AsyncIterator[Row]:
    """Rows of the parent, in key order from behind the key `after`, whose content is damaged."""
    if not run.wounds or run.parent_record is None:
        return
    snapshot = Snapshot(run.store, run.parent_record, run.keys, run.ops)
    async for row in snapshot.rows(after):
        if is_wounded(row, run.wounds):
            yield row


async def healed(run: "Run", built: "Built") -> None:
    """After the commit: forget the damage that the new snapshot does not stand on."""
    if run.damaged:
        with suppress(BlobMissing):
            left = await needs(run, built)
            await forget_damage(run.control, run.keys.oid, run.damaged - left)
