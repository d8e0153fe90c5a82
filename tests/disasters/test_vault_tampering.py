"""Flip, cut, swap or delete any blob: reading says so and names it; nothing wrong is returned."""

import itertools

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.kit.errors import HoldfastError
from shared.vault.errors import KeyAlarm, VaultDamaged, VaultTooNew
from shared.vault.format import keys as key_format
from shared.vault.format import names, repofile
from shared.vault.format.chunks import ChunkCipher
from shared.vault.format.errors import Damaged
from shared.vault.format.packs import check_pack
from shared.vault.format.primitives import sha, unb64u
from shared.vault.format.snapshot import REGIONS
from shared.vault.keyring import KeyRing
from shared.vault.run import Run
from shared.vault.scrub import scrub_dependencies
from shared.vault.slices import Slice
from tests.unit.vault.world import MAILBOX, World, backup, contents, key_store, mail


async def built() -> World:
    world = World()
    vault = await world.create()

    async def many(run: Run, part: Slice) -> None:
        for n in range(1500):
            await part.put(mail(f"m{n}"), b"body %d" % n)

    async def few(run: Run, part: Slice) -> None:
        await part.put(mail("m3", "2"), b"changed")

    async def nothing(run: Run, part: Slice) -> None:
        part.keep("m5")

    await backup(vault, MAILBOX, "r1", many)
    await backup(vault, MAILBOX, "r2", few)
    await backup(vault, MAILBOX, "r3", nothing)
    return world


async def verify(world: World) -> None:
    """Everything a reader can check: chain, rows, contents, proofs, names of packs and bases."""
    vault = await world.open()
    heads = await vault.snapshots(MAILBOX)
    if [head.n for head in heads] != [3, 2, 1]:
        raise VaultDamaged("a record is missing")
    for newer, older in itertools.pairwise(heads):
        if newer.prev != older.record_hash:
            raise VaultDamaged(f"{names.record(older.oid, older.n)} breaks the chain")
    for name, digest in heads[0].document["files"].items():
        if sha(await world.store.get(name)).hex() != digest:  # V8
            raise VaultDamaged(f"{name} is not what the newest record says")
    for head in heads:
        found = await contents(vault, MAILBOX, head.n)
        assert len(found) == 1500
        assert found["m3"] == (b"body 3" if head.n == 1 else b"changed")
        snap = await vault.open_snapshot(MAILBOX, head.n)
        await snap.proof("m3")
        for region in REGIONS:
            await snap._index.loaded.region(region)
    async for blob in world.store.list("o/"):
        data = await world.store.get(blob.name)
        name = blob.name.rsplit("/", 1)[1].split(".")[0]
        if "/s/" not in blob.name and sha(data).hex() != name:
            raise VaultDamaged(f"{blob.name} is not what its name says")


def files(world: World) -> dict[str, bytes]:
    assert isinstance(world.store, MemoryBlobs)
    return {name: data for name, (data, _) in world.store.blobs.items()}


async def _altered(world: World, name: str, data: bytes | None) -> str:
    copy = World(MemoryBlobs(), world.control, world.repo)
    for other, content in files(world).items():
        if other != name:
            await copy.store.put(other, content)
    if data is not None:
        await copy.store.put(name, data)
    with pytest.raises(HoldfastError) as caught:
        await verify(copy)
    return str(caught.value)


async def test_the_vault_is_right_before_it_is_touched() -> None:
    await verify(await built())


