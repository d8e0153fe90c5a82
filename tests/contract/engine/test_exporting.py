"""An export holds what was protected, byte for byte, and opens with ordinary programs."""

import hashlib
import io
import json
import mailbox
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.export import pieces as pieces_module
from shared.export import process, repository, service, writing
from shared.export.model import Export, ExportState
from shared.export.pieces import CONTAINER, Pieces
from shared.export.tasks import ExportTask
from shared.kit.blobs import MemoryBlobs
from shared.kit.clock import FixedClock
from shared.kit.errors import HoldfastError
from shared.protection.model import ObjectRun
from tests.contract.engine.conftest import Ground

HOSTILE = ("../../climb.txt", "CON.txt", "a\u202egnp.exe", "ends in dot.", "trailing ")


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 1, "mails": 25, "files": 25, "seed": 7}


def store(ground: Ground) -> MemoryBlobs:
    """What the storage holds of exports."""
    found: MemoryBlobs = ground.deps.storage.containers[CONTAINER]  # type: ignore[attr-defined]
    return found


async def protected(ground: Ground, workload: str) -> ObjectRun:
    runs = await ground.runs(await ground.back_up())
    return next(run for (kind, _), run in runs.items() if kind == workload)


async def begin(ground: Ground, run: ObjectRun, **wanted: Any) -> Export:
    given: dict[str, Any] = {"items": None, "folder": None, "layout": "files", **wanted}
    return await service.start_export(
        ground.deps, ground.scope, object_id=run.object_id, snapshot=run.snapshot or 0,
        requested_by="test", **given,
    )  # fmt: skip


async def finish(ground: Ground, export: Export) -> Export:
    """What the process does."""
    task = ExportTask(partner_id=ground.scope.partner_id, export_id=export.export_id)
    await process.plan_export(ground.deps, task)
    number = 0
    while True:
        at = task.model_copy(update={"number": number})
        if (await process.export_slice(ground.deps, at)).outcome == "done":
            break
        number += 1
    await process.seal_export(ground.deps, task)
    return await service.get_export(ground.deps, ground.scope, export.export_id)


def opened(ground: Ground, export: Export) -> zipfile.ZipFile:
    name = Pieces(store(ground), export).file
    data = store(ground).blobs[name][0]
    assert len(data) == export.size
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return archive


def manifest(archive: zipfile.ZipFile) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]


@pytest.mark.parametrize("slice_items", [1000, 7])
async def test_drive_comes_out_byte_for_byte(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, slice_items: int
) -> None:
    monkeypatch.setattr(writing, "SLICE_ITEMS", slice_items)
    user = ground.cloud.user()
    for number in range(3):
        path = f"Same Name/{number}/x.txt"
        at = f"/users/{user['id']}/files"
        await ground.cloud.in_tenant("PUT", at, params={"path": path}, data=path.encode())
    run = await protected(ground, "drive")
    export = await finish(ground, await begin(ground, run))
    assert export.state is ExportState.COMPLETED
    archive = opened(ground, export)
    truth = (await ground.cloud.truth(user))["files"]
    held = {
        name.removeprefix("items/"): hashlib.sha256(archive.read(name)).hexdigest()
        for name in archive.namelist()
        if name.startswith("items/") and not name.endswith("/")
    }
    plain = {f["path"].lstrip("/"): f["sha256"] for f in truth}
    assert sorted(held.values()) == sorted(plain.values())
    same = {path for path in plain if held.get(path) == plain[path]}
    assert len(same) > len(plain) // 2  # ordinary names are kept as they are
    lines = manifest(archive)
    assert {f"items/{path}": sha for path, sha in held.items()} == {
        line["path"]: line["sha256"] for line in lines
    }
    told = json.loads(archive.read("receipt.json"))
    assert told["receipt"]["root"] == (await ground.opened(run)).head.root
    assert told["manifestSha256"] == export.manifest_sha256
    assert hashlib.sha256(archive.read("manifest.jsonl")).hexdigest() == export.manifest_sha256


