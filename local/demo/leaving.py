"""Leaving: open files in a ZIP, the vault read by the customer alone, a drill's signed report."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import httpx

from local.demo.api import Json, NotAsSaid
from local.demo.show import bar, heading, say, size
from local.demo.story import Story, expect
from local.rundir import PROJECT
from shared.audit.signing import is_signed
from shared.drills.process import canonical
from shared.vault.format.primitives import unb64u
from shared.vault.recovery import new_recovery_key

OVER = {"Completed", "CompletedWithErrors", "Failed", "Canceled"}
DRILLED = {"Passed", "Failed", "Empty", "Broken"}


def export(story: Story) -> None:
    """The victim's mailbox and the team as ZIPs, fetched by their links, read by this script."""
    heading(10, "Take it away: open files in a ZIP, behind a link that ends")
    for workload in ("mailbox", "team"):
        if workload in story.owners:
            _export(story, workload)


def read_alone(story: Story) -> None:
    """A copy of the vault and the recovery key: the stand-alone reader needs nothing else."""
    heading(11, "Leave: the customer's own key and a small program, without Holdfast")
    place = story.stack.directory / "customer"
    copy, key = place / "copy", place / "recovery.pem"
    blobs, volume = asyncio.run(_copy(story, copy))
    key.write_bytes(story.recovery)
    say(f"copied the container as azcopy would: {blobs:,} blobs, {size(volume)}")
    checked = _reader("verify", copy, "--key", key, "--deep")
    say(f"$ holdfast-vault verify copy --key recovery.pem --deep\n      [green]{checked[-1]}[/]")
    to = place / "out"
    mailbox = f"mailbox:{story.victim['upn']}"
    _reader("extract", copy, "--key", key, "--object", mailbox, "--to", to)
    files = [path for path in (to / "items").rglob("*") if path.is_file()]
    say(
        f"$ holdfast-vault extract copy --key recovery.pem --object {mailbox} --to out"
        f"\n      [green]{_kinds(path.name for path in files)}[/]"
    )
    wrong = place / "wrong.pem"
    wrong.write_bytes(new_recovery_key()[0])
    nowhere = place / "nowhere"
    refused = _run("extract", copy, "--key", wrong, "--object", mailbox, "--to", nowhere)
    expect(refused.returncode == 2 and not nowhere.exists(), "another key opened the vault")
    why = refused.stderr.rpartition("could not check: ")[2].partition(":")[0].strip()
    say(f"with another key: exit 2, nothing written; [dim]{why}[/]")


def drill(story: Story) -> None:
    """Items by lot, read back and checked; the report signed, the signature checked here."""
    heading(12, "A restore drill: what was drawn by lot can be read back, signed")
    started = story.api.post(f"/customers/{story.customer}/drills")
    found = story.api.follow(f"/drills/{started['id']}", lambda one: one["state"] in DRILLED)
    signed = found["report"]
    bad = [
        (one["workload"], item["kind"], item["error"])
        for one in signed["report"]["objects"]
        for item in one["items"]
        if item["error"]
    ]
    why = found["error"] or bad[:5]
    expect(found["state"] == "Passed", f"the drill ended as {found['state']}: {why}")
    good = is_signed(
        signed["publicKey"].encode(), canonical(signed["report"]), unb64u(signed["signature"])
    )
    expect(good, "the signature of the report does not hold")
    many = {"mailbox": "mailboxes", "drive": "drives", "site": "sites", "team": "teams"}
    drawn = ", ".join(f"{number} of {many[name]}" for name, number in found["workloads"].items())
    say(f"{found['items']} items of {found['objects']} objects ({drawn}), {size(found['bytes'])}")
    say(f"[green]✓[/] {', '.join(signed['report']['checked'])}")
    say(f"[green]✓[/] the report is signed by key {signed['keyId'][:16]}…, and the signature holds")


def _export(story: Story, workload: str) -> None:
    found = story.protected(workload, story.owners[workload])
    body = {"objectId": found["id"], "snapshot": found["lastPoint"]["n"]}
    path = f"/exports/{story.api.post('/exports', body)['id']}"
    with bar(f"exporting {workload}") as line:

        def watch(answer: Json) -> bool:
            line.show(answer["done"], answer["total"], items=answer["done"], volume=answer["bytes"])
            return answer["state"] in OVER

        ended = story.api.follow(path, watch)
    expect(ended["state"] == "Completed", f"the export ended as {ended['state']}: {ended['error']}")
    link = story.api.post(f"{path}/links")
    with httpx.Client(trust_env=False, timeout=60) as web:
        data = web.get(link["url"]).raise_for_status().content
    archive = zipfile.ZipFile(io.BytesIO(data))
    lines = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
    for one in lines:
        if hashlib.sha256(archive.read(one["path"])).hexdigest() != one["sha256"]:
            raise NotAsSaid(f"{one['path']} in the ZIP is not what the manifest says")
    told = json.loads(archive.read("receipt.json"))["receipt"]
    expect(told["root"] == found["lastPoint"]["root"], "the receipt names another restore point")
    entries = [name for name in archive.namelist() if name.startswith("items/")]
    say(f"{size(len(data))} by link until {link['expiresAt'][11:16]} UTC: {_kinds(entries)}")
    say(
        f"[green]✓[/] SHA-256 of all {len(lines):,} files as the manifest says; receipt as the root"
    )


def _kinds(names: Iterable[str]) -> str:
    counted = Counter(PurePosixPath(name).suffix or "folder" for name in names if name[-1] != "/")
    common = counted.most_common(5)
    rest = sum(counted.values()) - sum(number for _, number in common)
    told = [f"{number:,} {ending}" for ending, number in common]
    return ", ".join(told + ([f"{rest:,} others"] if rest else []))


async def _copy(story: Story, to: Path) -> tuple[int, int]:
    from shared.bootstrap import Deps
    from shared.kit.config import Settings
    from shared.vault.copying import copy_container

    repositories = story.api.get(f"/customers/{story.customer}/recovery-key")["repositories"]
    given = Deps(Settings(storage_connection=story.stack.azurite.connection))
    try:
        store = await given.storage.container(repositories[0]["container"])
        copied = await copy_container(store, to)
    finally:
        await given.close()
    return copied.blobs, copied.bytes


def _reader(*arguments: object) -> list[str]:
    done = _run(*arguments)
    expect(done.returncode == 0, f"holdfast-vault said: {done.stdout[-300:]}{done.stderr[-300:]}")
    return done.stdout.splitlines()


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The reader as a process of its own: nothing of the app but the format."""
    where = os.pathsep.join([str(PROJECT / "reader"), str(PROJECT)])
    return subprocess.run(
        [sys.executable, "-m", "holdfast_vault", *map(str, arguments)],
        capture_output=True, encoding="utf-8", check=False, timeout=300,
        env={"PYTHONPATH": where, "PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
    )  # fmt: skip