async def test_flip_cut_swap_delete_every_blob() -> None:
    world = await built()
    stored = files(world)
    for name, data in stored.items():
        if name == names.REPOSITORY:
            continue
        places = {0, len(data) // 3, len(data) // 2, len(data) - 1}
        newest = name.endswith("9999999996.hfs")
        for at in places:
            if newest and at < 400:
                continue  # its clear header is held by the receipt, not by a successor
            flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            said = await _altered(world, name, flipped)
            assert name.split("/")[-1] in said or "snapshot" in said, (name, at, said)
        for length in (0, 10, len(data) // 2, len(data) - 1):
            await _altered(world, name, data[:length])
        await _altered(world, name, None)
        twins = [n for n in stored if n != name and n.rsplit(".")[-1] == name.rsplit(".")[-1]]
        for twin in twins:
            if stored[twin] != data:
                await _altered(world, name, stored[twin])


async def test_a_lost_pack_is_named() -> None:
    world = await built()
    pack = next(name for name in files(world) if name.endswith(".hfp"))
    assert pack in await _altered(world, pack, None)


async def test_v19_v20_packs_are_scrubbed_with_the_objects_key_alone() -> None:
    world = await built()
    vault = await world.open()
    run = await vault.open_run(MAILBOX, "look")
    cipher = ChunkCipher(run.keys.chunk, run.keys.repo)
    for name, data in files(world).items():
        if not name.endswith(".hfp"):
            continue
        digest = name.rsplit("/", 1)[1].split(".")[0]
        assert list(check_pack(data, digest, cipher, run.keys.chunk))
        for at in range(0, len(data), max(1, len(data) // 50)):
            bad = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            with pytest.raises(Damaged):
                list(check_pack(bad, digest, cipher, run.keys.chunk))
            if at > 200:  # behind the clear header, also without the name
                with pytest.raises(Damaged):
                    list(check_pack(bad, sha(bad).hex(), cipher, run.keys.chunk))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1', b'"format":2'),
        (b'"required":[]', b'"required":["x"]'),
        (b'"aead":"aes-256-gcm"', b'"aead":"other"'),
    ],
)
async def test_v2_unknown_formats_and_features_are_refused(old: bytes, new: bytes) -> None:
    world = await built()
    blob = files(world)[names.REPOSITORY]
    assert old in blob
    await world.store.put(names.REPOSITORY, blob.replace(old, new), create_only=False)
    with pytest.raises(VaultTooNew):
        await world.open()
    assert repofile.read(blob)["lock_mode"] == "none"


async def test_v2_a_newer_record_is_refused_and_unknown_members_are_ignored() -> None:
    world = await built()
    name = next(n for n in files(world) if n.endswith("9999999996.hfs"))
    newer = files(world)[name].replace(b"SNAPSHOT 1", b"SNAPSHOT 2", 1)
    await world.store.put(name, newer, create_only=False)
    vault = await world.open()
    with pytest.raises(VaultTooNew, match="SNAPSHOT format 2"):
        await vault.head(MAILBOX)

    blob = files(world)[names.REPOSITORY]
    more = blob.replace(b'"format":1', b'"format":1,"later":{"x":1}')
    await world.store.put(names.REPOSITORY, more, create_only=False)
    await world.open()


async def test_v8_an_exchanged_key_blob_is_an_alarm_of_writer_and_scrub() -> None:
    world = await built()
    vault = await world.open()
    oid = await vault.oid(MAILBOX)
    name = names.tenant_key(1)
    blob = files(world)[name]
    assert (await scrub_dependencies(await vault.upkeep(), oid, enabled=True)).findings == []
    # The same key in a blob of other bytes: it opens, and yet nobody of ours wrote it.
    await world.store.put(name, blob.replace(b'"v":1', b'"v": 1'), create_only=False)
    vault = await world.open()
    with pytest.raises(KeyAlarm, match=name):
        await vault.open_run(MAILBOX, "r4")
    found = (await scrub_dependencies(await vault.upkeep(), oid, enabled=True)).findings
    assert [(one.rule, one.blob) for one in found] == [("V8", name)]


async def test_v8_a_revision_that_wraps_somebody_elses_key_is_never_used() -> None:
    """Whoever may write blobs can wrap a key of their own for ours; it opens no object's key."""
    world = await built()
    keys = key_store()
    ring = KeyRing(world.store, keys, world.repo)
    _, wraps = key_format.read_tenant_key_blob(files(world)[names.tenant_key(1)])
    recovery = next(each for each in wraps if each["to"] == "recovery")
    theirs = await keys.wrap(b"t" * 32)
    forged = key_format.tenant_key_blob(
        1, (theirs.kid, theirs.ciphertext), (recovery["spki_sha256"], unb64u(recovery["ct"]))
    )
    await world.store.put(names.tenant_key(1, 2), forged)
    with pytest.raises(KeyAlarm, match="another key"):
        await ring.rewrap_tenant_key()
    with pytest.raises(KeyAlarm, match="another key"):
        await ring._rewrapped(1)
    assert names.tenant_key(1, 3) not in files(world)
