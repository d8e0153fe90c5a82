"""The fidelity matrix: what a restore keeps, changes and loses, as data; and losses predicted.

The rows stand in fidelity.toml, so that everybody can read and question them.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

SHIPPED = Path(__file__).with_name("fidelity.toml")
ATTACHMENTS, DRAFT, SHARED = 8, 4, 16
"""Bits of the row member `x` (vault.md 9.1)."""

Verdict = Literal["kept", "changed", "lost"]
When = Literal["always", "attachments", "draft", "hidden", "shared", "stale", "unless_permissions"]


class _Data(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
    )


class Property(_Data):
    """What becomes of one property of an item."""

    name: str = Field(pattern="^[a-z][A-Za-z]+$")
    verdict: Verdict = Field(description="After a restore")
    export: Verdict = Field(description="In an export")
    proof: Literal["test", "documented"] = Field(
        description="test: restored and compared at every build; documented: as Microsoft says"
    )
    rule: str = Field(description="Section or rule of the Microsoft 365 design")
    when: When | None = Field(default=None, description="Which items it concerns; null = kept")
    why: str = Field(min_length=10)

    @model_validator(mode="after")
    def _kept_or_conditional(self) -> Self:
        if (self.verdict == "kept") != (self.when is None):
            raise ValueError(f"{self.name}: `when` stands exactly where something is not kept")
        return self


class Kind(_Data):
    """One kind of item of one workload."""

    workload: str
    kind: str
    title: str
    export: str = Field(description="The format of an export")
    properties: tuple[Property, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        names = [one.name for one in self.properties]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{self.workload}/{self.kind}: told twice: {', '.join(twice)}")
        return self


class Fidelity(_Data):
    """The whole matrix."""

    version: int
    kinds: tuple[Kind, ...]

    @model_validator(mode="after")
    def _each_kind_once(self) -> Self:
        names = [(one.workload, one.kind) for one in self.kinds]
        if len(names) != len(set(names)):
            raise ValueError("a kind of item is described twice")
        return self

    def find(self, workload: str, kind: str) -> Kind | None:
        """What is said of a kind of item; None when nothing is."""
        return next((k for k in self.kinds if (k.workload, k.kind) == (workload, kind)), None)


class Loss(_Data):
    """A property that will not come back as it was, and for how many of the chosen items."""

    kind: str
    name: str
    verdict: Verdict
    why: str
    rule: str
    items: int


@cache
def fidelity() -> Fidelity:
    """The shipped matrix."""
    return read(SHIPPED.read_text(encoding="utf-8"))


def read(text: str) -> Fidelity:
    """A matrix from TOML; pydantic's ValidationError names what does not hold."""
    return Fidelity.model_validate(tomllib.loads(text))


def _bit(bit: int) -> Callable[[Mapping[str, Any]], bool]:
    return lambda item: bool(item.get("x", 0) & bit)


_CONDITIONS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "always": lambda item: True,  # noqa: ARG005
    "attachments": _bit(ATTACHMENTS),
    "draft": _bit(DRAFT),
    "hidden": lambda item: bool(item.get("m", {}).get("hidden")),
    "shared": _bit(SHARED),
    "stale": lambda item: item.get("e") == "stale",
    "unless_permissions": _bit(SHARED),
}


class Prediction:
    """Adds up, row by row, what the chosen items will lose; keeps counts, no rows."""

    def __init__(self, matrix: Fidelity, workload: str, *, permissions: bool = False) -> None:
        self._matrix, self._workload, self._permissions = matrix, workload, permissions
        self._counted: Counter[tuple[str, str]] = Counter()

    def add(self, item: Mapping[str, Any]) -> None:
        """One chosen item: its row of the restore point."""
        kind = self._matrix.find(self._workload, str(item.get("k", "")))
        for one in kind.properties if kind else ():
            if one.when is None or (one.when == "unless_permissions" and self._permissions):
                continue
            if _CONDITIONS[one.when](item):
                self._counted[str(item["k"]), one.name] += 1

    def losses(self) -> list[Loss]:
        """In the order of the matrix."""
        return [
            Loss(
                kind=kind.kind, name=one.name, verdict=one.verdict, why=one.why, rule=one.rule,
                items=self._counted[kind.kind, one.name],
            )
            for kind in self._matrix.kinds
            if kind.workload == self._workload
            for one in kind.properties
            if self._counted[kind.kind, one.name]
        ]  # fmt: skip
