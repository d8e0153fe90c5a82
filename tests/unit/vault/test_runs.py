"""Runs end to end on blobs in memory: round trips, removals, counters, incremental cost."""

import itertools
import os
from datetime import timedelta

import pytest

from shared.vault.errors import RunExpired, SliceFinished, Superseded, UnknownSnapshot
from shared.vault.format.content import content_hash
from shared.vault.format.proofs import content_matches, proof_holds
from shared.vault.model import GraphUse
from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import (
    DRIVE,
    MAILBOX,
    NOW,
    Counter,
    Trap,
    World,
    backup,
    contents,
    folder,
    mail,
    seal,
    stream,
)

HOSTILE = [
    "tab\there", "line\nend\r\n", "nul\x00", "quote\"back\\slash", "../../etc/passwd", "a/b?c#d%",
    "💾 naïve Ω", "\u202egpj.exe", "lone \ud800 surrogate", "", " ", "x" * 5000, "\u2028\u2029",
]  # fmt: skip


def putting(items: dict[str, bytes | None], version: str = "1", where: str = "inbox"):
    async def work(run: Run, part: Slice) -> None:
        for source_id, data in items.items():
            item = folder(source_id) if data is None else mail(source_id, version, where)
            await part.put(item, data)

    return work


async def test_round_trip_of_sizes_and_streams() -> None:
    vault = await World().create()
    sizes = [0, 1, 100, 131_073, 1 << 20, (1 << 20) + 1, 5_000_000]
    data: dict[str, bytes | None] = {f"s{size}": os.urandom(size) for size in sizes}
    text = b"the same words again and again. " * 400_000

    async def streams(run: Run, part: Slice) -> None:
        await part.put(mail("text"), stream(text))
        for source_id, value in data.items():
            await part.put(mail("stream-" + source_id), stream(value or b""))

    head = await backup(vault, MAILBOX, "r1", putting(data), streams)
    found = await contents(vault, MAILBOX)
    assert found == data | {"stream-" + i: v for i, v in data.items()} | {"text": text}
    assert head.bytes["read"] == 2 * sum(sizes) + len(text)
    # The second copy was stored once more because it came in another slice; text shrinks.
    assert head.bytes["stored"] < 2 * sum(sizes) + 2_000_000


async def test_sparse_content_of_several_pieces() -> None:
    vault = await World().create()
    size = (64 << 20) * 2 + 12_345

    async def zeros():
        left = size
        while left:
            now = min(left, 3_000_000)
            yield bytes(now)
            left -= now

    async def work(run: Run, part: Slice) -> None:
        await part.put(mail("huge"), zeros())

    await backup(vault, MAILBOX, "r1", work)
    snap = await vault.open_snapshot(MAILBOX)
    row = await snap.row("huge")
    assert row is not None
    assert row.size == size
    assert row.digest == content_hash(bytes(size))
    total = 0
    async for data in snap.content(row):
        assert not any(data[::65_537])
        total += len(data)
    assert total == size


async def test_more_than_64_chunks_go_into_list_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.vault.contents.MAX_LOCATIONS", 4)
    monkeypatch.setattr("shared.vault.contents.MAX_LISTED", 3)
    vault = await World().create()
    data = os.urandom(9 << 20)

    async def work(run: Run, part: Slice) -> None:
        await part.put(mail("large"), data)

    head = await backup(vault, MAILBOX, "r1", work)
    assert await contents(vault, MAILBOX) == {"large": data}
    snap = await vault.open_snapshot(MAILBOX)
    row = await snap.row("large")
    assert row is not None
    assert row.location.startswith(b'{"l":')
    # V29: the table names the packs that only list chunks reach.
    assert head.document["base"][0]["packs"][1] == len(set(row.packs)) >= 2

    changed = data[: 5 << 20] + b"!" + data[5 << 20 :]

    async def again(run: Run, part: Slice) -> None:
        await part.put(mail("large", "2"), changed)

    head = await backup(vault, MAILBOX, "r2", again)
    assert await contents(vault, MAILBOX) == {"large": changed}
    assert head.bytes["new"] < len(data) // 2  # chunks of the previous version are found again


