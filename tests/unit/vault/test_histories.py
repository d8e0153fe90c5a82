"""Properties: the root is a function of the set; after any history the snapshot is the model."""

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.vault.format import base, rows, tree
from shared.vault.format.primitives import sha
from shared.vault.run import Run
from shared.vault.service import Vault
from shared.vault.slices import Slice
from tests.unit.vault.world import MAILBOX, World, backup, contents, mail

keys = st.binary(min_size=32, max_size=32)


@given(st.sets(keys, max_size=60), st.integers(0, 4))
def test_v41_v42_root_does_not_depend_on_buckets(items: set[bytes], bits: int) -> None:
    pairs = sorted((key, sha(key)) for key in items)
    buckets: list[list[tree.Pair]] = [[] for _ in range(1 << bits)]
    for pair in pairs:
        buckets[base.bucket_of(pair[0], bits)].append(pair)
    roots = [tree.root(bucket) for bucket in buckets]
    assert tree.join(roots) == tree.root(pairs) == _reference(pairs)


def _reference(pairs: list[tree.Pair]) -> bytes:
    """The definition of section 12.2, word for word."""
    if not pairs:
        return sha(b"")
    if len(pairs) == 1:
        return pairs[0][1]
    depth = next(d for d in range(256) if len({tree.bit(k, d) for k, _ in pairs}) == 2)
    halves = [[p for p in pairs if tree.bit(p[0], depth) == side] for side in (0, 1)]
    return tree.node(depth, _reference(halves[0]), _reference(halves[1]))


@given(st.sets(keys, min_size=1, max_size=60), keys, st.integers(0, 4))
def test_v43_every_item_is_provable_and_every_other_absent(
    items: set[bytes], other: bytes, bits: int
) -> None:
    pairs = sorted((key, tree.leaf(key, sha(key))) for key in items)
    buckets: list[list[tree.Pair]] = [[] for _ in range(1 << bits)]
    for pair in pairs:
        buckets[base.bucket_of(pair[0], bits)].append(pair)
    roots = [tree.root(bucket) for bucket in buckets]
    whole = tree.root(pairs)
    for key in {*list(items)[:5], other}:
        bucket, path = tree.bucket_path(roots, key)
        assert bucket is not None
        at, below = tree.leaf_path(buckets[bucket], key)
        if key in items:
            assert tree.leaf_paths(buckets[bucket])[key] == below[::-1]
        upward = [*reversed(below), *reversed(path)]
        if key in items:
            assert at == key
            assert tree.included(whole, key, sha(key), upward)
        else:
            assert tree.absent(whole, key, at, sha(at), upward)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=5))
def test_locations_survive_translation(places: list[tuple[int, int]]) -> None:
    located = [rows.Place(p, o, 9, 0, 5, sha(bytes([o]))) for p, o in places]
    coded = rows.encode_location(rows.Location(located), short=False)
    moved = rows.remap(coded, lambda index: index + 100)
    back = rows.parse_location(moved, 0, None).places
    assert [(p.pack - 100, p.offset, p.digest) for p in back] == [
        (p.pack, p.offset, p.digest) for p in located
    ]


IDS = [f"i{n}" for n in range(24)]
FOLDERS = ["A", "B", "C"]
step = st.tuples(
    st.sampled_from(["put", "put", "move", "flag", "gone", "keep", "fail", "full", "slice"]),
    st.sampled_from(IDS),
    st.sampled_from(FOLDERS),
    st.integers(0, 3),
)
history = st.lists(st.lists(step, max_size=14), min_size=1, max_size=6)


