"""Inline constraints of route parameters: int, guid, length(2,5), regex(...) and more. Pure."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

GUID = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|\([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\)",
    re.IGNORECASE,
)
WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
DATE_FORMATS = ("%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d", "%d %b %Y", "%d %B %Y")


class BadRoute(ValueError):
    """A route template is not one, or uses what the platform does not know."""


@dataclass(frozen=True)
class Constraint:
    """A named test of one route value."""

    text: str
    holds: Callable[[str], bool] = field(compare=False, repr=False)


def parse_constraint(text: str, route: str) -> Constraint:
    """Read `name` or `name(arguments)`; raises BadRoute for an unknown one."""
    found = re.fullmatch(r"([A-Za-z]+)(?:\((.*)\))?", text, re.DOTALL)
    if found is None:
        raise BadRoute(f"'{route}': '{text}' is not a constraint")
    try:
        name, arguments = found[1].lower(), found[2]
        if arguments is None:
            return Constraint(text, PLAIN[name])
        if name == "regex":
            pattern = re.compile(arguments, re.IGNORECASE)
            return Constraint(text, lambda value: pattern.search(value) is not None)
        numbers = [int(argument) for argument in arguments.split(",")]
        return Constraint(text, WITH_NUMBERS[name, len(numbers)](*numbers))
    except (KeyError, ValueError, re.error) as fault:
        raise BadRoute(f"'{route}': the constraint '{text}' is not known or not valid") from fault


def _is_whole(value: str, bits: int) -> bool:
    return bool(WHOLE.fullmatch(value)) and -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1)


def _is_number(value: str) -> bool:
    plain = value.strip().replace(",", "")
    try:
        return math.isfinite(float(plain)) and "_" not in plain
    except ValueError:
        return False


def _is_decimal(value: str) -> bool:
    return re.fullmatch(r"\s*[+-]?([0-9][0-9,]*\.?[0-9]*|\.[0-9]+)\s*", value) is not None


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return any(_fits(value, pattern) for pattern in DATE_FORMATS)
    return True


def _fits(value: str, pattern: str) -> bool:
    try:
        datetime.strptime(value, pattern)  # noqa: DTZ007 - only the form counts
    except ValueError:
        return False
    return True


def _at_least(low: int) -> Callable[[str], bool]:
    return lambda value: _is_whole(value, 64) and int(value) >= low


def _at_most(high: int) -> Callable[[str], bool]:
    return lambda value: _is_whole(value, 64) and int(value) <= high


def _between(low: int, high: int) -> Callable[[str], bool]:
    return lambda value: _is_whole(value, 64) and low <= int(value) <= high


def _sized(low: int, high: float) -> Callable[[str], bool]:
    return lambda value: low <= len(value) <= high


PLAIN: dict[str, Callable[[str], bool]] = {
    "int": lambda value: _is_whole(value, 32),
    "long": lambda value: _is_whole(value, 64),
    "bool": lambda value: value.strip().lower() in ("true", "false"),
    "guid": lambda value: GUID.fullmatch(value.strip()) is not None,
    "alpha": lambda value: re.fullmatch("[A-Za-z]*", value) is not None,
    "decimal": _is_decimal,
    "double": _is_number,
    "float": _is_number,
    "datetime": _is_date,
    "required": lambda value: value != "",
}

WITH_NUMBERS: dict[tuple[str, int], Callable[..., Callable[[str], bool]]] = {
    ("length", 1): lambda size: _sized(size, size),
    ("length", 2): _sized,
    ("minlength", 1): lambda low: _sized(low, math.inf),
    ("maxlength", 1): lambda high: _sized(0, high),
    ("min", 1): _at_least,
    ("max", 1): _at_most,
    ("range", 2): _between,
}
