"""One partner with empty books."""

import pytest

from tests.unit.licensing.world import World


@pytest.fixture
def world() -> World:
    return World()
