"""House rules on documents: what they name exists, and what exists is named."""

import re
from pathlib import Path

import pytest

from shared.kit.config import Settings
from shared.kit.tables import NAMES
from tests.house.conftest import PROJECT

DOCS = PROJECT / "docs"
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")
PAGES = sorted({*DOCS.rglob("*.md"), PROJECT / "README.md", *PROJECT.glob("shared/*/README.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target, _ in LINK.findall(page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_the_list_of_documents_has_them_all() -> None:
    listed = (DOCS / "README.md").read_text()
    assert [page.name for page in DOCS.glob("*.md") if page.name != "README.md"
            and f"({page.name})" not in listed] == []  # fmt: skip
    decisions = [page.name for page in (DOCS / "decisions").glob("0*.md")]
    assert [name for name in decisions if f"(decisions/{name})" not in listed] == []


def test_every_setting_is_explained_to_operators() -> None:
    table = (DOCS / "operating.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|.*\| ([^|]+) \|$", table, re.MULTILINE))
    assert set(rows) == {name.upper() for name in Settings.model_fields}


def test_every_table_has_its_place_in_the_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    assert [name for name in NAMES if not re.search(rf"^\|.*\b{name}\b", text, re.MULTILINE)] == []


def test_every_disaster_names_a_test_that_exists() -> None:
    text = (DOCS / "disasters.md").read_text()
    named = set(re.findall(r"`(?:tests/[\w/]+/)?(test_\w+\.py)`", text))
    there = {path.name for path in (PROJECT / "tests").rglob("test_*.py")}
    assert named
    assert named <= there


def test_every_clock_stands_in_the_operators_table() -> None:
    text = (DOCS / "operating.md").read_text()
    for module in (PROJECT / "functions" / "timers").glob("*.py"):
        for second, minute, hour, day in re.findall(
            r'schedule="(\S+) (\S+) (\S+) (\S+) \S+ \S+"', module.read_text()
        ):
            assert second == "0"
            assert _told(minute, hour, day) in text, f"{module.name}: {minute} {hour} {day}"


def _told(minute: str, hour: str, day: str) -> str:
    if "/" in minute:
        return f"every {minute.partition('/')[2]} min"
    if hour == "*":
        return f":{int(minute):02d}"
    return f"{int(hour):02d}:{int(minute):02d}" + (" on the 1st" if day == "1" else "")