@pytest.mark.parametrize("rows_per_bucket", [2, 512])
@given(history)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_v27_newest_snapshot_equals_the_model(
    monkeypatch: pytest.MonkeyPatch, rows_per_bucket: int, runs: list[list[Any]]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(base, "BUCKET_ROWS", rows_per_bucket)
        patched.setattr(base, "PART", 4)
        asyncio.run(_history(runs))


async def _history(runs: list[list[Any]]) -> None:
    """Interpret each run both ways: through the vault, and on a dict id -> (folder, content)."""
    vault = await World().create()
    model: dict[str, tuple[str, bytes]] = {}
    past: list[dict[str, tuple[str, bytes]]] = []
    for number, steps in enumerate(runs):
        head = await _one(vault, model, number, steps)
        assert head.n == number + 1
        assert head.items == len(model)
        counts = head.counts
        assert counts["listed"] == (
            counts["protected"] + counts["metadata"] + counts["unchanged"]
            + sum(counts["skipped"].values()) + sum(counts["failed"].values())
        )  # fmt: skip
        assert counts["held"] + counts["stale"] + counts["unheld"] == head.items
        past.append(dict(model))
    for n, expected in enumerate(past, start=1):
        await _same(vault, n, expected)


async def _one(vault: Vault, model: dict[str, tuple[str, bytes]], number: int, steps: Any) -> Any:
    full = next((where for what, _, where, _ in steps if what == "full"), None)
    before = dict(model)
    named: set[str] = set()
    run = await vault.open_run(MAILBOX, f"run{number}")
    part = await run.slice(0)
    for what, source_id, where, salt in steps:
        held = await run.previous(source_id)
        item = mail(source_id, f"{number}.{salt}", where)
        fresh = source_id in model and source_id not in named
        if what == "slice":
            await part.finish({}, more=True)
            part = await run.slice(run.slices)
        elif what == "put":
            data = os.urandom(salt * 40)
            await part.put(item, data)
            model[source_id] = (where, data)
            named.add(source_id)
        elif what in ("move", "flag") and fresh and held is not None:
            folder_ = where if what == "move" else model[source_id][0]
            part.carry(item | {"p": folder_}, held)
            model[source_id] = (folder_, model[source_id][1])
            named.add(source_id)
        elif what == "keep" and fresh:
            part.keep(source_id)
            named.add(source_id)
        elif what == "fail" and fresh and held is not None:
            folder_ = model[source_id][0]
            part.failed(item | {"p": folder_}, "500", "", held)
            named.add(source_id)
        elif what == "gone":
            part.gone(source_id, where)
            if source_id in model and model[source_id][0] == where:
                # The row before the run comes back when another folder's row is withdrawn (M16).
                old = before.get(source_id)
                if source_id in named or old is None or old[0] == where:
                    del model[source_id]
                named.discard(source_id)
                await _settle(part, run, source_id, model, before, steps)
    if full is not None:
        for source_id, (where, _) in list(model.items()):
            if where == full and source_id not in named:
                del model[source_id]
    await part.finish({}, more=False)
    return await run.seal(
        enumerated={full: "full"} if full else {},
        started=_now(), ended=_now(), expires=None, kind="incremental",
    )  # fmt: skip


async def _settle(
    part: Slice, run: Run, source_id: str, model: Any, before: Any, steps: Any
) -> None:
    """Withdraw the item everywhere, so that model and vault agree without M16's subtleties."""
    for where in FOLDERS:
        part.gone(source_id, where)
    model.pop(source_id, None)


def _now() -> Any:
    from tests.unit.vault.world import NOW

    return NOW


async def _same(vault: Vault, n: int, expected: dict[str, tuple[str, bytes]]) -> None:
    snap = await vault.open_snapshot(MAILBOX, n)
    found = {}
    pairs = []
    async for row in snap.rows():
        data = b"".join([part async for part in snap.content(row)])
        found[row.source_id] = (row.parent, data)
        key = rows.key_of(bytes.fromhex(snap.head.oid), row.source_id)
        pairs.append((key, rows.leaf_of(snap._keys.leaf, key, rows.core(row.raw), row.raw)))
    assert found == expected
    assert tree.root(sorted(pairs)).hex() == snap.head.root  # V41: of the set alone
    for source_id in IDS[:6]:
        row = await snap.row(source_id)
        assert (row is not None) == (source_id in expected)


async def test_many_buckets_parts_and_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BUCKET_ROWS", 4)
    monkeypatch.setattr(base, "PART", 32)
    monkeypatch.setattr("shared.vault.ranges.MAX_HELD", 20_000)
    vault = await World().create()
    model: dict[str, bytes] = {}
    for number in range(12):
        data = {f"m{n}": b"%d-%d" % (number, n) for n in range(number * 40, number * 40 + 400)}
        parts = [dict(list(data.items())[at : at + 100]) for at in range(0, 400, 100)]

        def work(items: dict[str, bytes]) -> Any:
            async def put(run: Run, part: Slice) -> None:
                for source_id, value in items.items():
                    await part.put(mail(source_id, value.decode()), value)

            return put

        head = await backup(vault, MAILBOX, f"r{number}", *map(work, parts))
        model |= data
        assert await contents(vault, MAILBOX) == model
        assert head.items == len(model)
        run = await vault.open_run(MAILBOX, f"look{number}")
        held = await run.previous_many([*model, "never"])
        assert set(held) == set(model)
    assert len(head.document["base"]) > 1
