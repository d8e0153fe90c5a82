"""One large mailbox through the real vault, in a process of its own whose memory is measured.

python -m bench.million first|churn|single ITEMS       prints JSON

The store counts operations as Azure bills them and forgets the bodies of packs where nobody reads.
"""

import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.data import prose
from bench.store import Counted, FolderBlobs
from bench.vaultrun import REPO, SLICE_BYTES, SLICE_ITEMS
from shared.vault.keystore import FileKeyStore
from shared.vault.model import ObjectRef, SnapshotHead
from shared.vault.service import Vault, create_repository, open_repository

REF = ObjectRef("mailbox", "bench", "Bench", "bench@example.org")
PLAIN, STORED = 75_000, 46_000
INCREMENTS, LATER, READ = 15, 10, 100
_chance = random.Random("million")
_random = _chance.randbytes(4 << 20)
_words = prose(_chance, 400_000)


def content(number: int, version: int = 0, size: int = PLAIN) -> bytes:
    """A mail of `size` bytes that compresses about as mail does (1.6 to one)."""
    at = (number * 7_919 + version * 104_729) % (len(_random) - size)
    noise = int(size * 0.2)
    begin = at % (len(_words) - size)
    head = b"Subject: %d of %d\r\n\r\n" % (number, version)
    return head + _random[at : at + noise] + _words[begin : begin + size - noise - len(head)]


def incompressible(number: int, version: int) -> bytes:
    """46 KB that stay 46 KB: what a mail of 75 KB comes to."""
    at = (number * 7_919 + version * 104_729) % (len(_random) - STORED)
    return b"%d %d" % (number, version) + _random[at : at + STORED - 16]


def small(number: int, version: int = 0) -> bytes:
    """A few bytes: where the rows are the question."""
    return b"%d %d" % (number, version)


def row(number: int, version: int = 0) -> dict[str, Any]:
    """The members of a mail's row, of usual length (vault.md 9.1)."""
    return {
        "i": f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{number:032x}",
        "k": "mail",
        "p": f"AAMkAGFolder{number % 20:04d}",
        "n": f"Re: notes of the meeting number {number}",
        "w": f"Grace Hopper <grace{number % 300}@partner.example>",
        "o": ["Ada Lovelace <ada@example.org>"],
        "t": 1_700_000_000 + number,
        "v": f"CQAAABYAAAD{number:08x}{version:04x}",
        "x": 1,
        "c": "mime",
        "m": {"imid": f"<{number:x}@partner.example>", "sent": "2026-01-01T08:00:00Z"},
    }


Work = Iterator[tuple[int, int, bytes]]


class Bench:
    """A repository on a temporary folder behind counting stores."""

    def __init__(self, at: Path, *, discard: bool) -> None:
        self.at = at
        self.store = Counted(FolderBlobs(at / "vault"), discard=discard)
        self.control = Counted(FolderBlobs(at / "control"))
        self.keys = FileKeyStore(at / "keys")
        self.runs = 0

    async def create(self) -> Vault:
        """An empty repository."""
        return await create_repository(
            self.store, self.control, self.keys, repo_id=REPO, tenant_id="bench",
            now=datetime.now(UTC),
        )  # fmt: skip

    async def run(self, work: Work) -> SnapshotHead:
        """One run in slices of the engine's size, each opened anew as an activity does."""
        self.runs += 1
        name, more = f"run-{self.runs}", True
        while more:
            vault = await self.open()
            run = await vault.open_run(REF, name)
            part = await run.slice(run.slices)
            more = False
            for number, version, data in work:
                await part.put(row(number, version), data)
                more = part.items >= SLICE_ITEMS or part.bytes_read >= SLICE_BYTES
                if more:
                    break
            await part.finish({}, more=more)
        now = datetime.now(UTC)
        run = await (await self.open()).open_run(REF, name)
        return await run.seal(
            enumerated={}, started=now, ended=now, expires=now + timedelta(days=365),
            kind="incremental" if run.parent else "full",
        )  # fmt: skip

    async def open(self) -> Vault:
        """As another worker would."""
        return await open_repository(self.store, self.control, self.keys, repo_id=REPO)

    def restart(self) -> None:
        """Count from nothing."""
        self.store.restart()
        self.control.restart()

    @property
    def writes(self) -> int:
        """What Azure bills as writes."""
        return self.store.calls["put"] + self.control.calls["put"]


