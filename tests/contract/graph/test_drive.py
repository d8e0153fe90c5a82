"""Drives through real sockets: completeness, increments, dead URLs, resync and throttling."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from shared.microsoft365.drive import Drive, orphans
from shared.microsoft365.errors import ItemFailed, ItemSkipped, SliceOver
from shared.microsoft365.model import Budget
from tests.contract.graph.conftest import Cloud, Pass, content_of, run_pass


def _live(first: Pass, second: Pass) -> dict[str, dict[str, object]]:
    """Rows after an increment: later wins, the removed and what hung below them go (M15)."""
    rows = {i: c.item for i, c in first.rows.items()} | {i: c.item for i, c in second.rows.items()}
    removed = {change.item["i"] for change in second.removed} - second.rows.keys()
    parents = {i: str(item["p"]) for i, item in rows.items() if "p" in item}
    lost = removed | orphans(parents, removed)
    return {i: item for i, item in rows.items() if i not in lost}


def _path(rows: dict[str, dict[str, object]], source_id: str) -> str:
    names: list[str] = []
    while "p" in rows[source_id]:
        names.insert(0, str(rows[source_id]["n"]))
        source_id = str(rows[source_id]["p"])
    return "/".join(names)


async def test_full_enumeration_finds_every_file_byte_for_byte(cloud: Cloud) -> None:
    user = cloud.user()
    drive = cloud.drive(user)
    found = await run_pass(drive)
    truth = await cloud.truth(user)
    files = {i: c for i, c in found.rows.items() if c.content}
    assert files.keys() == {f["id"] for f in truth["files"]}
    await cloud.reset_stats()
    for file in truth["files"]:
        content = await content_of(drive, files[file["id"]])
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    stats = await cloud.stats()
    # M8: one request a file at most, an empty one costs none.
    assert sum(stats["requests"].values()) <= len(truth["files"])
    assert all("url" not in c.item and "http" not in str(c.item) for c in files.values())


async def test_goal_3_an_unchanged_drive_costs_one_request(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.drive(user))
    await cloud.reset_stats()
    again = await run_pass(cloud.drive(user), first.cursors)
    stats = await cloud.stats()
    assert not [change for change in again.rows.values() if change.content]
    assert sum(stats["requests"].values()) == 1
    assert stats["ru"] == 1


async def test_increment_with_edits_moves_renames_and_deletes(cloud: Cloud) -> None:
    user = cloud.user()
    drive = cloud.drive(user)
    first = await run_pass(drive)
    change = {
        "seed": 3,
        "users": [user["upn"]],
        "perUser": {
            "newFiles": 4, "editFiles": 4, "moveFiles": 4, "renameFiles": 3, "deleteFiles": 4,
        },
    }  # fmt: skip
    await cloud.in_tenant("POST", "/change", json=change)
    second = await run_pass(drive, first.cursors)
    truth = {f["id"]: f for f in (await cloud.truth(user))["files"]}
    rows = _live(first, second)
    assert {i for i, item in rows.items() if item["k"] == "file"} == truth.keys()
    for source_id, file in truth.items():
        assert _path(rows, source_id) == file["path"].strip("/")
    for source_id, one in second.rows.items():
        if not one.content or source_id not in truth:
            continue
        old = first.rows.get(source_id)
        held = {**old.item, "d": "held"} if old else {}
        if drive.content_changed(held, one):
            content = await content_of(drive, one)
            assert hashlib.sha256(content).hexdigest() == truth[source_id]["sha256"]
        else:
            assert old is not None
            content = await content_of(drive, old)
            assert hashlib.sha256(content).hexdigest() == truth[source_id]["sha256"]


async def test_goal_4_units_per_changed_file(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.drive(user))
    change = {"seed": 4, "users": [user["upn"]], "perUser": {"editFiles": 20}}
    await cloud.in_tenant("POST", "/change", json=change)
    transport = cloud.transport()
    drive = Drive(transport, user["driveId"])
    second = await run_pass(drive, first.cursors)
    changed = [
        c for i, c in second.rows.items()
        if c.content and drive.content_changed({**first.rows[i].item, "d": "held"}, c)
    ]  # fmt: skip
    for one in changed:
        await content_of(drive, one)
    assert len(changed) >= 10
    assert (transport.use.ru - 1) / len(changed) <= 1.1


async def test_expired_delta_follows_location_and_reads_nothing_again(cloud: Cloud) -> None:
    user = cloud.user()
    drive = cloud.drive(user)
    first = await run_pass(drive)
    await cloud.admin("POST", "/expireDelta")
    again = await run_pass(drive, first.cursors)
    assert all(page.full for page in again.pages)
    assert again.rows.keys() == first.rows.keys()
    for source_id, one in again.rows.items():
        if one.content:
            held = {**first.rows[source_id].item, "d": "held"}
            assert not drive.content_changed(held, one)


async def test_dead_download_url_is_renewed(cloud: Cloud) -> None:
    await cloud.admin("POST", "/limits", json={"content": {"downloadLifetime": 30}})
    user = cloud.user()
    drive = cloud.drive(user)
    found = await run_pass(drive)
    cloud.clock.simulator.advance(31)
    file = (await cloud.truth(user))["files"][0]
    content = await content_of(drive, found.rows[file["id"]])
    assert hashlib.sha256(content).hexdigest() == file["sha256"]


@pytest.mark.parametrize("action", ["truncate", "reset"])
async def test_a_broken_download_goes_on_where_it_stopped(cloud: Cloud, action: str) -> None:
    user = cloud.user()
    body = bytes(range(256)) * 20_000
    await cloud.in_tenant("PUT", f"/users/{user['id']}/files?path=big/body.bin", data=body)
    drive = cloud.drive(user)
    found = await run_pass(drive)
    big = next(c for c in found.rows.values() if c.item["n"] == "body.bin")
    await cloud.reset_stats()
    await cloud.fault(action, "_content", times=2)
    assert await content_of(drive, big) == body
    assert (await cloud.stats())["bytesOut"] < 2 * len(body)


async def test_file_gone_between_page_and_download(cloud: Cloud) -> None:
    user = cloud.user()
    drive = cloud.drive(user)
    found = await run_pass(drive)
    file = (await cloud.truth(user))["files"][0]
    path = f"/users/{user['id']}/files?path={file['path'].strip('/')}"
    await cloud.in_tenant("DELETE", path)
    with pytest.raises(ItemSkipped) as skipped:
        await content_of(drive, found.rows[file["id"]])
    assert skipped.value.cause == "gone"


async def test_malware_is_skipped(cloud: Cloud) -> None:
    user = cloud.user()
    drive = cloud.drive(user)
    found = await run_pass(drive)
    await cloud.fault("virusHeader", "_content")
    file = next(c for c in found.rows.values() if c.item.get("m", {}).get("size", 0) > 0)
    with pytest.raises(ItemSkipped) as skipped:
        await content_of(drive, file)
    assert skipped.value.cause == "malware"


async def test_empty_page_erases_nothing(cloud: Cloud) -> None:
    user = cloud.user()
    whole = await run_pass(cloud.drive(user))
    await cloud.fault("emptyPage", "delta", times=3)
    again = await run_pass(cloud.drive(user))
    assert again.rows.keys() == whole.rows.keys()


async def test_endless_empty_pages_fail(cloud: Cloud) -> None:
    await cloud.fault("emptyPage", "delta", times=-1)
    with pytest.raises(ItemFailed):
        await run_pass(cloud.drive(cloud.user()))


async def test_throttle_storm_calls_nothing_inside_a_fence(cloud: Cloud) -> None:
    """One refusal keeps back all of the tenant's drives, with eight downloads in flight."""
    users = [cloud.user(0), cloud.user(1)]
    transports = [cloud.transport() for _ in users]
    drives = [Drive(t, u["driveId"]) for t, u in zip(transports, users, strict=True)]
    passes = [await run_pass(drive) for drive in drives]
    await cloud.fault("throttle", "_content|drives", times=20, match={"nth": 3})
    gate = asyncio.Semaphore(8)

    async def read(drive: Drive, change: object) -> int:
        async with gate:
            return len(await content_of(drive, change))  # type: ignore[arg-type]

    await asyncio.gather(*(
        read(drive, change)
        for drive, found in zip(drives, passes, strict=True)
        for change in found.rows.values()
        if change.content
    ))  # fmt: skip
    stats = await cloud.stats()
    assert sum(t.use.throttled for t in transports) == 20
    assert stats["insideFence"] == 0


async def test_slice_ends_when_a_fence_outlives_it(cloud: Cloud) -> None:
    now = cloud.clock.now()
    budget = Budget(deadline=now + timedelta(seconds=60))
    await cloud.fault("throttle", "delta", answer={"retryAfter": 300})
    with pytest.raises(SliceOver) as over:
        await run_pass(cloud.drive(cloud.user(), budget=budget))
    assert over.value.not_before >= now + timedelta(seconds=300)
    assert cloud.clock.now() < now + timedelta(seconds=60)


async def test_budget_of_requests_ends_the_slice(cloud: Cloud) -> None:
    user = cloud.user()
    drive = cloud.drive(user, budget=Budget(requests=3))
    found = await run_pass(drive)
    files = [c for c in found.rows.values() if c.item.get("m", {}).get("size", 0) > 0]
    await content_of(drive, files[0])
    await content_of(drive, files[1])
    with pytest.raises(SliceOver):
        await content_of(drive, files[2])
