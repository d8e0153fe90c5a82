"""ASP.NET route templates: `customers/{id:guid}/files/{*path}` matched against a path. Pure."""

import itertools
import re
from dataclasses import dataclass
from urllib.parse import unquote

from local.host.constraint import BadRoute, Constraint, parse_constraint

_PARAMETER = re.compile(r"\{((?:\{\{|\}\}|[^{}])*)\}")


@dataclass(frozen=True)
class Parameter:
    """`{name:constraints=default?}`; a catch-all (`*name`) takes the rest of the path."""

    name: str
    constraints: tuple[Constraint, ...] = ()
    default: str | None = None
    is_optional: bool = False
    is_catch_all: bool = False

    def accepts(self, value: str) -> bool:
        """Whether every constraint holds."""
        return all(constraint.holds(value) for constraint in self.constraints)


@dataclass(frozen=True)
class Segment:
    """One part between slashes: literals and parameters in order."""

    parts: tuple[str | Parameter, ...]

    @property
    def single(self) -> Parameter | None:
        """The parameter, if the segment is nothing but one."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Parameter) else None

    @property
    def literal(self) -> str | None:
        """The text, if the segment has no parameter."""
        if any(isinstance(part, Parameter) for part in self.parts):
            return None
        return "".join(str(part) for part in self.parts)

    def match(self, value: str) -> dict[str, str] | None:
        """The parameters' values, or None: literals ignore case, constraints must hold."""
        for drop_optional in (False, True):
            found = self._match(value, drop_optional)
            if found is not None:
                return found
        return None

    def _match(self, value: str, drop_optional: bool) -> dict[str, str] | None:
        parts = self.parts
        last = parts[-1]
        if drop_optional:  # "{file}.{ext?}" also matches without the dot
            if len(parts) < 3 or not (isinstance(last, Parameter) and last.is_optional):
                return None
            parts = parts[:-2]
        pattern = "".join(
            f"(?P<p{i}>.+)" if isinstance(part, Parameter) else re.escape(part)
            for i, part in enumerate(parts)
        )
        found = re.fullmatch(pattern, value, re.IGNORECASE | re.DOTALL)
        if found is None:
            return None
        values = {
            part.name: found[f"p{i}"] for i, part in enumerate(parts) if isinstance(part, Parameter)
        }
        if all(p.accepts(values[p.name]) for p in parts if isinstance(p, Parameter)):
            return values
        return None


@dataclass(frozen=True)
class Template:
    """A whole route."""

    text: str
    segments: tuple[Segment, ...]

    def match(self, path: list[str]) -> dict[str, str] | None:
        """Route values for the decoded parts of a path, or None.

        Optional parameters that are not there are absent from the result.
        """
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            single = segment.single
            if single is not None and single.is_catch_all:
                rest = "/".join(path[index:]) or single.default
                if rest is not None and not single.accepts(rest):
                    return None
                return values if rest is None else {**values, single.name: rest}
            if index < len(path):
                found = segment.match(path[index])
                if found is None:
                    return None
                values.update(found)
            elif single is not None and single.default is not None:
                if not single.accepts(single.default):
                    return None
                values[single.name] = single.default
            elif single is None or not single.is_optional:
                return None
        return values if len(path) <= len(self.segments) else None


def split_path(raw_path: str) -> list[str]:
    """The decoded parts of a request path. %2F stays as it is; one slash at the end is ignored."""
    path = raw_path.removeprefix("/").removesuffix("/")
    return [_decode(part) for part in path.split("/")] if path else []


def _decode(part: str) -> str:
    return "%2F".join(unquote(piece) for piece in re.split("%2[fF]", part))


def parse_template(text: str) -> Template:
    """Read a template; raises BadRoute saying what is wrong."""
    trimmed = text.strip("/")
    segments = tuple(_parse_segment(part, text) for part in _split(trimmed)) if trimmed else ()
    names: set[str] = set()
    for index, segment in enumerate(segments):
        for part in segment.parts:
            if not isinstance(part, Parameter):
                continue
            if part.name.lower() in names:
                raise BadRoute(f"'{text}': the parameter '{part.name}' occurs twice")
            names.add(part.name.lower())
            if part.is_catch_all and (index + 1 < len(segments) or segment.single is None):
                raise BadRoute(f"'{text}': a catch-all must be the whole last segment")
    return Template(text, segments)


def _split(text: str) -> list[str]:
    """Split at slashes outside braces (a regex constraint may hold one)."""
    parts, depth = [""], 0
    for char in text:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _parse_segment(segment: str, text: str) -> Segment:
    if not segment:
        raise BadRoute(f"'{text}': two slashes in a row")
    parts: list[str | Parameter] = []
    position = 0
    for found in _PARAMETER.finditer(segment):
        if found.start() > position:
            parts.append(segment[position : found.start()])
        parts.append(_parse_parameter(found[1], text))
        position = found.end()
    if position < len(segment):
        parts.append(segment[position:])
    if any("{" in part or "}" in part or "?" in part for part in parts if isinstance(part, str)):
        raise BadRoute(f"'{text}': a brace or question mark outside a parameter")
    if any(isinstance(a, Parameter) and isinstance(b, Parameter) for a, b in _pairs(parts)):
        raise BadRoute(f"'{text}': two parameters need text between them")
    return Segment(tuple(parts))


def _pairs(parts: list[str | Parameter]) -> list[tuple[str | Parameter, str | Parameter]]:
    return list(itertools.pairwise(parts))


def _parse_parameter(body: str, text: str) -> Parameter:
    """`*name:int:min(1)=3?` without its braces."""
    stars = len(body) - len(body.lstrip("*"))
    pieces = _split_constraints(body[stars:].replace("{{", "{").replace("}}", "}"))
    default: str | None = None
    last = pieces[-1]
    if not _inside_parentheses(last, "="):
        head, equals, value = last.partition("=")
        pieces[-1] = head
        default = value if equals else None
    is_optional = pieces[-1].endswith("?") and default is None
    pieces[-1] = pieces[-1].removesuffix("?") if is_optional else pieces[-1]
    name = pieces[0]
    if not re.fullmatch(r"[^/{}?*:=]+", name):
        raise BadRoute(f"'{text}': '{{{body}}}' has no usable name")
    constraints = tuple(parse_constraint(piece, text) for piece in pieces[1:])
    return Parameter(name, constraints, default, is_optional, stars > 0)


def _split_constraints(body: str) -> list[str]:
    pieces, depth = [""], 0
    for char in body:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == ":" and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += char
    return pieces


def _inside_parentheses(piece: str, char: str) -> bool:
    """Whether `char` first occurs inside parentheses, as part of a constraint's argument."""
    return "(" in piece and piece.find("(") < piece.find(char) < piece.rfind(")")
