"""Data folders of local runs: claimed by one run, cleaned, free again after a kill."""

from pathlib import Path

import pytest

from local import rundir
from local.rundir import run_directory


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rundir, "RUNS", tmp_path / "runs")
    return tmp_path / "runs"


def test_two_runs_of_one_name_have_two_folders() -> None:
    with run_directory("demo") as first, run_directory("demo") as second:
        assert first.name == "demo"
        assert second.name == "demo-2"


def test_a_folder_is_removed_at_the_end_unless_kept() -> None:
    with run_directory("demo") as gone:
        (gone / "file").touch()
    assert not gone.exists()
    with run_directory("run", keep=True) as kept:
        (kept / "file").touch()
    assert (kept / "file").exists()
    with run_directory("run", keep=True) as again:
        assert again == kept
        assert not (again / "file").exists()


def test_a_killed_run_claims_nothing(runs: Path) -> None:
    (runs / "demo").mkdir(parents=True)
    (runs / "demo.lock").touch()  # what a killed run leaves: files, no lock
    (runs / "demo" / "old").touch()
    with run_directory("demo") as path:
        assert path.name == "demo"
        assert not (path / "old").exists()