async def test_hostile_names_come_back_exactly() -> None:
    vault = await World().create()

    async def work(run: Run, part: Slice) -> None:
        for number, text in enumerate(HOSTILE):
            await part.put(
                mail(f"id {number} {text}", n=text, m={"note": text}),
                text.encode("utf-8", "replace"),
            )

    await backup(vault, MAILBOX, "r1", work)
    snap = await vault.open_snapshot(MAILBOX)
    for number, text in enumerate(HOSTILE):
        row = await snap.row(f"id {number} {text}")
        assert row is not None
        assert row.name == text
        assert row.item["m"] == {"note": text}
    assert snap.head.items == len(HOSTILE)


async def test_v25_floats_are_refused_and_nothing_is_kept() -> None:
    vault = await World().create()
    run = await vault.open_run(MAILBOX, "r1")
    part = await run.slice(0)
    for wrong in (1.5, 1 << 53):
        with pytest.raises(ValueError, match="floating-point"):
            await part.put(mail("a", m={"x": [wrong]}), b"")
    await part.finish({}, more=False)
    assert (await seal(run)).items == 0


async def test_v35_empty_increment_is_one_small_blob() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": b"x" * n for n in range(2000)}))
    first = await backup(vault, MAILBOX, "r2", putting({"new": b"1"}))

    trap = Trap()
    world.store = Counter(world.store, trap)
    vault = await world.open()
    keeping = await vault.open_run(MAILBOX, "r3")
    part = await keeping.slice(0)
    for n in range(50):
        part.keep(f"m{n}")
    await part.finish({}, more=False)
    head = await seal(keeping)
    assert trap.count("put") == 1
    assert trap.bytes("put") < 256 << 10
    assert head.root == first.root
    assert head.document["tail"]["host"] == first.n
    assert head.counts["unchanged"] == 50
    # and the record after that still points to the first host
    again = await backup(vault, MAILBOX, "r4", putting({}))
    assert again.document["tail"]["host"] == first.n
    assert len(await contents(vault, MAILBOX)) == 2001


async def test_v30_point_read_takes_five_gets() -> None:
    world = World()
    vault = await world.create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": os.urandom(2000) for n in range(5000)}))
    await backup(vault, MAILBOX, "r2", putting({f"m{n}": b"2" for n in range(40)}, "2"))
    await backup(vault, MAILBOX, "r3", putting({}))
    for source_id in ("m7", "m777", "m4999"):
        trap = Trap()
        reader = World(Counter(world.store, trap), world.control, world.repo)
        vault = await reader.open()
        snap = await vault.open_snapshot(MAILBOX, 3)
        trap.log.clear()
        await snap._ready()
        row = await snap.row(source_id)
        assert row is not None
        data = b"".join([part async for part in snap.content(row)])
        record = 1  # the record itself was read by open_snapshot
        assert trap.count("get") + record <= 5
        assert trap.bytes("get") <= len(data) + (256 << 10) - (64 << 10)


async def test_v28_base_is_rewritten_when_tails_outweigh_it() -> None:
    vault = await World().create()
    model = {f"m{n}": b"a" for n in range(300)}
    head = await backup(vault, MAILBOX, "r0", putting(model))
    bases = {head.document["base"][0]["name"]}
    for number in range(1, 30):
        change = {f"m{n}": bytes([number]) for n in range(number * 7, number * 7 + 30)}
        head = await backup(vault, MAILBOX, f"r{number}", putting(change, str(number)))
        model |= change
        tail, base = head.document["tail"], sum(p["bytes"] for p in head.document["base"])
        assert tail["spent"] <= base
        bases.add(head.document["base"][0]["name"])
        assert await contents(vault, MAILBOX) == model
    assert 2 < len(bases) < 15
    assert [h.n for h in await vault.snapshots(MAILBOX)] == list(range(30, 0, -1))


async def test_v45_chain_of_hashes() -> None:
    vault = await World().create()
    for number in range(4):
        await backup(vault, MAILBOX, f"r{number}", putting({f"m{number}": b"x"}))
    heads = await vault.snapshots(MAILBOX)
    assert heads[-1].prev == bytes(32).hex()
    for newer, older in itertools.pairwise(heads):
        assert newer.prev == older.record_hash
        assert newer.n == older.n + 1
    assert heads[0].receipt()["record_hash"] == heads[0].record_hash


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


