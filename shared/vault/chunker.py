"""Content-defined chunking of one piece, streaming (section 6.2), and its golden check (V16)."""

import struct
from collections.abc import Iterator
from functools import cache
from hashlib import sha256, shake_128
from typing import Any

from pyfastcdc import FastCDC
from pyfastcdc.py.constants import GEAR

MIN, AVERAGE, MAX = 256 << 10, 1 << 20, 4 << 20
WHOLE = 1 << 20
"""A piece up to this size is one chunk."""
FEED = 2 << 20
"""Most bytes that the chunker takes at once."""
_HELD = MAX + FEED

GOLDEN = (1085875, 1093883, 1096417, 1512909, 1225350, 1734459, 639715)
"""Chunk lengths of 8 MiB of SHAKE-128 output over `holdfast`; another cut ends deduplication."""


class ChunkerDiffers(RuntimeError):
    """The installed chunker cuts elsewhere than the format says: the writer must not start."""


def parameters() -> dict[str, Any]:
    """The chunker as the repository file names it."""
    table = sha256(struct.pack(">256Q", *GEAR)).hexdigest()
    return {"id": "fastcdc-nc2", "min": MIN, "avg": AVERAGE, "max": MAX, "gear": table}


class PieceChunker:
    """Cuts one piece after another, each arriving in parts, in two buffers that are used again."""

    def __init__(self) -> None:
        self._cutter = FastCDC(AVERAGE, min_size=MIN, max_size=MAX, normalized_chunking=2)
        self._held, self._other = bytearray(_HELD), bytearray()
        self._length = 0
        self._started = False

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """Chunks that are certain: a cut looks at no more than MAX bytes from its start.

        At most FEED bytes at once. The chunks are views that hold until the second feed after this.
        """
        if len(data) > FEED:
            raise ValueError(f"at most {FEED} bytes at once")
        room = _HELD - self._length
        if len(data) > room:
            self._take(data[:room])
            yield from self._cut(self._length - MAX)
            data = data[room:]
        self._take(data)

    def finish(self) -> Iterator[memoryview]:
        """The remaining chunks of the piece."""
        if self._length > WHOLE or self._started:
            yield from self._cut(self._length - 1)
        elif self._length:
            yield memoryview(self._held)[: self._length]
        self._length = 0
        self._started = False

    def _take(self, data: bytes | memoryview) -> None:
        end = self._length + len(data)
        memoryview(self._held)[self._length : end] = data
        self._length = end

    def _cut(self, last_start: int) -> Iterator[memoryview]:
        """Cut chunks that start at or before `last_start`; what is left moves to the other buffer.

        That one is free: its chunks came from the cut before the last feed.
        """
        held, at = memoryview(self._held)[: self._length], 0
        self._started = True
        for chunk in self._cutter.cut_buf(held):
            at = chunk.offset + chunk.length
            yield held[chunk.offset : at]
            if at > last_start:
                break
        self._held, self._other = self._other or bytearray(_HELD), self._held
        self._length = 0
        self._take(held[at:])


@cache
def check_golden() -> None:
    """Refuse to write with a chunker that cuts differently (V16); once per process."""
    if golden_cuts() != GOLDEN:
        raise ChunkerDiffers("pyfastcdc does not cut the golden bytes at the golden places")


def golden_cuts() -> tuple[int, ...]:
    """Where this chunker cuts the golden bytes."""
    chunker = PieceChunker()
    data = shake_128(b"holdfast").digest(8 << 20)
    parts = [data[at : at + FEED] for at in range(0, len(data), FEED)]
    cuts = [len(chunk) for part in parts for chunk in chunker.feed(part)]
    return (*cuts, *(len(chunk) for chunk in chunker.finish()))
