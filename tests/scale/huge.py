"""One huge item through the vault and back, in a process of its own whose memory is measured.

python -m tests.scale.huge sparse|mixed BYTES       prints JSON
"""

import asyncio
import hashlib
import json
import random
import resource
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from bench.store import FolderBlobs
from shared.kit.blobs import BlobStore
from shared.vault.format.names import new_repository_id
from shared.vault.keystore import FileKeyStore
from shared.vault.model import ObjectRef
from shared.vault.service import create_repository

REF = ObjectRef("drive", "huge", "Huge", "huge@example.org")
PART = 1 << 20


async def parts(kind: str, size: int) -> AsyncIterator[bytes]:
    """Zeros with a few words at the ends, or bytes that never repeat."""
    chance, left, at = random.Random(kind), size, 0
    while left:
        now = min(left, PART)
        if kind == "mixed":
            yield chance.randbytes(now)
        elif at == 0 or left == now:
            yield b"a few words".ljust(now, b"\0")[:now]
        else:
            yield bytes(now)
        left, at = left - now, at + now


async def run(at: Path, kind: str, size: int) -> dict[str, object]:
    """Copy it twice (the second time nothing is stored), read it back, compare."""
    store: BlobStore = FolderBlobs(at / "vault")
    vault = await create_repository(
        store, FolderBlobs(at / "control"), FileKeyStore(at / "keys"),
        repo_id=new_repository_id(), tenant_id="t", now=datetime.now(UTC),
    )  # fmt: skip
    stored = []
    for number in (1, 2):
        opened = await vault.open_run(REF, f"r{number}")
        part = await opened.slice(0)
        item = {"i": "huge", "k": "file", "p": "root", "n": "huge", "v": str(number), "c": "file"}
        await part.put(item, parts(kind, size))
        await part.finish({}, more=False)
        moment = datetime.now(UTC)
        head = await opened.seal(
            enumerated={}, started=moment, ended=moment, expires=None, kind="incremental"
        )
        stored.append(head.bytes["stored"])
    wanted, found, length = hashlib.sha256(), hashlib.sha256(), 0
    async for data in parts(kind, size):
        wanted.update(data)
    snapshot = await vault.open_snapshot(REF)
    row = await snapshot.row("huge")
    assert row is not None
    async for data in snapshot.content(row):
        found.update(data)
        length += len(data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    same = found.digest() == wanted.digest()
    return {"same": same, "length": length, "stored": stored, "peak": peak}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="holdfast-huge-") as folder:
        print(json.dumps(asyncio.run(run(Path(folder), sys.argv[1], int(sys.argv[2])))))