async def test_v36_v37_v38_counters_and_retry_list() -> None:
    vault = await World().create()
    await backup(vault, MAILBOX, "r1", putting({"a": b"1", "b": b"1", "c": b"1", "F": None}))

    async def trouble(run: Run, part: Slice) -> None:
        part.failed(mail("a", "2"), "500/Unknown", "req-1", await run.previous("a"))
        part.failed(mail("n", "1"), "500/Unknown", "req-2")
        part.skipped(mail("b", "2"), "malware", await run.previous("b"))
        part.skipped(mail("s", "1"), "malware")
        part.carry(mail("c", "2"), await run.previous("c"))
        await part.put(mail("d"), b"d")
        part.keep("F")

    head = await backup(vault, MAILBOX, "r2", trouble, enumerated={"inbox": "delta"})
    counts = head.counts
    assert counts["listed"] == 7
    assert counts["protected"] == counts["metadata"] == counts["unchanged"] == 1
    assert counts["failed"] == {"500/Unknown": 2}
    assert counts["skipped"] == {"malware": 2}
    assert (counts["held"], counts["stale"], counts["unheld"]) == (3, 2, 2)
    assert counts["folders"] == 1
    assert head.items == 7
    assert head.status == "partial"
    snap = await vault.open_snapshot(MAILBOX)
    stale, new, skipped = [await snap.row(i) for i in ("a", "n", "s")]
    assert stale is not None
    assert new is not None
    assert skipped is not None
    assert (stale.error, stale.version, stale.has_content) == ("stale", "1", True)
    assert (new.error, new.version, new.has_content) == ("fail:500/Unknown", "", False)
    assert (skipped.error, skipped.version) == ("skip:malware", "1")
    assert proof_holds(await snap.proof("n"))

    run = await vault.open_run(MAILBOX, "r3")
    assert {(e["i"], e["tries"]) for e in run.retry} == {("a", 1), ("n", 1)}
    part = await run.slice(0)
    await part.put(mail("a", "2"), b"2")
    part.failed(mail("n", "1"), "500/Unknown", "req-3")
    await part.finish({}, more=False)
    head = await seal(run)
    assert head.status == "partial"
    run = await vault.open_run(MAILBOX, "r4")
    assert [(e["i"], e["tries"]) for e in run.retry] == [("n", 2)]
    part = await run.slice(0)
    part.gone("n", "inbox")
    await part.finish({}, more=False)
    head = await seal(run)
    assert head.status == "complete"
    assert (await vault.open_run(MAILBOX, "r5")).retry == []


async def test_content_that_breaks_while_read_leaves_no_row() -> None:
    vault = await World().create()

    async def broken():
        yield b"x" * 3_000_000
        raise ConnectionError("reset")

    run = await vault.open_run(MAILBOX, "r1")
    part = await run.slice(0)
    with pytest.raises(ConnectionError):
        await part.put(mail("a"), broken())
    await part.put(mail("b"), b"fine")
    await part.finish({}, more=False)
    await seal(run)
    assert await contents(vault, MAILBOX) == {"b": b"fine"}


async def test_v20_cursors_state_and_use_go_through_slices_and_snapshots() -> None:
    vault = await World().create()
    run = await vault.open_run(MAILBOX, "r1")
    one = {"link": "1", "kind": "page", "asOf": "t"}
    two = {"link": "2", "kind": "delta", "asOf": "t"}
    part = await run.slice(0)
    await part.finish(
        {"A": one, "B": one}, state={"at": 3}, more=True, graph=GraphUse(2, 3, 1, 0.5)
    )
    run = await vault.open_run(MAILBOX, "r1")  # the next activity
    assert run.cursors == {"A": one, "B": one}
    assert run.state == {"at": 3}
    assert run.more
    assert run.slices == 1
    assert (await run.slice(0)).done
    part = await run.slice(1)
    await part.finish({"A": two, "B": None}, more=False, graph=GraphUse(1, 1, 0, 0.25))
    with pytest.raises(SliceFinished):
        part.keep("x")
    head = await seal(run)
    assert head.graph == GraphUse(3, 4, 1, 0.75)
    assert (await vault.open_run(MAILBOX, "r2")).cursors == {"A": two}


