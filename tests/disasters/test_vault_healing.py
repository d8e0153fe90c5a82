"""Flip, cut or delete blobs, note it, back up: the newest restore point verifies clean again."""

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.vault.errors import VaultDamaged
from shared.vault.garbage import condemn
from shared.vault.model import SnapshotHead
from shared.vault.run import Run
from shared.vault.scrub import scrub_chain, scrub_dependencies, scrub_packs
from shared.vault.service import Vault
from shared.vault.slices import Slice
from shared.vault.upkeep import marks, note_damage
from tests.unit.vault.world import MAILBOX, World, backup, contents, folder, mail

OLD = {f"m{n}": b"body %d" % n for n in range(40)}
NEW = {"m3": b"changed", "new": b"new"}
SOURCE: dict[str, bytes | None] = {**OLD, **NEW, "F": None}
HARM = ["flip", "cut", "delete"]


async def built() -> tuple[World, Vault]:
    """Two restore points; pack and base of the first, a tail of the second."""
    world = World()
    vault = await world.create()

    async def first(run: Run, part: Slice) -> None:
        await part.put(folder("F"), None)
        for source_id, data in OLD.items():
            await part.put(mail(source_id, folder="F"), data)

    async def second(run: Run, part: Slice) -> None:
        for source_id, data in NEW.items():
            await part.put(mail(source_id, "2", folder="F"), data)

    await backup(vault, MAILBOX, "r1", first)
    await backup(vault, MAILBOX, "r2", second)
    return world, vault


def blobs(world: World, ending: str) -> list[str]:
    assert isinstance(world.store, MemoryBlobs)
    return sorted(name for name in world.store.blobs if name.endswith(ending))


def harm(world: World, name: str, how: str, at: int | None = None) -> None:
    assert isinstance(world.store, MemoryBlobs)
    data, made = world.store.blobs[name]
    at = len(data) // 2 if at is None else at
    if how == "delete":
        del world.store.blobs[name]
        return
    bad = data[:at] if how == "cut" else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    world.store.blobs[name] = bad, made


async def scrubbed(vault: Vault) -> list[str]:
    """Everything a deep scrub says; what it names is noted for the next run."""
    up, oid = await vault.upkeep(), await vault.oid(MAILBOX)
    found = (await scrub_chain(up, oid)).findings
    found += (await scrub_dependencies(up, oid, enabled=True)).findings
    found += (await scrub_packs(up, await vault.keys_of(oid), share=1)).findings
    await note_damage(up.control, oid, [one.blob for one in found])
    return [one.blob for one in found]


async def night(vault: Vault, run_id: str, gone: frozenset[str] = frozenset()) -> SnapshotHead:
    """What the engine does: wounded rows first, then what was listed."""
    listed: list[str] = []

    async def heal(run: Run, part: Slice) -> None:
        async for row in run.wounded_rows():
            listed.append(row.source_id)
            if row.source_id in gone:
                part.gone(row.source_id, "F")
            else:
                await part.put(mail(row.source_id, row.version, "F"), SOURCE[row.source_id])
        if run.fresh:
            assert run.cursors == {}
            held = await run.previous_many(SOURCE)
            for source_id, data in SOURCE.items():
                if source_id not in held or (source_id in NEW and held[source_id].version != "2"):
                    listed.append(source_id)
                    item = folder("F") if data is None else mail(source_id, "2", "F")
                    await part.put(item, data)
                elif not run.is_wounded(held[source_id]):
                    part.keep(source_id)

    run = await vault.open_run(MAILBOX, run_id)
    how = {"F": "full", "folders": "full"} if run.fresh else {}
    head = await backup(vault, MAILBOX, run_id, heal, enumerated=how)  # type: ignore[arg-type]
    assert listed or not run.heals
    return head


async def clean(vault: Vault, head: SnapshotHead) -> None:
    """The newest restore point needs no damaged blob, and the next run has nothing to heal."""
    up, oid = await vault.upkeep(), await vault.oid(MAILBOX)
    snapshot = await vault.open_snapshot(MAILBOX)
    assert snapshot.head.n == head.n
    await snapshot.check_rows()
    point = next(one for one in await up.points(oid) if one.n == head.n)
    assert point.broken == ()
    bad = {one.blob for one in (await scrub_packs(up, await vault.keys_of(oid), share=1)).findings}
    held = {found.name async for found in up.store.list(f"o/{oid}/")}
    assert point.needs <= held
    assert not point.needs & bad
    assert (await marks(up.control, oid)).damaged == frozenset()
    assert not (await vault.open_run(MAILBOX, "look")).heals


