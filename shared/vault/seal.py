"""The seal: removals, index, commit, and what to do when it was done before (W2 to W6)."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.kit.blobs import BlobMissing
from shared.vault import rules
from shared.vault.chunker import parameters
from shared.vault.errors import RunExpired, Superseded, VaultDamaged
from shared.vault.format import base as base_format
from shared.vault.format import names, snapshot, tree
from shared.vault.format.snapshot import NO_PREV, Tail
from shared.vault.healing import healed
from shared.vault.keyring import put_once
from shared.vault.lockkeeper import lock_dependencies, lock_record
from shared.vault.merge import Tally
from shared.vault.model import Declared, Enumeration, GraphUse, Kind, SnapshotHead, instant
from shared.vault.ranges import RangeReader
from shared.vault.removals import buried
from shared.vault.segments import Builder

if TYPE_CHECKING:
    from shared.vault.run import Checkpoint, Run

WRITER = "holdfast/0.1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine says of the run."""

    enumerated: dict[str, Enumeration]
    containers_total: int
    started: datetime
    ended: datetime
    expires: datetime | None
    kind: Kind
    declared: Declared | None
    excluded: int
    engine: str
    selection: Any
    since: dict[str, rules.Order]


@dataclass(frozen=True, slots=True)
class Built:
    """The rows of the next snapshot."""

    base: list[dict[str, Any]]
    tail: Tail
    spent: int
    root: bytes
    tally: Tally


async def seal_run(run: "Run", facts: Facts) -> SnapshotHead:
    """Commit the run's slices as the next snapshot."""
    if run.sealed is not None:
        await lock_record(run, run.sealed.n, _term(facts))
        await run.abandon()
        return run.sealed
    if run.slices == 0:
        return await _already(run, Superseded(f"run {run.id} has no slice and no snapshot"))
    try:
        run.sealed = await _commit(run, facts)
    except (BlobMissing, VaultDamaged) as lost:
        # Another execution of this run may have committed and deleted the checkpoints (V48).
        run.sealed = await _already(run, lost)
    await run.abandon()
    return run.sealed


async def _already(run: "Run", otherwise: Exception) -> SnapshotHead:
    found = await run.committed()
    if found is None:
        raise otherwise
    return found


async def _commit(run: "Run", facts: Facts) -> SnapshotHead:
    now = facts.ended if run.locks is None else await run.locks.now()  # storage's clock (V52)
    if run.first_checkpoint and rules.run_expired(run.first_checkpoint, now):
        raise RunExpired(f"run {run.id} began more than 24 hours ago")
    checkpoints = await run.checkpoints()
    if any(found.meta["parent"] != run.parent_mark for found in checkpoints):
        raise Superseded(f"run {run.id} began before the newest snapshot")
    built = await _build(run, facts, checkpoints)
    n = run.number + 1
    items = (run.parent.items if run.parent else 0) + built.tally.rows
    clear = snapshot.Clear(
        run.keys.repo, run.keys.oid, n, run.prev or NO_PREV,
        built.root.hex(), items, run.epoch,
    )  # fmt: skip
    floor = await lock_dependencies(run, built, _term(facts), facts.expires)  # W3
    head = _head(run, facts, checkpoints, built) | {
        "lock_floor": None if floor is None else instant(floor)
    }
    private = _private(run, facts, checkpoints, built.tally)
    _, blob = await asyncio.to_thread(
        snapshot.build, run.ops, run.keys.key, clear, head, built.tail, private
    )
    await put_once(run.store, names.record(run.keys.oid, n), blob)  # W4: the commit
    committed = (await run.load(n)).snapshot
    if committed.run != run.id:
        raise Superseded(f"another run committed snapshot {n} first")  # V48, V49
    await lock_record(run, n, _term(facts))  # W5
    await healed(run, built)
    return committed


def _term(facts: Facts) -> timedelta | None:
    """The retention; None = unlimited."""
    return None if facts.expires is None else facts.expires - facts.ended


