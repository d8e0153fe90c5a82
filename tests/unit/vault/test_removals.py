"""What removals, moves and full enumerations remove, and what they do not (M13 to M16)."""

from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import (
    DRIVE,
    MAILBOX,
    World,
    backup,
    contents,
    folder,
    mail,
    putting,
)


async def test_m16_moves_in_any_order_lose_nothing() -> None:
    for order in (("gone", "add"), ("add", "gone")):
        vault = await World().create()
        await backup(vault, MAILBOX, "r1", putting({"x": b"1", "y": b"1"}, where="A"))

        async def moving(run: Run, part: Slice, order=order) -> None:
            held = await run.previous("x")
            for step in order:
                if step == "gone":
                    part.gone("x", "A")
                else:
                    part.carry(mail("x", "2", "B"), held)
            part.gone("y", "B")  # was never there: says nothing

        head = await backup(vault, MAILBOX, "r2", moving)
        snap = await vault.open_snapshot(MAILBOX)
        row = await snap.row("x")
        assert row is not None
        assert row.parent == "B"
        assert head.counts["gone"] == 0
        assert await contents(vault, MAILBOX) == {"x": b"1", "y": b"1"}


async def test_m16_out_and_back_and_m14_last_occurrence() -> None:
    vault = await World().create()
    await backup(vault, MAILBOX, "r1", putting({"x": b"1", "z": b"1"}, where="A"))

    async def first(run: Run, part: Slice) -> None:
        part.gone("x", "A")
        part.carry(mail("x", "3", "A"), await run.previous("x"))  # back again
        await part.put(mail("new", "1", "A"), b"n")
        part.gone("new", "A")  # came and went
        part.gone("z", "A")
        part.keep("z")

    async def second(run: Run, part: Slice) -> None:
        part.carry(mail("x", "2", "B"), await run.previous("x"))
        part.gone("x", "B")

    head = await backup(vault, MAILBOX, "r2", first, second)
    snap = await vault.open_snapshot(MAILBOX)
    row = await snap.row("x")
    assert row is not None
    assert (row.parent, row.version) == ("A", "3")
    assert await contents(vault, MAILBOX) == {"x": b"1", "z": b"1"}
    assert head.counts["listed"] == 2


async def test_m13_absence_deletes_only_after_a_full_enumeration() -> None:
    vault = await World().create()
    await backup(vault, MAILBOX, "r1", putting({f"a{n}": b"1" for n in range(9)}, where="A"))
    await backup(vault, MAILBOX, "r2", putting({f"b{n}": b"1" for n in range(9)}, where="B"))

    async def some(run: Run, part: Slice) -> None:
        for n in range(5):
            part.keep(f"a{n}")

    head = await backup(vault, MAILBOX, "r3", some, enumerated={"B": "delta"})
    assert head.items == 18
    head = await backup(vault, MAILBOX, "r4", some, enumerated={"A": "full", "B": "delta"})
    assert head.items == 14
    assert head.counts["gone"] == 4
    assert set(await contents(vault, MAILBOX)) == {f"a{n}" for n in range(5)} | {
        f"b{n}" for n in range(9)
    }


async def test_m15_a_removed_drive_folder_takes_what_was_not_moved_out() -> None:
    vault = await World().create()

    async def tree(run: Run, part: Slice) -> None:
        for name, parent in (("f1", "root"), ("f2", "f1"), ("f3", "f2"), ("g", "root")):
            await part.put(folder(name, parent), None)
        for name, parent in (("x", "f1"), ("y", "f3"), ("z", "g"), ("saved", "f2")):
            await part.put(mail(name, "1", parent), name.encode())

    await backup(vault, DRIVE, "r1", tree)

    async def remove(run: Run, part: Slice) -> None:
        part.gone("f1", DRIVE.source_id)
        part.carry(mail("saved", "2", "g"), await run.previous("saved"))
        part.carry(folder("f3", "g"), await run.previous("f3"))

    head = await backup(vault, DRIVE, "r2", remove, enumerated={DRIVE.source_id: "delta"})
    found = await contents(vault, DRIVE)
    assert set(found) == {"g", "z", "saved", "f3", "y"}
    assert head.counts["folders"] == 2
    assert head.items == 5

    async def full(run: Run, part: Slice) -> None:
        part.keep("g")
        part.keep("z")

    await backup(vault, DRIVE, "r3", full, enumerated={DRIVE.source_id: "full"})
    assert set(await contents(vault, DRIVE)) == {"g", "z"}
