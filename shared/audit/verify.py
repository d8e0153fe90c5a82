"""Checks an exported trail offline: `python -m shared.audit.verify FILE [--checkpoint FILE …]`.

Exit code 0: nothing was touched. 1: the lines named were touched, or a checkpoint is forged.
2: a file cannot be read or the command is wrong.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from shared.audit import chain, checkpoints

GOOD, TOUCHED, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None, out: TextIO | None = None) -> int:
    """Run the command; the exit code."""
    out = out or sys.stdout
    given = _parser().parse_args(arguments)
    if bool(given.checkpoint) != bool(given.public_key):
        out.write("--checkpoint and --public-key belong together\n")
        return UNUSABLE
    try:
        marks = [
            checkpoints.read(path.read_bytes(), given.public_key.read_bytes())
            for path in given.checkpoint
        ]
        anchor = (0, chain.GENESIS) if given.whole else None
        report = chain.verify(
            _lines(given.file), anchor=anchor, marks=[each.mark() for each in marks]
        )
        partners = {each.partner_id for each in marks} | set(_partner(given.file))
    except checkpoints.CheckpointForged as forged:
        out.write(f"forged checkpoint: {forged.detail}\n")
        return TOUCHED
    except (OSError, ValueError, checkpoints.CheckpointUnreadable) as unusable:
        out.write(f"cannot be used: {unusable}\n")
        return UNUSABLE
    if report.lines == 0 and not marks:
        out.write("the file holds no line\n")
        return UNUSABLE
    if len(partners) > 1:
        out.write("the checkpoint and the file belong to different partners\n")
        return UNUSABLE
    _tell(report, out)
    return GOOD if report.ok else TOUCHED


def describe(finding: chain.Finding) -> str:
    """One finding in words."""
    if finding.first is None:
        name = "a line"
    elif finding.first == finding.last:
        name = f"line {finding.first}"
    else:
        name = f"lines {finding.first} to {finding.last}"
    place = f" (at place {finding.position} of the file)" if finding.position else ""
    return f"{finding.kind}: {name}{place}: {finding.detail}"


def _tell(report: chain.Report, out: TextIO) -> None:
    out.writelines(f"{describe(finding)}\n" for finding in report.findings)
    if report.ok:
        out.write(
            f"{report.lines} lines, {report.first} to {report.last}, are as they were written; "
            f"the last hash is {report.last_hash}\n"
        )
    else:
        out.write(f"{len(report.findings)} findings in {report.lines} lines\n")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.removesuffix(b"\n")


def _partner(path: Path) -> Iterator[str]:
    """The partner of the first readable line."""
    for line in _lines(path):
        read = chain.parsed(line)
        if read is not None:
            yield str(read.get("partnerId"))
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shared.audit.verify", description="Check an exported audit trail."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="exported JSON lines")
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], help="a signed checkpoint"
    )
    parser.add_argument("--public-key", type=Path, help="the key that signed them (PEM)")
    parser.add_argument(
        "--whole", action="store_true", help="the file must start with the first line ever"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
