"""In which open format an item leaves: eml, ics, vcf, the file itself, else JSON."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Render = Callable[[bytes], bytes]
"""Stored content to file; ValueError for content that is not what its row says."""


@dataclass(frozen=True, slots=True)
class Format:
    """A file extension, and how the stored content becomes the file; None leaves it as it is."""

    extension: str
    render: Render | None = None


EML, FILE, JSON, FTS = Format(".eml"), Format(""), Format(".json"), Format(".fts")
_BY_CODEC = {"mime": EML, "file": FILE, "json": JSON, "fts": FTS}


def _ics(stored: bytes) -> bytes:
    from shared.microsoft365.ics import event_to_ics

    return _told(event_to_ics, stored)


def _vcf(stored: bytes) -> bytes:
    from shared.microsoft365.vcf import contact_to_vcf

    return _told(contact_to_vcf, stored)


def _told(render: Render, stored: bytes) -> bytes:
    """A member that is missing or of another kind is as wrong as no JSON at all."""
    try:
        return render(stored)
    except (AttributeError, LookupError, TypeError) as wrong:
        raise ValueError(f"{type(wrong).__name__}: {wrong}") from wrong


BY_KIND = {"event": Format(".ics", _ics), "contact": Format(".vcf", _vcf)}
"""Kinds stored as JSON that have a format of their own."""


def format_of(item: Mapping[str, Any]) -> Format:
    """The format of a row of the restore point."""
    codec, kind = str(item.get("c", "")), str(item.get("k", ""))
    if codec == "json" and kind in BY_KIND:
        return BY_KIND[kind]
    return _BY_CODEC.get(codec, JSON)


_FROM = re.compile(rb"^(>*From )", re.MULTILINE)


class Mbox:
    """One message on its way into an mbox (mboxrd): lines end with LF, `From ` is quoted.

    Fed piece by piece; a line that a piece cuts waits for its rest.
    """

    def __init__(self, at: int | None) -> None:
        moment = datetime.fromtimestamp(at or 0, UTC)
        self._head = f"From - {moment:%a %b} {moment.day:2d} {moment:%H:%M:%S %Y}\n".encode()
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """What can be written of the message so far."""
        whole = self._rest + data
        cut = whole.rfind(b"\n") + 1
        self._rest = whole[cut:]
        return self._take() + _quoted(whole[:cut])

    def end(self) -> bytes:
        """The rest, and the empty line behind every message."""
        last = _quoted(self._rest)
        ending = b"\n" if not last or last.endswith(b"\n") else b"\n\n"
        return self._take() + last + ending

    def _take(self) -> bytes:
        head, self._head = self._head, b""
        return head


def _quoted(lines: bytes) -> bytes:
    return _FROM.sub(rb">\1", lines.replace(b"\r\n", b"\n"))
