"""A directory copy of a vault container: what the stand-alone reader works on (section 18)."""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

from shared.kit.blobs import BlobInfo, BlobStore
from shared.vault.errors import VaultDamaged

# Blobs are at most 64 MiB; this many are in memory at once.
PARALLEL = 4
_STEP = re.compile(r"[A-Za-z0-9._-]+")


class Copied(NamedTuple):
    """What one call did; `kept` were there already."""

    blobs: int
    bytes: int
    kept: int


async def copy_container(store: BlobStore, to: Path) -> Copied:
    """Copy every blob below `to`; a repeated call goes on where a stopped one ended.

    A blob never changes (V1), so one that is there with its length is not read again. Through
    `versions.OldestFirst` the copy holds the oldest version of every name (V64).
    """
    await asyncio.to_thread(to.mkdir, parents=True, exist_ok=True)
    blobs = size = kept = 0
    batch: list[BlobInfo] = []

    async def flush() -> None:
        nonlocal blobs, size, kept
        for taken in await asyncio.gather(*(_one(store, to, found) for found in batch)):
            blobs, size, kept = blobs + (taken >= 0), size + max(taken, 0), kept + (taken < 0)
        batch.clear()

    async for found in store.list():
        batch.append(found)
        if len(batch) == PARALLEL:
            await flush()
    await flush()
    return Copied(blobs, size, kept)


async def _one(store: BlobStore, to: Path, found: BlobInfo) -> int:
    """Bytes copied; -1 when the copy has the blob."""
    steps = found.name.split("/")
    if not all(_STEP.fullmatch(step) and step.strip(".") for step in steps):
        raise VaultDamaged(f"{found.name!r} is no name of a vault (V6)")
    path = to.joinpath(*steps)
    if await asyncio.to_thread(_held, path, found.size):
        return -1
    data = await store.get(found.name)
    await asyncio.to_thread(_write, path, data)
    return len(data)


def _held(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(data)
    draft.replace(path)
