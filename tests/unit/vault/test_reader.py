"""The stand-alone reader as a customer uses it: another process, no network, no app (V3, V71)."""

import ast
import asyncio
import importlib.util
import json
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from shared.vault.format.tree import session_root
from tests.unit.vault.copies import (
    HOSTILE,
    PROJECT,
    big,
    copied,
    filled,
    reader,
    recovery,
    text,
)
from tests.unit.vault.world import DRIVE, MAILBOX


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    async def make() -> tuple[Path, Path]:
        world, _ = await filled()
        return await copied(world, tmp_path_factory.mktemp("reader"))

    return asyncio.run(make())


def state(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mtime_ns,
            sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_v71_verify_deep_holds_and_writes_nothing(copy: tuple[Path, Path]) -> None:
    before = state(copy[0])
    done = reader("verify", copy[0], "--key", copy[1], "--deep")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "2 objects, 4 snapshots" in done.stdout
    done = reader("chain", copy[0])
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "4 records of 2 objects" in done.stdout
    assert state(copy[0]) == before


def test_list(copy: tuple[Path, Path]) -> None:
    done = reader("list", copy[0], "--key", copy[1])
    assert done.returncode == 0, done
    assert "Ada <ada@example.org>" in done.stdout
    done = reader("list", copy[0], "--key", copy[1], "--json")
    listed = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert [point["n"] for one in listed for point in one["snapshots"]].count(1) == 2
    assert {one["source_id"] for one in listed} == {MAILBOX.source_id, DRIVE.source_id}


def test_extract_hostile_names_stay_inside(copy: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = reader("extract", copy[0], "--key", copy[1], "--object", MAILBOX.source_id, "--to", out)
    assert (done.returncode, done.stderr) == (0, ""), done
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(out) for path in files)
    assert not list(out.rglob("*.part"))
    contents = sorted(path.read_bytes() for path in (out / "items").rglob("*.eml"))
    expected = [text(n) for n in range(1100) if n not in (3, 4)] + [text(3, "2")]
    assert contents == sorted(expected + [b"hostile %d" % n for n in range(len(HOSTILE))])
    assert (out / "items" / "In_box" / "about m7.eml").read_bytes() == text(7)
    assert (out / "items" / "In_box" / "about m7.eml").stat().st_mtime == 1_700_000_007
    names = {path.name for path in files}
    assert not {"CON", "CON.eml", "passwd"} & names
    assert all(len(name.encode()) < 160 and not set(name) & set('/\\:*?"<>|\0‮') for name in names)

    receipt = json.loads((out / "receipt.json").read_text())
    for line in (out / "proofs.jsonl").read_text().splitlines()[5:8]:
        proof = json.loads(line)
        (tmp_path / "proof.json").write_text(json.dumps(proof))
        ok = reader(
            "check-proof", tmp_path / "proof.json", out / proof["file"], out / "receipt.json"
        )
        assert ok.returncode == 0, ok
        assert "as the receipt says" in ok.stdout
        (tmp_path / "other").write_bytes(b"something else")
        assert reader("check-proof", tmp_path / "proof.json", tmp_path / "other").returncode == 1
        other = receipt | {"root": "00" * 32}
        (tmp_path / "other").write_text(json.dumps(other))
        bad = reader(
            "check-proof", tmp_path / "proof.json", out / proof["file"], tmp_path / "other"
        )
        assert bad.returncode == 1


def test_a_shared_address_is_told_apart_by_its_workload(
    copy: tuple[Path, Path], tmp_path: Path
) -> None:
    base = ("extract", copy[0], "--key", copy[1], "--to", tmp_path / "out", "--object")
    both = reader(*base, "ada@example.org")
    assert both.returncode == 2
    for one in ("mailbox:ada@example.org is ", "drive:ada@example.org is "):
        assert one in both.stderr
    assert not (tmp_path / "out").exists()
    done = reader(*base, "drive:ADA@example.org")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert {path.name for path in (tmp_path / "out" / "items").iterdir()} >= {"empty"}
    none = reader(*base, "team:ada@example.org")
    assert (none.returncode, "no object matches" in none.stderr) == (2, True)


def test_extract_files_at_a_time(copy: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "files"
    base = ("--key", copy[1], "--object", DRIVE.source_id, "--to", out)
    assert reader("extract", copy[0], *base, "--at", "2026-03-01T02:00Z").returncode == 2
    done = reader("extract", copy[0], *base, "--at", "2026-03-01T02:06Z")
    assert done.returncode == 0, done
    found = {path.name: path.read_bytes() for path in (out / "items").iterdir()}
    assert found.pop("empty") == b""
    assert sorted(map(len, found.values())) == [12, len(big())]
    assert len({name.casefold() for name in found}) == 2
    again = reader("extract", copy[0], *base)
    assert (again.returncode, again.stdout) == (2, "")
    assert "not empty" in again.stderr
    inside = reader("extract", copy[0], *base[:-1], copy[0] / "new")
    assert inside.returncode == 2
    assert not (copy[0] / "new").exists()


def test_prove_presence_and_absence(copy: tuple[Path, Path], tmp_path: Path) -> None:
    base = ("prove", copy[0], "--key", copy[1], "--object", MAILBOX.source_id)
    for item, at, kind in (("m4", "1", "inclusion"), ("m4", "2", "absence")):
        done = reader(*base, "--at", at, "--item", item, "--hide-metadata")
        assert done.returncode == 0, done
        proof = json.loads(done.stdout)
        assert proof["proof"] == kind
        assert "about" not in done.stdout  # the subject stays hidden
        path = tmp_path / "p.json"
        path.write_text(done.stdout)
        assert reader("check-proof", path).returncode == 0
        path.write_text(json.dumps(proof | {"root": proof["root"][::-1]}))
        assert reader("check-proof", path).returncode == 1
        path.write_text("not json")
        assert reader("check-proof", path).returncode == 2


async def test_receipts_and_session_root(tmp_path: Path) -> None:
    world, vault = await filled(20)
    copy, _ = await copied(world, tmp_path)
    heads = [await vault.head(MAILBOX), await vault.head(DRIVE)]
    receipts = [head.receipt() for head in heads if head]
    ordered = sorted(receipts, key=lambda one: (one["oid"], one["n"]))
    root = session_root([bytes.fromhex(one["record_hash"]) for one in ordered]).hex()
    held = tmp_path / "receipts.jsonl"
    held.write_text("".join(json.dumps(one) + "\n" for one in receipts))
    base = ("chain", copy, "--receipts", held, "--session-root")
    done = reader(*base, root)
    assert done.returncode == 0, done
    assert "2 of 2 receipts" in done.stdout
    assert reader(*base, "00" * 32).returncode == 1
    held.write_text(json.dumps([receipts[0] | {"root": "ab" * 32}, receipts[1]]))
    done = reader(*base, root)
    assert done.returncode == 1
    assert "differs from the receipt in root" in done.stdout


@pytest.mark.parametrize("wrong", ["other", "public", "garbage", "missing"])
def test_a_wrong_recovery_key_could_not_check(
    copy: tuple[Path, Path], tmp_path: Path, wrong: str
) -> None:
    from shared.vault.recovery import new_recovery_key

    key = tmp_path / "key.pem"
    if wrong == "other":
        key.write_bytes(new_recovery_key()[0])
    elif wrong != "missing":
        key.write_bytes(recovery()[1] if wrong == "public" else b"xyz")
    done = reader("verify", copy[0], "--key", key)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "could not check" in done.stderr
    if wrong == "other":
        assert "wrong recovery key" in done.stderr


def test_an_unknown_format_could_not_be_checked(copy: tuple[Path, Path], tmp_path: Path) -> None:
    newer = tmp_path / "copy" / "repo"
    newer.mkdir(parents=True)
    blob = (copy[0] / "repo" / "0001.json").read_bytes()
    (newer / "0001.json").write_bytes(blob.replace(b'"format":1', b'"format":2'))
    done = reader("verify", tmp_path / "copy", "--key", copy[1])
    assert done.returncode == 2
    assert "vault format 2" in done.stderr
    assert reader("verify", tmp_path, "--key", copy[1]).returncode == 2


def test_a_key_with_password(copy: tuple[Path, Path], tmp_path: Path) -> None:
    from holdfast_vault.findings import CannotCheck
    from holdfast_vault.vault import recovery_key

    from shared.vault.recovery import new_recovery_key

    path = tmp_path / "k.pem"
    path.write_bytes(new_recovery_key("secret")[0])
    assert recovery_key(path, "secret").key_size >= 3072
    for password in (None, "guess"):
        with pytest.raises(CannotCheck):
            recovery_key(path, password)


def test_the_wheel_installs_nothing_but_the_reader(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("packing", PROJECT / "reader" / "packing.py")
    assert spec
    assert spec.loader
    packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packing)
    name = packing.build_wheel(str(tmp_path))
    first = (tmp_path / name).read_bytes()
    assert packing.build_wheel(str(tmp_path)) == name
    assert (tmp_path / name).read_bytes() == first
    with zipfile.ZipFile(tmp_path / name) as wheel:
        wheel.extractall(tmp_path / "site")
    tops = {path.name for path in (tmp_path / "site").iterdir()}
    assert tops == {"holdfast_vault", "holdfast_vault-0.1.0.dist-info"}
    for path in (tmp_path / "site").rglob("*.py"):
        assert "shared.vault" not in path.read_text().replace("shared/vault", "")
        ast.parse(path.read_text(), feature_version=(3, 11))
    done = reader("verify", copy[0], "--key", copy[1], path=str(tmp_path / "site"))
    assert (done.returncode, done.stderr) == (0, ""), done
