"""restic and borg as Debian packages them: found on PATH, run unmodified on one core, measured."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CORE = "0"
DEPLOYED = {"MALLOC_ARENA_MAX": "1"}
"""What infra/modules/app.bicep sets for every process of the app."""


@dataclass(frozen=True)
class Spent:
    """CPU seconds (user + system) and the peak resident bytes of one command."""

    cpu: float
    peak: int
    output: str


def on_one_core(command: Sequence[str], **environment: str) -> Spent:
    """Run a command on one core; RuntimeError with what it said when it fails."""
    pinned = ["taskset", "-c", CORE, *command] if shutil.which("taskset") else list(command)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        pinned, capture_output=True, encoding="utf-8", env=os.environ | environment, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {process.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(cpu, after.ru_maxrss * 1024, process.stdout)


def version(name: str) -> str | None:
    """What the peer says of itself, or None when it is not installed."""
    path = shutil.which(name)
    if path is None:
        return None
    flag = "version" if name == "restic" else "--version"
    told = subprocess.run([path, flag], capture_output=True, encoding="utf-8", check=True)
    return " ".join(told.stdout.split()[:2])


def stored(folder: Path) -> int:
    """Bytes of all files of a repository."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@dataclass
class Restic:
    """A restic repository with compression as it chooses."""

    at: Path
    name: str = "restic"
    _made: bool = field(default=False)

    def run(self, *words: str) -> Spent:
        """One restic command."""
        home = self.at.with_suffix(".cache")
        return on_one_core(
            ["restic", "--quiet", "--cache-dir", str(home), "-r", str(self.at), *words],
            RESTIC_PASSWORD="bench",
            GOMAXPROCS="1",
        )

    def create(self) -> None:
        """A new repository."""
        self.run("init", "--repository-version", "2")

    def backup(self, source: Path) -> Spent:
        """One snapshot."""
        return self.run("backup", str(source))

    def verify(self) -> Spent:
        """Every byte read and checked."""
        return self.run("check", "--read-data")

    def restore(self, to: Path) -> Spent:
        """The newest snapshot to a folder."""
        return self.run("restore", "latest", "--target", str(to))


@dataclass
class Borg:
    """A borg repository, zstd where it pays, BLAKE2 keys."""

    at: Path
    name: str = "borg"
    _count: int = 0

    def run(self, *words: str, cwd: Path | None = None) -> Spent:
        """One borg command."""
        command = ["borg", *words]
        if cwd is not None:
            command = ["env", "-C", str(cwd), *command]
        return on_one_core(
            command,
            BORG_PASSPHRASE="bench",
            BORG_BASE_DIR=str(self.at.with_suffix(".home")),
            BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
        )

    def create(self) -> None:
        """A new repository."""
        self.run("init", "--encryption", "repokey-blake2", str(self.at))

    def backup(self, source: Path) -> Spent:
        """One archive."""
        self._count += 1
        archive = f"{self.at}::a{self._count}"
        return self.run("create", "--compression", "auto,zstd,3", archive, str(source))

    def verify(self) -> Spent:
        """Every byte read and checked."""
        return self.run("check", "--verify-data", str(self.at))

    def restore(self, to: Path) -> Spent:
        """The newest archive to a folder."""
        to.mkdir(parents=True, exist_ok=True)
        return self.run("extract", f"{self.at}::a{self._count}", cwd=to)


@dataclass
class Ours:
    """The vault of the product on a folder, worked by `bench.vaultrun` in a process of its own."""

    at: Path
    name: str = "ours"
    startup: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def create(self) -> None:
        """Keys, repository and the customer's recovery key."""
        self._run("create")

    def backup(self, source: Path) -> Spent:
        """One snapshot of the folder; CPU of the run, the interpreter's start apart."""
        return self._run("backup", str(source))

    def restore(self, to: Path) -> Spent:
        """The newest snapshot to a folder."""
        return self._run("restore", str(to))

    def verify(self) -> Spent:
        """`holdfast-vault verify --deep`, as a customer runs it."""
        paths = os.pathsep.join(["reader", "."])
        return on_one_core(
            [
                sys.executable, "-m", "holdfast_vault", "verify", str(self.at / "vault"),
                "--key", str(self.at / "recovery.pem"), "--deep",
            ],
            PYTHONPATH=paths,
        )  # fmt: skip

    def _run(self, *words: str) -> Spent:
        command = [sys.executable, "-m", "bench.vaultrun", str(self.at), *words]
        spent = on_one_core(command, **DEPLOYED)
        self.facts = json.loads(spent.output)
        cpu = float(self.facts["cpu"])
        self.startup = spent.cpu - cpu
        return Spent(cpu, int(self.facts["peak"]), spent.output)
