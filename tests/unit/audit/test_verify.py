"""The offline command: exit codes and the names it tells; signed checkpoints."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.audit import checkpoints, signing
from shared.audit.chain import GENESIS
from shared.audit.checkpoints import Checkpoint, CheckpointForged, CheckpointUnreadable
from shared.audit.model import Actor, Entry, Target, read, seal
from shared.audit.signing import FileSigner
from shared.audit.verify import main

AT = datetime(2026, 1, 31, tzinfo=UTC)


def make_chain(length: int, partner: str = "p1") -> list[bytes]:
    lines, previous = [], GENESIS
    for seq in range(1, length + 1):
        entry = Entry(
            actor=Actor(kind="system", subject="s"), action="a.b", target=Target(kind="t", id="1")
        )
        lines.append(seal(entry, partner_id=partner, seq=seq, at=AT, previous=previous))
        previous = read(lines[-1]).hash
    return lines


LINES = make_chain(5)


def write(path: Path, lines: list[bytes]) -> str:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def replace(path: str, old: bytes, new: bytes) -> None:
    Path(path).write_bytes(Path(path).read_bytes().replace(old, new))


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    return main(arguments, out), out.getvalue()


async def signed(tmp_path: Path, seq: int = 5, partner: str = "p1") -> list[str]:
    signer = FileSigner(tmp_path / "keys")
    made = Checkpoint(partner, seq, read(LINES[seq - 1]).hash, AT)
    document, key = tmp_path / "checkpoint.json", tmp_path / "key.pem"
    document.write_bytes(await checkpoints.sign(made, signer))
    key.write_bytes(await signer.public_pem())
    return ["--checkpoint", str(document), "--public-key", str(key)]


def test_a_good_file_exits_0(tmp_path: Path) -> None:
    code, said = run(write(tmp_path / "f", LINES), "--whole")
    assert code == 0
    assert "5 lines, 1 to 5" in said


def test_touched_lines_exit_1_and_are_named(tmp_path: Path) -> None:
    lines = [LINES[0], LINES[1].replace(b"a.b", b"a.c"), LINES[4]]
    code, said = run(write(tmp_path / "f", lines))
    assert code == 1
    assert "edited: line 2 (at place 2 of the file)" in said
    assert "removed: lines 3 to 4" in said
    assert run(write(tmp_path / "f", LINES[1:]), "--whole")[0] == 1


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_without_lines_exits_2(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    assert run(str(tmp_path / "f"))[0] == 2


def test_wrong_use_exits_2(tmp_path: Path) -> None:
    file = write(tmp_path / "f", LINES)
    assert run(file, "--checkpoint", file)[0] == 2
    with pytest.raises(SystemExit) as ended:
        main(["--nonsense"])
    assert ended.value.code == 2


async def test_a_checkpoint_finds_lines_cut_off(tmp_path: Path) -> None:
    options = await signed(tmp_path)
    assert run(write(tmp_path / "f", LINES), *options)[0] == 0
    code, said = run(write(tmp_path / "f", LINES[:3]), *options)
    assert code == 1
    assert "removed: lines 4 to 5" in said
    assert run(write(tmp_path / "f", []), *options)[0] == 1


async def test_a_forged_checkpoint_exits_1(tmp_path: Path) -> None:
    options = await signed(tmp_path)
    replace(options[1], b'"seq": 5', b'"seq": 4')
    assert run(write(tmp_path / "f", LINES), *options)[0] == 1


async def test_a_checkpoint_of_another_partner_exits_2(tmp_path: Path) -> None:
    options = await signed(tmp_path, partner="p2")
    assert run(write(tmp_path / "f", LINES), *options)[0] == 2


async def test_an_unreadable_checkpoint_or_key_exits_2(tmp_path: Path) -> None:
    options = await signed(tmp_path)
    file = write(tmp_path / "f", LINES)
    replace(options[3], b"BEGIN", b"NO")
    assert run(file, *options)[0] == 2
    replace(options[1], b"seq", b"number")
    assert run(file, *options)[0] == 2


async def test_only_the_right_key_opens_a_checkpoint(tmp_path: Path) -> None:
    mine, other = FileSigner(tmp_path / "a"), FileSigner(tmp_path / "b")
    made = Checkpoint("p1", 3, "ab" * 32, AT)
    document = await checkpoints.sign(made, mine)
    assert checkpoints.read(document, await mine.public_pem()) == made
    with pytest.raises(CheckpointForged):
        checkpoints.read(document, await other.public_pem())
    with pytest.raises(CheckpointUnreadable):
        checkpoints.read(b"[]", await mine.public_pem())
    assert not signing.is_signed(await mine.public_pem(), b"x", b"short")
    assert (tmp_path / "a" / "audit-signing.pem").stat().st_mode & 0o077 == 0
