"""Pure: the rows of one bucket after a run, from held rows, operations and removals (W2)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.vault import rules
from shared.vault.fastjson import core as core
from shared.vault.format import rows, tree
from shared.vault.format.checkpoint import FAILED, KEEP, Op
from shared.vault.format.rows import Line

Packs = list[bytes]


class Entry(NamedTuple):
    """A row with its key, the pack table its location counts in, and its decoded members."""

    key: bytes
    item: bytes
    location: bytes
    packs: Packs
    core: Any


class Step(NamedTuple):
    """An operation of the run; `order` is (slice, position)."""

    order: tuple[int, int]
    op: Op
    packs: Packs


def entries(lines: Iterable[Line], packs: Packs, oid16: bytes) -> list[Entry]:
    """Decode the rows of a bucket."""
    found = []
    for item, location in lines:
        decoded = core(item)
        found.append(Entry(rows.key_of(oid16, decoded.i), item, location, packs, decoded))
    return found


def overlay(base: Iterable[Entry], tail: Iterable[Entry]) -> dict[bytes, Entry]:
    """Snapshot rows by key: base, replaced by tail, minus tombstones (V27)."""
    held = {entry.key: entry for entry in base}
    for entry in tail:
        if entry.core.gone:
            held.pop(entry.key, None)
        else:
            held[entry.key] = entry
    return held


@dataclass(slots=True)
class Tally:
    """What a run did, counted over distinct items (V36, V37)."""

    listed: dict[int, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    watched: dict[bytes, str | None] = field(default_factory=dict)

    def count(self, step: Step | None, op: int, source_id: str) -> None:
        """One live item of the enumeration."""
        self.listed[op] = self.listed.get(op, 0) + 1
        if step is not None and op in rules.TROUBLED:
            kind = self.failed if op == FAILED else self.skipped
            kind[step.op.detail] = kind.get(step.op.detail, 0) + 1
            if op == FAILED:
                self.failures.append((source_id, step.op.detail))

    def change(self, before: Any, after: Any) -> None:
        """A row changed its class: held, stale, unheld; and folders beside."""
        for decoded, step in ((before, -1), (after, 1)):
            if decoded is not None:
                for name in rules.classes(decoded.k, decoded.e):
                    self.classes[name] = self.classes.get(name, 0) + step

    @property
    def rows(self) -> int:
        """By how many the number of rows changed."""
        return sum(self.classes.get(name, 0) for name in ("held", "stale", "unheld"))


def merge(
    held: dict[bytes, Entry],
    steps: dict[bytes, list[Step]],
    removal: rules.Removal,
    tally: Tally,
) -> dict[bytes, Entry | None]:
    """Apply a run to `held` in place; returns what changed, None = removed."""
    changed: dict[bytes, Entry | None] = {}
    for key, named in steps.items():
        before = held.get(key)
        after, live, winner = _resolve(named, before, removal)
        if after is not None and removal.buries(after.core):
            after = None
        if after is None:
            if before is not None:
                tally.gone += 1
        elif live is not None:
            tally.count(winner, live, after.core.i)
        if key in tally.watched:
            tally.watched[key] = "gone" if after is None else _outcome(live)
        if after is before or (after and before and _same(before, after, removal)):
            continue
        changed[key] = after
    if removal.scans:
        for key, entry in held.items():
            if key not in steps and (removal.buries(entry.core) or removal.absent(entry.core)):
                changed[key] = None
                tally.gone += 1
                if key in tally.watched:
                    tally.watched[key] = "gone"
    for key, after in changed.items():
        before = held.pop(key, None)
        tally.change(None if before is None else before.core, None if after is None else after.core)
        if after is not None:
            held[key] = after
    return changed


def _resolve(
    named: list[Step], before: Entry | None, removal: rules.Removal
) -> tuple[Entry | None, int | None, Step | None]:
    """(row after the run, how it was listed or None, the step that made it)."""
    gone: set[str] = set()
    again: dict[str, rules.Order] = {}
    best: tuple[Step, Any] | None = None
    kept = False
    for step in sorted(named, reverse=True):
        kind = step.op.op
        if kind == rules.GONE:
            gone.add(step.op.detail)
        elif kind == KEEP:
            again.setdefault(step.op.detail, step.order)
            kept = kept or (
                before is not None
                and not removal.covers(gone, before.core)
                and not removal.stale(before.core, step.order, {})
            )
        elif best is None:
            decoded = core(step.op.item)
            if not removal.covers(gone, decoded) and not removal.stale(decoded, step.order, again):
                best = step, decoded
    if best is not None:
        step, decoded = best
        entry = Entry(step.op.key, step.op.item, step.op.location, step.packs, decoded)
        if before is not None and _same(before, entry, removal):
            entry = before
        return entry, step.op.op, step
    if kept:
        return before, KEEP, None
    if before is not None and removal.absent(before.core):
        return None, None, None
    if before is not None and not removal.covers(gone, before.core):
        return before, None, None
    return None, None, None


def _same(before: Entry, after: Entry, removal: rules.Removal) -> bool:
    """Whether the held row may stay: it says the same and does not stand on a damaged pack."""
    return before.item == after.item and not stands_on(before, removal.wounds)


def stands_on(entry: Entry, packs: frozenset[bytes]) -> bool:
    """Whether some of a row's content stands in one of these packs."""
    if not packs or entry.location == b"[]":
        return False
    found = rows.parse_location(entry.location, entry.core.s, entry.core.d)
    reach = {place.pack for place in found.places} | set(found.reach)
    return any(entry.packs[index] in packs for index in reach)


def _outcome(live: int | None) -> str | None:
    return None if live is None else ("failed" if live in rules.TROUBLED else "fine")


def pairs(held: dict[bytes, Entry], k_leaf: bytes) -> list[tree.Pair]:
    """(key, leaf) of a bucket's rows, sorted."""
    return [
        (key, rows.leaf_of(k_leaf, key, held[key].core, held[key].item)) for key in sorted(held)
    ]


class PackTable:
    """Pack table of a segment being written; translates locations into it."""

    def __init__(self, names: Iterable[bytes] = ()) -> None:
        self.names: Packs = list(names)
        self._index = {name: at for at, name in enumerate(self.names)}
        self._maps: dict[int, tuple[Packs, dict[int, int]]] = {}

    def line(self, entry: Entry) -> Line:
        """The row with its location counted in this table."""
        return entry.item, self.location(entry.location, entry.packs)

    def location(self, location: bytes, packs: Packs) -> bytes:
        """A location counted in `packs`, counted in this table."""
        if location == b"[]":
            return location
        _, known = self._maps.setdefault(id(packs), (packs, {}))

        def to(index: int) -> int:
            found = known.get(index)
            if found is None:
                found = known[index] = self._add(packs[index])
            return found

        return rows.remap(location, to)

    def _add(self, name: bytes) -> int:
        found = self._index.get(name)
        if found is None:
            found = self._index[name] = len(self.names)
            self.names.append(name)
        return found


__all__ = ["Entry", "PackTable", "Step", "Tally", "core", "entries", "merge", "overlay", "pairs"]
