"""A listing that begins again inside a run, because its slice ended or its token died, proves anew.

Named programs that delta chaos found (microsoft365.md M13, M15, section 4.1): what an earlier
reading showed and the last one does not is gone, and no later delta would say so.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from local.certs import Certificates, ClientCredential
from local.microsoft365.drive import Item
from local.microsoft365.faults import read_rule
from local.microsoft365.sources import BytesFile
from shared.microsoft365 import drive as drive_reader
from shared.microsoft365.exchange import ExchangeMailbox
from shared.microsoft365.model import Change
from shared.vault.model import SnapshotHead
from tests.contract.engine.chaos import Chaos, Stage

MAILBOX, DRIVE = 0, 1


@pytest.fixture
async def stage(
    certificates: Certificates, credential: ClientCredential, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    # One file at a time, so that a slice ends after exactly as many items as it may take.
    for workload in (drive_reader.Drive, ExchangeMailbox):
        monkeypatch.setattr(workload, "concurrency", 1)
    opened = await Stage.open(certificates, credential)
    yield opened
    await opened.close()


def files(chaos: Chaos) -> list[Item]:
    return [item for item in chaos.people.drive.items.values() if not item.is_folder]


def write(chaos: Chaos, parent: Item, name: str) -> Item:
    return chaos.people.drive.create(parent, name, chaos.people.now(), BytesFile(name.encode()))


def after(slices: int, act: Callable[[], None]) -> Iterator[list[Any]]:
    """For `Chaos.run`: the act falls behind so many slices."""
    for _ in range(slices - 1):
        yield []
    act()
    yield []


async def copied(
    chaos: Chaos, which: int, *, items: int = 500, changes: Any = (), status: str = "complete"
) -> SnapshotHead:
    chaos.runs += 1
    head = await chaos.run(chaos.objects()[which], items, iter(changes), 0)
    assert head.status == status
    return head


async def equal(chaos: Chaos, which: int, head: SnapshotHead) -> None:
    await chaos.equal(chaos.objects()[which], head)


async def test_m13_a_file_of_a_first_copy_is_gone_before_its_page_is_read_again(
    stage: Stage,
) -> None:
    chaos = await stage.fresh()

    def lose() -> None:
        for file in files(chaos)[:-1]:
            chaos.people.drive.delete(file, chaos.people.now())

    await equal(chaos, DRIVE, await copied(chaos, DRIVE, items=4, changes=after(2, lose)))
    await equal(chaos, DRIVE, await copied(chaos, DRIVE))


async def test_m13_files_that_came_after_the_token_died_and_went_before_the_page_ended(
    stage: Stage,
) -> None:
    chaos = await stage.fresh()
    await copied(chaos, DRIVE)
    made = [write(chaos, chaos.people.drive.root, f"new {n}.txt") for n in range(3)]
    folder = chaos.people.drive.create(made[0].parent, "new", chaos.people.now(), None)  # type: ignore[arg-type]
    write(chaos, folder, "inside.txt")
    stage.sim.delta_epoch += 1

    def lose() -> None:
        for item in (*made[:2], folder):
            chaos.people.drive.delete(item, chaos.people.now())

    everything = len(chaos.people.drive.items)
    head = await copied(chaos, DRIVE, items=everything - 3, changes=after(1, lose))
    assert head.kind == "reset"
    await equal(chaos, DRIVE, head)
    await equal(chaos, DRIVE, await copied(chaos, DRIVE))


async def test_m13_what_was_seen_and_is_still_there_is_neither_lost_nor_read_twice(
    stage: Stage,
) -> None:
    chaos = await stage.fresh()

    def lose() -> None:
        chaos.people.drive.delete(files(chaos)[0], chaos.people.now())

    head = await copied(chaos, DRIVE, items=4, changes=after(2, lose))
    await equal(chaos, DRIVE, head)
    # Every file once, the one that went included at most.
    sizes = sum(file.size for file in files(chaos))
    assert sizes <= head.document["bytes"]["read"] <= sizes + 20_000
    assert head.counts["listed"] == len(chaos.people.drive.items)


async def test_m15_a_folder_came_and_went_in_one_night_and_its_children_are_not_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    chaos = await stage.fresh()
    await copied(chaos, DRIVE)
    monkeypatch.setitem(stage.sim.limits.section("switches"), "deletedFolderChildren", "none")
    drive, now = chaos.people.drive, chaos.people.now()
    outer = drive.create(drive.root, "outer", now, None)
    inner = drive.create(outer, "inner", now, None)
    write(chaos, outer, "one.txt")
    write(chaos, inner, "two.txt")
    write(chaos, drive.root, "stays.txt")

    head = await copied(
        chaos, DRIVE, items=4, changes=after(1, lambda: drive.delete(outer, chaos.people.now()))
    )
    await equal(chaos, DRIVE, head)
    assert head.kind == "incremental"


async def test_m13_a_listing_that_an_earlier_night_began_dies_and_begins_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive_reader, "PAGE_ITEMS", "3")
    chaos = await stage.fresh()
    # The second page's token, and that of the listing offered instead; the first page has none.
    dies = {"action": "expireDelta", "match": {"path": "delta"}, "times": 3}
    stage.sim.faults.rules.append(read_rule(dies))
    await copied(chaos, DRIVE, status="partial")
    stage.sim.clock.advance(310)
    for file in files(chaos)[:-1]:
        chaos.people.drive.delete(file, chaos.people.now())
    stage.sim.delta_epoch += 1
    await equal(chaos, DRIVE, await copied(chaos, DRIVE))


async def test_m13_a_token_dies_between_two_pages_of_one_night(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive_reader, "PAGE_ITEMS", "3")
    chaos = await stage.fresh()

    def lose() -> None:
        for file in files(chaos)[:-1]:
            chaos.people.drive.delete(file, chaos.people.now())
        stage.sim.delta_epoch += 1

    head = await copied(chaos, DRIVE, items=6, changes=after(2, lose))
    await equal(chaos, DRIVE, head)


async def test_m13_mails_of_a_first_copy_are_gone_before_their_page_is_read_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    chaos = await stage.fresh()
    box, read = chaos.people.box, list[str]()
    for n in range(4):
        chaos.people.deliver(0, n)
    fetch = ExchangeMailbox.fetch

    async def noting(self: ExchangeMailbox, change: Change) -> Any:
        read.append(change.item["i"])
        return await fetch(self, change)

    monkeypatch.setattr(ExchangeMailbox, "fetch", noting)

    def purging() -> Iterator[list[Any]]:
        """Every mail goes as soon as the slice that read it has ended."""
        while True:
            for message in list(box.messages.values()):
                if box.message_id(message.number, message.incarnation, immutable=True) in read:
                    box.purge(message)
            yield []

    await copied(chaos, MAILBOX, items=2, changes=purging())
    assert len(read) > 8
    await equal(chaos, MAILBOX, await copied(chaos, MAILBOX))


async def test_m15_a_file_and_a_folder_came_into_a_folder_that_went_the_same_day(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stage.sim.limits.section("switches"), "deletedFolderChildren", "none")
    chaos = await stage.fresh()
    drive = chaos.people.drive
    target = drive.create(drive.root, "target", chaos.people.now(), None)
    moved = drive.create(drive.root, "moved", chaos.people.now(), None)
    write(chaos, moved, "inside.txt")
    write(chaos, target, "there.txt")
    lone = write(chaos, drive.root, "lone.txt")
    await copied(chaos, DRIVE)
    for item in (moved, lone):
        drive.move(item, target, item.name, chaos.people.now())
    drive.delete(target, chaos.people.now())
    await equal(chaos, DRIVE, await copied(chaos, DRIVE))
