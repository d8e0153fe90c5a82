"""Which folders a run removed, with everything below them that was not moved out (M15)."""

from typing import TYPE_CHECKING

from shared.vault import merge as merging
from shared.vault import rules
from shared.vault.format.primitives import hex16
from shared.vault.ranges import RangeReader
from shared.vault.segments import READ_AHEAD

if TYPE_CHECKING:
    from shared.vault.run import Checkpoint, Run


async def buried(
    run: "Run", checkpoints: list["Checkpoint"], ranges: RangeReader, removal: rules.Removal
) -> set[str]:
    """Ids of folders that are gone; reads the whole index, but only if a folder may be gone."""
    if not rules.needs_folders(removal) and not await _folder_reported(run, checkpoints):
        return set()
    oid16 = hex16(run.keys.oid)
    alive: dict[str, str | None] = {}
    removed: set[str] = set()
    index = run.index
    for first, last in ranges.windows(index.bits):
        steps = await ranges.read(first, last)
        shift = index.bits - 6
        low, high = (
            (first << shift, last << shift) if shift >= 0 else (first >> -shift, last >> -shift)
        )
        for start in range(low, high, READ_AHEAD):
            group = list(range(start, min(start + READ_AHEAD, high)))
            await index.warm(group)
            for bucket in group:
                base = await index.base_lines(bucket)
                packs = await index.packs_of(bucket) if base else []
                tail = await index.tail_lines(bucket)
                held = merging.overlay(
                    merging.entries(base, packs, oid16),
                    merging.entries(tail, index.tail_packs, oid16),
                )
                named = {k: s for k, s in steps.items() if index.bucket(k) == bucket}
                before = {k: e.core for k, e in held.items() if _is_folder(e.core)}
                merging.merge(held, named, removal, merging.Tally())
                now = {e.core.i: e.core.p for e in held.values() if _is_folder(e.core)}
                alive |= now
                removed |= {row.i for row in before.values() if row.i not in now}
    # A folder that came and went within the run is in no snapshot, its children are named (M15).
    new = {source_id for found in checkpoints for source_id in found.meta["folders"]}
    return rules.buried_folders(alive, removed | (new - alive.keys()))


async def _folder_reported(run: "Run", checkpoints: list["Checkpoint"]) -> bool:
    gone = [source_id for found in checkpoints for source_id in found.meta["gone"]]
    if not gone:
        return False
    new = {source_id for found in checkpoints for source_id in found.meta["folders"]}
    if not new.isdisjoint(gone):
        return True
    for at in range(0, len(gone), 1000):
        held = await run.previous_many(gone[at : at + 1000])
        if any(row.kind in rules.CONTAINER_KINDS for row in held.values()):
            return True
    return False


def _is_folder(row: object) -> bool:
    return getattr(row, "k", "") in rules.CONTAINER_KINDS
