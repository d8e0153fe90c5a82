"""Checkpoints: what a slice leaves behind, sorted so that a seal reads it by range (section 7).

Frame 0 is `meta` (JSON); frame 1 + r holds the operations of key range r, the top six bits of the
item key. An operation is `key(32) u32 position u8 op LP(detail) LP(item JSON) LP(location JSON)`.
"""

import os
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from shared.vault.format.errors import Damaged
from shared.vault.format.frames import (
    CHECKPOINT,
    OBJ,
    FrameCipher,
    clear_header,
    dump,
    parse,
    parse_header,
    salt_of,
)
from shared.vault.format.primitives import b64u, lp

RANGE_BITS = 6
RANGES = 1 << RANGE_BITS
PUT, CARRY, KEEP, GONE, SKIPPED, FAILED = b"PMKGSF"
_FIXED = struct.Struct(">32sIB")


class Op(NamedTuple):
    """One operation of a slice on one item; `detail` is a container, cause or code."""

    key: bytes
    position: int
    op: int
    detail: str
    item: bytes
    location: bytes


def build(
    obj: bytes,
    repo: str,
    oid: str,
    run: str,
    number: int,
    tmk: int,
    meta: dict[str, Any],
    ops: Iterable[Op],
) -> bytes:
    """The checkpoint blob; `ops` in any order."""
    salt = os.urandom(32)
    cipher = FrameCipher(obj, OBJ, salt, CHECKPOINT, repo, oid, number)
    ranges: dict[int, bytearray] = {}
    counts: dict[int, int] = {}
    for op in sorted(ops):
        index = op.key[0] >> (8 - RANGE_BITS)
        ranges.setdefault(index, bytearray()).extend(_pack(op))
        counts[index] = counts.get(index, 0) + 1
    meta = meta | {"ranges": {str(r): [counts[r], len(data)] for r, data in ranges.items()}}
    sealed = [("meta", cipher.seal(0, dump(meta)))]
    sealed += [(f"r{index}", cipher.seal(1 + index, bytes(data))) for index, data in ranges.items()]
    frames: list[list[Any]] = []
    at = 0
    for name, frame in sealed:
        frames.append([name, at, len(frame)])
        at += len(frame)
    header = {"repo": repo, "oid": oid, "run": run, "slice": number, "tmk": tmk}
    header |= {"salt": b64u(salt), "frames": frames}
    return clear_header(CHECKPOINT, header) + b"".join(frame for _, frame in sealed)


class CheckpointReader:
    """Opens a checkpoint from its first bytes."""

    def __init__(self, data: bytes, obj: bytes) -> None:
        header, self.start = parse_header(data, CHECKPOINT)
        try:
            self.run, self.number = header["run"], header["slice"]
            self._spans = {name: (self.start + at, length) for name, at, length in header["frames"]}
        except (KeyError, TypeError, ValueError) as wrong:
            raise Damaged("the clear header of a checkpoint is not what it should be") from wrong
        self._cipher = FrameCipher(
            obj, OBJ, salt_of(header), CHECKPOINT, header["repo"], header["oid"], self.number
        )

    def meta_span(self) -> tuple[int, int]:
        """(offset, length) of the meta frame."""
        return self._spans["meta"]

    def meta(self, frame: bytes) -> dict[str, Any]:
        """The result, cursors, state, packs and counts of the slice."""
        found: dict[str, Any] = parse(self._cipher.open(0, frame))
        return found

    def range_span(self, first: int, last: int) -> tuple[int, int, list[tuple[int, int]]]:
        """(offset, length, [(range, frame length)]) covering ranges first..last-1."""
        inside = [(r, self._spans[f"r{r}"]) for r in range(first, last) if f"r{r}" in self._spans]
        if not inside:
            return 0, 0, []
        begin = inside[0][1][0]
        end = inside[-1][1][0] + inside[-1][1][1]
        return begin, end - begin, [(r, span[1]) for r, span in inside]

    def operations(self, index: int, frame: bytes) -> list[Op]:
        """The operations of one range, sorted by key and position."""
        plain = self._cipher.open(1 + index, frame)
        found, at = [], 0
        try:
            while at < len(plain):
                key, position, op = _FIXED.unpack_from(plain, at)
                detail, at = _take(plain, at + _FIXED.size)
                item, at = _take(plain, at)
                location, at = _take(plain, at)
                found.append(Op(key, position, op, detail.decode(), item, location))
        except struct.error as wrong:
            raise Damaged("a checkpoint with a broken operation") from wrong
        return found


def _pack(op: Op) -> bytes:
    head = _FIXED.pack(op.key, op.position, op.op)
    return head + lp(op.detail.encode()) + lp(op.item) + lp(op.location)


def _take(data: bytes, at: int) -> tuple[bytes, int]:
    start = at + 4
    end = start + int.from_bytes(data[at:start])
    return data[start:end], end
