"""The stand-alone reader on a damaged copy: every flip, cut, swap and loss is named (V71)."""

import json
from pathlib import Path

import pytest
from holdfast_vault import cli

from shared.vault.format import base, names
from shared.vault.format.primitives import b64u, unb64u
from tests.unit.vault.copies import altered, copied, filled, reader
from tests.unit.vault.world import MAILBOX


def write(name: str, data: bytes | None, to: Path) -> None:
    """Change one blob of a copy that is otherwise right."""
    path = to / name
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def verify(
    copy: Path, key: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, str]:
    """The same entry point, inside this process: hundreds of cases."""
    code = cli.main(["verify", str(copy), "--key", str(key), "--deep", *more])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


async def test_every_tampering_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "BUCKET_ROWS", 16)
    world, _ = await filled(60, large=False)
    copy, key = await copied(world, tmp_path)
    opened = cli.recovery_key(key, None)  # checking a key at load takes long
    monkeypatch.setattr(cli, "recovery_key", lambda *_: opened)
    assert verify(copy, key, capsys)[0] == 0
    stored = altered(world, "", None)
    cases = named = 0
    for name, data in stored.items():
        places = {0, 20, len(data) // 3, len(data) // 2, len(data) - 1}
        changed: list[bytes | None] = [
            data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places
        ]
        changed += [data[:length] for length in (0, 10, len(data) // 2, len(data) - 1)]
        changed += [data + b"x", None]
        changed += [
            stored[twin]
            for twin in stored
            if twin != name and twin.rsplit(".")[-1] == name.rsplit(".")[-1] and "o/" in name
        ][:3]
        for bad in changed:
            if bad == data:
                continue
            write(name, bad, copy)
            code, said = verify(copy, key, capsys)
            write(name, data, copy)
            cases += 1
            # A tenant key blob or repository file that cannot be understood leaves nothing to
            # check with: then the answer is "could not check". The loss of the newest record
            # cannot be seen without a receipt, that of the oldest looks like its expiry.
            opens_all = name.startswith(("keys/t/", "repo/"))
            if bad is None and name in _ends(stored):
                assert code == 0
                continue
            assert code == 1 or (code == 2 and opens_all), (name, code, said)
            named += name in said or opens_all
            assert name in said or opens_all or "/s/" in name, (name, said)
    assert named > cases * 0.9
    assert verify(copy, key, capsys)[0] == 0


def _ends(stored: dict[str, bytes]) -> set[str]:
    records = sorted(name for name in stored if "/s/" in name)
    by_object = [[n for n in records if n.split("/")[1] == r.split("/")[1]] for r in records]
    return {end(found) for found in by_object for end in (min, max)}


async def test_a_lost_newest_record_is_seen_with_its_receipt(tmp_path: Path) -> None:
    world, vault = await filled(10)
    copy, _ = await copied(world, tmp_path)
    head = await vault.head(MAILBOX)
    assert head is not None
    receipts = tmp_path / "receipts.json"
    receipts.write_text(json.dumps(head.receipt()))
    (copy / names.record(head.oid, head.n)).unlink()
    done = reader("chain", copy, "--receipts", receipts)
    assert done.returncode == 1
    assert f"V45 {names.record(head.oid, head.n)}" in done.stdout


async def test_a_changed_wrap_of_the_kek_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recovery key does not open that wrap; the digest in the head tells (V8)."""
    world, _ = await filled(10)
    copy, key = await copied(world, tmp_path)
    path = copy / names.tenant_key(1)
    document = json.loads(path.read_bytes())
    sealed = unb64u(document["wraps"][0]["ct"])
    document["wraps"][0]["ct"] = b64u(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    path.write_text(json.dumps(document))
    code, said = verify(copy, key, capsys)
    assert code == 1
    assert "V8 keys/t/0001-0001.json" in said


async def test_a_foreign_file_does_not_belong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, _ = await filled(10)
    copy, key = await copied(world, tmp_path)
    (copy / "o" / "notes.txt").write_text("x")
    code, said = verify(copy, key, capsys)
    assert (code, "V6 o/notes.txt" in said) == (1, True)


async def test_a_broken_item_does_not_stop_the_extraction(tmp_path: Path) -> None:
    world, _ = await filled(10)
    copy, key = await copied(world, tmp_path)
    pack = next(iter(sorted(copy.glob("o/*/p/*.hfp"), key=lambda path: path.stat().st_size)))
    data = pack.read_bytes()
    at = data.index(b"}\n") + 20  # inside the first entry
    pack.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    broken = 0
    for oid in sorted(path.name for path in (copy / "o").iterdir()):
        out = tmp_path / oid
        done = reader("extract", copy, "--key", key, "--object", oid, "--to", out)
        assert done.returncode in (0, 1)
        broken += done.returncode
        if done.returncode:
            assert f"V13 o/{pack.parent.parent.name}/p/{pack.name}" in done.stdout
        assert not list(out.rglob("*.part"))
        for line in (out / "proofs.jsonl").read_text().splitlines():
            path = json.loads(line)["file"]
            assert path is None or (out / path).is_file()
    assert broken == 1


async def test_erased_without_certificate_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, vault = await filled(10)
    copy, key = await copied(world, tmp_path)
    oid = await vault.oid(MAILBOX)
    (copy / names.object_key(oid)).unlink()
    code, said = verify(copy, key, capsys)
    assert code == 1
    assert f"V8 {names.object_key(oid)}" in said
    (copy / "certs").mkdir()
    (copy / "certs" / "c1.json").write_text(json.dumps({"objects": [{"oid": oid}]}))
    code, said = verify(copy, key, capsys)
    assert (code, "erased, chain and roots hold" in said) == (0, True)
