"""The snapshot record: the one blob whose creation commits a snapshot (section 10).

Frame numbers: 0 head, 1 dir, 2 roots, 3 private, 4... row frames in bucket order.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from shared.vault.format.base import split32
from shared.vault.format.compression import compress
from shared.vault.format.errors import Damaged
from shared.vault.format.frames import (
    OBJ,
    OPS,
    SNAPSHOT,
    FrameCipher,
    clear_header,
    dump,
    parse,
    parse_header,
    salt_of,
)
from shared.vault.format.primitives import b64u, sha

MAX_RECORD = 64 << 20
REGIONS = ("dir", "packs", "roots", "private", "rows")
FIRST_ROW_FRAME = 4
NO_PREV = bytes(32).hex()


@dataclass(frozen=True, slots=True)
class Host:
    """Where a tail's row frames stand when an earlier record holds them."""

    n: int
    at: int
    salt: str
    rows_sha256: str
    length: int


@dataclass(slots=True)
class Tail:
    """The rows that changed since the base: directory, packs, roots of touched buckets, frames."""

    bits: int = 0
    buckets: dict[int, tuple[int, int]] = field(default_factory=dict)  # (frame length, rows)
    packs: list[bytes] = field(default_factory=list)
    roots: list[bytes] = field(default_factory=list)
    packed: list[bytes] = field(default_factory=list)  # compressed rows per bucket
    host: Host | None = None

    @property
    def rows(self) -> int:
        """Rows and tombstones."""
        return sum(rows for _, rows in self.buckets.values())

    @property
    def size(self) -> int:
        """Bytes of the row frames."""
        return sum(length for length, _ in self.buckets.values())

    def add(self, bucket: int, plain: bytes, rows: int, root: bytes) -> None:
        """The next touched bucket, in order."""
        self.add_packed(bucket, compress(plain), rows, root)

    def add_packed(self, bucket: int, packed: bytes, rows: int, root: bytes) -> None:
        """The next touched bucket whose rows are compressed already."""
        self.packed.append(packed)
        self.buckets[bucket] = (len(packed) + 16, rows)
        self.roots.append(root)


@dataclass(frozen=True, slots=True)
class Clear:
    """What stands in the clear header besides offsets."""

    repo: str
    oid: str
    n: int
    prev: str
    root: str
    items: int
    tmk: int

    def members(self) -> dict[str, Any]:
        """The six members the head repeats (V33)."""
        names = ("repo", "oid", "n", "prev", "root", "items")
        return {name: getattr(self, name) for name in names}


def build(
    ops: bytes, obj: bytes, clear: Clear, head: dict[str, Any], tail: Tail, private: dict[str, Any]
) -> tuple[bytes, bytes]:
    """(record hash, blob); ValueError beyond 64 MiB. `head` lacks what is computed here."""
    salt = os.urandom(32)
    n = clear.n
    sealed = FrameCipher(ops, OPS, salt, SNAPSHOT, clear.repo, clear.oid, n)
    secret = FrameCipher(obj, OBJ, salt, SNAPSHOT, clear.repo, clear.oid, n)
    directory = {"bits": tail.bits, "buckets": {str(b): v for b, v in tail.buckets.items()}}
    regions = {
        "dir": sealed.seal(1, dump(directory)),
        "packs": b"".join(tail.packs),
        "roots": sealed.seal(2, b"".join(tail.roots)),
        "private": secret.seal(3, dump(private)),
        "rows": b"".join(
            secret.seal_packed(FIRST_ROW_FRAME + at, packed)
            for at, packed in enumerate(tail.packed)
        ),
    }
    hashes = {name: sha(data).hex() for name, data in regions.items()}
    where: dict[str, Any] = {"host": n, "at": None, "salt": b64u(salt)}
    if tail.host is not None:
        where = {"host": tail.host.n, "at": tail.host.at, "salt": tail.host.salt}
        hashes["rows"] = tail.host.rows_sha256
    whole = clear.members() | head
    whole["tail"] = {"rows": tail.rows, "bytes": tail.size, **head.get("tail", {}), **where}
    whole["sha256"] = hashes
    head_frame = sealed.seal(0, dump(whole))
    frames: list[list[Any]] = [["head", 0, len(head_frame)]]
    offset, packs_at = len(head_frame), 0
    for name in REGIONS:
        if name == "packs":
            packs_at = offset
        else:
            frames.append([name, offset, len(regions[name])])
        offset += len(regions[name])
    header = {
        **clear.members(),
        "tmk": clear.tmk,
        "salt": b64u(salt),
        "frames": frames,
        "packs": [packs_at, len(tail.packs)],
    }
    start = clear_header(SNAPSHOT, header) + head_frame
    blob = start + b"".join(regions[name] for name in REGIONS)
    if len(blob) > MAX_RECORD:
        raise ValueError("a snapshot record is larger than 64 MiB")
    return sha(start), blob


