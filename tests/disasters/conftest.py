"""Disasters take the time they take: a whole system is started, broken and brought back."""

from pathlib import Path

import pytest

TIMEOUT_SECONDS = 900
"""For a test with its module's fixtures; waits in it end sooner, and say what they waited for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suite's limit of a test is for tests on a system that runs already."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
