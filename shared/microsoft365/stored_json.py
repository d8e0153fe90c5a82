"""Items kept as JSON: what Graph sent, without its annotations, in one fixed order of members."""

from collections.abc import Mapping
from typing import Any

import orjson


def plain(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without OData annotations at the top, which differ between two reads of the same item."""
    return {name: value for name, value in members.items() if not name.startswith("@odata.")}


def encoded(members: Mapping[str, Any]) -> bytes:
    """The bytes that are stored: equal items give equal bytes."""
    return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an item kept as JSON has to be stored again: its version is not the held one.

    There is no cheap rule as for mail: the JSON *is* the metadata, and comes with the page.
    """
    return "d" not in old or "e" in old or old.get("v") is None or old.get("v") != new.get("v")
