"""What the house rules look at: the files that are, or are about to be, under version control."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
APP = ("function_app.py", "functions", "orchestrations", "shared")


@dataclass(frozen=True)
class Source:
    """One tracked file."""

    name: str
    """Path from the project's root, with slashes."""

    @property
    def path(self) -> Path:
        return PROJECT / self.name

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    def within(self, *places: str) -> bool:
        return any(self.name == place or self.name.startswith(f"{place}/") for place in places)


def listed() -> list[str]:
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    return sorted(name for name in answer.stdout.decode().split("\0") if name)


@pytest.fixture(scope="session")
def files() -> list[Source]:
    """Every file of the project that exists and is text."""
    found = [Source(name) for name in listed() if (PROJECT / name).is_file()]
    return [source for source in found if b"\0" not in source.path.read_bytes()[:4096]]


@pytest.fixture(scope="session")
def modules(files: list[Source]) -> list[Source]:
    """Every Python module of the project."""
    return [source for source in files if source.name.endswith(".py")]


@pytest.fixture(scope="session")
def app(modules: list[Source]) -> list[Source]:
    """The modules that are deployed."""
    return [source for source in modules if source.within(*APP)]
