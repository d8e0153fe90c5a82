"""Rules of the format that nothing else names: clear bytes, salts, copied rows, order."""

import json
from datetime import timedelta

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.vault.errors import RunExpired
from shared.vault.format import names
from shared.vault.format.frames import SNAPSHOT, parse_header
from shared.vault.model import ObjectRef
from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import MAILBOX, World, backup, folder, mail, putting, seal
from tests.unit.vault.years import Years

MARK = "Zaphod-Beeblebrox-42"
PERSON = ObjectRef("mailbox", f"{MARK}-id", f"{MARK} Name", f"{MARK}@example.org")


def stored(world: World) -> dict[str, bytes]:
    assert isinstance(world.store, MemoryBlobs)
    return {name: data for name, (data, _) in world.store.blobs.items()}


async def test_v4_no_name_and_no_stored_byte_shows_what_was_copied() -> None:
    world = World()
    vault = await world.create()

    async def work(run: Run, part: Slice) -> None:
        await part.put(folder(f"{MARK}-folder"), None)
        for number in range(30):
            item = mail(f"{MARK}-{number}", folder=f"{MARK}-folder", w=f"{MARK}@x", o=[MARK])
            await part.put(item, MARK.encode() * 3)
        part.failed(mail(f"{MARK}-bad"), f"500/{MARK}", MARK)

    await backup(vault, PERSON, "r1", work)
    await backup(vault, PERSON, "r2", work)
    assert isinstance(world.control, MemoryBlobs)
    both = stored(world) | {n: data for n, (data, _) in world.control.blobs.items()}
    assert len(both) > 4
    for name, data in both.items():
        assert MARK.lower() not in name.lower()
        assert MARK.encode().lower() not in data.lower(), name


async def test_v11_every_attempt_to_write_has_a_salt_of_its_own() -> None:
    salts: list[str] = []
    for _ in range(3):
        world = World()
        vault = await world.create()
        for run_id in ("r1", "r2"):
            await backup(vault, MAILBOX, run_id, putting({"a": b"the same", "b": b"again"}))
        for name, data in stored(world).items():
            if name.endswith((".hfs", ".hfb", ".hfp")):
                salts.append(json.loads(data.split(b"\n", 2)[1])["salt"])
    assert len(salts) >= 9
    assert len(set(salts)) == len(salts)


async def test_v24_v26_rows_are_copied_byte_for_byte_and_stand_in_key_order_once() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": b"x" * n for n in range(2100)}))
    first = await vault.open_snapshot(MAILBOX)
    before = {row.source_id: row.raw async for row in first.rows()}
    for number in range(2, 6):  # tails, and a new base among them
        change = {f"m{n}": b"%d %d" % (n, number) for n in range(1600)}
        await backup(vault, MAILBOX, f"r{number}", putting(change, str(number)))
    newest = await vault.open_snapshot(MAILBOX)
    assert newest.head.document["base"] != first.head.document["base"]
    keys = [row.source_id async for row in newest.rows()]
    assert len(keys) == len(set(keys)) == 2100
    after = {row.source_id: row.raw async for row in newest.rows()}
    same = [name for name in before if int(name[1:]) >= 1600]
    assert same
    assert all(before[name] == after[name] for name in same)
    index = await newest._ready()
    for bucket in range(index.buckets):
        held = [key async for key in _keys(newest, bucket)]
        assert held == sorted(set(held))


async def _keys(snapshot, bucket: int):  # type: ignore[no-untyped-def]
    from shared.vault.format.rows import core, key_of

    for item, _ in await snapshot._index.base_lines(bucket):
        yield key_of(snapshot._oid16, core(item).i)


async def test_v33_v32_a_region_of_another_record_is_refused_and_cursors_come_with_the_rows() -> (
    None
):
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({"a": b"1"}))
    await backup(vault, MAILBOX, "r2", putting({"a": b"2"}, "2"))
    run = await vault.open_run(MAILBOX, "look")
    assert run.cursors["c"]["link"] == "r2/0"  # V32: those of the record whose rows are seen
    oid = await vault.oid(MAILBOX)
    for n in (1, 2):
        header, _ = parse_header(stored(world)[names.record(oid, n)], SNAPSHOT)
        head = (await vault.snapshots(MAILBOX))[2 - n].document
        for member in ("repo", "oid", "n", "prev", "root", "items"):
            assert header[member] == head[member]  # V33


async def test_v46_v47_nothing_of_a_run_is_seen_before_its_record_stands() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({"a": b"1"}))
    run = await vault.open_run(MAILBOX, "r2")
    part = await run.slice(0)
    await part.put(mail("b"), b"2" * 100)
    await part.finish({}, more=False)
    reader = await world.open()
    assert [head.n for head in await reader.snapshots(MAILBOX)] == [1]
    assert await (await reader.open_snapshot(MAILBOX)).row("b") is None
    await seal(run)
    assert await (await reader.open_snapshot(MAILBOX)).row("b") is not None


async def test_v52_storage_says_how_old_a_run_is_whatever_the_worker_believes() -> None:
    years = Years()
    vault = await years.create()
    run = await vault.open_run(MAILBOX, "slow")
    part = await run.slice(0)
    await part.put(mail("a"), b"1")
    await part.finish({}, more=False)
    believed = years.now
    years.pass_(hours=25)
    run = await vault.open_run(MAILBOX, "slow")
    with pytest.raises(RunExpired):
        await run.seal(
            enumerated={}, started=believed, ended=believed,
            expires=believed + timedelta(days=30), kind="full",
        )  # fmt: skip
