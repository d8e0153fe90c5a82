"""The vault's own pipeline over a folder, in one process: what restic and borg are set beside.

python -m bench.vaultrun VAULT create | backup FOLDER | restore FOLDER       prints JSON
"""

# ruff: noqa: ASYNC240  one process on one core that does nothing else

import asyncio
import hashlib
import json
import resource
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    read = 0
    for group in _groups(paths):
        part = await run.slice(run.slices)
        read += await _slice(run, part, source, group)
        await part.finish({}, more=True)
    part = await run.slice(run.slices)
    await part.finish({}, more=False)
    now = datetime.now(UTC)
    head = await run.seal(
        enumerated={}, started=now, ended=now, expires=now + timedelta(days=365),
        kind="incremental" if run.parent else "full",
    )  # fmt: skip
    return {"items": head.items, "bytes": head.bytes, "read": read}


def _groups(paths: list[Path]) -> list[list[Path]]:
    groups: list[list[Path]] = [[]]
    size = 0
    for path in paths:
        if groups[-1] and (len(groups[-1]) >= SLICE_ITEMS or size >= SLICE_BYTES):
            groups.append([])
            size = 0
        groups[-1].append(path)
        size += path.stat().st_size
    return groups


async def _slice(run: Run, part: Slice, source: Path, paths: list[Path]) -> int:
    versions = {path.relative_to(source).as_posix(): path for path in paths}
    held = await run.previous_many(versions)
    gate = asyncio.Semaphore(IN_FLIGHT)
    read = 0

    async def one(name: str, path: Path) -> int:
        found = path.stat()
        version = f"{found.st_size}-{found.st_mtime_ns}"
        if name in held and held[name].item.get("v") == version:
            part.keep(name)
            return 0
        item = {"i": name, "k": "file", "p": "root", "n": path.name, "v": version, "c": "file"}
        async with gate:
            small = found.st_size <= PART
            await part.put(item, path.read_bytes() if small else _parts(path))
        return found.st_size

    for size in await asyncio.gather(*(one(name, path) for name, path in versions.items())):
        read += size
    return read


async def _parts(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(PART):
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