def _all(items: int, make: Callable[[int, int], bytes]) -> Work:
    return ((number, 0, make(number, 0)) for number in range(items))


async def first(bench: Bench, items: int) -> dict[str, Any]:
    """A first copy and an empty increment: writes, CPU, memory (goals 9 and 13)."""
    await bench.create()
    bench.restart()
    began, clock = time.process_time(), time.perf_counter()
    head = await bench.run(_all(items, content))
    cpu, wall = time.process_time() - began, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    writes = {
        "packs": len(list(bench.at.rglob("*.hfp"))),
        "checkpoints": bench.control.calls["put"],
        "all": bench.writes,
    }
    bench.restart()
    await bench.run(iter(()))
    return {
        "items": head.items, "cpu": cpu, "wall": wall, "peak": peak, "read": head.bytes["read"],
        "stored": head.bytes["stored"], "writes": writes, "empty": bench.writes,
    }  # fmt: skip


async def churn(bench: Bench, items: int) -> dict[str, Any]:
    """Increments of one percent, three quarters new: bytes put for bytes changed (goal 6)."""
    await bench.create()
    await bench.run(_all(items, small))
    bench.restart()
    put, changed, bases = 0, 0, set()
    each = max(1, items // 100)
    for number in range(1, INCREMENTS + 1):
        head = await bench.run(_day(items, each, number))
        bases.add(head.document["base"][0]["name"])
        changed += each * STORED
    put = bench.store.bytes["put"] + bench.control.bytes["put"]
    return {
        "put": put, "changed": changed, "bases": len(bases),
        "checkpoints": bench.control.bytes["put"], "packs": bench.store.bytes["packs"],
    }  # fmt: skip


def _day(items: int, each: int, day: int) -> Work:
    new = each * 3 // 4
    for number in range(new):
        at = items + day * each + number
        yield at, day, incompressible(at, day)
    chance = random.Random(day)
    for at in chance.sample(range(items), each - new):
        yield at, day, incompressible(at, day)


async def single(bench: Bench, items: int) -> dict[str, Any]:
    """Cold reads of single items after ten increments: GETs and bytes (goal 10)."""
    await bench.create()
    await bench.run(_all(items, lambda number, version: content(number, version, 2_000)))
    for day in range(1, LATER + 1):
        chosen = random.Random(day).sample(range(items), max(1, items // 1000))
        await bench.run((number, day, content(number, day, 2_000)) for number in chosen)
    worst = {"gets": 0, "over": 0}
    for number in random.Random(0).sample(range(items), READ):
        vault = await bench.open()
        await vault.keys_of(await vault.oid(REF))  # keys are cached for an hour (V10)
        bench.restart()
        snapshot = await vault.open_snapshot(REF, LATER + 1)
        found = await snapshot.row(row(number)["i"])
        if found is None:
            raise RuntimeError(f"item {number} is not in its snapshot")
        size = sum([len(data) async for data in snapshot.content(found)])
        worst["gets"] = max(worst["gets"], bench.store.calls["get"])
        worst["over"] = max(worst["over"], bench.store.bytes["get"] - size)
    return worst


def main() -> None:
    """Do one verb."""
    verb, items = sys.argv[1], int(sys.argv[2])
    verbs: dict[str, Any] = {"first": first, "churn": churn, "single": single}
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        bench = Bench(Path(folder), discard=verb != "single")
        print(json.dumps(asyncio.run(verbs[verb](bench, items))))


if __name__ == "__main__":
    main()
