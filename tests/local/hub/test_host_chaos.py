"""The host under chaos: its workers see what the cloud's would, and the result is the same."""

import json
from pathlib import Path

import pytest

from tests.local.host.running import end, launch, write_app
from tests.local.hub.test_killing import APP, COUNT, finished, is_sound

SWITCHES = "activity-twice=0.2,crash-before-commit=0.02,crash-after-commit=0.02,reorder=0.3"
FICKLE = """
@app.orchestration_trigger(context_name="ctx")
def squares(ctx: task.OrchestrationContext, count: int):
    import random
    yield ctx.call_activity("square", input=random.randrange(10**9))
    return "never"
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_the_result_is_the_same(tmp_path: Path, seed: int) -> None:
    folder = write_app(tmp_path / "app", APP)
    chaos = f"seed={seed},{SWITCHES},drop-worker=0.01,delay=0.01,replay-twice"
    host = launch(folder, "--hub", f"sqlite:{folder / 'hub.sqlite'}", "--chaos", chaos)
    try:
        while host.post("/start/all", COUNT).status != 202:
            if host.get("/state/all").body not in (b"", b"null"):
                break  # it was kept, and only the answer was lost
        is_sound(folder, finished(host))
        ran = (folder / "ran.txt").read_text().splitlines()
        assert len(ran) > COUNT + 20  # some ran twice
    finally:
        end(host)


def test_an_orchestrator_that_is_not_repeatable_is_named(tmp_path: Path) -> None:
    source = APP.replace("def squares(", "def was_squares(") + FICKLE
    folder = write_app(tmp_path / "app", source)
    host = launch(folder, "--hub", f"sqlite:{folder / 'hub.sqlite'}", "--chaos", "replay-twice")
    try:
        assert host.post("/start/all", 1).status == 202
        assert finished(host)["status"] == "FAILED"
        assert not (folder / "ran.txt").exists()
        assert json.loads(host.get("/state/all").body)["output"] is None
    finally:
        end(host)
