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

GOLDEN = (1085875, 1093883, 1096417, 1512909, 1225350, 1734459, 639715)
"""Chunk lengths of 8 MiB of SHAKE-128 output over `holdfast`; another cut ends deduplication."""


class ChunkerDiffers(RuntimeError):
    """The installed chunker cuts elsewhere than the format says: the writer must not start."""


def parameters() -> dict[str, Any]:
    """The chunker as the repository file names it."""
    table = sha256(struct.pack(">256Q", *GEAR)).hexdigest()
    return {"id": "fastcdc-nc2", "min": MIN, "avg": AVERAGE, "max": MAX, "gear": table}


class PieceChunker:
    """Cuts one piece that arrives in parts; holds one largest chunk beyond what it is fed."""

    def __init__(self) -> None:
        self._cutter = FastCDC(AVERAGE, min_size=MIN, max_size=MAX, normalized_chunking=2)
        self._held = bytearray()
        self._started = False

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """Chunks that are certain: a cut looks at no more than MAX bytes from its start.

        They are views of a buffer that is not written to again.
        """
        self._held += data
        if len(self._held) >= 2 * MAX:
            yield from self._cut(len(self._held) - MAX)

    def finish(self) -> Iterator[memoryview]:
        """The remaining chunks of the piece."""
        if len(self._held) <= WHOLE and not self._started:
            if self._held:
                yield memoryview(self._held)
        else:
            yield from self._cut(len(self._held) - 1)
        self._held = bytearray()
        self._started = False

    def _cut(self, last_start: int) -> Iterator[memoryview]:
        """Cut chunks that start at or before `last_start`."""
        held, self._held = memoryview(self._held), bytearray()
        at = 0
        self._started = True
        for chunk in self._cutter.cut_buf(held):
            if chunk.offset > last_start:
                break
            at = chunk.offset + chunk.length
            yield held[chunk.offset : at]
        self._held += held[at:]


@cache
def check_golden() -> None:
    """Refuse to write with a chunker that cuts differently (V16); once per process."""
    if golden_cuts() != GOLDEN:
        raise ChunkerDiffers("pyfastcdc does not cut the golden bytes at the golden places")


def golden_cuts() -> tuple[int, ...]:
    """Where this chunker cuts the golden bytes."""
    chunker = PieceChunker()
    data = shake_128(b"holdfast").digest(8 << 20)
    return tuple(len(chunk) for part in (chunker.feed(data), chunker.finish()) for chunk in part)
