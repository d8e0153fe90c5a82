"""Outcomes, cursors, races, age, proofs: what a run says of itself."""

from datetime import timedelta

import pytest

from shared.vault.errors import RunExpired, SliceFinished, Superseded, UnknownSnapshot
from shared.vault.format.proofs import content_matches, proof_holds
from shared.vault.model import GraphUse
from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import (
    MAILBOX,
    NOW,
    World,
    backup,
    contents,
    mail,
    putting,
    seal,
)


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
