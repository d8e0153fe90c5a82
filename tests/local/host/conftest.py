"""Hosts for the tests: one per test, or one per module."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local.host.running import ROOT_PREFIX, RunningHost, end, launch, write_app


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., RunningHost]]:
    """Write an app and run it; every host is ended after the test, also on failure."""
    started: list[RunningHost] = []

    def run(source: str, *arguments: str, host_json: str = ROOT_PREFIX, **env: str) -> RunningHost:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        host = launch(write_app(folder, source, host_json), *arguments, **env)
        started.append(host)
        return host

    yield run
    for host in started:
        end(host)


@pytest.fixture(scope="module")
def sample(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[RunningHost]:
    """One host for a module: its app is the module's APP."""
    folder = tmp_path_factory.mktemp("app")
    host = launch(write_app(folder, request.module.APP), *getattr(request.module, "ARGUMENTS", ()))
    yield host
    end(host)
