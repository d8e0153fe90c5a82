"""The vault beside restic and borg: the same bytes on one core in the same run (goals 6, 7, 8)."""

import shutil
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from bench import data, peers
from bench.figure import Figure

ROUNDS = 3
ABSENT = "peer not installed"
Tool = peers.Ours | peers.Restic | peers.Borg


@dataclass
class Taken:
    """What one tool spent, round by round: CPU seconds by verb, bytes of its repository."""

    cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    stored: int = 0
    added: int = 0
    startup: float = 0.0

    def per_gb(self, verb: str, size: int) -> float:
        """Median CPU seconds per GB."""
        return statistics.median(self.cpu[verb]) / size * 1e9


def measure(share: float = 1.0, rounds: int = ROUNDS) -> list[Figure]:
    """First copy, an unchanged one, one percent changed, verification, restore."""
    versions = {name: peers.version(name) for name in ("restic", "borg")}
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        at = Path(folder)
        size = data.write(at / "source", share)
        tools: dict[str, type] = {"ours": peers.Ours}
        tools |= {"restic": peers.Restic} if versions["restic"] else {}
        tools |= {"borg": peers.Borg} if versions["borg"] else {}
        taken = {name: Taken() for name in tools}
        for number in range(rounds):
            for name, tool in tools.items():
                _round(tool(at / f"{name}-{number}"), at, taken[name], share)
    return _figures(taken, versions, size)


def _round(tool: Tool, at: Path, taken: Taken, share: float) -> None:
    source, restored = at / "source", at / "restored"
    tool.create()
    taken.cpu["first copy"].append(tool.backup(source).cpu)
    taken.stored = peers.stored(_kept(tool))
    taken.cpu["unchanged"].append(tool.backup(source).cpu)
    taken.cpu["verify"].append(tool.verify().cpu)
    taken.cpu["restore"].append(tool.restore(restored).cpu)
    _same(source, restored)
    before = peers.stored(_kept(tool))
    source.rename(at / "kept")
    try:
        # Hard links but for what changes; the path stays what it was, as tools key on it.
        shutil.copytree(at / "kept", source, copy_function=_link)
        _unlink_largest(source)
        data.change(source, share)
        taken.cpu["1 % changed"].append(tool.backup(source).cpu)
    finally:
        shutil.rmtree(source)
        (at / "kept").rename(source)
    taken.added = peers.stored(_kept(tool)) - before
    if isinstance(tool, peers.Ours):
        taken.startup = tool.startup
    shutil.rmtree(tool.at)
    shutil.rmtree(restored)


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _unlink_largest(source: Path) -> None:
    """The file that `data.change` writes into must not share its bytes with the original."""
    files = (source / "files").iterdir()
    largest = max(files, key=lambda path: (path.stat().st_size, path.name))
    content = largest.read_bytes()
    largest.unlink()
    largest.write_bytes(content)


def _kept(tool: Tool) -> Path:
    return tool.at / "vault" if isinstance(tool, peers.Ours) else tool.at


def _same(source: Path, restored: Path) -> None:
    """A figure of a tool that lost bytes would be worth nothing."""
    found = {(path.name, path.stat().st_size) for path in restored.rglob("*") if path.is_file()}
    wanted = {(path.name, path.stat().st_size) for path in source.rglob("*") if path.is_file()}
    if found != wanted:
        raise RuntimeError(f"{len(wanted - found)} files did not come back")


def _figures(taken: dict[str, Taken], versions: dict[str, str | None], size: int) -> list[Figure]:
    ours, restic, borg = taken["ours"], taken.get("restic"), taken.get("borg")
    figures: list[Figure] = []
    for verb in ("first copy", "verify", "restore"):
        beside = [
            f"{versions[name] or name}: {found.per_gb(verb, size):.2f}"
            for name, found in (("restic", restic), ("borg", borg))
            if found is not None
        ]
        told = "; ".join(beside) or ABSENT
        low, high = (f(ours.cpu[verb]) / size * 1e9 for f in (min, max))
        told += f"; ours {low:.2f} to {high:.2f}"
        figures.append(Figure(f"{verb}: CPU-s per GB", ours.per_gb(verb, size), "s", told))
    for verb in ("unchanged", "1 % changed"):
        beside = [
            f"{name}: {statistics.median(found.cpu[verb]):.2f} s"
            for name, found in taken.items()
            if name != "ours"
        ]
        spent = statistics.median(ours.cpu[verb])
        figures.append(Figure(f"{verb}: CPU", spent, "s", "; ".join(beside) or ABSENT))
    for what, own, others in (
        ("stored", ours.stored, {n: t.stored for n, t in taken.items() if n != "ours"}),
        (
            "added by 1 % of change",
            ours.added,
            {n: t.added for n, t in taken.items() if n != "ours"},
        ),
    ):
        beside = [f"{name}: {found / 1e6:.2f} MB" for name, found in others.items()]
        figures.append(Figure(what, own / 1e6, "MB", "; ".join(beside) or ABSENT))
    if restic is None:
        return [*figures, Figure("goals 7 and 8: not measured", 0, "", f"restic: {ABSENT}")]
    ratio = {v: ours.per_gb(v, size) / restic.per_gb(v, size) for v in ours.cpu}
    return [
        *figures,
        Figure("goal 7: CPU of the first copy / restic's", ratio["first copy"], "×", "", 0.60),
        Figure("goal 8: CPU of verification / restic's", ratio["verify"], "×", "", 0.35),
        Figure("stored / restic's", ours.stored / restic.stored, "×", f"{size / 1e6:.0f} MB"),
        Figure("added by 1 % of change / restic's", ours.added / restic.added, "×"),
    ]
