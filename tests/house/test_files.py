"""House rules on files: where things come from, no trace of a machine, sizes, first sentences."""

import json
import re
import tomllib

import pytest

from tests.house.conftest import PROJECT, Source

MAX_LINES = 400
GENERATED = ("requirements.txt", "requirements-dev.txt", "local/package-lock.json")
# Spelled in parts, so that this file does not break its own rule.
REGISTRY_HOSTS = re.compile(
    "|".join(
        (
            r"py" + r"pi\.org",
            r"python" + r"hosted\.org",
            r"registry\.npm" + r"js",
            r"registry\.yarn" + r"pkg",
            r"deb\.deb" + r"ian\.org",
            r"--(extra-)?index" + r"-url[ =]+\S*/",
            r"find" + r"-links[ =]+\S*/",
        )
    )
)
MACHINE_PATHS = re.compile(
    "|".join(
        (
            r"/home" + r"/\w",
            r"/Users" + r"/\w",
            r"(?<![\w}>*])/root" + r"/",
            r"(?<![\w.])/wo" + r"rk/",
        )
    )
)


def hits(files: list[Source], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{source.name}:{number}: {line.strip()[:100]}"
        for source in files
        for number, line in enumerate(source.text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_registrys_host(files: list[Source]) -> None:
    assert hits(files, REGISTRY_HOSTS) == []


def test_no_file_names_a_machines_folder(files: list[Source]) -> None:
    assert hits(files, MACHINE_PATHS) == []


def test_no_module_is_two_ideas(modules: list[Source]) -> None:
    long = {s.name: n for s in modules if (n := len(s.text.splitlines())) > MAX_LINES}
    assert long == {}


def test_every_module_starts_with_one_sentence(modules: list[Source]) -> None:
    """One sentence says what it is; what follows a blank line may say more."""
    import ast

    wrong = {}
    for source in modules:
        if source.within("tests") or not source.text.strip():
            continue
        said = ast.get_docstring(source.tree)
        first = (said or "").split("\n\n")[0].strip()
        if not first.endswith((".", ":")):
            wrong[source.name] = first
    assert wrong == {}


def test_every_package_of_the_house_says_what_it_is(modules: list[Source]) -> None:
    names = {source.name for source in modules}
    folders = {
        source.name.rpartition("/")[0]
        for source in modules
        if source.within("functions", "orchestrations", "shared", "local")
    }
    silent = [
        folder
        for folder in sorted(folders)
        if f"{folder}/__init__.py" not in names
        or not (PROJECT / folder / "__init__.py").read_text().startswith('"""')
    ]
    assert silent == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pinned_package_has_a_hash_and_no_address(name: str) -> None:
    text = (PROJECT / name).read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if not entry.startswith("#")]
    assert all(re.match(r"[a-z0-9._-]+==\S+ \\\n", entry) for entry in entries)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert " @ " not in text


def test_what_runs_in_azure_is_the_same_on_one_machine() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (PROJECT / name).read_text(), re.MULTILINE))

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


@pytest.mark.parametrize("name", ["requirements.in", "requirements-dev.in"])
def test_every_wanted_package_says_why(name: str) -> None:
    lines = (PROJECT / name).read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert [line for line in wanted if not re.search(r"\S  *# \w", line)] == []


def test_the_emulators_lock_records_no_download_address() -> None:
    lock = json.loads((PROJECT / "local" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []


def test_python_is_named_once() -> None:
    wanted = (PROJECT / ".python-version").read_text().strip()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == f">={wanted}"
    assert project["tool"]["mypy"]["python_version"] == wanted
    assert project["tool"]["ruff"]["target-version"] == f"py{wanted.replace('.', '')}"
