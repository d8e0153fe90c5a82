"""The limits as data: limits.toml, with overrides that tests post."""

import tomllib
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("limits.toml")


class Limits:
    """A two-level table of quotas and switches; `section("outlook")["requests"]`."""

    def __init__(self, overrides: dict[str, Any] | None = None) -> None:
        self.data: dict[str, Any] = tomllib.loads(_FILE.read_text("utf-8"))
        self.merge(overrides or {})

    def section(self, name: str) -> dict[str, Any]:
        """Return one section, by reference."""
        section: dict[str, Any] = self.data[name]
        return section

    def get(self, section: str, name: str) -> Any:
        """Return one value."""
        return self.data[section][name]

    def merge(self, overrides: dict[str, Any]) -> None:
        """Put values over the present ones; raises KeyError for a name the file does not have."""
        _merge(self.data, overrides, "")

    def reset(self) -> None:
        """Return to the file."""
        self.data = tomllib.loads(_FILE.read_text("utf-8"))


def _merge(base: dict[str, Any], over: dict[str, Any], where: str) -> None:
    for name, value in over.items():
        if name not in base:
            raise KeyError(f"no limit named {where}{name}")
        if isinstance(base[name], dict):
            if not isinstance(value, dict):
                raise KeyError(f"{where}{name} is a section")
            _merge(base[name], value, f"{where}{name}.")
        else:
            base[name] = value
