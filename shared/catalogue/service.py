"""Reads the catalogue that is shipped with the app, once per process."""

import tomllib
from functools import cache
from pathlib import Path

from shared.catalogue.model import Catalogue

SHIPPED = Path(__file__).with_name("catalogue.toml")


@cache
def catalogue() -> Catalogue:
    """The shipped catalogue."""
    return read(SHIPPED.read_text(encoding="utf-8"))


def read(text: str) -> Catalogue:
    """A catalogue from TOML; pydantic's ValidationError names what does not hold."""
    return Catalogue.model_validate(tomllib.loads(text))
