"""Glues the parts of a body that arrives over several connections, without a gap or a seam.

Hosts that know Range go on at the missing byte; others (Exchange's `$value`) start again, then
the known prefix is compared by checksum and dropped.
"""

import re
import zlib

import aiohttp

from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.model import Mark

_CONTENT_RANGE = re.compile(r"bytes (\d+)-")


class Continuation:
    """How much of one body has arrived; `size` is what was listed of the whole, or None.

    ItemFailed `ChangedWhileRead` when the later part belongs to other content.
    """

    def __init__(self, size: int | None, mark: Mark | None = None) -> None:
        """`mark`: where an earlier reader stopped; it is told the tag of the content read on."""
        self._mark = mark or Mark()
        self.got = self._start = self._mark.at
        self._size = size
        self._checksum = 0
        self._tag = self._mark.tag
        self._known = 0
        self._known_checksum = 0
        self._length_declared = False

    def headers(self) -> dict[str, str]:
        """Headers of the next try: identity encoding, since ranges count encoded bytes."""
        headers = {"Accept-Encoding": "identity"}
        if self.got:
            headers["Range"] = f"bytes={self.got}-"
            if self._tag:
                headers["If-Range"] = self._tag
        return headers

    def starts(self, response: aiohttp.ClientResponse) -> None:
        """A new answer begins."""
        self._length_declared = response.content_length is not None
        offset = 0
        if response.status == 206:
            found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            offset = int(found[1]) if found else 0
        tag = response.headers.get("ETag", "")
        if self.got and self._tag and tag and tag != self._tag:
            raise ItemFailed("ChangedWhileRead", response.status)
        if self._start and offset != self.got:
            # What came before the mark is not at hand, so it cannot be compared.
            raise ItemFailed("ChangedWhileRead", response.status)
        if offset not in (0, self.got):
            raise ItemFailed("WrongRange", response.status)
        self._tag = self._mark.tag = "" if tag.startswith("W/") else tag
        self._known = self.got - offset
        self._known_checksum = 0

    def takes(self, chunk: bytes) -> bytes:
        """The new bytes of `chunk`."""
        if self._known:
            prefix, chunk = chunk[: self._known], chunk[self._known :]
            self._known -= len(prefix)
            self._known_checksum = zlib.crc32(prefix, self._known_checksum)
            if not self._known and self._known_checksum != self._checksum:
                raise ItemFailed("ChangedWhileRead", 200)
        self.got += len(chunk)
        self._checksum = zlib.crc32(chunk, self._checksum)
        return chunk

    def ends(self) -> None:
        """The answer is over; ClientPayloadError when bytes are missing."""
        short = self._size is not None and self.got < self._size and not self._length_declared
        if short or self._known:
            raise aiohttp.ClientPayloadError("the body is shorter than announced")