async def test_mailbox_comes_out_as_eml_byte_for_byte(ground: Ground) -> None:
    run = await protected(ground, "mailbox")
    export = await finish(ground, await begin(ground, run))
    archive = opened(ground, export)
    truth = (await ground.cloud.truth(ground.cloud.user()))["mails"]
    mails = [name for name in archive.namelist() if name.endswith(".eml")]
    assert sorted(hashlib.sha256(archive.read(name)).hexdigest() for name in mails) == sorted(
        mail["sha256"] for mail in truth
    )
    assert len(set(mails)) == len(truth)
    folders = {mail["folder"] for mail in truth}
    assert all(any(f"/{folder}/" in name for name in mails) for folder in folders)


@pytest.mark.parametrize("slice_items", [1000, 3])
async def test_mailbox_comes_out_as_one_mbox_per_folder(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slice_items: int
) -> None:
    monkeypatch.setattr(writing, "SLICE_ITEMS", slice_items)
    user = ground.cloud.user()
    tricky = b"Subject: tricky\r\n\r\nFrom here on\r\n>From there\r\nno line end"
    at = f"/users/{user['id']}/mails?folder=Inbox"
    await ground.cloud.in_tenant("POST", at, data=tricky)
    run = await protected(ground, "mailbox")
    export = await finish(ground, await begin(ground, run, layout="mbox"))
    archive = opened(ground, export)
    truth = (await ground.cloud.truth(user))["mails"]
    boxes = [name for name in archive.namelist() if name.endswith(".mbox")]
    assert len(boxes) == len({mail["folderId"] for mail in truth})
    found: list[bytes] = []
    for number, name in enumerate(boxes):
        path = tmp_path / str(number)
        path.write_bytes(archive.read(name))
        found += [message.as_bytes() for message in mailbox.mbox(path)]
    assert len(found) == len(truth)
    (mine,) = [one for one in found if b"Subject: tricky" in one]
    assert b">From here on\n>>From there\nno line end" in mine


async def test_folder_and_items_come_out_alone(ground: Ground) -> None:
    user = ground.cloud.user()
    at = f"/users/{user['id']}/files"
    for path in ("Box/in.txt", "Box/deep/in.txt", "Outside/out.txt"):
        await ground.cloud.in_tenant("PUT", at, params={"path": path}, data=path.encode())
    run = await protected(ground, "drive")
    rows = (await ground.held(run)).values()
    seen = await ground.opened(run)
    box = next(row for row in rows if row.name == "Box")
    export = await finish(ground, await begin(ground, run, folder=seen.key(box)))
    files = [
        n for n in opened(ground, export).namelist() if n.startswith("items/") and n[-1] != "/"
    ]
    assert sorted(files) == ["items/Box/deep/in.txt", "items/Box/in.txt"]
    out = next(row for row in rows if row.name == "out.txt")
    export = await finish(ground, await begin(ground, run, items=[seen.key(out)]))
    archive = opened(ground, export)
    assert archive.read("items/Outside/out.txt") == b"Outside/out.txt"
    assert len(manifest(archive)) == export.total == 1


