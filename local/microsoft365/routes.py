"""The table of Graph endpoints: pattern, service, kind for the statistics, roles and cost."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from local.microsoft365.wire import Answer, Call

Handler = Callable[[Call], Awaitable[Answer]]
_FUNCTION = re.compile(r"^(\w+(?:\.\w+)*)\((.*)\)$")


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint of Graph."""

    handler: Handler
    names: tuple[str, ...]
    service: str  # outlook, sharepoint, identity or graph
    kind: str
    roles: frozenset[str]
    cost: str  # a key of limits [sharepoint.cost], or identity units as digits


class Router:
    """A trie over path segments: literals ignore case, `{name}` takes any segment."""

    def __init__(self) -> None:
        self._root: dict[str, object] = {}

    def add(
        self, methods: str, pattern: str, *, service: str, kind: str, roles: str, cost: str = "1"
    ) -> Callable[[Handler], Handler]:
        """Register the decorated handler for "GET" or "GET POST" of a pattern."""

        def register(handler: Handler) -> Handler:
            node = self._root
            names = []
            for segment in pattern.strip("/").split("/"):
                if segment.startswith("{"):
                    names.append(segment.strip("{}"))
                    segment = "{}"
                node = node.setdefault(segment.lower(), {})  # type: ignore[assignment]
            for method in methods.split():
                node[f" {method}"] = Route(
                    handler, tuple(names), service, kind, frozenset(roles.split()), cost
                )
            return handler

        return register

    def find(self, method: str, segments: list[str]) -> tuple[Route | None, dict[str, str], bool]:
        """Return (route, parameters, whether the path exists for some method)."""
        found = _walk(self._root, segments, 0, [])
        if found is None:
            return None, {}, False
        node, values = found
        route = node.get(f" {method}")
        if not isinstance(route, Route):
            return None, {}, any(key.startswith(" ") for key in node)
        return route, dict(zip(route.names, values, strict=True)), True


def _walk(
    node: dict[str, object], segments: list[str], at: int, values: list[str]
) -> tuple[dict[str, object], list[str]] | None:
    if at == len(segments):
        return node, values
    literal = node.get(segments[at].lower())
    if isinstance(literal, dict):
        found = _walk(literal, segments, at + 1, values)
        if found is not None:
            return found
    wild = node.get("{}")
    if isinstance(wild, dict):
        return _walk(wild, segments, at + 1, [*values, segments[at]])
    return None


def split(path: str, query: dict[str, str]) -> list[str]:
    """Turn a raw path below /v1.0 into segments, in the one form the table knows.

    `delta()` and `microsoft.graph.delta()` become `delta`, `things(appId='x')` becomes
    `things`, `appId=x`; path addressing (`root:/a/b:`) becomes one item reference;
    `users/u/drive/…` and `drives/d/root/…` keep their words and are rewritten by the caller.
    """
    segments: list[str] = []
    pending: list[str] | None = None
    for raw in path.strip("/").split("/"):
        segment = unquote(raw)
        if pending is not None:
            closed = segment.endswith(":")
            pending.append(segment.removesuffix(":"))
            if closed:
                segments.append("/".join(pending))
                pending = None
        elif (
            segment.endswith(":")
            and segments
            and (segment == "root:" or segments[-1].lower() == "items")
            and "/" not in segment
        ):
            pending = [segment]
        elif ":/" in segment and segment.split(":")[0]:
            segments.append(segment.removesuffix(":"))
        else:
            segments += _function(segment, query)
    if pending is not None:
        segments.append("/".join(pending))
    return segments


def _function(segment: str, query: dict[str, str]) -> list[str]:
    match = _FUNCTION.match(segment)
    if not match:
        return [segment]
    name = match[1].rpartition(".")[2]
    arguments = match[2]
    if not arguments:
        return [name]
    key, _, value = arguments.partition("=")
    if name.lower() == "delta":
        query.setdefault(key.strip(), value.strip().strip("'"))
        return [name]
    return [name, f"{key.strip()}={value.strip().strip(chr(39))}"]


def drive_form(segments: list[str], drive_of: Callable[[str], str | None]) -> list[str]:
    """Rewrite the ways to name a drive item into `drives/{id}/items/{reference}/…`."""
    if len(segments) > 3 and segments[0].lower() == "users" and segments[2].lower() == "drive":
        owned = drive_of(segments[1])
        if owned:
            segments = ["drives", owned, *segments[3:]]
    if len(segments) > 2 and segments[0].lower() == "drives":
        third = segments[2]
        if third.lower() == "root" or third.startswith("root:"):
            segments = [*segments[:2], "items", third, *segments[3:]]
    return segments


graph = Router()
