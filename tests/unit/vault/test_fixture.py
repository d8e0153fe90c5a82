"""A vault written by the first release is read, verified, extracted and continued by this one."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from shared.kit.blobs import MemoryBlobs
from shared.vault.errors import UnknownSnapshot
from shared.vault.format.tree import session_root
from shared.vault.keystore import FileKeyStore
from shared.vault.service import Vault, open_repository
from tests.fixtures.make_vault_v1 import DRIVE, ERASED, HERE, MAILBOX, REPO, large, text
from tests.unit.vault.copies import reader
from tests.unit.vault.world import backup, putting

EXPECTED = json.loads((HERE / "expected.json").read_text())
KEY = HERE / "keys" / "recovery.pem"


async def opened() -> Vault:
    store = MemoryBlobs()
    for path in (HERE / "copy").rglob("*.*"):
        await store.put(path.relative_to(HERE / "copy").as_posix(), path.read_bytes())
    return await open_repository(store, MemoryBlobs(), FileKeyStore(HERE / "keys"), repo_id=REPO)


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 200_000


@pytest.mark.parametrize(("ref", "numbers"), [(MAILBOX, (1, 2, 3)), (DRIVE, (1,))])
async def test_the_service_reads_every_item(ref: object, numbers: tuple[int, ...]) -> None:
    vault = await opened()
    for n in numbers:
        snap = await vault.open_snapshot(ref, n)  # type: ignore[arg-type]
        expected = EXPECTED[f"{ref.workload}/{n}"]  # type: ignore[attr-defined]
        assert snap.head.root == expected["root"]
        found = {}
        async for row in snap.rows():
            data = b"".join([part async for part in snap.content(row)])
            found[row.source_id] = sha256(data).hexdigest() if row.has_content else None
        assert found == expected["items"]


async def test_the_expected_contents_follow_from_the_inputs() -> None:
    items = EXPECTED["mailbox/3"]["items"]
    assert items["AAk-8"] == sha256(text(8)).hexdigest()
    assert items["AAk-1"] == sha256(text(1, 2)).hexdigest()
    assert items["AAk-7"] == sha256(text(7)).hexdigest()  # stale: the older content is held
    assert "AAk-5" not in items
    assert EXPECTED["drive/1"]["items"]["01A"] == sha256(large()).hexdigest()


async def test_it_goes_on() -> None:
    vault = await opened()
    head = await backup(vault, MAILBOX, "next", putting({"AAk-2": b"newer", "new": b"n"}, "CQ9"))
    assert head.n == 4
    snap = await vault.open_snapshot(MAILBOX)
    assert head.items == len(EXPECTED["mailbox/3"]["items"]) + 1
    row = await snap.row("AAk-40")
    assert row is not None
    assert b"".join([part async for part in snap.content(row)]) == text(40)


async def test_what_was_erased_stays_erased() -> None:
    vault = await opened()
    with pytest.raises(UnknownSnapshot, match="erased"):
        await vault.open_snapshot(ERASED, 1)


def test_the_reader_verifies_and_extracts_it(tmp_path: Path) -> None:
    done = reader("verify", HERE / "copy", "--key", KEY, "--deep")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "erased, chain and roots hold" in done.stdout
    receipts = [json.loads(one) for one in (HERE / "receipts.jsonl").read_text().splitlines()]
    ordered = sorted(receipts, key=lambda one: (one["oid"], one["n"]))
    root = session_root([bytes.fromhex(one["record_hash"]) for one in ordered]).hex()
    done = reader("chain", HERE / "copy", "--receipts", HERE / "receipts.jsonl",
                  "--session-root", root)  # fmt: skip
    assert done.returncode == 0, done
    out = tmp_path / "out"
    done = reader("extract", HERE / "copy", "--key", KEY, "--object", "Ada's files", "--to", out)
    assert done.returncode == 0, done
    assert (out / "items" / "large.txt").read_bytes() == large()
    assert (out / "items" / ".._climb_me_now.txt").read_bytes() == b"hello, holdfast\n"
