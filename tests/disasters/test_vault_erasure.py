"""Crypto-erasure of one subject: refused, cancelled, done; what is left afterwards (V67-V70)."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.kit.errors import HoldfastError
from shared.vault import erasure
from shared.vault.copying import copy_container
from shared.vault.errors import ErasurePending, ErasureRefused
from shared.vault.format import names
from shared.vault.locks import Immutable, true_versions
from shared.vault.service import open_repository
from shared.vault.upkeep import Upkeep, clear_hold, set_hold
from tests.unit.vault.copies import reader, recovery
from tests.unit.vault.world import DRIVE, MAILBOX, Killed, contents, die, key_store, putting
from tests.unit.vault.years import Years

MARKED = ("Ada Lovelace", "ada@example.org", "secret subject", "very private words")


async def filled(key_lock: str = "rolling") -> Years:
    years = Years(key_lock=key_lock)
    await years.create()
    work = putting({"a": b"very private words", "b": b"secret subject"})
    await years.backup(work)
    await years.backup(putting({"d": b"a file"}), ref=DRIVE)
    years.pass_(days=1)
    await years.backup(putting({"c": b"more"}))
    return years


def asked(oid: str, **more: Any) -> erasure.Request:
    given: dict[str, Any] = {
        "erasure_id": "e1", "oids": (oid,), "reason": "gdpr-17", "approvals": ("p1", "p2"),
        "purged": ("search", "views"), "audit": ("ab" * 32,),
    }  # fmt: skip
    return erasure.Request(**given | more)


async def to_the_end(years: Years, up: Upkeep, days: int = 40) -> dict[str, Any]:
    for _ in range(days):
        await years.keepers(await years.oid(DRIVE))
        found = await erasure.advance(up, "e1")
        if found["state"] == "done":
            return found
        years.pass_(days=1)
    raise AssertionError("the erasure never ended")


async def test_an_erasure_from_request_to_certificate(tmp_path: Path) -> None:
    years = await filled()
    oid, up = await years.oid(), await years.upkeep()
    key = names.object_key(oid)
    digest = years.store.names[key][0].data
    began = years.now
    document = await erasure.request(up, asked(oid))
    assert document["state"] == "waiting"
    with pytest.raises(ErasurePending):
        await (await years.open()).open_run(MAILBOX, "r")
    done = await to_the_end(years, up)
    assert years.now - began <= erasure.timedelta(days=14 + 7 + 2)
    certificate = json.loads(await years.store.get("certs/e1.json"))
    assert certificate == done["certificate"]
    (one,) = certificate["objects"]
    assert one["oid"] == oid
    assert one["snapshots"] == 2
    assert one["keys"] == {key: __import__("hashlib").sha256(digest).hexdigest()}
    assert {"lock_lapsed_at", "deleted_at", "absence_verified_at", "record_hash"} <= one.keys()
    assert certificate["ciphertext"]["blobs"] >= 4
    assert certificate["approvals"] == 2
    assert "p1" not in json.dumps(certificate)
    assert erasure.customers_copy(done, "Ada")["approved_by"] == ["p1", "p2"]
    (held,) = (await true_versions(years.store, "certs/")).values()
    assert held.locked_until is not None
    assert (await years.keepers()).alarms == []

    # V69: nothing of the subject is in any clear byte, and no key that is left opens anything.
    everything = b"".join(k.data for found in years.store.names.values() for k in found)
    assert not any(text.encode() in everything for text in MARKED)
    assert key not in years.store.all_names()
    assert await (await years.open()).head(MAILBOX) is None
    assert await contents(await years.open(), DRIVE) == {"d": b"a file"}
    await copy_container(years.store, tmp_path / "copy")
    recovery_key = tmp_path / "k.pem"
    recovery_key.write_bytes(recovery()[0])
    found = reader("verify", tmp_path / "copy", "--key", recovery_key, "--deep")
    assert found.returncode == 0, found
    assert f"{oid}: 2 snapshots, erased, chain and roots hold" in found.stdout
    refused = reader(
        "extract", tmp_path / "copy", "--key", recovery_key, "--object", oid,
        "--to", tmp_path / "out",
    )  # fmt: skip
    assert refused.returncode == 2
    assert "erased" in refused.stderr

    # V70: the same mailbox, protected again, is another object.
    head = await years.backup(putting({"a": b"new"}))
    assert (head.n, head.oid == oid) == (1, False)
    assert await contents(await years.open(), MAILBOX) == {"a": b"new"}


async def test_v68_refusals() -> None:
    years = await filled()
    oid, up = await years.oid(), await years.upkeep()
    for wrong in (
        asked(oid, approvals=("p1", "p1")),
        asked(oid, approvals=("p1",)),
        asked(oid, reason="Ada asked for it"),
        asked(oid, erasure_id="../x"),
        asked("0" * 32),
    ):
        with pytest.raises(ErasureRefused):
            await erasure.request(up, wrong)
    await set_hold(up, oid, by="p3", reason="case")
    with pytest.raises(ErasureRefused, match="legal hold"):
        await erasure.request(up, asked(oid))
    await clear_hold(up, oid)
    await erasure.request(up, asked(oid))
    await set_hold(up, oid, by="p3", reason="case")  # later: still wins
    years.pass_(days=30)
    with pytest.raises(ErasureRefused, match="legal hold"):
        await erasure.advance(up, "e1")
    assert names.object_key(oid) in years.store.all_names()
    full = await filled("full")
    with pytest.raises(ErasureRefused, match="key_lock full"):
        await erasure.request(await full.upkeep(), asked(await full.oid()))
    with pytest.raises(ErasureRefused, match="no such"):
        await erasure.advance(up, "e9")


async def test_cancelled_in_time_nothing_happened() -> None:
    years = await filled()
    oid, up = await years.oid(), await years.upkeep()
    await erasure.request(up, asked(oid))
    for _ in range(5):
        years.pass_(days=1)
        await years.keepers(oid)
        assert (await erasure.advance(up, "e1"))["state"] == "waiting"
    await erasure.cancel(up, "e1")
    assert (await years.keepers(oid)).alarms == []
    (key,) = (await true_versions(years.store, names.object_key(oid))).values()
    assert key.locked_until is not None
    assert key.locked_until - years.now >= erasure.timedelta(days=7)
    await years.backup(putting({"e": b"goes on"}))
    assert len(await contents(await years.open(), MAILBOX)) == 4
    other = await filled()
    oid, up = await other.oid(), await other.upkeep()
    await erasure.request(up, asked(oid))
    other.pass_(days=15)
    assert (await erasure.advance(up, "e1"))["state"] == "deleted"
    with pytest.raises(ErasureRefused, match="deleted already"):
        await erasure.cancel(up, "e1")


async def test_v67_nobody_is_faster_than_a_week() -> None:
    """With every right in storage but the account owner's, a readable key stays for seven days."""
    years = await filled()
    oid = await years.oid()
    for _ in range(30):
        years.pass_(days=1)
        await years.keepers(oid)
    (key,) = (await true_versions(years.store, names.object_key(oid))).values()
    for _ in range(7):
        with pytest.raises(Immutable):
            await years.store.delete(key)
        years.pass_(hours=23)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_killed_at_every_call(late: bool) -> None:
    for at in range(1, 300):
        years = await filled()
        oid, up = await years.oid(), await years.upkeep()
        trap = years.store.trap = years.control.trap
        trap.at, trap.late, trap.act = trap.calls + at, late, die
        died = False
        for _ in range(3):
            try:
                await erasure.request(up, asked(oid))
                years.pass_(days=15)
                await erasure.advance(up, "e1")
                years.pass_(days=8)
                done = await erasure.advance(up, "e1")
                break
            except Killed:
                died, trap.act = True, None
        while done["state"] != "done":
            years.pass_(days=8)
            done = await erasure.advance(up, "e1")
        trap.act = None
        vault = await open_repository(
            years.store, years.control, key_store(), repo_id=years.repo, locks=years.store
        )
        assert await vault.oid(MAILBOX) != oid
        assert names.object_key(oid) not in years.store.all_names()
        assert len([n for n in years.store.all_names() if n.startswith("certs/")]) == 1
        with pytest.raises(HoldfastError):
            await vault.open_snapshot(MAILBOX)
        if not died:
            return
    raise AssertionError("the erasure never came to its end")
