"""A preview says what the restore then does, and changes nothing."""

from typing import Any

import pytest

from shared.kit.errors import HoldfastError
from shared.protection.model import ObjectRun
from shared.restore import rules
from shared.restore.choosing import Wanted
from shared.restore.preview import preview
from tests.contract.engine.conftest import Ground


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 2, "mails": 12, "files": 12, "seed": 7}


async def protected(ground: Ground, workload: str) -> ObjectRun:
    runs = await ground.runs(await ground.back_up())
    return next(run for (kind, _), run in runs.items() if kind == workload and run.items > 3)


@pytest.mark.parametrize("workload", ["mailbox", "drive"])
async def test_count_size_and_cost_are_those_of_the_restore(ground: Ground, workload: str) -> None:
    run = await protected(ground, workload)
    await ground.cloud.reset_stats()
    seen = await preview(ground.deps, ground.scope, Wanted(run.object_id, run.snapshot or 0))
    assert (await ground.cloud.stats())["requests"] == {}
    rows = (await ground.held(run)).values()
    items = [row for row in rows if row.kind not in rules.FOLDER_KINDS]
    assert (seen.load.items, seen.load.bytes) == (len(items), sum(row.size for row in items))
    restore = await ground.restore(run)
    assert restore.entries == {"Created": seen.load.items + seen.load.folders}
    # Names of folders are looked up once each and the target's own folder is one more.
    spent = restore.graph.requests if workload == "mailbox" else restore.graph.ru
    told = seen.estimate.requests if workload == "mailbox" else seen.estimate.resource_units
    assert told == pytest.approx(spent, rel=0.15)


async def test_collisions_in_place_are_foretold(ground: Ground) -> None:
    run = await protected(ground, "drive")
    wanted = Wanted(run.object_id, run.snapshot or 0, place="original")
    seen = await preview(ground.deps, ground.scope, wanted)
    restore = await ground.restore(run, place="original")
    assert seen.expected_collisions == restore.entries["Skipped"] == seen.load.items
    beside = await preview(ground.deps, ground.scope, Wanted(run.object_id, run.snapshot or 0))
    assert beside.expected_collisions == 0


async def test_items_without_content_are_refused_by_name(ground: Ground) -> None:
    user = ground.cloud.user()
    path = f"/users/{user['id']}/files"
    made = await ground.cloud.in_tenant("PUT", path, params={"path": "bad.exe"}, data=b"x")
    await ground.cloud.in_tenant("PATCH", f"{path}/{made['id']}", json={"malware": True})
    runs = await ground.runs(await ground.back_up())
    run = runs["drive", user["driveId"]]
    seen = await preview(ground.deps, ground.scope, Wanted(run.object_id, run.snapshot or 0))
    assert [(one.name, one.code) for one in seen.refusals] == [("bad.exe", "CONTENT_NOT_HELD")]
    assert seen.refused == 1


async def test_what_a_start_refuses_a_preview_refuses(ground: Ground) -> None:
    run = await protected(ground, "drive")
    folder = next(r for r in (await ground.held(run)).values() if r.kind == "folder")
    key = (await ground.opened(run)).key(folder)
    for wanted, code in (
        ({"items": ["0" * 64]}, "ITEM_NOT_IN_SNAPSHOT"),
        ({"items": [key]}, "ITEM_IS_FOLDER"),
        ({"items": [key], "folder": key}, "INVALID_INPUT"),
        ({"target_folder": "a/../b"}, "INVALID_INPUT"),
        ({"place": "original", "target_folder": "x"}, "INVALID_INPUT"),
        ({"confirmed_customer_id": ground.customer.customer_id}, "INVALID_INPUT"),
    ):
        given = Wanted(run.object_id, run.snapshot or 0, **wanted)  # type: ignore[arg-type]
        with pytest.raises(HoldfastError) as refused:
            await preview(ground.deps, ground.scope, given)
        assert refused.value.code == code, wanted