async def test_v49_the_loser_of_a_race_is_superseded() -> None:
    vault = await World().create()
    await backup(vault, MAILBOX, "r0", putting({"a": b"0"}))
    slow = await vault.open_run(MAILBOX, "slow")
    part = await slow.slice(0)
    await part.put(mail("slow"), b"s")
    await part.finish({}, more=False)
    winner = await backup(vault, MAILBOX, "fast", putting({"fast": b"f"}))
    with pytest.raises(Superseded):
        await seal(slow)
    with pytest.raises(Superseded):
        await vault.open_run(MAILBOX, "slow")
    assert await contents(vault, MAILBOX) == {"a": b"0", "fast": b"f"}
    # the winner's seal may be repeated, even after a later run
    await backup(vault, MAILBOX, "later", putting({}))
    assert (await seal(await vault.open_run(MAILBOX, "fast"))).n == winner.n


async def test_v50_a_run_older_than_a_day_never_commits() -> None:
    vault = await World().create()
    run = await vault.open_run(MAILBOX, "old")
    part = await run.slice(0)
    await part.put(mail("a"), b"1")
    await part.finish({}, more=True)
    run = await vault.open_run(MAILBOX, "old")
    assert run.first_checkpoint is not None
    with pytest.raises(RunExpired):
        await run.seal(
            enumerated={}, started=NOW, expires=None, kind="full",
            ended=run.first_checkpoint + timedelta(hours=24, seconds=1),
        )  # fmt: skip
    with pytest.raises(UnknownSnapshot):
        await vault.open_snapshot(MAILBOX)


async def test_proofs_hold_and_fail_when_anything_is_altered() -> None:
    vault = await World().create()
    await backup(vault, MAILBOX, "r1", putting({f"m{n}": b"%d" % n for n in range(70)}))
    snap = await vault.open_snapshot(MAILBOX)
    for whole in (True, False):
        proof = await snap.proof("m9", whole=whole)
        assert proof_holds(proof)
        assert content_matches(proof, b"9")
        assert not content_matches(proof, b"8")
        for member in ("i", "v", "s", "d", "salt", "json" if whole else "meta"):
            bad = proof | {"item": dict(proof["item"])}
            old = bad["item"][member]
            bad["item"][member] = old + 1 if isinstance(old, int) else "A" + old[1:] + "A"
            assert not proof_holds(bad), member
        for at in range(len(proof["path"])):
            path = [list(step) for step in proof["path"]]
            path[at][1] = bytes(32).hex()
            assert not proof_holds(proof | {"path": path})
            assert not proof_holds(proof | {"path": proof["path"][:at]})
        assert not proof_holds(proof | {"root": bytes(32).hex()})
    absent = await snap.proof("never")
    assert absent["proof"] == "absence"
    assert proof_holds(absent)
    assert not proof_holds(absent | {"i": "m9"})
    empty = World()
    await backup(await empty.create(), MAILBOX, "r1", putting({}))
    nothing = await (await (await empty.open()).open_snapshot(MAILBOX)).proof("x")
    assert proof_holds(nothing)
    assert not proof_holds(nothing | {"root": bytes(32).hex()})


async def test_first_run_of_nothing_and_of_an_emptied_object() -> None:
    vault = await World().create()
    head = await backup(vault, MAILBOX, "r1", putting({}))
    assert head.items == 0
    await backup(vault, MAILBOX, "r2", putting({"a": b"1"}))

    async def clear(run: Run, part: Slice) -> None:
        part.gone("a", "inbox")

    head = await backup(vault, MAILBOX, "r3", clear)
    assert head.items == 0
    assert await contents(vault, MAILBOX) == {}
    head = await backup(vault, MAILBOX, "r4", putting({"a": b"2"}))
    assert await contents(vault, MAILBOX) == {"a": b"2"}
    assert await contents(vault, MAILBOX, 2) == {"a": b"1"}
