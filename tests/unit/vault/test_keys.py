"""Keys: two ways to the tenant key, one object key for ever, an hour in memory, never shown."""

import stat
import traceback
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.vault.errors import KeyRefused, UnknownRepository, VaultDamaged
from shared.vault.format import keys as key_format
from shared.vault.format import names, repofile
from shared.vault.format.keys import TenantKeys
from shared.vault.keyring import KEEP_SECONDS, KeyRing
from shared.vault.keystore import FileKeyStore
from shared.vault.run import Run
from shared.vault.service import create_repository, open_repository
from shared.vault.slices import Slice
from tests.unit.vault.world import MAILBOX, NOW, Counter, Trap, World, backup, key_store, mail


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


async def one(run: Run, part: Slice) -> None:
    await part.put(mail("a"), b"secret words")


async def test_v7_the_customers_recovery_key_alone_opens_everything() -> None:
    private = rsa.generate_private_key(65537, 3072)
    world = World()
    vault = await create_repository(
        world.store, world.control, key_store(), repo_id=world.repo, tenant_id="t", now=NOW,
        recovery_public_pem=pem_of(private),
    )  # fmt: skip
    assert vault.document["recovery"] == "customer"
    await backup(vault, MAILBOX, "r1", one)

    epoch, tmk = key_format.recover_tenant_key(await world.store.get(names.tenant_key(1)), private)
    tenant = TenantKeys.of(tmk, epoch)
    oid = names.oid(tenant.oid, "mailbox", MAILBOX.source_id)
    blob = await world.store.get(names.object_key(oid))
    assert len(key_format.read_object_key_blob(blob, tenant, world.repo, oid)) == 32
    with pytest.raises(key_format.Damaged):
        key_format.read_object_key_blob(blob, tenant, world.repo, "0" * 32)
    other = rsa.generate_private_key(65537, 3072)
    with pytest.raises(key_format.Damaged, match="no wrap"):
        key_format.recover_tenant_key(await world.store.get(names.tenant_key(1)), other)


async def test_v7_without_a_recovery_key_the_repository_says_so() -> None:
    vault = await World().create()
    assert vault.document["recovery"] == "sealed"


@pytest.mark.parametrize("kind", ["short", "curve", "text"])
async def test_weak_recovery_keys_are_refused_and_nothing_is_written(kind: str) -> None:
    pem = {
        "short": lambda: pem_of(rsa.generate_private_key(65537, 2048)),
        "curve": lambda: pem_of(ec.generate_private_key(ec.SECP256R1())),
        "text": lambda: b"not a key",
    }[kind]()
    world = World()
    with pytest.raises(KeyRefused):
        await create_repository(
            world.store, world.control, key_store(), repo_id=world.repo, tenant_id="t", now=NOW,
            recovery_public_pem=pem,
        )  # fmt: skip
    assert [found async for found in world.store.list()] == []


@pytest.mark.parametrize("part", ["d", "dmp1", "dmq1", "iqmp"])
def test_a_private_key_with_one_wrong_part_is_refused(part: str) -> None:
    key = rsa.generate_private_key(65537, 3072)
    good = key.private_numbers()
    parts = {n: getattr(good, n) for n in ("p", "q", "d", "dmp1", "dmq1", "iqmp")}
    parts[part] += 2
    bent = rsa.RSAPrivateNumbers(**parts, public_numbers=good.public_numbers)
    with pytest.raises(key_format.WeakKey):
        key_format.private_key(private_pem(bent.private_key(unsafe_skip_rsa_key_validation=True)))
    assert key_format.private_key(private_pem(key)).private_numbers() == good


async def test_v8_one_object_key_for_ever_and_create_may_be_repeated() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", one)
    again = await world.create()
    await backup(again, MAILBOX, "r2", one)
    assert again.key_digests == vault.key_digests
    assert len([f async for f in world.store.list("keys/")]) == 2


async def test_v10_keys_are_dropped_after_an_hour() -> None:
    world = World()
    await world.create()
    trap = Trap()
    now = [0.0]
    ring = KeyRing(Counter(world.store, trap), key_store(), world.repo, clock=lambda: now[0])
    first = await ring.tenant()
    now[0] = KEEP_SECONDS - 1
    assert await ring.tenant() is first
    assert trap.count("get") == 1
    now[0] = KEEP_SECONDS + 1
    assert await ring.tenant() is not first
    assert trap.count("get") == 2


async def test_v10_keys_show_in_no_repr_and_no_traceback() -> None:
    world = World()
    vault = await world.create()
    run = await vault.open_run(MAILBOX, "r1")
    secrets = [run.keys.key, run.keys.chunk, run.keys.leaf, run.ops]
    shown = repr([vault, run, run.keys, vault._ring, await vault._ring.tenant(), run.__dict__])
    name = names.object_key(await vault.oid(MAILBOX))
    await world.store.put(name, b"{}", create_only=False)
    with pytest.raises(VaultDamaged) as caught:
        await (await world.open()).open_run(MAILBOX, "r2")
    shown += "".join(traceback.format_exception(caught.value))
    for secret in secrets[:3]:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


async def test_key_store_files_are_private_and_kept(tmp_path: Path) -> None:
    store = FileKeyStore(tmp_path / "keys")
    wrapped = await store.wrap(b"k" * 32)
    assert {p.name for p in (tmp_path / "keys").iterdir()} == {"kek.pem"}
    assert stat.S_IMODE((tmp_path / "keys" / "kek.pem").stat().st_mode) == 0o600
    again = FileKeyStore(tmp_path / "keys")
    assert await again.unwrap(wrapped.kid, wrapped.ciphertext) == b"k" * 32
    with pytest.raises(KeyRefused):
        await again.unwrap("file:other", wrapped.ciphertext)
    with pytest.raises(KeyRefused):
        await again.unwrap(wrapped.kid, wrapped.ciphertext[:-1] + b"\0")
    (tmp_path / "keys" / "kek.pem").write_bytes(b"junk")
    with pytest.raises(KeyRefused, match=r"kek\.pem"):
        await FileKeyStore(tmp_path / "keys").wrap(b"x")


async def test_another_repository_or_none_is_refused() -> None:
    world = World()
    with pytest.raises(UnknownRepository):
        await world.open()
    await world.create()
    with pytest.raises(UnknownRepository):
        await open_repository(world.store, world.control, key_store(), repo_id="0" * 32)


def test_the_repository_file_names_everything_a_reader_needs() -> None:
    blob = repofile.build(
        repo="0" * 32, tenant="t", created=datetime(2026, 1, 1, tzinfo=NOW.tzinfo),
        chunker={"id": "x"}, recovery="sealed",
    )  # fmt: skip
    assert repofile.read(blob)["created"] == "2026-01-01T00:00:00Z"