@pytest.mark.parametrize("how", HARM)
async def test_v65_a_damaged_pack_is_read_again(how: str) -> None:
    world, vault = await built()
    first = (await vault.snapshots(MAILBOX))[-1]
    pack = await _pack_of(vault, "m5")
    harm(world, pack, how, at=300)
    assert pack in await scrubbed(vault)
    head = await night(vault, "r3")
    assert await contents(vault, MAILBOX) == SOURCE
    await clean(vault, head)
    assert head.prev == (await vault.snapshots(MAILBOX))[1].record_hash
    with pytest.raises(VaultDamaged):  # what was damaged stays so where nothing can be read again
        await contents(vault, MAILBOX, first.n)


@pytest.mark.parametrize("how", HARM)
async def test_v65_a_damaged_base_is_left_behind(how: str) -> None:
    world, vault = await built()
    (base,) = blobs(world, ".hfb")
    harm(world, base, how)
    assert base in await scrubbed(vault)
    run = await vault.open_run(MAILBOX, "look")
    assert run.fresh
    assert run.parent is None  # both restore points stand on this base
    head = await night(vault, "r3")
    assert (head.n, head.items) == (3, len(SOURCE))
    assert await contents(vault, MAILBOX) == SOURCE
    await clean(vault, head)


@pytest.mark.parametrize("how", HARM)
@pytest.mark.parametrize("where", ["newest", "oldest"])
async def test_v65_a_damaged_record_is_left_behind(how: str, where: str) -> None:
    world, vault = await built()
    names = blobs(world, ".hfs")
    name = names[0] if where == "newest" else names[-1]
    harm(world, name, how, at=500)
    if how != "delete":
        assert name in await scrubbed(vault)
    head = await night(vault, "r3")
    if where == "newest" and how == "delete":  # nothing names it any more: its number is free
        assert head.n == 2
        return
    assert head.n == 3
    assert await contents(vault, MAILBOX) == SOURCE
    await clean(vault, head)
    assert [one.n for one in await vault.offered(MAILBOX)] == (
        [3, 1] if where == "newest" else [3, 2]
    )


async def test_v65_what_is_gone_at_the_source_leaves_the_next_point() -> None:
    world, vault = await built()
    harm(world, await _pack_of(vault, "m5"), "flip")
    await scrubbed(vault)
    head = await night(vault, "r3", gone=frozenset({"m5", "m7"}))
    left = {name: data for name, data in SOURCE.items() if name not in {"m5", "m7"}}
    assert await contents(vault, MAILBOX) == left
    await clean(vault, head)


async def test_v22_a_damaged_pack_is_never_reused() -> None:
    """The same bytes again: they are stored again, not found in the damaged pack."""
    world, vault = await built()
    pack = await _pack_of(vault, "m5")
    harm(world, pack, "flip")
    await scrubbed(vault)
    head = await night(vault, "r3")
    assert head.bytes["stored"] > 0
    assert await _pack_of(vault, "m5") != pack


async def test_v60_nothing_is_collected_while_a_live_point_cannot_be_read() -> None:
    world, vault = await built()
    harm(world, blobs(world, ".hfb")[0], "flip")
    up, oid = await vault.upkeep(), await vault.oid(MAILBOX)
    assert await condemn(up, oid, enabled=True) == 0


async def test_v65_a_run_that_reads_damage_names_the_blob() -> None:
    """Nobody scrubbed: the run itself meets the damaged base and says which one it is."""
    world, vault = await built()
    (base,) = blobs(world, ".hfb")
    harm(world, base, "delete")
    run = await vault.open_run(MAILBOX, "r3")
    with pytest.raises(VaultDamaged) as caught:
        await run.previous("m5")
    assert caught.value.blob == base
    assert await vault.note_damage(MAILBOX, [caught.value.blob]) == 1
    await night(vault, "r4")
    assert await contents(vault, MAILBOX) == SOURCE


async def _pack_of(vault: Vault, source_id: str) -> str:
    from shared.vault.format import names
    from shared.vault.format.rows import parse_location

    row = await (await vault.open_snapshot(MAILBOX)).row(source_id)
    assert row is not None
    place = parse_location(row.location, row.size, row.item["d"]).places[0]
    return names.pack(await vault.oid(MAILBOX), row.packs[place.pack])