async def _build(run: "Run", facts: Facts, checkpoints: list["Checkpoint"]) -> Built:
    ranges = RangeReader(run.control, checkpoints)
    removal = rules.removal_of(
        run.ref.workload, facts.enumerated, run.parent is not None, frozenset(), facts.since
    )
    dead = await buried(run, checkpoints, ranges, removal)
    removal = replace(removal, buried=dead, wounds=run.wounds)
    watched = [entry["i"] for entry in run.retry]
    builder = Builder(run.index, ranges, run.keys, removal, watched)
    parent = run.parent_record.head if run.parent_record else None
    base = parent["base"] if parent else []
    base_bytes = sum(part["bytes"] for part in base)
    spent = parent["tail"]["spent"] if parent else 0
    old_tail = parent["tail"]["bytes"] if parent else 0
    full = rules.surely_rewrites(base_bytes=base_bytes, spent=spent, tail_bytes=old_tail, rows=0)
    if not full and not run.heals:  # a new base names no damaged pack
        found = await builder.tail()
        if found is not None:
            tail, roots = found
            written = 0 if tail.host else tail.size
            if tail.host or not rules.rewrite_base(
                base_bytes=base_bytes, spent=spent, tail_bytes=written
            ):
                return Built(base, tail, spent + written, tree.join(roots), builder.tally)
    expected = (run.parent.items if run.parent else 0) + sum(
        found.result.counts["protected"] for found in checkpoints
    )

    async def put(part: base_format.Part) -> None:
        await put_once(run.store, names.base(run.keys.oid, part.entry["name"]), part.blob)

    parts, bits, roots = await builder.base(run.ops, run.epoch, expected, put)
    return Built(parts, Tail(bits=bits), 0, tree.join(roots), builder.tally)


def _head(
    run: "Run", facts: Facts, checkpoints: list["Checkpoint"], built: Built
) -> dict[str, Any]:
    tally = built.tally
    results = [found.result for found in checkpoints]
    counts = rules.counts(
        tally.listed, tally.skipped, tally.failed, tally.gone,
        run.parent.counts if run.parent else {}, tally.classes,
    )  # fmt: skip
    items = (run.parent.items if run.parent else 0) + tally.rows
    if items != counts["held"] + counts["stale"] + counts["unheld"]:
        raise VaultDamaged(f"counters of run {run.id} do not add up (V37)")
    complete = min(len(facts.enumerated), facts.containers_total)
    retry = _retry(run, facts, tally)
    graph = GraphUse()
    for result in results:
        graph = graph.plus(result.graph)
    return {
        "run": run.id,
        "workload": run.ref.workload,
        "engine": facts.engine,
        "kind": facts.kind,
        "status": rules.status(
            sum(tally.failed.values()), len(retry), facts.containers_total, complete
        ),
        "started": instant(facts.started),
        "ended": instant(facts.ended),
        "expires": None if facts.expires is None else instant(facts.expires),
        "base": built.base,
        "tail": {"spent": built.spent},
        "counts": {
            "source": None if facts.declared is None else facts.declared.document(),
            "excluded": facts.excluded,
            **counts,
            "containers": {"total": facts.containers_total, "complete": complete},
        },
        "bytes": {
            "read": sum(result.read for result in results),
            "new": sum(result.new for result in results),
            "stored": sum(result.stored for result in results),
        },
        "graph": {
            "requests": graph.requests,
            "ru": graph.ru,
            "throttled": graph.throttled,
            "waited_s": graph.waited_s,
        },
        "files": run.files,
        "chunker": parameters()["id"],
        "writer": WRITER,
    }


def _private(
    run: "Run", facts: Facts, checkpoints: list["Checkpoint"], tally: Tally
) -> dict[str, Any]:
    report = [entry for found in checkpoints for entry in found.meta["report"]]
    return {
        "source_id": run.ref.source_id,
        "display_name": run.ref.display_name,
        "address": run.ref.address,
        "cursors": run.cursors,
        "retry": _retry(run, facts, tally),
        "report": report[: rules.MAX_REPORT],
        "selection": facts.selection,
    }


def _retry(run: "Run", facts: Facts, tally: Tally) -> list[dict[str, Any]]:
    by_id = {entry["i"]: entry for entry in run.retry}
    settled = {i for i, outcome in zip(by_id, tally.watched.values(), strict=True)
               if outcome in ("gone", "fine")}  # fmt: skip
    return rules.retry_list(run.retry, tally.failures, settled, instant(facts.ended))