async def test_crash_in_the_middle_goes_on_without_doubles(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of an execution that died, or that another one overtook, are in no file."""
    monkeypatch.setattr(writing, "SLICE_ITEMS", 5)
    monkeypatch.setattr(pieces_module, "BLOCK_BYTES", 4096)
    run = await protected(ground, "drive")
    export = await begin(ground, run)
    real, calls = repository.add_slice, 0

    async def crash(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise ConnectionError("the worker is gone")
        return await real(*given)

    monkeypatch.setattr(process.repository, "add_slice", crash)
    task = ExportTask(partner_id=ground.scope.partner_id, export_id=export.export_id)
    await process.plan_export(ground.deps, task)
    number, outcome = 0, "more"
    while outcome == "more":
        at = task.model_copy(update={"number": number})
        with pytest.raises(ConnectionError):
            await process.export_slice(ground.deps, at)
        outcome = (await process.export_slice(ground.deps, at)).outcome
        assert (await process.export_slice(ground.deps, at)).outcome == outcome  # a late repeat
        number += 1
    real_change = repository.change

    async def lost(*_: Any) -> Any:
        raise ConnectionError("after the file was made")

    monkeypatch.setattr(process.repository, "change", lost)
    with pytest.raises(ConnectionError):
        await process.seal_export(ground.deps, task)
    monkeypatch.setattr(process.repository, "change", real_change)
    await process.seal_export(ground.deps, task)
    ended = await service.get_export(ground.deps, ground.scope, export.export_id)
    assert ended.state is ExportState.COMPLETED
    truth = (await ground.cloud.truth(ground.cloud.user()))["files"]
    archive = opened(ground, ended)
    files = [name for name in archive.namelist() if name.startswith("items/") and name[-1] != "/"]
    assert sorted(hashlib.sha256(archive.read(name)).hexdigest() for name in files) == sorted(
        file["sha256"] for file in truth
    )
    assert len(files) == len(set(files)) == len(manifest(archive))
    assert set(store(ground).blobs) == {Pieces(store(ground), ended).file}


async def test_canceled_export_leaves_nothing(ground: Ground) -> None:
    run = await protected(ground, "drive")
    export = await begin(ground, run)
    task = ExportTask(partner_id=ground.scope.partner_id, export_id=export.export_id)
    await process.plan_export(ground.deps, task)
    await process.export_slice(ground.deps, task)
    await service.cancel_export(ground.deps, ground.scope, export.export_id)
    assert await process.seal_export(ground.deps, task) is ExportState.CANCELED
    assert store(ground).blobs == {}
    with pytest.raises(HoldfastError) as refused:
        await service.cancel_export(ground.deps, ground.scope, export.export_id)
    assert refused.value.code == "EXPORT_ENDED"


async def test_item_that_is_damaged_is_named_and_the_rest_comes_out(ground: Ground) -> None:
    run = await protected(ground, "drive")
    for name, container in ground.deps.storage.containers.items():  # type: ignore[attr-defined]
        if not name.startswith("vault-"):
            continue
        packs = [one for one in container.blobs if f"o/{run.oid}/p/" in one]
        data, created = container.blobs[packs[0]]
        wrong = bytes(b ^ 1 for b in data[2000:2100])
        container.blobs[packs[0]] = (data[:2000] + wrong + data[2100:], created)
    export = await finish(ground, await begin(ground, run))
    assert export.state is ExportState.COMPLETED_WITH_ERRORS
    archive = opened(ground, export)
    broken = [line for line in manifest(archive) if "error" in line]
    assert 0 < len(broken) == export.failed < export.total
    assert {line["error"] for line in broken} == {"VAULT_DAMAGED"}
    assert {line["path"] for line in broken} == {None}  # nothing unverified was written


async def expired(ground: Ground, mine: Export) -> list[Export]:
    """Other tests' exports expire as well: the storage is shared."""
    found = [one async for one in service.expire(ground.deps)]
    return [one for one in found if one.export_id == mine.export_id]


async def test_expired_exports_are_deleted_once(ground: Ground) -> None:
    run = await protected(ground, "drive")
    export = await finish(ground, await begin(ground, run))
    assert export.expires_at == export.created_at + service.KEEP
    assert await expired(ground, export) == []
    later = FixedClock(export.created_at + service.KEEP + timedelta(minutes=1))
    ground.deps.clock = later
    (gone,) = await expired(ground, export)
    assert (gone.export_id, gone.state) == (export.export_id, ExportState.EXPIRED)
    assert store(ground).blobs == {}
    assert await expired(ground, export) == []
    with pytest.raises(HoldfastError) as refused:
        await service.make_link(ground.deps, ground.scope, export.export_id)
    assert refused.value.code == "EXPORT_EXPIRED"


async def test_drive_does_not_fit_an_mbox_and_nothing_is_written(ground: Ground) -> None:
    run = await protected(ground, "drive")
    with pytest.raises(HoldfastError) as refused:
        await begin(ground, run, layout="mbox")
    assert refused.value.code == "LAYOUT_UNFIT"
    assert CONTAINER not in ground.deps.storage.containers  # type: ignore[attr-defined]
