"""Sites and teams taken away and drilled: every kind of row leaves, in a form one can read."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.audit.signing import FileSigner
from shared.drills import process as drilling
from shared.drills import service as drills
from shared.drills.model import DrillState
from shared.drills.tasks import DrillTask
from shared.export import writing
from shared.export.model import ExportState
from shared.protection.model import ObjectRun
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_exporting import begin, finish, manifest, opened
from tests.contract.engine.test_sites_teams import shared, site_truth, size, team_truth, the_run

__all__ = ["shared", "size"]


async def taken(ground: Ground, run: ObjectRun) -> dict[str, list[tuple[str, bytes]]]:
    """Kind -> path and bytes of every file of a whole export."""
    export = await finish(ground, await begin(ground, run))
    assert export.state is ExportState.COMPLETED
    archive = opened(ground, export)
    found: dict[str, list[tuple[str, bytes]]] = {}
    for line in manifest(archive):
        data = archive.read(line["path"])
        assert hashlib.sha256(data).hexdigest() == line["sha256"]
        found.setdefault(line["kind"], []).append((line["path"], data))
    return found


async def stored(ground: Ground, run: ObjectRun) -> dict[str, list[bytes]]:
    """Kind -> the content of every row that has one."""
    at, found = await ground.opened(run), dict[str, list[bytes]]()
    async for row in at.snapshot.rows():
        if row.has_content:
            whole = b"".join([part async for part in at.snapshot.content(row)])
            found.setdefault(row.kind, []).append(whole)
    return found


def same(left: dict[str, list[tuple[str, bytes]]], right: dict[str, list[bytes]]) -> bool:
    given = {kind: sorted(data for _, data in files) for kind, files in left.items()}
    return given == {kind: sorted(files) for kind, files in right.items()}


async def test_a_site_leaves_with_settings_lists_items_and_files(shared: Ground) -> None:
    site = shared.cloud.world["sites"][0]["id"]
    run = await the_run(shared, await shared.back_up(), "site", site)
    found, truth = await taken(shared, run), await site_truth(shared, site)
    assert found.keys() >= {"site", "list", "listitem", "file"}
    assert same(found, await stored(shared, run))
    lists = {one["name"] for one in truth["lists"]} | {one["name"] for one in truth["libraries"]}
    assert {path.split("/")[1].rpartition(" [")[0] for path, _ in found["list"]} == lists
    items = [orjson.loads(data)["fields"] for _, data in found["listitem"]]
    assert sorted(str(one["Title"]) for one in items) == sorted(
        str(item["fields"]["Title"]) for one in truth["lists"] for item in one["items"]
    )
    assert all(path.endswith(".json") for path, _ in found["listitem"])
    wanted = sorted(file["sha256"] for one in truth["libraries"] for file in one["files"])
    assert sorted(hashlib.sha256(data).hexdigest() for _, data in found["file"]) == wanted


async def test_a_team_leaves_with_members_channels_messages_and_replies(shared: Ground) -> None:
    team = shared.cloud.world["teams"][0]["id"]
    run = await the_run(shared, await shared.back_up(), "team", team)
    found, truth = await taken(shared, run), await team_truth(shared, team)
    assert found.keys() >= {"team", "permission", "channel", "message", "reply"}
    assert same(found, await stored(shared, run))
    said: list[Any] = [one for channel in truth["channels"] for one in channel["messages"]]
    left = [orjson.loads(data) for kind in ("message", "reply") for _, data in found[kind]]
    assert sorted(str(one["id"]) for one in left) == sorted(str(one["id"]) for one in said)
    # Messages and replies stand in the folder of their channel.
    names = {one["name"] for one in truth["channels"]}
    for kind in ("message", "reply"):
        assert {path.split("/")[1] for path, _ in found[kind]} <= names


@pytest.mark.parametrize("slice_items", [1000, 3])
async def test_rst_channels_leave_as_pages_for_people_too(
    shared: Ground, slice_items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SLICE_ITEMS", slice_items)  # pages go on over slices
    team = shared.cloud.world["teams"][0]["id"]
    channel = next(one for one in shared.cloud.world["teams"][0]["channels"])
    hostile = '<p onclick="x()">stay</p><script>steal()</script><img src="https://t.example/x">'
    await shared.cloud.in_tenant(
        "POST", f"/teams/{team}/channels/{channel['id']}/messages",
        json={"upn": "", "content": hostile},
    )  # fmt: skip
    run = await the_run(shared, await shared.back_up(), "team", team)
    export = await finish(shared, await begin(shared, run))
    assert (export.state, export.done) == (ExportState.COMPLETED, export.total)
    archive = opened(shared, export)
    for one in (await team_truth(shared, team))["channels"]:
        name = f"items/{one['name']}/conversation.html"
        if not one["messages"]:
            assert name not in archive.namelist()
            continue
        page = archive.read(name).decode()
        assert page.count("<article") == len(one["messages"])
        assert page.count('<article class="reply">') == sum(
            bool(m["rootId"]) for m in one["messages"]
        )
        roots = sorted((m for m in one["messages"] if not m["rootId"]), key=lambda m: m["id"])
        shown = [page.find(f'datetime="{m["createdDateTime"]}"') for m in roots]
        assert shown == sorted(shown)
        assert min(shown) > 0
        for bad in ("onclick", "<script", "steal()", "https://t.example"):
            assert bad not in page
        images = sum(len(m["hosted"]) for m in one["messages"])
        assert page.count('src="data:image/') == images
    assert "stay" in archive.read(f"items/{channel['name']}/conversation.html").decode()


async def test_a_drill_reads_sites_and_teams_back(shared: Ground, tmp_path: Path) -> None:
    shared.deps.__dict__["signer"] = FileSigner(tmp_path)
    await shared.back_up()
    drill = await drills.start_drill(
        shared.deps, shared.scope, shared.customer.customer_id, requested_by="test"
    )
    task = DrillTask(partner_id=shared.scope.partner_id, drill_id=drill.drill_id)
    for object_id in (await drilling.plan_drill(shared.deps, task)).objects:
        await drilling.drill_object(shared.deps, task.model_copy(update={"object_id": object_id}))
    assert await drilling.seal_drill(shared.deps, task) is DrillState.PASSED
    ended = await drills.get_drill(shared.deps, shared.scope, drill.drill_id)
    assert ended.workloads.keys() == {"site", "team"}
    assert ended.failed == 0
