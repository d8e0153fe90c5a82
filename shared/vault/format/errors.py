"""What can be wrong with bytes: damaged, or written by a format this reader does not know."""


class FormatError(Exception):
    """Base of this package's errors; `where` names the blob or item once the caller knows it."""

    def __init__(self, what: str, *, where: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what

    def at(self, where: str) -> "FormatError":
        """The same error with its place, innermost place first kept (V65)."""
        self.where = f"{where}, {self.where}" if self.where else where
        return self


class Damaged(FormatError):
    """Bytes do not match what was recorded about them (V13, V19, V33, V65)."""


class UnknownFormat(FormatError):
    """A format number, feature, codec or transform this reader does not implement (V2)."""
