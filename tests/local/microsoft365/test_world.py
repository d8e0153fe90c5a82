"""Worlds: the same for the same seed, from real input, and cheap however large."""

import asyncio
import json
import mailbox
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from local.microsoft365 import Size, create
from local.microsoft365.mime_read import read_content, read_meta
from local.microsoft365.mime_write import compose
from local.microsoft365.simulator import Simulator
from local.microsoft365.truth import truth
from local.microsoft365.world_real import BadInput, python_mails
from tests.local.microsoft365.conftest import Client, registrations

ROOT = Path(__file__).parents[3]


async def whole_truth(sim: Simulator) -> list[object]:
    tenants = sim.tenants.values()
    return [await truth(user) for tenant in tenants for user in tenant.users.values()]


async def test_same_seed_same_world() -> None:
    size = Size(tenants=2, users=3, mails=25, files=15)
    first, again = await whole_truth(create(size)), await whole_truth(create(size))
    other = await whole_truth(create(Size(tenants=2, users=3, mails=25, files=15, seed=8)))
    assert first == again
    assert first != other


def test_last_user_has_no_licence_and_first_is_administrator() -> None:
    tenant = next(iter(create(Size(users=4, mails=1, files=1)).tenants.values()))
    users = list(tenant.users.values())
    assert [user.licensed for user in users] == [True, True, True, False]
    assert tenant.admin is users[0]


def test_header_view_of_generated_mail_is_that_of_its_bytes() -> None:
    sim = create(Size(users=1, mails=60, files=0, real=False, mail_mean=4000))
    box = next(iter(sim.tenants.values())).admin.mailbox
    assert box is not None
    for message in box.messages.values():
        assert message.source.meta() == read_meta(message.source.mime())


def test_pythons_own_mails_survive_reading_and_writing() -> None:
    mails = python_mails()
    assert len(mails) > 30
    for mail in mails:
        meta, content = mail.source.meta(), mail.source.content()
        made = compose(meta, content.content_type, content.body, content.attachments)
        again = read_content(made)
        assert [a.name for a in again.attachments] == [
            " ".join(a.name.split()) for a in content.attachments
        ]
        assert again.content_type == content.content_type
        assert again.body.split() == content.body.split()


def test_mean_size_of_generated_mail_is_near_the_asked_one() -> None:
    sim = create(Size(users=1, mails=400, files=0, real=False, mail_mean=75_000))
    box = next(iter(sim.tenants.values())).admin.mailbox
    assert box is not None
    sizes = [len(message.source.mime()) for message in box.messages.values()]
    assert 40_000 < sum(sizes) / len(sizes) < 120_000
    share = sum(m.source.meta().has_attachments for m in box.messages.values()) / len(sizes)
    assert 0.2 < share < 0.4


def test_a_large_mailbox_is_seeds_not_bytes() -> None:
    tracemalloc.start()
    sim = create(Size(users=1, mails=20_000, files=0, real=False))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sim.tenants) == 1
    assert used < 20_000 * 1_200


async def test_real_input_is_dealt_round_robin(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "own.mbox")
    for number in range(3):
        box.add(f"Subject: own {number}\n\nFrom here on\n".encode())
    box.close()
    maildir = mailbox.Maildir(tmp_path / "maildir", create=True)
    entry = mailbox.MaildirMessage(b"Subject: seen\n\nbody")
    entry.set_flags("FS")
    entry.set_subdir("cur")
    maildir.add(entry)
    maildir.add_folder("Projects.Alpha").add(b"Subject: nested\n\nbody")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "ä:b.txt").write_bytes(b"content")
    size = Size(users=3, mails=2, files=2, mboxes=[tmp_path / "own.mbox"],
                maildirs=[tmp_path / "maildir"], trees=[tree])  # fmt: skip
    first, second, _ = await whole_truth(create(size))
    assert [mail["subject"] for mail in first["mails"]] == ["own 0", "own 1", "own 2"]  # type: ignore[index]
    assert [entry["path"] for entry in first["files"]] == ["sub/ä_b.txt"]  # type: ignore[index]
    by_subject = {mail["subject"]: mail for mail in second["mails"]}  # type: ignore[index]
    assert by_subject["seen"]["isRead"] is True
    assert by_subject["seen"]["flag"] == "flagged"
    assert by_subject["nested"]["folder"] == "Alpha"


@pytest.mark.parametrize("option", ["--mbox", "--maildir", "--files-from"])
async def test_missing_input_is_one_line_and_exit_2(option: str, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.microsoft365", option, str(tmp_path / "nowhere"),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert err.count(b"\n") == 1
    assert b"nowhere" in err


def test_not_an_mbox_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    with pytest.raises(BadInput, match="not an mbox"):
        create(Size(mboxes=[tmp_path / "x"]))


async def test_change_counts_what_it_did(reader: Client) -> None:
    verbs = {"newMails": 2, "moveMails": 2, "flagMails": 2, "deleteMails": 2, "newFiles": 2,
             "editFiles": 2, "moveFiles": 2, "renameFiles": 2, "deleteFiles": 2}  # fmt: skip
    before = await reader.truth(reader.users[0])
    path = f"/tenants/{reader.tenant_id}/change"
    answer = await reader.sim("POST", path, json={"seed": 3, "perUser": verbs})
    assert set(answer["totals"].values()) == {4}
    after = await reader.truth(reader.users[0])
    assert len(before["mails"]) == len(after["mails"])
    assert len({c["id"] for c in answer["changes"]}) == len(answer["changes"])
    status, _, _ = await reader.raw("POST", f"/_sim{path}", json={"perUser": {"typo": 1}})
    assert status == 400


async def test_process_says_where_it_listens_and_ends_on_a_signal(tmp_path: Path) -> None:
    file = tmp_path / "registrations.json"
    file.write_text(json.dumps(registrations()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local.microsoft365", "--users", "2", "--mails", "2", "--files", "2",
        "--registrations", str(file), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = json.loads(await process.stdout.readline())
        assert ready["http"].startswith("http://127.0.0.1:")
    finally:
        process.terminate()
        assert await process.wait() == 0
