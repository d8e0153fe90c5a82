"""Where the bytes of mails and files come from: generated, read from disk, or kept in memory."""

import hashlib
import itertools
import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from local.microsoft365.ids import digest
from local.microsoft365.quickxor import QuickXor

STEP = 1 << 20
BLOCK = 64 * 1024


class FileSource(Protocol):
    """The bytes of one version of a file."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset`."""


@dataclass(frozen=True, slots=True)
class BytesFile:
    """A file kept in memory: what was uploaded while the simulator runs."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset`."""
        return self.data[offset : offset + length]


@dataclass(frozen=True, slots=True)
class PathFile:
    """A real file of this machine."""

    path: Path
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset`, never beyond the size seen at first."""
        with self.path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(max(0, min(length, self.size - offset)))


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """A file made on demand from its seed, block by block, so that ranges are cheap."""

    seed: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return at most `length` bytes from `offset`."""
        end = min(self.size, offset + length)
        parts = []
        for number in range(offset // BLOCK, -(-end // BLOCK)):
            start = number * BLOCK
            block = _block(self.seed, number)
            parts.append(block[max(0, offset - start) : end - start])
        return b"".join(parts)


@lru_cache(maxsize=64)
def _block(seed: int, number: int) -> bytes:
    # Odd seeds are office documents (already compressed), even ones are text.
    chance = random.Random(seed * 1_000_003 + number)
    if seed % 2:
        return chance.randbytes(BLOCK)
    pool = text_pool()
    start = chance.randrange(len(pool) - BLOCK)
    head = f"-- part {number} of {seed} --\n".encode()
    return head + pool[start : start + BLOCK - len(head)]


@lru_cache(maxsize=1)
def text_pool() -> bytes:
    """Return one megabyte of prose-like text, the same on every machine."""
    chance = random.Random(20_260_101)
    words = [_word(chance) for _ in range(4000)]
    # Cumulated once: `choices` would add up 4,000 weights again for every line.
    weights = list(itertools.accumulate(1 / (rank + 4) for rank in range(4000)))
    lines: list[str] = []
    total = 0
    while total < STEP:
        line = " ".join(
            chance.choices(words, cum_weights=weights, k=chance.randint(6, 12))
        ).capitalize()
        line += chance.choice([".", ".", ",", "?", ";"])
        lines.append(line)
        total += len(line.encode()) + 1
    return "\n".join(lines).encode()


def _word(chance: random.Random) -> str:
    onset = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "ch"]
    nucleus = ["a", "e", "i", "o", "u", "ä", "ö", "ei", "ou"]
    return "".join(
        chance.choice(onset) + chance.choice(nucleus) for _ in range(chance.randint(1, 3))
    ) + chance.choice(["", "n", "r", "s", "t"])


def quick_xor_of(source: FileSource) -> str:
    """Return the quickXorHash of a file."""
    hasher = QuickXor()
    for offset in range(0, source.size, STEP):
        hasher.update(source.read(offset, STEP))
    return hasher.base64()


def sha256_of(source: FileSource) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    hasher = hashlib.sha256()
    for offset in range(0, source.size, STEP):
        hasher.update(source.read(offset, STEP))
    return hasher.hexdigest()


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that depends on the parts only."""
    return int.from_bytes(digest(*parts, size=8)) >> 1
