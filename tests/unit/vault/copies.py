"""A vault on disk with a customer's recovery key, for the tests of the stand-alone reader."""

import os
import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from shared.kit.blobs import MemoryBlobs
from shared.vault.copying import copy_container
from shared.vault.recovery import new_recovery_key
from shared.vault.run import Run
from shared.vault.service import Vault, create_repository
from shared.vault.slices import Slice
from tests.unit.vault.world import DRIVE, MAILBOX, NOW, World, backup, folder, key_store, mail

PROJECT = Path(__file__).parents[3]
HOSTILE = [
    "../../etc/passwd",
    "a/b\\c:d",
    "CON",
    "x" * 400,
    "tail. ",
    "",
    "\x00nul",
    "..",
    "‮gpj.exe",
]


@cache
def recovery() -> tuple[bytes, bytes]:
    """(private, public) PEM of one customer."""
    return new_recovery_key()


def text(n: int, version: str = "1") -> bytes:
    return b"Subject: %d\r\n\r\nbody %d of version %s\r\n" % (n, n, version.encode())


def item(n: int, version: str = "1", **more: Any) -> dict[str, Any]:
    return mail(f"m{n}", version, "F1", t=1_700_000_000 + n, c="mime", x=1) | more


def big() -> bytes:
    return random.Random(7).randbytes(3_300_000)


async def customers_world() -> tuple[World, Vault]:
    world = World()
    vault = await create_repository(
        world.store, world.control, key_store(), repo_id=world.repo, tenant_id="t", now=NOW,
        recovery_public_pem=recovery()[1],
    )  # fmt: skip
    return world, vault


async def filled(mails: int = 1100, *, large: bool = True) -> tuple[World, Vault]:
    """Two objects: a mailbox with three snapshots (two buckets), a drive with large content."""
    world, vault = await customers_world()

    async def many(run: Run, part: Slice) -> None:
        await part.put(folder("F1") | {"n": "In/box"}, None)
        await part.put(folder("F2", "F1") | {"n": ".."}, None)
        for n in range(mails):
            await part.put(item(n), text(n))
        for n, name in enumerate(HOSTILE):
            await part.put(mail(f"h{n}", "1", "F2", n=name, c="mime"), b"hostile %d" % n)

    async def few(run: Run, part: Slice) -> None:
        await part.put(item(3, "2"), text(3, "2"))
        part.gone("m4", "F1")
        part.failed(item(5, "2"), "500", "rq", await run.previous("m5"))
        part.skipped(mail("new", "1", "F1"), "malware")

    async def nothing(run: Run, part: Slice) -> None:
        part.keep("m6")

    async def files(run: Run, part: Slice) -> None:
        file = {"i": "d1", "k": "file", "p": "root", "n": "Größe.bin", "v": "1", "c": "file"}
        await part.put(file, big() if large else big()[:300_000])
        await part.put(file | {"i": "d2", "n": "größe.BIN"}, b"twin by case")
        await part.put(file | {"i": "d3", "n": "empty"}, b"")

    for number, work in enumerate((many, few, nothing)):
        await backup(vault, MAILBOX, f"r{number}", work)
    await backup(vault, DRIVE, "r0", files)
    return world, vault


async def copied(world: World, to: Path) -> tuple[Path, Path]:
    """(copy, recovery key file)."""
    await copy_container(world.store, to / "copy")
    key = to / "recovery.pem"
    key.write_bytes(recovery()[0])
    return to / "copy", key


def altered(world: World, name: str, data: bytes | None) -> dict[str, bytes]:
    assert isinstance(world.store, MemoryBlobs)
    found = {n: content for n, (content, _) in world.store.blobs.items() if n != name}
    return found if data is None else found | {name: data}


# Imports, network and writes are watched from inside the process of the reader.
GUARD = """
import sys
allowed = ("shared", "shared.vault", "holdfast_vault", "cryptography", "zstandard")
def foreign(name):
    top = name.split(".")[0]
    if top.startswith("_sysconfigdata"):  # Python's own, named by platform: zoneinfo asks for it
        return False
    if top == "shared":
        return not (name in allowed or name.startswith("shared.vault.format"))
    mine = (*allowed, "cffi_backend", "cffi", "openssl")
    return top.lstrip("_") not in mine and top not in sys.stdlib_module_names
class Guard:
    def find_spec(self, name, path=None, target=None):
        if foreign(name):
            raise ImportError(f"{name} is not installed here")
def hook(event, args):
    if event.startswith("socket.") and event != "socket.__new__":
        raise SystemExit("uses the network")
    if event == "open" and isinstance(args[0], str) and COPY and args[0].startswith(COPY):
        if args[2] & 3 or "r" not in (args[1] or "r"):
            raise SystemExit(f"writes {args[0]}")
sys.argv[0] = "holdfast-vault"
COPY = sys.argv.pop(1)
sys.meta_path.insert(0, Guard())
sys.addaudithook(hook)
from holdfast_vault.cli import main
code = main()
left = [name for name in sys.modules if foreign(name) and not name.startswith("__")]
sys.exit(f"imported {left}" if left else code)
"""


def reader(*arguments: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """The reader in a process of its own, without network, that may write nothing to the copy."""
    copy = next((str(a) for a in arguments[1:] if str(a).endswith("copy")), "")
    found = path or os.pathsep.join([str(PROJECT / "reader"), str(PROJECT)])
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-c", GUARD, copy, *map(str, arguments)],
        capture_output=True, encoding="utf-8", cwd="/", timeout=120,
        env={"PYTHONPATH": found, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