class Record:
    """Opens a record from its first bytes; regions are handed in as they are read."""

    def __init__(self, data: bytes) -> None:
        """`data` reaches at least the end of the clear header; `frames.Short` otherwise."""
        self.header, self.start = parse_header(data, SNAPSHOT)
        try:
            self.regions = {name: (at, length) for name, at, length in self.header["frames"]}
            packs_at, self.pack_count = self.header["packs"]
            self.regions["packs"] = (packs_at, self.pack_count * 32)
            self.repo, self.oid, self.n = (self.header[name] for name in ("repo", "oid", "n"))
            if set(self.regions) != {"head", *REGIONS} or self.regions["head"][0] != 0:
                raise Damaged("the clear header does not name every region")
        except (KeyError, TypeError, ValueError) as wrong:
            raise Damaged("the clear header of a record is not what it should be") from wrong
        self.salt = salt_of(self.header)

    @property
    def head_end(self) -> int:
        """Bytes from 0 to the end of the head: what the record hash covers."""
        return self.start + int(self.regions["head"][1])

    def span(self, name: str) -> tuple[int, int]:
        """(offset in the blob, length) of a region."""
        at, length = self.regions[name]
        return self.start + int(at), int(length)

    def record_hash(self, data: bytes) -> bytes:
        """R(n), from at least `head_end` bytes."""
        if len(data) < self.head_end:
            raise Damaged("a record ends inside its head")
        return sha(data[: self.head_end])

    def head(self, ops: bytes, data: bytes) -> dict[str, Any]:
        """The head; `Damaged` unless it repeats the clear header (V33)."""
        at, length = self.span("head")
        found: dict[str, Any] = parse(self._ops(ops).open(0, data[at : at + length]))
        for name in ("repo", "oid", "n", "prev", "root", "items"):
            if found.get(name) != self.header.get(name):
                raise Damaged(f"{name} differs between header and head")
        return found

    def check(self, head: dict[str, Any], name: str, region: bytes) -> bytes:
        """The region, if it matches its hash in the head (V33)."""
        if name == "rows" and head["tail"]["host"] != self.n:
            return region
        if sha(region).hex() != head["sha256"][name]:
            raise Damaged(f"region {name} does not match its hash in the head")
        return region

    def directory(self, ops: bytes, region: bytes) -> tuple[int, dict[int, tuple[int, int]]]:
        """(bits, bucket -> (frame length, rows)) of the tail, in bucket order."""
        found = parse(self._ops(ops).open(1, region))
        pairs = ((int(bucket), (value[0], value[1])) for bucket, value in found["buckets"].items())
        return found["bits"], dict(sorted(pairs))

    def roots(self, ops: bytes, region: bytes) -> list[bytes]:
        """Root of every touched bucket, in bucket order."""
        return split32(self._ops(ops).open(2, region))

    def private(self, obj: bytes, region: bytes) -> dict[str, Any]:
        """Ids, cursors, retry list and report."""
        cipher = FrameCipher(obj, OBJ, self.salt, SNAPSHOT, self.repo, self.oid, self.n)
        found: dict[str, Any] = parse(cipher.open(3, region))
        return found

    def _ops(self, ops: bytes) -> FrameCipher:
        return FrameCipher(ops, OPS, self.salt, SNAPSHOT, self.repo, self.oid, self.n)


def tail_cipher(obj: bytes, repo: str, oid: str, host: int, salt: bytes) -> FrameCipher:
    """Opens the row frames of a tail; the j-th touched bucket is frame 4 + j of the host record."""
    return FrameCipher(obj, OBJ, salt, SNAPSHOT, repo, oid, host)
