"""Where an item stands in the ZIP: safe for every file system, unique without remembering: pure.

Memory does not grow with the export. A name that is as it was is unique by itself, for its drive
holds it once; every name that had to be changed, and every mail, carries the first letters of its
item key, which nobody can choose.
"""

import re
from collections.abc import Mapping

from shared.export.model import Folder
from shared.vault.format.file_names import safe_name

MARK_LETTERS = 12
MAX_DEPTH = 24
MAX_PATH = 600
TOP = "items"
DEEP = "_deep"
_MARKED = re.compile(r"\[[0-9a-f]{12}\](\.|$)")


def marked(name: str, extension: str, key: str) -> str:
    """A safe name that no other item has."""
    text = safe_name(name or "untitled")
    if extension:
        return f"{text} [{key[:MARK_LETTERS]}]{extension}"
    stem, dot, ending = text.rpartition(".")
    if not dot or not stem or len(ending) > 16:
        stem, ending = text, ""
    return f"{stem} [{key[:MARK_LETTERS]}]{dot if ending else ''}{ending}"


def file_name(name: str, extension: str, key: str) -> str:
    """The name of a file; with an `extension` it is a mail or the like, whose names repeat."""
    is_own = not extension and safe_name(name) == name and not _MARKED.search(name)
    return name if is_own else marked(name, extension, key)


def folder_path(folder_id: str | None, tree: Mapping[str, Folder]) -> list[str]:
    """Steps from the top of the ZIP down to a folder; a ring of parents ends where it closes."""
    steps: list[str] = []
    seen: set[str] = set()
    at = folder_id
    while at is not None and at in tree and at not in seen:
        seen.add(at)
        folder = tree[at]
        if folder.name:
            steps.insert(0, file_name(folder.name, "", folder.mark))
        at = folder.parent
    length = sum(len(step.encode()) + 1 for step in steps)
    if len(steps) > MAX_DEPTH or length > MAX_PATH:
        return [TOP, DEEP, tree[str(folder_id)].mark]
    return [TOP, *steps]
