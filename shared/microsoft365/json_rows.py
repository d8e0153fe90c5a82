"""Rows whose content is JSON that a page already brought: canonical bytes, versions, ids; pure."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.microsoft365.mail_rows import without_nothing
from shared.microsoft365.model import Change

SETTINGS = "settings"
"""Container of what describes a site or a team: polled, since Graph has no feed of it."""


def item_id(container: str, source_id: str) -> str:
    """A row's id inside an object of several containers: the vault reads the container from it."""
    return f"{container}/{source_id}"


def own_id(row_id: str) -> str:
    """Microsoft's id of an item from its row's id."""
    return row_id.partition("/")[2]


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def version_of(content: bytes) -> str:
    """A version for what Graph gives none."""
    return hashlib.sha256(content).hexdigest()[:16]


def plain(value: Any) -> Any:
    """JSON without OData's annotations, which name hosts and change without reason (M9)."""
    if isinstance(value, Mapping):
        return {
            name: plain(member)
            for name, member in value.items()
            if "@odata." not in name or name == "@odata.type"
        }
    return [plain(member) for member in value] if isinstance(value, list) else value


def without(value: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A copy that lacks some members."""
    left_out = set(names)
    return {name: member for name, member in value.items() if name not in left_out}


def settings_change(
    name: str, kind: str, title: str | None, value: Any, *, parent: str | None = None, **more: Any
) -> Change:
    """The row of a description; its version follows from its content."""
    content = canonical(value)
    item = without_nothing({
        "i": item_id(SETTINGS, name),
        "k": kind,
        "p": parent,
        "n": title,
        "v": version_of(content),
        "c": "json",
        "m": more,
    })  # fmt: skip
    return Change(item, removed=False, container=SETTINGS, fetch={"json": content}, content=True)


def settings_gone(name: str, kind: str) -> Change:
    """A description whose subject vanished."""
    item = {"i": item_id(SETTINGS, name), "k": kind}
    return Change(item, removed=True, container=SETTINGS)
