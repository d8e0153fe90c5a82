"""Which function answers a request: the first in alphabetical order whose route matches. Pure."""

from dataclasses import dataclass

from local.host.constraint import BadRoute
from local.host.indexing import Function
from local.host.template import Parameter, Segment, Template, parse_template, split_path

RESERVED = ("admin", "runtime")


@dataclass(frozen=True)
class Route:
    """One HTTP function's address."""

    function: Function
    template: Template
    methods: frozenset[str]

    def answers(self, method: str) -> bool:
        """Without a list of methods a function answers all of them."""
        return not self.methods or method.upper() in self.methods


@dataclass(frozen=True)
class Match:
    """The function that answers, with its route values."""

    route: Route
    params: dict[str, str]


class Router:
    """All routes in the platform's order. Raises BadRoute for a template it cannot read."""

    def __init__(self, functions: list[Function], prefix: str) -> None:
        http = [f for f in functions if f.kind == "httpTrigger" and not f.disabled]
        self.routes = [
            _route(function, prefix) for function in sorted(http, key=lambda f: f.name.upper())
        ]

    def match(self, method: str, raw_path: str) -> Match | None:
        """The answer to a request, or None: also for a wrong method (404, never 405)."""
        path = split_path(raw_path)
        for route in self.routes:
            if route.answers(method):
                params = route.template.match(path)
                if params is not None:
                    return Match(route, params)
        return None

    def methods_at(self, raw_path: str) -> set[str]:
        """Methods that would have been answered at this path: for the warning beside a 404."""
        path = split_path(raw_path)
        return {
            method
            for route in self.routes
            if route.template.match(path) is not None
            for method in route.methods
        }

    def warnings(self) -> list[str]:
        """A sentence for each pair of routes where one takes requests meant for the other."""
        return [
            f"{first.function.name} ({first.template.text}) comes before {second.function.name} "
            f"({second.template.text}) in the alphabet and answers requests meant for it"
            for index, first in enumerate(self.routes)
            for second in self.routes[index + 1 :]
            if _share_method(first, second) and _shadows(first.template, second.template)
        ]


def _route(function: Function, prefix: str) -> Route:
    own = function.trigger.get("route")
    path = (function.name if own is None else str(own)).strip("/")
    text = f"{prefix}/{path}".strip("/") if prefix else path
    if text.split("/")[0].lower() in RESERVED:
        raise BadRoute(f"{function.name}: '{text}' conflicts with one of the host's own routes")
    try:
        return Route(function, parse_template(text), function.methods())
    except BadRoute as fault:
        raise BadRoute(f"{function.name}: {fault}") from fault


def _share_method(first: Route, second: Route) -> bool:
    return not first.methods or not second.methods or bool(first.methods & second.methods)


def _shadows(first: Template, second: Template) -> bool:
    """Whether `first` matches paths of `second` and is nowhere more specific than it."""
    for index in range(max(len(first.segments), len(second.segments))):
        one = first.segments[index] if index < len(first.segments) else None
        two = second.segments[index] if index < len(second.segments) else None
        if one is not None and one.single is not None and one.single.is_catch_all:
            return True
        if two is not None and two.single is not None and two.single.is_catch_all:
            return False
        if one is None or two is None:
            return _may_be_absent(one or two)
        if not _covers(one, two):
            return False
    return True


def _may_be_absent(segment: Segment | None) -> bool:
    single = segment.single if segment else None
    return single is not None and (single.is_optional or single.default is not None)


def _covers(one: Segment, two: Segment) -> bool:
    """Whether a value of `two` may be taken by `one`."""
    literal = two.literal
    if literal is not None:
        return one.match(literal) is not None
    if one.literal is not None:
        return False  # more specific than the other: as it should be
    return _texts(one) <= _texts(two)


def _texts(segment: Segment) -> set[str]:
    """Literal parts and constraints: what makes a segment narrower."""
    found: set[str] = set()
    for part in segment.parts:
        if isinstance(part, Parameter):
            found |= {constraint.text for constraint in part.constraints}
        else:
            found.add(part.lower())
    return found
