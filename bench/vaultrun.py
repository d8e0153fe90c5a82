"""The vault's own pipeline over a folder, in one process: what restic and borg are set beside.

python -m bench.vaultrun VAULT create | backup FOLDER | restore FOLDER       prints JSON
"""

# ruff: noqa: ASYNC230, ASYNC240, PTH116, PTH123  one process on one core that does nothing else;
# plain paths, because path objects would be a tenth of what is measured

import asyncio
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bench.store import FolderBlobs
from shared.vault.keystore import FileKeyStore
from shared.vault.model import ObjectRef
from shared.vault.recovery import new_recovery_key
from shared.vault.run import Run
from shared.vault.service import Vault, create_repository, open_repository
from shared.vault.slices import Slice

REF = ObjectRef("drive", "bench", "Bench", "bench@example.org")
REPO = hashlib.sha256(b"bench").hexdigest()[:32]
# As the engine: a crash repeats at most one slice (vault.md V51), eight contents in flight.
SLICE_ITEMS, SLICE_BYTES, IN_FLIGHT = 5_000, 256 << 20, 8
PART = 1 << 20


class Found(NamedTuple):
    """A file of the source."""

    name: str
    path: str
    size: int
    changed: int


async def create(at: Path) -> dict[str, Any]:
    """Keys and an empty repository."""
    private, public = new_recovery_key()
    at.mkdir(parents=True)
    (at / "recovery.pem").write_bytes(private)
    await create_repository(
        FolderBlobs(at / "vault"), FolderBlobs(at / "control"), FileKeyStore(at / "keys"),
        repo_id=REPO, tenant_id="bench", now=datetime.now(UTC), recovery_public_pem=public,
    )  # fmt: skip
    return {}


async def backup(at: Path, source: Path) -> dict[str, Any]:
    """One run: what changed by size and time is read again, as the engine does by version."""
    vault = await _open(at)
    run = await vault.open_run(REF, f"run-{time.time_ns()}")
    read = 0
    for group in _groups(sorted(_files(source))):
        part = await run.slice(run.slices)
        read += await _slice(run, part, group)
        await part.finish({}, more=True)
    part = await run.slice(run.slices)
    await part.finish({}, more=False)
    now = datetime.now(UTC)
    head = await run.seal(
        enumerated={}, started=now, ended=now, expires=now + timedelta(days=365),
        kind="incremental" if run.parent else "full",
    )  # fmt: skip
    return {"items": head.items, "bytes": head.bytes, "read": read}


def _files(source: Path) -> Iterator[Found]:
    """Every file, asked once for its size and time: what is measured is the vault."""
    beyond = len(str(source)) + 1
    for folder, _, names in os.walk(source):
        for name in names:
            path = f"{folder}/{name}"
            found = os.stat(path)
            yield Found(path[beyond:], path, found.st_size, found.st_mtime_ns)


def _groups(files: list[Found]) -> list[list[Found]]:
    groups: list[list[Found]] = [[]]
    size = 0
    for file in files:
        if groups[-1] and (len(groups[-1]) >= SLICE_ITEMS or size >= SLICE_BYTES):
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return groups


async def _slice(run: Run, part: Slice, files: list[Found]) -> int:
    held = await run.previous_many([file.name for file in files])
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(file: Found) -> int:
        version = f"{file.size}-{file.changed}"
        if file.name in held and held[file.name].item.get("v") == version:
            part.keep(file.name)
            return 0
        title = file.name.rsplit("/", 1)[-1]
        item = {"i": file.name, "k": "file", "p": "root", "n": title, "v": version, "c": "file"}
        async with gate:
            await part.put(item, _read(file) if file.size <= PART else _parts(file))
        return file.size

    return sum(await asyncio.gather(*(one(file) for file in files)))


def _read(file: Found) -> bytes:
    with open(file.path, "rb", buffering=0) as opened:
        return opened.read()


async def _parts(file: Found) -> AsyncIterator[bytes]:
    with open(file.path, "rb", buffering=0) as opened:
        while data := opened.read(PART):
            yield data


async def restore(at: Path, to: Path) -> dict[str, Any]:
    """Every item of the newest snapshot, decrypted and checked."""
    vault = await _open(at)
    snapshot = await vault.open_snapshot(REF)
    items = 0
    async for row in snapshot.rows():
        path = to / row.source_id
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            async for data in snapshot.content(row):
                file.write(data)
        items += 1
    return {"items": items}


async def _open(at: Path) -> Vault:
    return await open_repository(
        FolderBlobs(at / "vault"), FolderBlobs(at / "control"), FileKeyStore(at / "keys"),
        repo_id=REPO,
    )  # fmt: skip


def main() -> None:
    """Do one verb; CPU seconds are those after the imports."""
    at, verb, *rest = sys.argv[1:]
    began = time.process_time()
    verbs: dict[str, Any] = {"create": create, "backup": backup, "restore": restore}
    facts = asyncio.run(verbs[verb](Path(at), *map(Path, rest)))
    facts["cpu"] = time.process_time() - began
    facts["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
