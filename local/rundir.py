"""The data folder of one local run, under `.local/` of the project: claimed, never shared."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
RUNS = PROJECT / ".local"


@contextmanager
def run_directory(name: str, *, keep: bool = False) -> Iterator[Path]:
    """An empty folder `.local/<name>`, or `<name>-2`, … while other runs hold the ones before.

    The claim is a lock of the kernel's, so a run that was killed leaves nothing claimed. What the
    last run left in the folder is removed at the start; with `keep` it stays readable until then.
    """
    RUNS.mkdir(exist_ok=True)
    for number in count(1):
        path = RUNS / (name if number == 1 else f"{name}-{number}")
        with path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            try:
                yield path
            finally:
                if not keep:
                    shutil.rmtree(path, ignore_errors=True)
            return
