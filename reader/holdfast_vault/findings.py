"""What a check can say: a rule is broken (with its blob), or it could not be checked (V71)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from shared.vault.format.errors import FormatError, UnknownFormat
from shared.vault.format.frames import Short

MALFORMED = (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError)


class Finding(NamedTuple):
    """One broken rule of docs/vault-format.md."""

    rule: str
    blob: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} {self.blob}: {self.what}"


class Broken(Exception):
    """A rule does not hold; exit code 1."""

    def __init__(self, rule: str, blob: str, what: str) -> None:
        super().__init__(f"{rule} {blob}: {what}")
        self.finding = Finding(rule, blob, what)


class CannotCheck(Exception):
    """Nothing can be said: no key, unknown format, unreadable input; exit code 2."""


class Missing(Exception):
    """The copy has no such blob."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@contextmanager
def checking(rule: str, blob: str) -> Iterator[None]:
    """Whatever is wrong with bytes inside becomes `Broken` with this rule and blob."""
    try:
        yield
    except UnknownFormat as unknown:
        raise CannotCheck(f"{blob}: {unknown}") from unknown
    except FormatError as wrong:
        raise Broken(rule, blob, str(wrong)) from wrong
    except Missing as missing:
        raise Broken("V34", missing.name, "the blob is missing") from missing
    except Short as short:
        raise Broken(rule, blob, "the blob ends inside its clear header") from short
    except MALFORMED as wrong:
        raise Broken(rule, blob, f"malformed ({type(wrong).__name__})") from wrong
