"""The table of features names tests that exist."""

import re

from tests.local.host.running import ROOT


def test_every_test_that_the_table_names_exists() -> None:
    page = (ROOT / "docs/task-hubs.md").read_text()
    named, file = 0, ""
    for path, test in re.findall(r"`((?:hub|host)/\w+\.py)?(?:::(\w+))?`", page):
        file = path or file
        if not (path or test):
            continue
        source = (ROOT / "tests/local" / file).read_text()
        assert not test or f"def {test}(" in source, f"{file}::{test}"
        named += 1
    assert named > 30
