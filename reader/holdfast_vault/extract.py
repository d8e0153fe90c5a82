"""Takes items out of a copy: eml, ics, vcf, files in their folders, JSON; proofs beside them."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from holdfast_vault.calendars import event_to_ics
from holdfast_vault.cards import contact_to_vcf
from holdfast_vault.findings import Broken, CannotCheck, Finding
from holdfast_vault.paths import Names
from holdfast_vault.proving import Prover
from holdfast_vault.snapshot import Entry, Snapshot
from shared.vault.format import rows

EXTENSIONS = {"mime": ".eml", "json": ".json", "fts": ".fts"}
CONTAINER_KINDS = {"folder", "list", "channel", "calendar", "contactfolder"}
# What a calendar or address book reads, beside the JSON that the proof speaks of.
TELLERS: dict[str, tuple[str, Callable[[dict[str, Any]], bytes]]] = {
    "event": (".ics", event_to_ics),
    "contact": (".vcf", contact_to_vcf),
}


class Folders:
    """Where an item stands: names of its folders, from the top."""

    def __init__(self, snap: Snapshot) -> None:
        self._held: dict[str, tuple[str, str | None]] = {}
        for entry in snap.all_entries():
            if entry.core.k in CONTAINER_KINDS:
                found = rows.decode_item(entry.item)
                self._held[entry.core.i] = (str(found.get("n", "")), entry.core.p)

    def of(self, parent: str | None) -> list[str]:
        """Folder names down to `parent`; a circle ends where it closes."""
        path: list[str] = []
        seen: set[str] = set()
        while parent is not None and parent in self._held and parent not in seen:
            seen.add(parent)
            name, up = self._held[parent]
            path.append(name)
            parent = up
        return path[::-1]


def extract(
    snap: Snapshot, to: Path, *, only: set[str] | None, say: Callable[[str], None]
) -> tuple[int, int, list[Finding]]:
    """(files, bytes, what is broken); `only` = source ids. Nothing unverified keeps its name."""
    root = _destination(snap, to)
    folders, taken, prover = Folders(snap), Names(), Prover(snap)
    findings: list[Finding] = []
    files = size = 0
    missing = set(only or ())
    with _create(root / "proofs.jsonl") as proofs:
        for entry in _wanted(snap, only):
            missing.discard(entry.core.i)
            proof = prover.inclusion(entry)
            path: list[str] = []
            if entry.core.k in CONTAINER_KINDS and entry.core.d is None:
                taken.folder(["items", *folders.of(entry.core.i)])
            if entry.core.d is not None:
                item = rows.decode_item(entry.item)
                extension = EXTENSIONS.get(str(item.get("c", "")), "")
                name = str(item.get("n") or "") or "untitled"
                path = taken.take(
                    ["items", *folders.of(entry.core.p)], name, extension, entry.key.hex()[:12]
                )
                try:
                    size += _write(snap, entry, root, path, item.get("t"))
                    files += 1
                    _tell(snap, entry, item, root, taken, folders)
                except Broken as broken:
                    findings.append(broken.finding)
                    say(f"broken: {'/'.join(path)}")
                    continue
            line = {"file": "/".join(path) or None, **proof}
            proofs.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        for source_id in sorted(missing):
            absent = {"file": None, **prover.prove(source_id)}
            proofs.write(json.dumps(absent, separators=(",", ":")).encode() + b"\n")
            say(f"not in the snapshot (proof of absence written): {source_id}")
    with _create(root / "receipt.json") as receipt:
        receipt.write(json.dumps(snap.receipt(), indent=1).encode() + b"\n")
    return files, size, findings


def _tell(
    snap: Snapshot, entry: Entry, item: dict[str, Any], root: Path, taken: Names, folders: Folders
) -> None:
    """Write an event or contact once more in its own format; what cannot be told stays JSON."""
    teller = TELLERS.get(str(item.get("k")))
    if teller is None or item.get("c") != "json":
        return
    extension, tell = teller
    try:
        data = tell(json.loads(b"".join(snap.content(entry))))
    except (ValueError, AttributeError, TypeError):
        return
    name = str(item.get("n") or "") or "untitled"
    steps = ["items", *folders.of(entry.core.p)]
    target = root.joinpath(*taken.take(steps, name, extension, entry.key.hex()[:12]))
    with _create(target) as file:
        file.write(data)


def _wanted(snap: Snapshot, only: set[str] | None) -> Iterator[Entry]:
    if only is None:
        # Folders first: their names are taken before a file could claim them.
        yield from (e for e in snap.all_entries() if e.core.k in CONTAINER_KINDS)
        yield from (e for e in snap.all_entries() if e.core.k not in CONTAINER_KINDS)
    else:
        yield from (entry for i in sorted(only) if (entry := snap.find(i)) is not None)


def _destination(snap: Snapshot, to: Path) -> Path:
    root = to.resolve()
    if root.is_relative_to(snap.vault.source.root):
        raise CannotCheck("nothing is written into the copy of the vault")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise CannotCheck(f"{to} cannot be made: {wrong.strerror}") from wrong
    if any(root.iterdir()):
        raise CannotCheck(f"{to} is not empty")
    return root


def _create(path: Path):  # type: ignore[no-untyped-def]
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.fdopen(os.open(path, flags, 0o600), "wb")
    except OSError as wrong:
        raise CannotCheck(f"{path} cannot be written: {wrong.strerror}") from wrong


def _write(snap: Snapshot, entry: Entry, root: Path, path: list[str], at: object) -> int:
    target = root.joinpath(*path)
    if not target.is_relative_to(root):
        raise CannotCheck(f"{target} would leave the destination")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = root / f".{entry.key.hex()}.part"
    size = 0
    try:
        with _create(draft) as file:
            for data in snap.content(entry):
                size += file.write(data)
        if target.exists():
            raise CannotCheck(f"{target} exists already")
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    if isinstance(at, int) and 0 <= at < 1 << 33:
        os.utime(target, (at, at))
    return size
