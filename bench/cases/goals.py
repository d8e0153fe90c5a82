"""Requests, units, quotas and faults at the simulated Microsoft 365 (goals 1 to 5, 11, 12).

The real workloads and slices in this process, against the simulator's own counts.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.figure import Figure
from local.certs import make_certificates, make_client_credential
from local.microsoft365.faults import read_rule
from local.microsoft365.sources import GeneratedFile
from local.microsoft365.world import Size
from local.microsoft365.world_mail import GeneratedMail
from shared.vault.model import SnapshotHead
from tests.contract.engine.chaos import Chaos, Stage
from tests.contract.graph.conftest import SharedClock

MAILS, NEW = 2_000, 1_000
FILES, CHANGED = 5_000, 500
PACED = 3_000
PLENTY = 1_000_000_000
SLICE = 5_000
PERSONAL = 2
"""The calendar and the contact folder of a mailbox, folders like those of mail."""


class OneTime(SharedClock):
    """Virtual time in which several may sleep at once: it goes to when the sleeper wakes."""

    async def sleep(self, seconds: float) -> None:
        """Wake when that time has come, whoever brought it."""
        wake = self.now() + timedelta(seconds=seconds)
        await asyncio.sleep(0)
        left = (wake - self.now()).total_seconds()
        if left > 0:
            self.simulator.advance(left)
        await asyncio.sleep(0)


def measure() -> list[Figure]:
    """All of them, each on a world of its own."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    async with _stage() as stage:
        figures = await _mail(stage)
        figures += await _files(stage)
        figures += await _pace(stage)
        return figures + await _faults(stage)


@asynccontextmanager
async def _stage() -> AsyncIterator[Stage]:
    import os

    with tempfile.TemporaryDirectory() as folder:
        certificates = make_certificates(Path(folder))
        os.environ.update(certificates.environment())
        stage = await Stage.open(certificates, make_client_credential(Path(folder) / "client.pem"))
        stage.clock = OneTime(stage.clock.simulator)
        try:
            yield stage
        finally:
            await stage.close()


def _unlimited(stage: Stage) -> None:
    stage.sim.limits.merge(
        {
            "outlook": {"requests": PLENTY},
            "sharepoint": {"perMinute": PLENTY, "perDay": PLENTY},
            "graph": {"requests": PLENTY},
        }
    )


async def _night(chaos: Chaos, which: int) -> tuple[SnapshotHead, int]:
    """One run of the mailbox (0) or drive (1) and its requests as the simulator counted them."""
    chaos.runs += 1
    stats = chaos.stage.sim.stats
    stats.reset()
    head = await chaos.run(chaos.objects()[which], SLICE, iter(()), 0)
    return head, stats.requests.total() - stats.requests["token"]


async def _mail(stage: Stage) -> list[Figure]:
    _unlimited(stage)
    chaos = await stage.fresh(Size(users=1, mails=MAILS, files=1, mail_mean=8_000, real=False))
    await _night(chaos, 0)
    _, floor = await _night(chaos, 0)
    box, now = chaos.people.box, chaos.people.now()
    folders = len([f for f in box.folders.values() if not f.hidden])
    people = ("Ada", "ada@example.org"), ("Grace", "grace@partner.example")
    for number in range(NEW):
        source = GeneratedMail(10_000_000 + number, *people, now, 8_000)
        box.add(box.well_known("inbox"), source, now, now)
    new, asked = await _night(chaos, 0)
    places = [f for f in box.folders.values() if not f.hidden and f.parent]
    chance = random.Random(5)
    messages = [m for m in box.messages.values() if not m.is_draft]
    for number, message in enumerate(messages):
        if number % 4 == 0:
            others = [place for place in places if place is not message.folder]
            box.move(message, chance.choice(others), chaos.people.now())
            continue
        message.is_read = not message.is_read if number % 4 == 1 else message.is_read
        message.flag = "complete" if number % 4 == 2 else message.flag
        message.categories = ("Red",) if number % 4 == 3 else message.categories
        box.touch(message, chaos.people.now())
    touched, changes = await _night(chaos, 0)
    reads = stage.sim.stats.requests["messages.value"]
    drafts = sum(m.is_draft for m in box.messages.values())
    counted = touched.counts["metadata"] + touched.counts["protected"]
    if new.counts["protected"] != NEW or counted != len(messages) or touched.status != "complete":
        raise RuntimeError(f"the nights did not do what they should: {new.counts} {counted}")
    told = f"{len(messages):,} changes, {changes - floor} requests, {reads} audits, {drafts} drafts"
    return [
        Figure(
            "goal 1: requests per new mail, over the floor", (asked - floor) / NEW, "calls",
            f"{NEW:,} new; list + get + attachments of three in ten: 1.3", 1.02,
        ),
        Figure(
            "goal 2: requests per metadata change, over the floor",
            (changes - floor) / len(messages), "calls", told, 0.01,
        ),
        Figure(
            "goal 3: unchanged mailbox, requests less folders", floor - folders - PERSONAL, "calls",
            f"{folders} mail folders, one calendar, one contact folder; {floor} calls", 2,
        ),
    ]  # fmt: skip


