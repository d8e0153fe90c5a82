"""The OData options the endpoints share: $select, paging, simple $filter."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from local.microsoft365.wire import Call, Fault

JSON = dict[str, Any]
_EQUALS = re.compile(r"^\s*([\w/]+)\s+(eq|ne|ge|gt|le|lt|startswith)\s+('(?:[^']|'')*'|\S+)\s*$")


def selected(call: Call) -> frozenset[str] | None:
    """Return the members of $select, None when all are wanted."""
    text = call.query.get("$select", "")
    return frozenset(name.strip() for name in text.split(",") if name.strip()) or None


def pick(value: JSON, wanted: frozenset[str] | None, always: Sequence[str] = ("id",)) -> JSON:
    """Keep the selected members, the always shown and all annotations."""
    if wanted is None:
        return value
    return {
        name: member
        for name, member in value.items()
        if name in wanted or name in always or name.startswith("@")
    }


def link(call: Call, path: str, **options: str) -> str:
    """Return an absolute link; a leading _ in an option's name stands for $."""
    named = {("$" + k[1:] if k.startswith("_") else k): v for k, v in options.items()}
    return f"{call.origin}/v1.0{path}?{urlencode(named)}"


def page(call: Call, path: str, things: Sequence[JSON], size: int, context: str) -> JSON:
    """Return one page of a list with a nextLink when there is more."""
    token = call.query.get("$skiptoken")
    start = 0
    if token:
        opened = call.sim.sealer.open(token)
        if not opened or opened[0] != context:
            raise Fault(400, "Directory_ExpiredPageToken", "The specified page token is invalid.")
        start = int(str(opened[1]))
    elif call.query.get("$skip", "").isdigit():
        start = int(call.query["$skip"])
    answer: JSON = {
        "@odata.context": f"{call.origin}/v1.0/$metadata#{context}",
        "value": list(things[start : start + size]),
    }
    if start + size < len(things):
        keep = {
            "_" + name[1:]: text
            for name, text in call.query.items()
            if name in ("$select", "$top", "$filter", "$expand", "$orderby", "includeHiddenFolders")
            and name.startswith("$")
        }
        if "includeHiddenFolders" in call.query:
            keep["includeHiddenFolders"] = call.query["includeHiddenFolders"]
        token = call.sim.sealer.seal([context, start + size])
        answer["@odata.nextLink"] = link(call, path, **keep, _skiptoken=token)
    if call.query.get("$count", "").lower() == "true":
        answer["@odata.count"] = len(things)
    return answer


def comparison(text: str) -> tuple[str, str, str]:
    """Read a $filter of one comparison as (member, operator, value); raises Graph's 400."""
    match = _EQUALS.match(text)
    if not match:
        raise Fault(400, "BadRequest", f"Invalid filter clause: '{text}'.")
    value = match[3]
    if value.startswith("'"):
        value = value[1:-1].replace("''", "'")
    return match[1], match[2], value
