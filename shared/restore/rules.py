"""Decisions about restores: pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.restore.model import Collision, EntryState, Restore, RestoreState, Target

FOLDER_KINDS = frozenset({"folder", "calendar", "contactfolder", "list", "channel"})
"""Kinds of rows that other rows stand in and that a restore makes again by name."""
MAX_DEPTH = 100
"""Folders above an item before a ring of parents is suspected."""
_FORBIDDEN = frozenset('"*:<>?\\|')


def decide_state(entries: Mapping[EntryState, int], *, canceled: bool, error: bool) -> RestoreState:
    """How a restore ends, from its ledger (RST-09). What was never tried counts as failed."""
    done = sum(
        entries.get(state, 0)
        for state in (EntryState.CREATED, EntryState.REPLACED, EntryState.SKIPPED)
    )
    total = sum(entries.values())
    if canceled:
        return RestoreState.CANCELED
    if total == done:
        return RestoreState.FAILED if error else RestoreState.COMPLETED
    return RestoreState.COMPLETED_WITH_ERRORS if done else RestoreState.FAILED


def default_folder(now: datetime) -> list[str]:
    """Where items go when nobody says: a new folder named by the day (microsoft365.md 9)."""
    return [f"Restored {now:%Y-%m-%d}"]


def folder_names(path: str) -> list[str]:
    """The names in a path with slashes; ValueError for a name Microsoft 365 would refuse."""
    names = [name.strip() for name in path.strip("/").split("/")]
    for name in names:
        if not name or name in {".", ".."} or len(name) > 200:
            raise ValueError("a folder name has 1 to 200 characters and is neither . nor ..")
        if any(ord(letter) < 32 or letter in _FORBIDDEN for letter in name):
            raise ValueError(f"the folder name {name!r} holds a character that is not allowed")
    return names


def place_of(item: Mapping[str, Any]) -> str | None:
    """Source id of what an item stands in: of a folder itself, of a reply its channel."""
    if item.get("k") in FOLDER_KINDS:
        return str(item["i"])
    if item.get("k") == "reply":
        return f"settings/{str(item['i']).partition('/')[0]}"
    parent = item.get("p")
    return str(parent) if parent is not None else None


def folder_tree(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str | None]]:
    """Folder id -> (name, parent id); a drive's root stands for itself and has no name."""
    tree: dict[str, tuple[str, str | None]] = {}
    for item in rows:
        if item.get("k") in FOLDER_KINDS:
            root = bool(item.get("m", {}).get("root"))
            tree[str(item["i"])] = ("" if root else str(item.get("n", "")), item.get("p"))
    return tree


def path_of(folder_id: str | None, tree: Mapping[str, tuple[str, str | None]]) -> list[str]:
    """Names from the top down to a folder; what the tree does not know is the top."""
    names: list[str] = []
    at, steps = folder_id, 0
    while at is not None and at in tree and steps < MAX_DEPTH:
        name, at = tree[at]
        if name:
            names.append(name)
        steps += 1
    return names[::-1]


def inside(folder_id: str | None, wanted: str, tree: Mapping[str, tuple[str, str | None]]) -> bool:
    """Whether a folder is `wanted` or lies below it."""
    at, steps = folder_id, 0
    while at is not None and steps < MAX_DEPTH:
        if at == wanted:
            return True
        at = tree.get(at, ("", None))[1]
        steps += 1
    return False


def target_path(target: Target, original: Sequence[str]) -> list[str]:
    """Names from the top of the folder an item goes to."""
    return [*target.folder, *original] if target.place == "folder" else list(original)


def collision_after_crash(restore: Restore) -> tuple[Collision, list[str]]:
    """How to repeat an item that may exist already, and what to tell about it (M36).

    In a folder of the restore's own a match can only be ours. Beside originals, `copy` cannot
    tell ours from theirs: it makes another one and says so.
    """
    if restore.collision == "copy" and restore.target.place == "original":
        return "copy", ["possibly_duplicated"]
    if restore.collision == "copy":
        return "skip", []
    return restore.collision, []