async def _files(stage: Stage) -> list[Figure]:
    _unlimited(stage)
    chaos = await stage.fresh(Size(users=1, mails=1, files=FILES, file_mean=400, real=False))
    await _night(chaos, 1)
    _, floor = await _night(chaos, 1)
    drive, now = chaos.people.drive, chaos.people.now()
    files = [item for item in drive.items.values() if not item.is_folder]
    for number, item in enumerate(files[:CHANGED]):
        drive.write(item, GeneratedFile(70_000_000 + number, 500), now)
    head, _ = await _night(chaos, 1)
    # Downloads go to the content host, which the simulator does not bill: our own account of them.
    units = head.graph.ru
    if head.counts["protected"] != CHANGED:
        raise RuntimeError(f"the night did not do what it should: {head.counts}")
    return [
        Figure("goal 3: unchanged drive, requests", floor, "calls", f"{FILES:,} files", 1),
        Figure(
            "goal 4: resource units per changed file", units / CHANGED, "RU",
            "one permission read for each would be 6; permissions of files are not read", 1.1,
        ),
    ]  # fmt: skip


async def _pace(stage: Stage) -> list[Figure]:
    """Granted over allowed rate: at the real quota, and where another app takes three tenths."""
    figures = []
    for told, share in (("the documented quota", 1.0), ("three tenths taken by others", 0.7)):
        _unlimited(stage)
        window, most = 60, int(1_000 * share)
        stage.sim.limits.merge({"outlook": {"requests": most, "window": window}})
        stage.sim.throttle.reset()
        chaos = await stage.fresh(Size(users=1, mails=PACED, files=1, mail_mean=500, real=False))
        began = stage.clock.now()
        _, asked = await _night(chaos, 0)
        took = (stage.clock.now() - began).total_seconds()
        stats = stage.sim.stats
        granted = asked - stats.throttled
        # The window open at the end has not been used up yet: it counts by the time it ran.
        used = granted / (most / window * max(took, 1.0))
        figures += [
            Figure(f"goal 5: allowed rate not used, {told}", max(0.0, 1 - used), "×",
                   f"{granted:,} calls in {took:.0f} s of virtual time, {stats.throttled} refused",
                   0.10),
            Figure(f"goal 5: calls inside a fence, {told}", stats.inside_fence, "calls", "", 0),
        ]  # fmt: skip
    stage.sim.limits.reset()
    return figures


async def _faults(stage: Stage) -> list[Figure]:
    _unlimited(stage)
    chaos = await stage.fresh(Size(users=1, mails=1_000, files=1, mail_mean=800, real=False))
    box = chaos.people.box
    poisoned = next(m for m in box.messages.values() if not m.is_draft)
    name = box.message_id(poisoned.number, poisoned.incarnation, immutable=True)
    from tests.contract.engine.test_faults import path_of

    rule: dict[str, Any] = {"match": {"path": path_of({"id": name})}, "times": -1}
    stage.sim.faults.rules.append(read_rule({**rule, "action": "serverError"}))
    head, _ = await _night(chaos, 0)
    readable = await _readable(chaos, head)
    stage.sim.faults.rules.clear()
    after, _ = await _night(chaos, 0)
    healed = await _readable(chaos, after)
    total = len(box.messages)
    again = await stage.fresh(Size(users=1, mails=600, files=1, mail_mean=800, real=False))
    whole, calm = await _night(again, 0)
    killed = await stage.fresh(Size(users=1, mails=600, files=1, mail_mean=800, real=False))
    killed.runs += 1
    stage.sim.stats.reset()
    sealed = await killed.run(killed.objects()[0], 200, iter(()), 2)
    asked = stage.sim.stats.requests.total() - stage.sim.stats.requests["token"]
    return [
        Figure("goal 11: items lost by a kill", whole.items - sealed.items, "items",
               "at every storage call: tests/disasters/test_vault_kills.py", 0),
        Figure("goal 11: requests repeated after a kill", asked - calm, "calls",
               "slices of 200 items here, of 5,000 in production", 400),
        Figure("goal 12: items of 1,000 not restorable beside one that fails",
               total - 1 - readable, "items", f"snapshot {head.status}", 0),
        Figure("goal 12: not restorable when it no longer fails", total - healed, "items",
               f"snapshot {after.status}", 0),
    ]  # fmt: skip


async def _readable(chaos: Chaos, head: SnapshotHead) -> int:
    snapshot = await chaos.vault.open_snapshot(chaos.objects()[0], head.n)
    found = 0
    async for row in snapshot.rows():
        if row.kind == "mail" and row.has_content and row.error is None:
            found += 1 if [part async for part in snapshot.content(row)] else 0
    return found
